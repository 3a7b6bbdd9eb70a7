"""Arrays out of a ``.npz`` file, without NumPy.

Read are arrays of numbers, truth values and strings (``S`` and ``U``), little or big endian,
in C order. Arrays of Python objects are refused: to read one is to run what it says.

Source: ``numpy/lib/format.py`` (the ``.npy`` format), https://numpy.org/neps/nep-0001.
"""

from __future__ import annotations

import ast
import math
import os
import zipfile
from collections.abc import Mapping
from typing import Any

from smpatch import dtypes
from smpatch.directory import open_regular
from smpatch.errors import UsageError
from smpatch.runtime.answers import Array

__all__ = ["read_npz"]

_MAGIC = b"\x93NUMPY"
_SUFFIX = ".npy"

_TYPES = {
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "b1": "bool",
    "c8": "complex64",
    "c16": "complex128",
}
"""NumPy's code of a type to TensorFlow's name."""


def read_npz(file: str | os.PathLike[str]) -> Mapping[str, Array]:
    """Read all arrays of a ``.npz`` file, by name.

    Raises:
        UsageError: It cannot be read, or holds what is not read here.
    """
    where = os.fspath(file)
    try:
        with open_regular(file) as opened, zipfile.ZipFile(opened) as archive:
            return {
                name.removesuffix(_SUFFIX): _array(archive.read(name), f"{where}: {name}")
                for name in archive.namelist()
            }
    except OSError as error:
        raise UsageError(f"cannot be read: {_words(error)}", where=where) from error
    except (zipfile.BadZipFile, EOFError) as error:
        hint = "write it with numpy.savez(FILE, **arrays)"
        raise UsageError(f"cannot be read: {_words(error)}", where=where, hint=hint) from error


def _words(error: Exception) -> str:
    """Return what an error says in the style of the others, without the file's name."""
    said = error.strerror if isinstance(error, OSError) else None
    said = said or str(error)
    return said[:1].lower() + said[1:]


def _array(data: bytes, where: str) -> Array:
    header, content = _header(data, where)
    descr, shape = header["descr"], tuple(header["shape"])
    if header["fortran_order"] and len(shape) > 1:
        hint = "write numpy.ascontiguousarray(array)"
        raise UsageError("the array is in Fortran order", where=where, hint=hint)
    order, code = (descr[:1], descr[1:]) if isinstance(descr, str) else ("", "")
    count = math.prod(shape)
    kind, width = code[:1], code[1:]
    if kind in {"S", "U"} and width.isdecimal():
        return _strings(content, order, code, shape)
    name = _TYPES.get(code)
    if name is None:
        hint = "numbers, truth values and strings (S, U) are"
        raise UsageError(f"arrays of type {descr!r} are not read", where=where, hint=hint)
    size = int(width)
    content = content[: count * size]
    if len(content) < count * size:
        raise UsageError("the array ends too early", where=where)
    if order == ">":
        size //= 2 if kind == "c" else 1
        content = b"".join(content[at : at + size][::-1] for at in range(0, len(content), size))
    return Array(dtypes.number(name), shape, data=content)


def _strings(content: bytes, order: str, code: str, shape: tuple[int, ...]) -> Array:
    width = int(code[1:])
    size = width if code[0] == "S" else width * 4
    parts = [content[at * size : (at + 1) * size] for at in range(math.prod(shape))]
    if code[0] == "U":
        encoding = "utf-32-be" if order == ">" else "utf-32-le"
        parts = [part.decode(encoding).rstrip("\0").encode() for part in parts]
    else:
        parts = [part.rstrip(b"\0") for part in parts]
    return Array(dtypes.number("string"), shape, strings=tuple(parts))


def _header(data: bytes, where: str) -> tuple[dict[str, Any], bytes]:
    """Take a ``.npy`` file apart: magic, version, length of the header, header, elements."""
    width = 2 if data[6:7] == b"\x01" else 4
    start = 8 + width
    end = start + int.from_bytes(data[8:start], "little")
    try:
        header = ast.literal_eval(data[start:end].decode("utf-8"))
    except (ValueError, SyntaxError) as error:
        raise UsageError("not an array of NumPy's", where=where) from error
    whole = isinstance(header, dict) and header.keys() >= {"descr", "shape", "fortran_order"}
    if not data.startswith(_MAGIC) or not whole:
        raise UsageError("not an array of NumPy's", where=where)
    return header, data[end:]
