"""The first child process, started before the first question is known.

TensorFlow's libraries take 0.2 s to load, and the rest of smpatch 0.1 s; with this child both load
at the same time. The first caller that needs a child takes it.
"""

from __future__ import annotations

import atexit
import contextlib

from smpatch.runtime import installation
from smpatch.runtime.process import Child, ChildError, Program

_waiting: list[Child] = []


def start() -> None:
    """Start a child for the C runtime if it is installed; ignore errors, which occur again."""
    installed = installation.find()
    if installed is not None and installed.cc_library is not None:
        with contextlib.suppress(ChildError, OSError):
            _waiting.append(Child.start(Program.CAPI, installed))
            atexit.register(_close)


def take() -> Child | None:
    """Return the waiting child; None if there is none, or if it was taken."""
    return _waiting.pop() if _waiting else None


def _close() -> None:
    while _waiting:
        _waiting.pop().close()
