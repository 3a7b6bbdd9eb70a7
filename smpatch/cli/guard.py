"""One guard for all commands: an error becomes one line on stderr and an exit code.

With ``--json`` the error is on stdout as well, as an object.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from smpatch.cli.terminal import OutputError, printable, talk
from smpatch.errors import PatchFileError, SmpatchError, UsageError, WriteError

__all__ = ["Interrupted", "listen", "run", "watching", "watching_all"]

_WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminated, for the terminal is gone",
}

_FILES = ("saved_model.pb", "saved_model.pbtxt")

_Identity = tuple[int, int, int, int] | None


class Interrupted(BaseException):
    """A signal that asks to stop.

    Attributes:
        exit_code: What a shell expects.
        found: The signal in words.
        changed: Whether the edit was in place when the signal came.
        many: Of a command on many models, how many had been edited, and of how many.
    """

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(number)
        self.exit_code = 128 + number
        self.found = _WORDS[signal.Signals(number)]
        self.changed = False
        self.many: tuple[int, int] | None = None

    @property
    def outcome(self) -> str:
        """What became of the model, or of the models."""
        if self.many is not None:
            edited, count = self.many
            return f"{edited:,} of {count:,} models were edited, the others are unchanged"
        return "the edit was in place already" if self.changed else "the model is unchanged"

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.found}; {self.outcome}"


def listen() -> None:
    """Let the signals raise ``Interrupted``, those excepted that the caller ignores."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C would interrupt the cleaning up after the first. Not SIG_IGN: of a signal
    # that has come and is not dealt with yet, Python would complain on stderr.
    for each in _WORDS:
        if signal.getsignal(each) is _stop:
            signal.signal(each, _pass_over)
    raise Interrupted(number)


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: somebody stops already."""


@contextmanager
def watching(model: Path, save_to: Path | None) -> Iterator[None]:
    """Let an interruption inside know whether the edit was in place.

    Args:
        model: The model that is edited.
        save_to: The directory that is written instead.
    """
    directory = save_to or model
    before = _identities(directory)
    try:
        yield
    except Interrupted as stop:
        stop.changed = _identities(directory) != before
        raise


@contextmanager
def watching_all(directories: Sequence[Path]) -> Iterator[None]:
    """Let an interruption inside know how many models were edited.

    Args:
        directories: Those that are edited, or made.
    """
    before = [_identities(each) for each in directories]
    try:
        yield
    except Interrupted as stop:
        after = [_identities(each) for each in directories]
        edited = sum(one != other for one, other in zip(before, after, strict=True))
        stop.changed, stop.many = edited > 0, (edited, len(directories))
        raise


def _identities(directory: Path) -> list[_Identity]:
    return [_identity(directory / name) for name in _FILES]


def _identity(file: Path) -> _Identity:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


# Typer has carried its own copy of click since 0.20; the classes are found where it shows them.
_CLICK_ERROR: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)


def run(app: typer.Typer) -> int:
    """Run the application; return the exit code, and leave no traceback for a user's mistake."""
    try:
        result: Any = app(prog_name="smpatch", standalone_mode=False)
    except SmpatchError as error:
        return _report(error)
    except _CLICK_ERROR as error:
        return _report(_usage(error))
    except OSError as error:
        return _report(_refused(error))
    except Interrupted as stop:
        return _interrupted(stop)
    return result if isinstance(result, int) else 0


def _report(error: SmpatchError) -> int:
    if _json_wanted():
        from smpatch.cli import machine

        with contextlib.suppress(OutputError):  # which may be what is reported
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
    if _json_wanted():
        from smpatch.cli import machine

        with contextlib.suppress(OutputError):
            machine.write_interruption(stop)
    talk(f"smpatch: {stop}")
    return stop.exit_code


def _json_wanted() -> bool:
    """Tell whether JSON was asked for, of a command line that may not have been understood."""
    arguments = sys.argv[1:]
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


def _refused(error: OSError) -> SmpatchError:
    """Put into words what the system refused where nobody expected it: no edit had begun."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    return WriteError((error.strerror or str(error)).lower(), where=where)


def _usage(error: Any) -> SmpatchError:  # noqa: ANN401 - click's own class, found at run time
    # Only the sentence: what click appends in parentheses is the hint here.
    message = str(getattr(error, "message", "") or error.format_message())
    if not getattr(error, "possibilities", None):
        message = str(error.format_message())
    message = message.strip().rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f"see {context.command_path if context is not None else 'smpatch'} --help"
    if getattr(error, "possibilities", None):
        hint = f"did you mean {' or '.join(sorted(error.possibilities))}? {hint}"
    return UsageError(message[:1].lower() + message[1:], hint=hint)
