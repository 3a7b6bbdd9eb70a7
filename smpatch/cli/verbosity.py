"""``--verbose``: the log of the library on stderr.

The option is looked for before the command line is parsed, because the first child process
starts before that.
"""

from __future__ import annotations

import logging
import sys
import time

from smpatch.cli.terminal import talk

__all__ = ["given", "start", "verbose"]

_LIBRARY = logging.getLogger("smpatch")


class _Lines(logging.Handler):
    """One line on stderr for each record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._started = time.monotonic()

    # Without a lock, as logging.NullHandler: ``apply`` stops a thread by an exception, which can
    # come while the thread holds the lock. ``talk`` writes a line by one call.
    def createLock(self) -> None:  # noqa: N802 - the name of logging
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        from smpatch.display import printable  # protobuf comes with it, after the first child

        seconds = time.monotonic() - self._started
        talk(printable(f"smpatch: {seconds:.3f} s: {record.getMessage()}"))


def given(option: str) -> bool:
    """Return whether the command line has an option, also one that cannot be parsed."""
    arguments = sys.argv[1:]
    return option in arguments[: arguments.index("--") if "--" in arguments else None]


def start() -> None:
    """Print the log of the library from now on."""
    _LIBRARY.addHandler(_Lines())
    _LIBRARY.setLevel(logging.DEBUG)


def verbose() -> bool:
    """Return whether the log is printed."""
    return any(isinstance(each, _Lines) for each in _LIBRARY.handlers)
