"""The operations of a graph: all, the needed ones, those that fix a size, and auxiliary ones.

An auxiliary node serves training, saving, watching or control flow; callers decide whether to
leave it out.

Source: ``ops_used_by_graph_def`` in ``tensorflow/python/framework/meta_graph.py``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, GraphIndex, full, op_of
from smpatch.graph.reach import behind

_AUXILIARY = re.compile(
    r".*Summary(V2)?|(Ref)?(Switch|Merge|Enter|Exit|NextIteration)|LoopCond|Assert|Print(V2)?"
    r"|Shape(N)?|Size|Rank|CheckNumerics|BroadcastGradientArgs|(Ref)?Identity.*Grad|.*Grad(V2)?"
    r"|Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename"
    r"|Assign.*|.*Apply[A-Z].*|(Resource)?Scatter(Add|Sub|Update)|ReadVariableOp"
    r"|IsVariableInitialized|VarIsInitializedOp"
)
"""Operations of training, saving, watching and control flow."""

_AUXILIARY_SCOPE = re.compile(
    r"(gradients?|gradient_tape|save|assert_[a-z_]+|report_uninitialized.*|Adam|summaries)(_\d+)?"
)
"""Scopes of such operations."""

_CONDITION = re.compile(r"(switch_[tf]|pred_id)(_\d+)?")
"""Names of the ``Identity`` nodes that ``tf.cond`` puts around its condition."""

_AUTOMATIC = re.compile(r"(Identity|(Stateful)?PartitionedCall)(_\d+)?")

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
"""Operations, each with the place of the input that is a size or a shape."""

_INT32, _INT64 = 3, 9
_CODES = {_INT32: "i", _INT64: "q"}


def fixed_sizes(
    graph: GraphIndex, library: FunctionLibrary, outputs: Iterable[str], size: int
) -> Iterator[str]:
    """Yield, in words, the nodes that tensors need and that read a certain size from a constant.

    Args:
        graph: The main graph.
        library: Its functions.
        outputs: Full names of tensors of the main graph.
        size: The size to find, as the first dimension of a shape or alone.
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


def operations(graph: GraphIndex, functions: FunctionLibrary) -> tuple[set[str], set[str]]:
    """Return the operations of a graph and those of the functions that it calls.

    TensorFlow collects them for an op list in the same way: a node calls a function if its
    operation has the name of the function, or if its operation is one of ``CALLS``.

    Returns:
        The names of the operations in the main graph, and of those in functions.
    """
    used: set[str] = set()
    waiting: list[str] = []
    for name in graph:
        op = graph.wiring(name).op
        if op in functions:
            waiting.append(op)
        else:
            used.add(op)
        if op in CALLS:
            waiting.append(functions.called_by(name))
    inside: set[str] = set()
    met: set[str] = set()
    while waiting:
        function = waiting.pop()
        if function in met or function not in functions:
            continue
        met.add(function)
        for node in functions[function].node_def:
            if node.op in functions:
                waiting.append(node.op)
            else:
                inside.add(node.op)
            if node.op in CALLS:
                waiting.append(node.attr["f"].func.name)
    return used, inside


def needed(graph: GraphIndex, names: Iterable[str], fed: Collection[str] = ()) -> set[str]:
    """Return the nodes that tensors need; a missing node is left out.

    Args:
        graph: The graph.
        names: The tensors, ``op:index`` or ``op``.
        fed: The full names of the tensors that are fed, at which the search stops.
    """
    waiting = [op_of(name) for name in names]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in graph:
            continue
        found.add(name)
        waiting += (op_of(each) for each in graph.sources(name) if full(each) not in fed)
    return found


def auxiliary(op: str, name: str) -> bool:
    """Return whether a node serves training, saving, watching or control flow."""
    *scopes, last = name.split("/")
    condition = op == "Identity" and _CONDITION.fullmatch(last)
    return bool(_AUXILIARY.fullmatch(op) or condition) or any(
        map(_AUXILIARY_SCOPE.fullmatch, scopes)
    )


def automatic(name: str) -> bool:
    """Return whether a node has the automatic name of an ``Identity`` or of a call."""
    return _AUTOMATIC.fullmatch(name.rpartition("/")[2]) is not None
