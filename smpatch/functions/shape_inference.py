"""The computation of a signature as one plain graph, in which TensorFlow infers shapes.

TensorFlow infers shapes from node to node, but not into the functions that nodes call. Here
the bodies of functions replace their calls, from the requested tensors back to the placeholders and
variables of the main graph. So every node gets the shapes, constants and resource handles that it
gets when the signature runs. The names of nodes are numbers, because one body may be in several
places.

The graph never runs: control inputs and devices are left out, and placeholders replace constants
that are too long to be shapes. Loops and branches stay nodes; their own attributes have the shapes
of their outputs.

Sources: ``tensorflow/core/framework/function.proto``, ``tensorflow/core/common_runtime/
shape_refiner.cc``, ``graph_constructor.cc`` (which takes ``_output_shapes`` into account).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from smpatch import schema, wire
from smpatch.graph.index import CALLS
from smpatch.graph.resolve import parse
from smpatch.loader import MetaGraph
from smpatch.savedmodel.parts import GRAPH_LIBRARY, LIBRARY_FUNCTION
from smpatch.signature import Shape

Infer = Callable[[bytes, Sequence[str]], Mapping[str, Shape]]
"""Asks TensorFlow for the shapes of tensors: takes a ``GraphDef`` and names of its tensors, and
returns the shapes that TensorFlow can infer, by name."""

_LONGEST_SHAPE = 1 << 16
"""The most bytes of a constant that is kept; longer ones are weights, which are not shapes."""

_MOST_NODES = 250_000
"""The most nodes; a few functions, each of which calls the next one twice, would make more."""

_TENSOR, _TENSOR_SHAPE = 8, 2
"""Fields of ``AttrValue`` and of ``TensorProto``."""


class Place(NamedTuple):
    """One tensor, reached by one path of calls.

    Attributes:
        calls: The call nodes that lead to it, the main graph's first; none for a tensor of
            the main graph.
        node: The node that yields it.
        output: The number of the output.
    """

    calls: tuple[str, ...]
    node: str
    output: int


class _UntoldError(Exception):
    """The file does not define the source of a tensor."""


def shapes(meta_graph: MetaGraph, places: Sequence[Place], infer: Infer) -> list[Shape]:
    """Return the shapes that TensorFlow infers of some tensors.

    Returns:
        A shape for each; None if TensorFlow cannot infer one, or if the file does not define all
        that the tensor needs.
    """
    inlined = _Inlined(meta_graph)
    names = [inlined.tensor(place) for place in places]
    known = infer(inlined.graph_def(), [name for name in dict.fromkeys(names) if name])
    return [known.get(name) for name in names]


class _Inlined:
    """A graph that grows with each requested tensor."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._graph = meta_graph.graph
        self._library = meta_graph.functions
        self._data = meta_graph.parts.graph[0]
        self._called: dict[tuple[str, ...], Any] = {}
        self._bodies: dict[tuple[str, ...], dict[str, Any]] = {}
        self._names: dict[tuple[tuple[str, ...], str], str] = {}
        self._nodes: list[Any] = []

    def tensor(self, place: Place) -> str:
        """Add all nodes that a tensor needs; return its name, empty if some are missing."""
        added: dict[tuple[tuple[str, ...], str], tuple[Any, list[Place]]] = {}
        try:
            origin = self._origin(place)
            waiting = [origin[:2]]
            while waiting:
                spot = waiting.pop()
                if spot not in self._names and spot not in added:
                    if len(self._nodes) + len(added) == _MOST_NODES:
                        return ""
                    added[spot] = self._copied(*spot)
                    waiting += [source[:2] for source in added[spot][1]]
        except _UntoldError:
            return ""
        for spot in added:
            self._names[spot] = f"n{len(self._names)}"
        for spot, (node, sources) in added.items():
            node.name = self._names[spot]
            node.input.extend(map(self._name, sources))
            self._nodes.append(node)
        return self._name(origin)

    def graph_def(self) -> bytes:
        """Return the graph as a serialized ``GraphDef``."""
        message = schema.GraphDef(node=self._nodes)
        message.versions.producer = self._graph.producer
        # A function that is a node's operation must be defined; one that a loop calls need not.
        used = dict.fromkeys(node.op for node in self._nodes if node.op in self._library)
        functions = [wire.delimited(LIBRARY_FUNCTION, self._library.body(name)) for name in used]
        return bytes(message.SerializeToString()) + wire.delimited(
            GRAPH_LIBRARY, b"".join(functions)
        )

    def _name(self, place: Place) -> str:
        return f"{self._names[place[:2]]}:{place.output}"

    def _origin(self, place: Place) -> Place:
        """Follow a tensor through calls, in and out, to the node that computes it."""
        seen: set[Place] = set()
        while self._op(place.calls, place.node) in CALLS:
            if place in seen:  # a damaged call reads its own result
                raise _UntoldError
            seen.add(place)
            calls = (*place.calls, place.node)
            function = self._function(calls)
            if function is None:
                break
            results = function.signature.output_arg
            if place.output >= len(results) or len(calls) > len(list(self._library)):
                raise _UntoldError
            place = self._place(calls, function.ret.get(results[place.output].name, ""))
        return place

    def _place(self, calls: tuple[str, ...], tensor: str) -> Place:
        """Return the place of a tensor that is named as in a function or in the main graph."""
        while calls and ":" not in tensor:  # an argument, which is an input of the call
            function = self._function(calls)
            arguments = [each.name for each in function.signature.input_arg]
            given = self._inputs(calls[:-1], calls[-1])
            if tensor not in arguments or len(given) != len(arguments):
                raise _UntoldError
            calls, tensor = calls[:-1], given[arguments.index(tensor)]
        if not calls:
            parsed = parse(tensor)
            return Place((), parsed.op, parsed.index or 0)
        rest, _, place = tensor.rpartition(":")
        name, _, argument = rest.rpartition(":")
        for index, output in enumerate(self._library.outputs(self._node(calls, name)) or []):
            if (output.arg, str(output.index)) == (argument, place):
                return Place(calls, name, index)
        raise _UntoldError

    def _op(self, calls: tuple[str, ...], name: str) -> str:
        if calls:
            return str(self._node(calls, name).op)
        if name not in self._graph:
            raise _UntoldError
        return self._graph.wiring(name).op

    def _inputs(self, calls: tuple[str, ...], name: str) -> list[str]:
        given = self._node(calls, name).input if calls else self._graph.wiring(name).inputs
        return [each for each in given if not each.startswith("^")]

    def _function(self, calls: tuple[str, ...]) -> Any:  # noqa: ANN401 - a FunctionDef or None
        """Return the function that the last of some calls calls."""
        if calls not in self._called:
            *outer, call = calls
            if outer:
                name = self._node(tuple(outer), call).attr["f"].func.name
            else:
                name = self._library.called_by(call)
            known = name in self._library
            self._called[calls] = self._library[name] if known else None
        return self._called[calls]

    def _node(self, calls: tuple[str, ...], name: str) -> Any:  # noqa: ANN401 - a NodeDef
        """Return a node of the function that the last of some calls calls."""
        if calls not in self._bodies:
            function = self._function(calls)
            nodes = () if function is None else function.node_def
            self._bodies[calls] = {node.name: node for node in nodes}
        if name not in self._bodies[calls]:
            raise _UntoldError
        return self._bodies[calls][name]

    def _copied(self, calls: tuple[str, ...], name: str) -> tuple[Any, list[Place]]:
        """Return a node without name and inputs, and the sources of its inputs."""
        inputs = self._inputs(calls, name)
        sources = [self._origin(self._place(calls, each)) for each in inputs]
        node = schema.NodeDef()
        if calls:
            old = self._node(calls, name)
            value = old.attr["value"].tensor if "value" in old.attr else None
            if old.op == "Const" and value is not None and value.ByteSize() > _LONGEST_SHAPE:
                return _placeholder(value.dtype, value.tensor_shape), []
            node.CopyFrom(old)
        else:
            node = self._main_node(name)
        del node.input[:]
        node.ClearField("device")
        node.attr.pop("_class", None)  # it names other nodes
        return node, sources

    def _main_node(self, name: str) -> Any:  # noqa: ANN401 - a NodeDef
        node = self._graph.node(name)
        span = node.attr_span("value") if node.wiring.op == "Const" else None
        if span is None or span[1] - span[0] <= _LONGEST_SHAPE:
            return node.message()
        shape = schema.TensorShapeProto()
        for tensor in wire.fields(self._data, *span):
            if tensor.number == _TENSOR:
                for part in wire.fields(self._data, tensor.value, tensor.end):
                    if part.number == _TENSOR_SHAPE:
                        shape.MergeFromString(part.bytes(self._data))
        dtype = node.attr("dtype")
        return _placeholder(0 if dtype is None else dtype.type, shape)


def _placeholder(dtype: int, shape: Any) -> Any:  # noqa: ANN401 - a TensorShapeProto and a NodeDef
    node = schema.NodeDef(op="Placeholder")
    node.attr["dtype"].type = dtype
    node.attr["shape"].shape.CopyFrom(shape)
    return node
