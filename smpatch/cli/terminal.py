"""The streams of the command line: data goes to stdout, remarks go to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from smpatch.errors import WriteError

_BLOCK = 1 << 16
"""The number of characters after which a part of a stream is written."""


_clear: list[Callable[[], None]] = []
"""The function that erases a line of progress, if there is one; called before each output."""


class OutputError(WriteError):
    """The output could not be written to stdout."""


def prepare() -> None:
    """Prepare stdout and stderr; call it before anything opens a file."""
    # If one of them is closed, the next file that is opened, such as a model, gets its number. The
    # replacement is not writable, so that printing to it is an error.
    spare = os.open(os.devnull, os.O_RDONLY)
    while spare <= 2:  # noqa: PLR2004 - stderr
        spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 - a descriptor, for good
    if hasattr(sys.stdout, "reconfigure"):
        # Names in a model may have characters that the caller's encoding does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = cast("Any", _Stdout(sys.stdout))


def watch(clear: Callable[[], None] | None) -> None:
    """Call a function before each output from now on; None for none."""
    _clear[:] = [] if clear is None else [clear]


def data(text: str) -> None:
    """Write text to stdout, with a line break after it.

    Raises:
        OutputError: The text cannot be written.
    """
    for clear in _clear:
        clear()
    # It is flushed, so that a later line of talk comes after it, also if both use one pipe.
    print(text, flush=True)


def stream(pieces: Iterable[str]) -> None:
    """Write pieces of text to stdout, with a line break after the last.

    Raises:
        OutputError: The text cannot be written.
    """
    for clear in _clear:
        clear()
    text, waiting = [], 0
    for each in pieces:
        text.append(each)
        waiting += len(each)
        if waiting >= _BLOCK:
            print("".join(text), end="")
            text, waiting = [], 0
    data("".join(text))


@contextmanager
def done(what: str, *, dry_run: bool) -> Iterator[None]:
    """Print the result of an edit in the context; if it cannot be printed, print a warning.

    An error would mean that the model is unchanged.

    Args:
        what: The sentence about the edit, such as ``the edit is done``.
        dry_run: Whether nothing was written.

    Raises:
        OutputError: The result cannot be printed, and nothing was written.
    """
    try:
        yield
    except OutputError as error:
        if dry_run:
            raise
        from smpatch.display import printable

        talk(printable(f"smpatch: warning: {what}, but {error}"))


def talk(line: str) -> None:
    """Write a line to stderr; raise no error if that is not possible."""
    if sys.stderr is None:
        return
    for clear in _clear:
        clear()
    try:
        # One call for the whole line, so that threads do not mix their lines.
        print(f"{line}\n", end="", file=sys.stderr, flush=True)
    except OSError:
        _silence(2)


class _Stdout:
    """The stdout of all modules of the command line, and of typer's help texts."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - any text stream
        self._stream = stream

    def write(self, text: str) -> int:
        # Typer writes an empty text as a test, and handles an error of it.
        if text == "":
            return 0
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def _failed(self, error: OSError) -> None:
        # The text that is still in the buffer would fail again when Python ends.
        _silence(1)
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot be written to: {reason}", where="stdout") from error


def _silence(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
