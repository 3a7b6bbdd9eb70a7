"""The command line: call the library, render what it returns, exit.

One file for each command, shared options in ``arguments``, errors in ``guard``, signals in
``interruption``, the log in ``log``, text for people in ``terminal``, for programs in ``machine``
and, described, in ``schemas/``. Data goes to stdout, remarks go to stderr. Nothing is decided here
that a caller of the library would have to decide again.
"""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; return the exit code."""
    # A tenth of a short command's time is the collector's, over modules that all stay.
    gc.disable()
    atexit.register(gc.freeze)
    from smpatch.cli import interruption, log, terminal

    terminal.prepare()
    try:
        # From here on Ctrl-C leaves no traceback, also while the commands are imported.
        interruption.listen()
        if log.given("--verbose"):
            log.start()
        if _will_reload(sys.argv[1:]):
            # Before typer and protobuf are imported, which takes a third of what TensorFlow
            # does.
            from smpatch.runtime import early

            early.start()
        from smpatch.cli.command_line import ordered
        from smpatch.cli.main import application, guard

        with log.shown():
            return guard.run(application(*ordered(sys.argv[1:])[:1]))
    except interruption.Interrupted as stop:
        terminal.talk(f"smpatch: {stop}")
        return stop.exit_code


def _will_reload(arguments: list[str]) -> bool:
    """Guess whether TensorFlow will be asked; a wrong guess costs time and nothing else."""
    spared = {"none", "--validate=none", "--help", "-h"}
    asking = {"add-predict", "apply", "check", "wrap"}
    return not asking.isdisjoint(arguments[:1]) and spared.isdisjoint(arguments)
