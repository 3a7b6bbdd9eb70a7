"""The log of the library on stderr: each record with ``--verbose``, else a line of progress.

A terminal shows the line of progress after the first second of a command, and it is erased at the
end. It has the step that the library logs (``extra={"step": ...}``) and the seconds since the
start. There is no such line in a pipe, and none with ``--quiet`` or ``--verbose``.

This module searches for the options before the command line is parsed, because the first child
process starts before that.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from smpatch.cli import terminal

_LIBRARY = logging.getLogger("smpatch")


class _Handler(logging.Handler):
    """A handler without a lock, as logging.NullHandler.

    ``apply`` stops a thread with an exception, which can occur while the thread holds a lock.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._started = time.monotonic()

    def createLock(self) -> None:  # noqa: N802 - the name of logging
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True


class _Lines(_Handler):
    """A handler that writes one line to stderr for each record; ``talk`` writes it in one call."""

    def emit(self, record: logging.LogRecord) -> None:
        from smpatch.display import printable  # it imports protobuf; the first child starts before

        seconds = time.monotonic() - self._started
        terminal.talk(printable(f"smpatch: {seconds:.3f} s: {record.getMessage()}"))


def given(option: str) -> bool:
    """Return whether the command line has an option, also if the line cannot be parsed."""
    arguments = sys.argv[1:]
    return option in arguments[: arguments.index("--") if "--" in arguments else None]


def start() -> None:
    """Print the log of the library from now on."""
    _LIBRARY.addHandler(_Lines(logging.DEBUG))
    _LIBRARY.setLevel(logging.DEBUG)


def verbose() -> bool:
    """Return whether the log is printed."""
    return any(isinstance(each, _Lines) for each in _LIBRARY.handlers)


_FIRST, _PAUSE = 1.0, 0.2
"""Seconds before the line appears, and between two drawings."""

_WORDS = {
    "lock": "waiting for another edit of the model",
    "write": "writing the model",
    "describe": "TensorFlow loads the model",
    "load": "TensorFlow loads the model",
    "run": "TensorFlow runs the signatures",
    "call": "TensorFlow runs the signatures",
    "call_function": "TensorFlow runs the signatures",
    "fingerprint": "TensorFlow computes the fingerprint",
    "infer": "TensorFlow infers shapes",
    "fetch": "reading from the store",
    "put": "writing to the store",
}
"""Step to the text that is shown; for any other step the text is ``_ASKED``."""

_ASKED = "TensorFlow works"


@contextmanager
def shown() -> Iterator[None]:
    """Show the line of progress in the context, if stderr and the options allow it."""
    if not _wanted():
        yield
        return
    line = _Line()
    _LIBRARY.addHandler(line)
    _LIBRARY.setLevel(logging.INFO)
    terminal.watch(line.clear)
    try:
        yield
    finally:
        stop()


def stop() -> None:
    """Erase the line and show it no more, such as before a bar for many models is shown."""
    for each in [each for each in _LIBRARY.handlers if isinstance(each, _Line)]:
        each.end()
        _LIBRARY.removeHandler(each)
        terminal.watch(None)


def _wanted() -> bool:
    spared = given("--verbose") or given("--quiet") or given("-q")
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return on_terminal and not spared and os.environ.get("TERM") != "dumb"


class _Line(_Handler):
    """The line of progress, and the thread that draws it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._step = ""
        self._visible = False
        self._drawing = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._draw, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        self._step = getattr(record, "step", self._step)

    def clear(self) -> None:
        """Erase the line before something else is printed."""
        with self._drawing:
            self._erase()

    def end(self) -> None:
        self._ended.set()
        self.clear()

    def _draw(self) -> None:
        wait = _FIRST
        while not self._ended.wait(wait):
            wait = _PAUSE
            with self._drawing:
                if self._ended.is_set():
                    return
                if self._step:
                    words = _WORDS.get(self._step, _ASKED)
                    seconds = time.monotonic() - self._started
                    self._write(f"\r{words} ({seconds:.0f} s)\x1b[K")
                    self._visible = True
                else:
                    self._erase()

    def _erase(self) -> None:
        if self._visible:
            self._write("\r\x1b[K")
            self._visible = False

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # the terminal was closed
            return
