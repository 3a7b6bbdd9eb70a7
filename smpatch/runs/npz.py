"""Arrays out of a ``.npz`` file.

Read are arrays of numbers, truth values and strings (``S`` and ``U``). Arrays of Python
objects are refused: to read one is to run what it says.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from smpatch.directory import open_regular
from smpatch.errors import UsageError
from smpatch.runs.arrays import from_numpy
from smpatch.runtime.answers import Array

__all__ = ["read_npz"]

_NUMBERS = "?bhilqBHILQefdFD"


def read_npz(file: str | os.PathLike[str]) -> Mapping[str, Array]:
    """Read all arrays of a ``.npz`` file, by name.

    Raises:
        UsageError: It cannot be read, or holds what is not read here.
    """
    where = os.fspath(file)
    try:
        # Not numpy.load: of what is no such file it says that it holds pickled objects.
        with open_regular(file) as opened, np.lib.npyio.NpzFile(opened) as archive:
            return {name: _array(archive, name, f"{where}: {name}") for name in archive.files}
    except OSError as error:
        raise UsageError(f"cannot be read: {_words(error)}", where=where) from error
    except zipfile.BadZipFile as error:
        hint = "write it with numpy.savez(FILE, **arrays)"
        raise UsageError(f"cannot be read: {_words(error)}", where=where, hint=hint) from error


def _array(archive: Any, name: str, where: str) -> Array:  # noqa: ANN401 - a file of NumPy's
    try:
        array = archive[name]
    except (ValueError, EOFError, zlib.error) as error:  # cut, damaged, or of objects
        raise UsageError(f"the array cannot be read: {_words(error)}", where=where) from error
    if not isinstance(array, np.ndarray):
        raise UsageError("not an array of NumPy's", where=where)
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    if array.dtype.kind == "S":
        return from_numpy(array, "string")
    if array.dtype.char not in _NUMBERS:
        hint = "numbers, truth values and strings (S, U) are"
        raise UsageError(f"arrays of type {array.dtype} are not read", where=where, hint=hint)
    return from_numpy(array, array.dtype.name)


def _words(error: Exception) -> str:
    """Return what an error says in the style of the others, without the file's name."""
    said = error.strerror if isinstance(error, OSError) else None
    said = said or str(error)
    return said[:1].lower() + said[1:]
