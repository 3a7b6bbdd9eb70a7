"""Signals that stop the program, such as Ctrl-C: the error states whether the model was edited.

The signals become an exception that is not ``KeyboardInterrupt``, which typer would catch.

Source: signal(7); a shell expects 128 plus the signal's number as the exit code.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from smpatch.urls import ModelUrl

_WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminated because the terminal was closed",
}

_FILES = ("saved_model.pb", "saved_model.pbtxt")

_Identity = tuple[int, int, int, int] | None


class Interrupted(BaseException):
    """A signal that stops the program.

    Attributes:
        exit_code: The exit code that a shell expects.
        found: The signal in words.
        changed: Whether the edit was in place when the signal came.
        many: The number of edited models and the number of all, for a command on many models;
            None for one model.
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
        """The state of the model, or of the models, as text."""
        if self.many is not None:
            edited, count = self.many
            return f"{edited:,} of {count:,} models were edited, the others are unchanged"
        return "the edit was in place already" if self.changed else "the model is unchanged"

    def __str__(self) -> str:
        """Return the signal and the state as one line."""
        return f"{self.found}; {self.outcome}"


def listen() -> None:
    """Let the signals raise ``Interrupted``, except those that the process ignores already."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C would interrupt the cleanup after the first. Not SIG_IGN: Python would write
    # an error to stderr if such a signal waits for its handler already.
    for each in _WORDS:
        if signal.getsignal(each) is _stop:
            signal.signal(each, _pass_over)
    raise Interrupted(number)


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the process stops already."""


@contextmanager
def watching(model: Path, save_to: Path | None) -> Iterator[None]:
    """Record in an interruption whether the edit was in place.

    ``save_to`` is the directory that is written instead; None if the edit is in place.
    """
    directory = save_to or model
    before = _identities(directory)
    try:
        yield
    except Interrupted as stop:
        stop.changed = _is_other(directory, before)
        raise


@contextmanager
def watching_all(directories: Sequence[Path]) -> Iterator[None]:
    """Record in an interruption how many models were edited.

    ``directories`` has the models that are edited, or the new directories that are made.
    """
    before = [_identities(each) for each in directories]
    try:
        yield
    except Interrupted as stop:
        edited = sum(map(_is_other, directories, before))
        stop.changed, stop.many = edited > 0, (edited, len(directories))
        raise


def _identities(directory: Path) -> list[_Identity]:
    """Return the identities of the model files; none in a store, where each costs a request."""
    if isinstance(directory, ModelUrl):
        return []
    return [_identity(directory / name) for name in _FILES]


def _is_other(directory: Path, before: list[_Identity]) -> bool:
    """Return whether a model has changed."""
    if isinstance(directory, ModelUrl):
        from smpatch.stores.copies import is_changed

        return is_changed(directory)
    return _identities(directory) != before


def _identity(file: Path) -> _Identity:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
