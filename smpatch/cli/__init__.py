"""The command line: it calls the library, prints the result, and returns an exit code.

Each command has a module. ``arguments`` has the shared options, ``guard`` the errors,
``interruption`` the signals, ``log`` the log, ``terminal`` the output for people, ``machine`` the
output for programs, and ``schemas/`` its JSON Schemas. Data goes to stdout, remarks go to stderr.
Decisions that a caller of the library needs are made in the library, and not here.
"""

from __future__ import annotations

import atexit
import gc
import sys


def main() -> int:
    """Run the command line; return the exit code."""
    # The collector takes a tenth of the time of a short command, and frees none of the modules.
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
            # TensorFlow starts while typer and protobuf are imported, which takes a third of the
            # time that TensorFlow needs.
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
    """Guess whether the command will ask TensorFlow; a wrong guess only costs time."""
    spared = {"none", "--validate=none", "--help", "-h"}
    asking = {"add-predict", "apply", "check", "wrap"}
    return not asking.isdisjoint(arguments[:1]) and spared.isdisjoint(arguments)
