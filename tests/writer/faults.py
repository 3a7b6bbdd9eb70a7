"""File system calls that fail, or kill the process, at a chosen count.

This is a layer over the functions of ``os`` and related modules that the writer and the loader
call, and over files that are open for writing. It counts every call. At the n-th call it raises an
error, interrupts or kills the process, or moves fewer bytes than the call requests. It does not
depend on models, and does not reach the system calls below Python.
"""

from __future__ import annotations

import fcntl
import io
import os
import pathlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

OS_CALLS = (
    *("open", "stat", "lstat", "fstat", "listdir", "scandir", "access", "readlink"),
    *("mkdir", "symlink", "link", "unlink", "rmdir", "rename", "replace"),
    *("write", "pread", "copy_file_range", "fsync"),
    *("chmod", "chown", "utime"),
)
"""The functions of ``os`` that are counted, if the system has them."""

FILE_CALLS = ("write", "flush")
"""The methods of a file open for writing that are counted."""

MOVES = frozenset({"write", "copy_file_range"})
"""The functions that may move fewer bytes than the call requests."""

Fault = Callable[[str], object]


class Layer:
    """Counts calls, and makes the fault happen at one of them.

    Attributes:
        calls: The number of calls of each function.
        order: The functions, in the order of their calls.
        on: Function name to a count: the fault happens at that call of it and at all later ones.
    """

    def __init__(self, at: int, fault: Fault) -> None:
        """Prepare.

        Args:
            at: The number of the call for the fault, among all calls, from 1; 0 for none.
            fault: The function that makes the fault; its argument is the name of the function.
        """
        self.calls: Counter[str] = Counter()
        self.order: list[str] = []
        self.on: dict[str, int] = {}
        self._at = at
        self._fault = fault
        self._short = fault is short

    @property
    def struck(self) -> bool:
        """Whether the fault has happened."""
        return self.calls.total() >= self._at

    def count(self, name: str) -> None:
        """Count one call, before it is made."""
        self.calls[name] += 1
        self.order.append(name)
        if self.calls.total() == self._at or self.calls[name] >= self.on.get(name, sys.maxsize):
            self._fault(name)

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts a call and then calls the original."""

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the arguments of the function
            self.count(name)
            if self._short and self.calls.total() == self._at and name in MOVES:
                arguments = _fewer(name, arguments)
            return function(*arguments, **named)

        return call

    def opened(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``io.open`` with its calls counted, and the calls of files open for writing."""

        def call(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as io.open
            self.count("open")
            opened = function(file, mode, *rest, **named)
            return opened if mode in {"r", "rb"} else _File(opened, self)

        return call


class _File:
    """A file open for writing, whose calls are counted."""

    def __init__(self, file: Any, layer: Layer) -> None:  # noqa: ANN401 - any file object
        self._file = file
        self._layer = layer

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the file
        if name in FILE_CALLS:
            self._layer.count(f"file.{name}")
        return getattr(self._file, name)


@contextmanager
def at(count: int, fault: Fault) -> Iterator[Layer]:
    """Put the layer over the functions until the end of the context."""
    layer = Layer(count, fault)
    placed: list[tuple[Any, str, Any]] = [
        *((os, name, layer.counted(name, getattr(os, name))) for name in _there(os)),
        (shutil, "copystat", layer.counted("copystat", shutil.copystat)),
        (fcntl, "flock", layer.counted("flock", fcntl.flock)),
        (io, "open", layer.opened(io.open)),
    ]
    # In Python 3.10, pathlib has its own references to functions of these modules.
    accessor = getattr(pathlib, "_NormalAccessor", None)
    for name in _there(accessor):
        counted = (
            layer.opened(io.open) if name == "open" else layer.counted(name, getattr(os, name))
        )
        placed.append((accessor, name, staticmethod(counted)))
    true = [(place, name, vars(place)[name]) for place, name, _ in placed]
    try:
        for place, name, function in placed:
            setattr(place, name, function)
        yield layer
    finally:
        for place, name, function in true:
            setattr(place, name, function)


def _there(place: object) -> list[str]:
    return [name for name in OS_CALLS if hasattr(place, name)]


def error(number: int) -> Fault:
    """Return a fault that raises an ``OSError`` with this number."""

    def fail(name: str) -> None:
        raise OSError(number, f"{os.strerror(number)} (injected into {name})")

    return fail


def short(_name: str) -> None:
    """Do nothing; with this fault the layer makes the call move a single byte."""


def _fewer(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call for a single byte."""
    if name == "write":
        return (arguments[0], bytes(arguments[1][:1]))
    return (*arguments[:2], 1)


def interrupt(_name: str) -> None:
    """Raise the exception of Ctrl-C."""
    raise KeyboardInterrupt
