"""The command line: call the library, render what it returns, exit.

One file for each command, shared options in ``arguments``, errors in ``guard``, signals in
``interruption``, stdout and stderr in ``streams``, text for people in ``terminal`` and
``receipt``, for programs in ``machine`` and, described, in ``schemas/``. Data goes to
stdout, talk to stderr. Nothing is decided here that a caller of the library would have to
decide again.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line; return the exit code."""
    from smpatch.cli import interruption, streams

    streams.prepare()
    try:
        # From here on Ctrl-C leaves no traceback, also while the commands are imported.
        interruption.listen()
        from smpatch.cli.main import app, guard

        return guard.run(app)
    except interruption.Interrupted as stop:
        streams.talk(f"smpatch: {stop}")
        return stop.exit_code
