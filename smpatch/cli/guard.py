"""Errors of all commands: an error becomes one line on stderr, and an exit code.

With ``--json`` the error is on stdout as well, as an object.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import typer

from smpatch.cli.command_line import ordered, usage_error
from smpatch.cli.interruption import Interrupted
from smpatch.cli.log import given
from smpatch.cli.terminal import OutputError, talk
from smpatch.display import printable
from smpatch.errors import PatchFileError, SmpatchError, WriteError

# Typer has its own copy of click since 0.26; this is the class of the click that typer uses.
_CLICK_ERROR: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)


def run(app: typer.Typer) -> int:
    """Run the application; return the exit code. A user's mistake prints no traceback."""
    try:
        result: Any = app(ordered(sys.argv[1:]), prog_name="smpatch", standalone_mode=False)
    except SmpatchError as error:
        return _report(error)
    except _CLICK_ERROR as error:
        return _report(usage_error(error))
    except OSError as error:
        return _report(_refused(error))
    except Interrupted as stop:
        return _interrupted(stop)
    return result if isinstance(result, int) else 0


def _report(error: SmpatchError) -> int:
    if given("--json"):
        from smpatch.cli import machine

        with contextlib.suppress(OutputError):  # the error may be about stdout itself
            machine.write_error(error)
    for line in _lines(error):
        talk(printable(f"smpatch: {line}"))
    return error.exit_code


def _lines(error: SmpatchError) -> list[str]:
    """Return an error as lines: one, or one for each fault of a patch file."""
    if isinstance(error, PatchFileError):
        return [f"{error.where}: {fault}" for fault in error.faults]
    return [str(error)]


def _interrupted(stop: Interrupted) -> int:
    if given("--json"):
        from smpatch.cli import machine

        with contextlib.suppress(OutputError):
            machine.write_interruption(stop)
    talk(f"smpatch: {stop}")
    return stop.exit_code


def _refused(error: OSError) -> SmpatchError:
    """Return the error for an unexpected refusal of the system, before any edit began."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    return WriteError((error.strerror or str(error)).lower(), where=where)
