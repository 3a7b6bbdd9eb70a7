"""Read a REST request as TF Serving does, after ``json_tensor.cc`` and its documentation."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

__all__ = ["Tensor", "tensors"]

Tensor = tuple[str, tuple[int, ...], list[Any]]
"""The type, the shape, and the elements in order."""

_ELEMENTS = {"bool": bool, "string": str, "float32": float, "float64": float}


def tensors(body: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the tensors of a request.

    Args:
        body: The parsed JSON.
        types: Alias of each input of the signature to its type.
    """
    assert len(body) == 2
    assert isinstance(body["signature_name"], str)
    (form,) = body.keys() - {"signature_name"}
    values = body[form]
    if form == "instances":
        assert isinstance(values, list)
        assert values
        return _of_rows(values, types)
    assert form == "inputs"
    if isinstance(values, dict) and not _is_bytes(values):
        assert values.keys() == types.keys()
        return {alias: _tensor(values[alias], dtype) for alias, dtype in types.items()}
    ((alias, dtype),) = types.items()
    return {alias: _tensor(values, dtype)}


def _of_rows(rows: list[Any], types: Mapping[str, str]) -> dict[str, Tensor]:
    objects = [isinstance(each, dict) and not _is_bytes(each) for each in rows]
    assert len(set(objects)) == 1
    if objects[0]:
        assert all(each.keys() == types.keys() for each in rows)
    else:
        assert len(types) == 1
    found = {}
    for alias, dtype in types.items():
        parts = [_tensor(each[alias] if objects[0] else each, dtype) for each in rows]
        assert len({shape for _, shape, _ in parts}) == 1
        elements = [element for _, _, part in parts for element in part]
        found[alias] = (dtype, (len(rows), *parts[0][1]), elements)
    return found


def _tensor(value: Any, dtype: str) -> Tensor:  # noqa: ANN401 - any JSON
    shape, at = [], value
    while isinstance(at, list):
        shape.append(len(at))
        if not at:
            break
        at = at[0]
    elements: list[Any] = []
    _fill(value, shape, dtype, elements)
    return dtype, tuple(shape), elements


def _fill(value: Any, shape: list[int], dtype: str, elements: list[Any]) -> None:  # noqa: ANN401 - as above
    if isinstance(value, list):
        assert len(value) == shape[0]
        for each in value:
            _fill(each, shape[1:], dtype, elements)
        return
    assert not shape
    if _is_bytes(value):
        assert dtype == "string"
        elements.append(base64.b64decode(value["b64"], validate=True))
        return
    assert type(value) is _ELEMENTS.get(dtype, int), (value, dtype)
    elements.append(value.encode() if isinstance(value, str) else value)


def _is_bytes(value: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)
