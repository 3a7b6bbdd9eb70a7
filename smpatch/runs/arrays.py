"""The runtime's arrays as NumPy's, and back.

The small types of TensorFlow that NumPy lacks (``bfloat16``, ``float8_e5m2``, ``int4``) are
those of ml_dtypes, which comes with TensorFlow.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from smpatch import dtypes
from smpatch.runtime.answers import Array

__all__ = ["from_numpy", "numpy_type", "to_numpy"]

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
