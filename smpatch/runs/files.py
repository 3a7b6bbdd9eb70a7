"""Files of values to feed: ``.npz``, and JSON in the form of TF Serving's REST API.

    {"x": [[1.0, 2.0]], "KEY/image": [{"b64": "/9j/4AAQ"}]}

In JSON, a number, a truth value or a text is an element; ``{"b64": ...}`` holds bytes. The elements
have the type of the input. NumPy pickles arrays of objects: only the classes of which an array of
strings consists are read from a pickle, and any other class is refused before it is looked up.

Source: ``numpy/lib/format.py`` (``read_array``).
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from smpatch.errors import UsageError
from smpatch.runs.arrays import array_of, from_numpy
from smpatch.runtime.questions import Array
from smpatch.savedmodel.directory import open_regular
from smpatch.shapes import MAX_RANK
from smpatch.values import finite, tensor_proto

_NPY = b"\x93NUMPY"
"""The beginning of a ``.npy`` file."""

_NUMBERS = "?bhilqBHILQefdFD"


def read_npz(file: str | os.PathLike[str], cut: list[str] | None = None) -> Mapping[str, Array]:
    """Read all arrays of a ``.npz`` file, by name.

    Args:
        file: The file.
        cut: A list to which this function adds the names of arrays of bytes from whose elements
            NumPy may have cut zeros.

    Raises:
        UsageError: The file cannot be read, or holds arrays of an unknown kind.
    """
    where = os.fspath(file)
    try:
        # Not numpy.load: its error about a file of another kind is about pickled objects.
        with open_regular(file) as opened, np.lib.npyio.NpzFile(opened) as archive:
            return {
                name: _array(archive, name, f"{where}: {name}", [] if cut is None else cut)
                for name in archive.files
            }
    except OSError as error:
        raise UsageError(f"cannot be read: {_words(error)}", where=where) from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        hint = "write it with numpy.savez(FILE, **arrays)"
        raise UsageError(f"cannot be read: {_words(error)}", where=where, hint=hint) from error


def _array(archive: Any, name: str, where: str, cut: list[str]) -> Array:  # noqa: ANN401 - a file of NumPy's
    try:
        objects = _objects(archive, name)
        if objects is not None:
            return from_numpy(objects, "string")
        array = archive[name]
        if isinstance(array, np.ndarray) and array.dtype.kind == "U":
            array = np.char.encode(array, "utf-8")
    except _ObjectsError as error:
        raise UsageError(f"the array cannot be read: {error}", where=where) from error
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:  # cut, damaged, encrypted, of objects, too large: anything
        raise UsageError(f"the array cannot be read: {_words(error)}", where=where) from error
    if not isinstance(array, np.ndarray):
        raise UsageError("not an array of NumPy's", where=where)
    if array.dtype.kind == "S" and not all(map(_is_text, array.ravel().tolist())):
        cut.append(name)
    if array.dtype.kind == "S":
        return from_numpy(array, "string")
    if array.dtype.char not in _NUMBERS:
        hint = "use numbers, truth values or strings (S, U or objects)"
        raise UsageError(f"arrays of type {array.dtype} are not read", where=where, hint=hint)
    return from_numpy(array, array.dtype.name)


def _objects(archive: Any, name: str) -> Any:  # noqa: ANN401 - a file of NumPy's, an array
    """Return an array of objects; None if the array has no objects, or the file is not an array."""
    member = name if name in archive.zip.namelist() else f"{name}.npy"
    with archive.zip.open(member) as opened:
        if opened.peek(len(_NPY))[: len(_NPY)] != _NPY:
            return None
        return _read_objects(opened)


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each.isspace() for each in text)


def _words(error: Exception) -> str:
    """Return the text of an error in the style of smpatch's errors, without the file's name."""
    said = error.strerror if isinstance(error, OSError) else None
    said = said or str(error)
    return said[:1].lower() + said[1:]


_ALLOWED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype")}
    | {
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    }
)


class _ObjectsError(Exception):
    """The reason why an array of objects cannot be read."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:  # noqa: ANN401 - as in the base class
        if (module_name, global_name) not in _ALLOWED:
            message = f"it holds a {module_name}.{global_name}: only bytes and str are read"
            raise _ObjectsError(message)
        return super().find_class(module_name, global_name)


def _read_objects(member: IO[bytes]) -> Any | None:  # noqa: ANN401 - an array
    """Return an array of ``bytes`` from a ``.npy`` file of objects.

    Args:
        member: The file, at its beginning.

    Returns:
        The array, each text in UTF-8; None if the file holds no objects.

    Raises:
        _ObjectsError: It holds other objects than strings, or its pickle cannot be read.
        ValueError: It is not a ``.npy`` file.
    """
    version = np.lib.format.read_magic(member)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if header is None:
        return None
    _, _, dtype = header(member)
    if not dtype.hasobject:
        return None
    try:
        found = _Unpickler(member).load()
    except _ObjectsError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise _ObjectsError(f"its pickle cannot be read: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype != object:
        raise _ObjectsError("it holds no array of strings")
    strings = np.empty(found.shape, object)
    for place, each in np.ndenumerate(found):
        if not isinstance(each, (bytes, str)):
            raise _ObjectsError(f"it holds a {type(each).__name__}: only bytes and str are read")
        strings[place] = each.encode() if isinstance(each, str) else bytes(each)
    return strings


_BYTES = "b64"


def read_json(file: str | os.PathLike[str]) -> Mapping[str, object]:
    """Read the values of a JSON file, by name.

    Raises:
        UsageError: The file cannot be read, or is not a JSON object with values.
    """
    where = os.fspath(file)
    try:
        with open_regular(file) as opened:
            found = json.load(opened, parse_float=finite)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot be read: {reason}", where=where) from error
    except OverflowError as error:
        raise UsageError(str(error), where=where) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is not JSON: {error}", where=where) from error
    if not isinstance(found, dict):
        raise UsageError("it is not a JSON object", where=where, hint='write {"INPUT": VALUES}')
    return {name: _decoded(value, f"{where}: {name}") for name, value in found.items()}


def _decoded(value: object, where: str, depth: int = 0) -> object:
    """Return a value with bytes in place of ``{"b64": ...}``."""
    if isinstance(value, list):
        if depth >= MAX_RANK:
            raise UsageError("its lists are nested too deeply", where=where)
        return [_decoded(each, where, depth + 1) for each in value]
    if isinstance(value, dict):
        text = value.get(_BYTES)
        if set(value) != {_BYTES} or not isinstance(text, str):
            hint = 'bytes are written {"b64": "..."}'
            raise UsageError("an element is a JSON object", where=where, hint=hint)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:  # also of a text that is not ASCII
            raise UsageError(f"an element is not base64: {error}", where=where) from error
    return value


def array_from(value: object, dtype: str, where: str) -> Array:
    """Return a value of ``read_json`` as an array.

    ``dtype`` is the type of the input, and errors name the place ``where``.

    Raises:
        UsageError: The value is not of the type.
    """
    try:
        return array_of(tensor_proto(value, dtype)[1])
    except ValueError as error:
        raise UsageError(str(error), where=where) from error
