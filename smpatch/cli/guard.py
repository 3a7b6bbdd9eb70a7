"""One guard for all commands: an error becomes one line on stderr and an exit code.

With ``--json`` the error is on stdout as well, as an object.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

import typer

from smpatch.cli import machine
from smpatch.cli.terminal import printable
from smpatch.errors import SmpatchError, UsageError

__all__ = ["run"]

_INTERRUPTED = 130

# Typer has carried its own copy of click since 0.20; the classes are found where it shows them.
_CLICK_ERROR: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)


def run(app: typer.Typer) -> int:
    """Run the application; return the exit code, and leave no traceback for a user's mistake."""
    # Terminated from outside: clean up like after Ctrl-C, with the code that a shell expects.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        result: Any = app(prog_name="smpatch", standalone_mode=False)
        sys.stdout.flush()
    except SmpatchError as error:
        return _report(error)
    except _CLICK_ERROR as error:
        return _report(_usage(error))
    except (typer.Abort, KeyboardInterrupt):
        print("smpatch: interrupted; the model is unchanged", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _report(error: SmpatchError) -> int:
    if "--json" in sys.argv:
        machine.write_error(error)
    print(printable(f"smpatch: {error}"), file=sys.stderr)
    return error.exit_code


def _usage(error: Any) -> SmpatchError:  # noqa: ANN401 - click's own class, found at run time
    message = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "smpatch"
    return UsageError(message[:1].lower() + message[1:], hint=f"see {command} --help")


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)
