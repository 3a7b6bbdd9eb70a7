"""One line on a terminal while a command takes longer than a second; it goes away at the end.

The line has the step that the library logs (``extra={"step": ...}``) and the seconds since the
start. It is shown on a terminal alone, never in a pipe, with ``--quiet`` or with ``--verbose``.
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
from smpatch.cli.verbosity import given

__all__ = ["shown", "stop"]

_LIBRARY = logging.getLogger("smpatch")

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
"""Step to what is shown; another question to TensorFlow is ``_ASKED``."""

_ASKED = "TensorFlow works"


@contextmanager
def shown() -> Iterator[None]:
    """Show the line for as long as the context lasts, if it is to be shown at all."""
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
    """Take the line away for good, such as before a bar for many models is shown."""
    for each in [each for each in _LIBRARY.handlers if isinstance(each, _Line)]:
        each.end()
        _LIBRARY.removeHandler(each)
        terminal.watch(None)


def _wanted() -> bool:
    spared = given("--verbose") or given("--quiet") or given("-q")
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return on_terminal and not spared and os.environ.get("TERM") != "dumb"


class _Line(logging.Handler):
    """The line, and the thread that draws it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started = time.monotonic()
        self._step = ""
        self._visible = False
        self._drawing = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._draw, daemon=True).start()

    # Without a lock, for the reason that ``verbosity`` gives.
    def createLock(self) -> None:  # noqa: N802 - the name of logging
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        self._step = getattr(record, "step", self._step)

    def clear(self) -> None:
        """Take the line away before something else is printed."""
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
        except OSError:  # the terminal is gone
            return
