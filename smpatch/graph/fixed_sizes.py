"""Operations that fix a size: where a graph was built for one size of an input and no other.

A ``Reshape`` to ``[1, -1]`` or a list of one element holds the size of the batch that the
exporter traced. This module finds such nodes behind an output, in function bodies too. It is a
search for a message; it proves nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from smpatch.graph.behind import behind
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex

__all__ = ["fixed_sizes"]

_SHAPES: Mapping[str, int] = {
    "Reshape": 1,
    "BroadcastTo": 1,
    "Fill": 0,
    "TensorListReserve": 1,
    "TensorListStack": 1,
    "TensorListFromTensor": 1,
    "EmptyTensorList": 1,
    "TensorArrayV3": 0,
    "Less": 1,
    "RandomUniform": 0,
    "RandomStandardNormal": 0,
}
"""Operation to the place of the input that holds a size or a shape."""

_INT32, _INT64 = 3, 9
_CODES = {_INT32: "i", _INT64: "q"}


def fixed_sizes(
    graph: GraphIndex, library: FunctionLibrary, outputs: Iterable[str], size: int
) -> Iterator[str]:
    """Yield the nodes behind tensors that are given a size as a constant, in words.

    Args:
        graph: The main graph.
        library: Its functions.
        outputs: Full names of tensors of the main graph.
        size: The size that is looked for, as the first dimension of a shape or alone.
    """
    for each in behind(graph, library, outputs):
        if _holds(each.node, size, each.find):
            yield str(each)


def _holds(node: Any, size: int, find: Callable[[str], Any]) -> bool:  # noqa: ANN401 - as above
    place = _SHAPES.get(node.op)
    inputs = [each for each in node.input if not each.startswith("^")]
    if place is None or place >= len(inputs):
        return False
    source = find(inputs[place])
    return source is not None and source.op == "Const" and _first(source) == size


def _first(node: Any) -> int | None:  # noqa: ANN401 - as above
    """Return the first element of a constant of whole numbers."""
    tensor = node.attr["value"].tensor if "value" in node.attr else None
    code = None if tensor is None else _CODES.get(tensor.dtype)
    if tensor is None or code is None or len(tensor.tensor_shape.dim) > 1:
        return None
    if tensor.tensor_content:
        width = struct.calcsize(f"<{code}")
        if len(tensor.tensor_content) < width:
            return None
        return int(struct.unpack_from(f"<{code}", tensor.tensor_content)[0])
    values = tensor.int_val or tensor.int64_val
    return int(values[0]) if values else None
