"""The array of a ``.npy`` file, as a constant.

This needs no NumPy: the format is a header, which is a Python literal, and then the elements in
their order.

Source: ``numpy/lib/format.py`` (the versions 1.0 to 3.0).
"""

from __future__ import annotations

import ast
import math
import os
import re
import struct
import sys
from typing import BinaryIO, NamedTuple

from smpatch.arguments import Constant
from smpatch.errors import UsageError
from smpatch.savedmodel.directory import open_regular

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16
_DEEP = (RecursionError, MemoryError)
"""The errors of Python's parser for a text that is nested too deeply."""

_MOST = 1 << 28
"""The largest size of the elements, in bytes: a constant is in the model file (below 2 GiB)."""

_CODES = {
    "b1": ("bool", "?"),
    "i1": ("int8", "b"),
    "i2": ("int16", "h"),
    "i4": ("int32", "i"),
    "i8": ("int64", "q"),
    "u1": ("uint8", "B"),
    "u2": ("uint16", "H"),
    "u4": ("uint32", "I"),
    "u8": ("uint64", "Q"),
    "f2": ("float16", "e"),
    "f4": ("float32", "f"),
    "f8": ("float64", "d"),
}
"""NumPy's type, without the byte order, to TensorFlow's name and the code of ``struct``."""

_TEXT = re.compile(r"[SU][0-9]{1,10}")
"""NumPy's type of texts: the kind, and the number of bytes or characters."""

_MOST_EMPTY = 1 << 20
"""The largest number of elements without bytes, and of lists without elements."""

_MOST_DIMENSIONS = 64
"""The most dimensions of an array of NumPy."""

_CHARACTER = 4
"""Bytes of a character in an array of texts."""


_ORDERS = {"<": "little", ">": "big", "=": sys.byteorder, "|": sys.byteorder}
"""NumPy's sign of a byte order to Python's name; ``|`` is for types to which it does not matter."""


class _Header(NamedTuple):
    descr: str
    fortran_order: bool
    shape: tuple[int, ...]


def read_npy(file: str | os.PathLike[str]) -> Constant:
    """Read the array of a ``.npy`` file.

    Raises:
        UsageError: The file cannot be read, or its array cannot be a constant.
    """
    where = os.fspath(file)
    try:
        with open_regular(file) as opened:
            return _read(opened, where)
    except OSError as error:
        raise UsageError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", where=where
        ) from error


def _read(opened: BinaryIO, where: str) -> Constant:
    header = _header(opened, where)
    order, kind = _ORDERS.get(header.descr[:1], ""), header.descr[1:]
    count = math.prod(header.shape)
    if order and kind in _CODES:
        dtype, code = _CODES[kind]
        size = struct.calcsize(code)
    elif order and _TEXT.fullmatch(kind):
        dtype, code = "string", ""
        size = int(kind[1:]) * (_CHARACTER if kind[0] == "U" else 1)
    else:
        hint = "convert it to numbers, truth values or texts before numpy.save"
        raise UsageError(f"arrays of type {header.descr!r} are not read", where=where, hint=hint)
    if count * size > _MOST:
        found = f"the array has more than {_MOST:,} bytes, which are too many"
        raise UsageError(found, where=where)
    most = _MOST if count * size else _MOST_EMPTY
    lists = sum(math.prod(header.shape[:depth]) for depth in range(len(header.shape)))
    if max(count, lists) > most:
        found = f"the array has more than {most:,} elements or rows, which are too many"
        raise UsageError(found, where=where)
    data = opened.read(count * size + 1)
    if len(data) != count * size:
        found = f"the file does not have the {count * size:,} bytes that its shape needs"
        raise UsageError(found, where=where)
    elements = (
        _texts(data, count, size, order, kind[0], where)
        if not code
        else list(struct.unpack(f"{'>' if order == 'big' else '<'}{count}{code}", data))
    )
    if header.fortran_order:
        return Constant(_nested(elements, header.shape, _steps(header.shape)), dtype)
    return Constant(_nested(elements, header.shape, _steps(header.shape[::-1])[::-1]), dtype)


def _header(opened: BinaryIO, where: str) -> _Header:
    hint = "write it with numpy.save(FILE, array)"
    start = opened.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 2:
        raise UsageError("it is not a .npy file", where=where, hint=hint)
    code = "<H" if start[len(_MAGIC)] == 1 else "<I"
    try:
        (length,) = struct.unpack(code, opened.read(struct.calcsize(code)))
        if length > _LONGEST_HEADER:
            raise UsageError("its header is too long", where=where, hint=hint)
        found = ast.literal_eval(opened.read(length).decode("utf-8"))
        descr, shape, order = found["descr"], found["shape"], found["fortran_order"]
    except (struct.error, ValueError, SyntaxError, KeyError, TypeError, *_DEEP) as error:
        raise UsageError("its header is damaged", where=where, hint=hint) from error
    sizes = shape if isinstance(shape, tuple) else (-1,)
    if not isinstance(descr, str) or not all(type(each) is int and each >= 0 for each in sizes):
        raise UsageError("it holds records or a damaged shape", where=where, hint=hint)
    if not isinstance(order, bool):
        raise UsageError("its header is damaged", where=where, hint=hint)
    if len(sizes) > _MOST_DIMENSIONS:
        found = f"it has {len(sizes):,} dimensions, and NumPy has at most {_MOST_DIMENSIONS}"
        raise UsageError(found, where=where, hint=hint)
    return _Header(descr, order, sizes)


def _texts(  # noqa: PLR0913, PLR0917 - the parts of the header
    data: bytes, count: int, size: int, order: str, kind: str, where: str
) -> list[object]:
    """Return texts without the zeros at their ends, with which NumPy makes them equally long.

    Raises:
        UsageError: A text holds a number that is no character.
    """
    parts = [data[at * size : (at + 1) * size] for at in range(count)]
    if kind == "S":
        return [part.rstrip(b"\0") for part in parts]
    encoding = "utf-32-be" if order == "big" else "utf-32-le"
    try:
        return [part.decode(encoding, "surrogatepass").rstrip("\0") for part in parts]
    except UnicodeDecodeError as error:
        hint = "write it with numpy.save(FILE, array)"
        raise UsageError("a text of the array is damaged", where=where, hint=hint) from error


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Return the distance between neighbours in each dimension; it is smallest in the first."""
    steps, step = [], 1
    for size in shape:
        steps.append(step)
        step *= size
    return steps


def _nested(
    elements: list[object], shape: tuple[int, ...], steps: list[int], start: int = 0
) -> object:
    if not shape:
        return elements[start]
    return [
        _nested(elements, shape[1:], steps[1:], start + place * steps[0])
        for place in range(shape[0])
    ]
