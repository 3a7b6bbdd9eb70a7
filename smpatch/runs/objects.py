"""Arrays of objects in a ``.npz`` file, without running what a pickle may hold.

NumPy pickles them. Of a pickle only that is read of which an array of strings consists; any
other class is refused before it is looked up.

Source: ``numpy/lib/format.py`` (``read_array``).
"""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

__all__ = ["ObjectsError", "read_objects"]

_ALLOWED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype")}
    | {
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    }
)


class ObjectsError(Exception):
    """An array of objects cannot be read; says why."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:  # noqa: ANN401 - as in the base class
        if (module_name, global_name) not in _ALLOWED:
            message = f"it holds a {module_name}.{global_name}: only bytes and str are read"
            raise ObjectsError(message)
        return super().find_class(module_name, global_name)


def read_objects(member: IO[bytes]) -> Any | None:  # noqa: ANN401 - an array
    """Return an array of ``bytes`` from a ``.npy`` file of objects.

    Args:
        member: The file, at its beginning.

    Returns:
        The array, each text in UTF-8; None where the file holds no objects.

    Raises:
        ObjectsError: It holds something else than strings.
        ValueError: It is no ``.npy`` file.
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
    except ObjectsError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        message = f"its pickle cannot be read: {error}"
        raise ObjectsError(message) from error
    if not isinstance(found, np.ndarray) or found.dtype != object:
        message = "it holds no array of strings"
        raise ObjectsError(message)
    strings = np.empty(found.shape, object)
    for place, each in np.ndenumerate(found):
        if not isinstance(each, (bytes, str)):
            message = f"it holds a {type(each).__name__}: only bytes and str are read"
            raise ObjectsError(message)
        strings[place] = each.encode() if isinstance(each, str) else bytes(each)
    return strings
