"""Arrays as JSON, a format for interpreters and releases of NumPy that are far apart."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

__all__ = ["Plain", "array", "plain"]

Plain = Dict[str, Any]
"""The dtype, shape and values of an array, the last dimension fastest; strings as Latin-1."""


def plain(values: Any) -> Plain:  # noqa: ANN401 - the values that TensorFlow gives
    """Return an array as values of JSON."""
    given = np.asarray(values)
    if given.dtype.kind in "OSU":
        words = [each if isinstance(each, str) else each.decode("latin-1") for each in given.flat]
        return {"dtype": "string", "shape": list(given.shape), "values": words}
    return {"dtype": given.dtype.name, "shape": list(given.shape), "values": given.ravel().tolist()}


def array(told: Plain) -> Any:  # noqa: ANN401 - numpy's arrays of any type
    """Return the array of such values."""
    values, dtype = told["values"], told["dtype"]
    if dtype == "string":
        values, dtype = [each.encode("latin-1") for each in values], object
    return np.array(values, dtype=dtype).reshape(told["shape"])
