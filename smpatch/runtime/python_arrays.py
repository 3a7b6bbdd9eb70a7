"""Arrays on the pipe as tensors of Python's TensorFlow, and back.

NumPy and TensorFlow only: this file runs in the child process.
"""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np

STRING = 7


def tensor(tf: Any, array: dict[str, Any]) -> Any:  # noqa: ANN401 - TensorFlow has no stubs
    """Make a tensor of an array from the pipe.

    Args:
        tf: The module.
        array: ``dtype``, ``shape``, and ``data`` (little endian, in base64) or,
            for strings, ``strings`` (each in base64).
    """
    dtype = tf.dtypes.as_dtype(array["dtype"])
    if array["dtype"] == STRING:
        values = np.empty(len(array["strings"]), object)
        values[:] = [binascii.a2b_base64(each) for each in array["strings"]]
    else:
        values = np.frombuffer(binascii.a2b_base64(array["data"]), dtype.as_numpy_dtype)
    return tf.constant(values.reshape(array["shape"]), dtype)


def array(value: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
    """Make an array for the pipe of a tensor; the reverse of ``tensor``."""
    found = {"dtype": value.dtype.as_datatype_enum, "shape": value.shape.as_list()}
    values = np.asarray(value.numpy())
    if found["dtype"] == STRING:
        return {**found, "strings": [base64(each) for each in values.ravel().tolist()]}
    return {**found, "data": base64(values.tobytes())}


def base64(data: bytes) -> str:
    """Return bytes as JSON can carry them."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
