"""Arrays of the C runtime and of ``.npz`` files as NumPy arrays, and back.

The small types of TensorFlow that NumPy lacks (``bfloat16``, ``float8_e5m2``, ``int4``) are
those of ml_dtypes, which TensorFlow installs.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from smpatch import dtypes
from smpatch.errors import UsageError
from smpatch.runs.objects import ObjectsError, read_objects
from smpatch.runtime.questions import Array
from smpatch.savedmodel.directory import open_regular

__all__ = ["from_numpy", "numpy_type", "read_npz", "to_numpy"]

_NPY = b"\x93NUMPY"
"""How a ``.npy`` file begins."""

_NUMBERS = "?bhilqBHILQefdFD"


def read_npz(file: str | os.PathLike[str], cut: list[str] | None = None) -> Mapping[str, Array]:
    """Read all arrays of a ``.npz`` file, by name.

    Args:
        file: The file.
        cut: Gets the names of the arrays of bytes from which NumPy may have cut zeros.

    Raises:
        UsageError: It cannot be read, or holds what is not read here.
    """
    where = os.fspath(file)
    try:
        # Not numpy.load: of what is no such file it says that it holds pickled objects.
        with open_regular(file) as opened, np.lib.npyio.NpzFile(opened) as archive:
            return {
                name: _array(archive, name, f"{where}: {name}", [] if cut is None else cut)
                for name in archive.files
            }
    except OSError as error:
        raise UsageError(f"cannot be read: {_words(error)}", where=where) from error
    except zipfile.BadZipFile as error:
        hint = "write it with numpy.savez(FILE, **arrays)"
        raise UsageError(f"cannot be read: {_words(error)}", where=where, hint=hint) from error


def _array(archive: Any, name: str, where: str, cut: list[str]) -> Array:  # noqa: ANN401 - a file of NumPy's
    try:
        objects = _objects(archive, name)
        if objects is not None:
            return from_numpy(objects, _STRING)
        array = archive[name]
    except ObjectsError as error:
        raise UsageError(f"the array cannot be read: {error}", where=where) from error
    except (ValueError, EOFError, zlib.error) as error:  # cut, damaged, or of objects
        raise UsageError(f"the array cannot be read: {_words(error)}", where=where) from error
    if not isinstance(array, np.ndarray):
        raise UsageError("not an array of NumPy's", where=where)
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    elif array.dtype.kind == "S" and not all(map(_is_text, array.ravel().tolist())):
        cut.append(name)
    if array.dtype.kind == "S":
        return from_numpy(array, "string")
    if array.dtype.char not in _NUMBERS:
        hint = "numbers, truth values and strings (S, U, objects) are"
        raise UsageError(f"arrays of type {array.dtype} are not read", where=where, hint=hint)
    return from_numpy(array, array.dtype.name)


def _objects(archive: Any, name: str) -> Any:  # noqa: ANN401 - a file of NumPy's, an array
    """Return an array of objects; None where the array holds others, or is none."""
    member = name if name in archive.zip.namelist() else f"{name}.npy"
    with archive.zip.open(member) as opened:
        if opened.peek(len(_NPY))[: len(_NPY)] != _NPY:
            return None
        return read_objects(opened)


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each.isspace() for each in text)


def _words(error: Exception) -> str:
    """Return what an error says in the style of the others, without the file's name."""
    said = error.strerror if isinstance(error, OSError) else None
    said = said or str(error)
    return said[:1].lower() + said[1:]


_STRING = "string"


def numpy_type(name: str) -> np.dtype[Any] | None:
    """Return NumPy's type of a TensorFlow type; None where it has no numbers.

    Args:
        name: As ``tf.DType.name`` gives it. A quantized type (``qint8``) is its number's.
    """
    plain = name[1:] if name.startswith(("qint", "quint")) else name
    found = getattr(ml_dtypes, plain, None)
    if found is None and plain in np.sctypeDict and plain != "str":
        found = plain
    return None if found is None else np.dtype(found)


def to_numpy(array: Array) -> Any:  # noqa: ANN401 - an array of any type
    """Return an array of NumPy's, strings as objects; None for a type without numbers."""
    name = dtypes.name(array.dtype)
    if name == _STRING:
        made = np.empty(len(array.strings), object)
        made[:] = array.strings
        return made.reshape(array.shape)
    found = numpy_type(name)
    return None if found is None else np.frombuffer(array.data, found).reshape(array.shape)


def from_numpy(array: Any, dtype: str) -> Array:  # noqa: ANN401 - an array of any type
    """Return an array as the runtime takes it.

    Args:
        array: Numbers or, for strings, ``bytes``; any order of bytes and of axes.
        dtype: Its type's name in TensorFlow.
    """
    number = dtypes.number(dtype)
    if dtype == _STRING:
        return Array(number, array.shape, strings=tuple(array.ravel().tolist()))
    native = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return Array(number, array.shape, data=native.tobytes())
