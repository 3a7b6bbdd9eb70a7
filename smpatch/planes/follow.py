"""What a signature's tensor is, seen from the request that made it.

A promoted function is called from the main graph; an inner tensor comes out of copies of
the functions that held it. Here the calls are followed inwards, to tell whether a tensor of
the main graph is the one that was asked for.

This room reads.

Source: ``tensorflow/core/framework/function.proto`` (``ret``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smpatch.edits import PromoteFunction, RaggedRef, SparseRef, TensorRef
from smpatch.graph.functions import CALLS, FunctionLibrary
from smpatch.graph.resolve import parse
from smpatch.loader import MetaGraph
from smpatch.planes.promote import promote
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec

__all__ = ["Promoted", "names", "promoted", "same"]

_PATH, _STEP = "@", "+"


@dataclass(frozen=True, slots=True)
class Promoted:
    """How a promoted function is called.

    Attributes:
        meta_graph: The MetaGraph, without a new call.
        function: The name of the concrete function.
        inputs: Alias to the place of the argument.
        outputs: Alias to the place of the result.
    """

    meta_graph: MetaGraph
    function: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    def yields(self, spec: Spec, place: int | str) -> bool:
        """Tell whether a tensor of the main graph is a result of the function."""
        if not isinstance(spec, TensorSpec):
            return False
        op, _, index = spec.name.rpartition(":")
        return index == str(place) and _function(self.meta_graph, op) == self.function


def promoted(meta_graph: MetaGraph, edit: PromoteFunction) -> Promoted:
    """Find out how a function would be called, by drafting the call anew.

    Raises:
        RefusedError: It cannot be promoted.
    """
    drafted, request = promote(meta_graph, edit)
    results = {alias: str(name).rpartition(":") for alias, name in request.outputs.items()}
    caller = next(iter(results.values()))[0]
    return Promoted(
        meta_graph,
        _function(drafted, caller),
        {alias: place for place, alias in enumerate(request.inputs)},
        {alias: int(index) for alias, (_, _, index) in results.items()},
    )


def names(meta_graph: MetaGraph, ref: TensorRef, spec: Spec) -> bool:
    """Tell whether a tensor of a signature is what a request names.

    Args:
        meta_graph: The MetaGraph of the signature.
        ref: A tensor as requests have it: of the main graph, or inside functions.
        spec: The tensor of the signature.
    """
    if isinstance(ref, SparseRef):
        return isinstance(spec, SparseTensorSpec) and (
            [_full(each) for each in (ref.values, ref.indices, ref.dense_shape)]
            == [spec.values, spec.indices, spec.dense_shape]
        )
    if isinstance(ref, RaggedRef):
        parts = [tensor.name for tensor in spec.tensors()]
        wanted = [_full(ref.values), *map(_full, ref.row_splits)]
        return isinstance(spec, CompositeTensorSpec) and parts == wanted
    if not isinstance(ref, str):
        return ref == spec
    if not isinstance(spec, TensorSpec):
        return False
    if _PATH not in ref and parse(ref).op in meta_graph.graph:
        return _full(ref) == spec.name
    return any(_named(ref, calls, name) for calls, name in _inwards(meta_graph, spec.name))


def same(meta_graph: MetaGraph, one: Spec, other: Spec) -> bool:
    """Tell whether two tensors are one, or what two copies of a function yield in one place."""
    if one == other:
        return True
    if not isinstance(one, TensorSpec) or not isinstance(other, TensorSpec):
        return False
    ways = [[*_inwards(meta_graph, each.name)] for each in (one, other)]
    inside = [(way[-1][0][1:], way[-1][1]) for way in ways if way]
    return len(inside) == len(ways) and inside[0] == inside[1]


def _full(name: str) -> str:
    tensor = parse(name)
    return f"{tensor.op}:{tensor.index or 0}"


def _named(ref: str, calls: tuple[str, ...], found: str) -> bool:
    """Tell whether a tensor inside is the one that is named; copies keep the names inside."""
    name, at, path = ref.partition(_PATH)
    tensor = parse(name)
    op, _, index = found.rpartition(":")
    if op != tensor.op or tensor.index not in {None, int(index)}:
        return False
    return not at or tuple(path.split(_STEP)[1:]) == calls[1:]


def _inwards(meta_graph: MetaGraph, name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the tensors inside functions that a tensor of the main graph is, from the outside."""
    op, _, index = name.rpartition(":")
    library = meta_graph.functions
    calls: tuple[str, ...] = (op,)
    function, place = _function(meta_graph, op), int(index)
    while function in library and len(calls) <= len(list(library)) + 1:
        body = library[function]
        results = body.signature.output_arg
        if place >= len(results):
            return
        node_name, _, rest = body.ret[results[place].name].partition(":")
        node = next((each for each in body.node_def if each.name == node_name), None)
        if node is None:  # an argument, handed through
            return
        arg, _, position = rest.partition(":")
        place = _flat(library, node, arg, int(position or 0))
        yield calls, f"{node_name}:{place}"
        if node.op not in CALLS:
            return
        function, calls = str(node.attr["f"].func.name), (*calls, node_name)


def _flat(library: FunctionLibrary, node: object, arg: str, position: int) -> int:
    """Return the number of an output that functions name by its argument and place in it."""
    for number, output in enumerate(library.outputs(node) or ()):
        if (output.arg, output.index) == (arg, position):
            return number
    return position


def _function(meta_graph: MetaGraph, op: str) -> str:
    """Return the function that a node of the main graph calls, or nothing."""
    if op not in meta_graph.graph or meta_graph.graph.wiring(op).op not in CALLS:
        return ""
    function = meta_graph.graph.node(op).attr("f")
    return "" if function is None else str(function.func.name)
