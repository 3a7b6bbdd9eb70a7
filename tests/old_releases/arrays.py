"""Arrays as JSON, for interpreters and releases of numpy that share nothing else."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

__all__ = ["Plain", "array", "plain"]

Plain = Dict[str, Any]
"""An array's dtype, shape and values, the last dimension fastest; strings as Latin-1."""


def plain(values: Any) -> Plain:  # noqa: ANN401 - whatever TensorFlow gives
    """Put an array into words that JSON has."""
    given = np.asarray(values)
    if given.dtype.kind in "OSU":
        words = [each if isinstance(each, str) else each.decode("latin-1") for each in given.flat]
        return {"dtype": "string", "shape": list(given.shape), "values": words}
    return {"dtype": given.dtype.name, "shape": list(given.shape), "values": given.ravel().tolist()}


def array(told: Plain) -> Any:  # noqa: ANN401 - numpy's arrays of any type
    """Take an array out of them."""
    values, dtype = told["values"], told["dtype"]
    if dtype == "string":
        values, dtype = [each.encode("latin-1") for each in values], object
    return np.array(values, dtype=dtype).reshape(told["shape"])
