"""Copies of the nodes between replaced tensors and outputs.

A placeholder cannot have an input. So the nodes that depend on a replaced placeholder are copied
under a prefix, and the copies read the replacement. All other nodes (variables, tables, constants,
and nodes that depend only on other inputs) are shared.

* If one node of a while loop of TensorFlow 1 is copied, the whole loop is copied, with the nodes
  that depend on it. The copy gets its own frame, because two loops in one frame cannot run
  together. A loop is shared if only nodes after its exit are copied.
* An object that exists for one run (a ``TensorArray``, a stack) is copied if a copy uses it,
  because each element can be written only once.
* Control inputs name the copies. A control input from a replaced placeholder is dropped, because
  a placeholder computes nothing.
* ``_class`` names the copies, too. A copy has its own ``shared_name``. ``_output_shapes`` stay only
  if the replacement has the shape of the placeholder.

This module does not choose the replaced tensors.

Sources: ``tensorflow/core/graph/subgraph.cc`` (feeds and control edges),
``tensorflow/core/ops/control_flow_ops.cc``, ``tensorflow/core/common_runtime/placer.cc``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smpatch.graph.index import GraphIndex, full, op_of
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec

_ENTER = frozenset({"Enter", "RefEnter"})
_EXIT = frozenset({"Exit", "RefExit"})
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_COLOCATED = b"loc:@"
_OF_ONE_RUN = frozenset(
    {"TensorArray", "TensorArrayV2", "TensorArrayV3", "Stack", "StackV2", "TensorArrayGradV3"}
)
_PASS_ON = frozenset({"Identity", "Enter", "Exit", "Switch", "Merge", "NextIteration"})


@dataclass(frozen=True, slots=True)
class Copies:
    """Copied nodes.

    Attributes:
        nodes: The copies, ``NodeDef`` messages in the order of the graph.
        tensors: The outputs (``op:index``), each with the tensor that takes its place.
    """

    nodes: tuple[Any, ...]
    tensors: Mapping[str, str]


def copies(  # noqa: PLR0913 - the graph, and what a copy of its nodes is made of
    graph: GraphIndex,
    replaced: Mapping[str, str],
    fed: Collection[str],
    outputs: Sequence[str],
    prefix: str,
    *,
    keep_shapes: bool,
) -> Copies:
    """Copy the nodes between replaced tensors and outputs.

    Args:
        graph: The main graph.
        replaced: Tensors (``op:index``), each with the tensor to read in its place.
        fed: The other tensors that are fed; the walk stops at them.
        outputs: The outputs (``op:index``).
        prefix: The beginning of the names of copies, before a slash; no node may have it.
        keep_shapes: Whether the recorded shapes are valid for the copies.
    """
    walk = _Walk(graph, replaced, fed)
    walk.go(outputs)
    chosen = walk.touched()
    copier = _Copier(graph, replaced, fed, chosen, prefix, keep_shapes=keep_shapes)
    nodes = tuple(copier.copy(name) for name in graph if name in chosen)
    return Copies(nodes, {tensor: copier.source(tensor) for tensor in outputs})


class _Walk:
    """The nodes that outputs need, with their consumers."""

    def __init__(
        self, graph: GraphIndex, replaced: Mapping[str, str], fed: Collection[str]
    ) -> None:
        self._graph = graph
        self._replaced = replaced
        self._fed = fed
        self._gone = _placeholders(graph, replaced)
        self._consumers: dict[str, list[str]] = {}
        self._first: set[str] = set()
        self._roots: list[str] = []

    def go(self, outputs: Sequence[str]) -> None:
        """Walk back from the outputs to the replaced and fed tensors."""
        waiting = [op_of(each) for each in outputs if not self._is_leaf(each)]
        while waiting:
            name = waiting.pop()
            if name in self._consumers or name not in self._graph:
                continue
            self._consumers[name] = []
            before = []
            for source in map(full, self._graph.wiring(name).inputs):
                if not self._is_leaf(source):
                    before.append(op_of(source))
                elif source not in self._fed:
                    self._first.add(name)
            waiting += before
            if not before:
                self._roots.append(name)
        for name in [*self._consumers]:
            for source in map(full, self._graph.wiring(name).inputs):
                op = op_of(source)
                if op in self._consumers and not self._is_leaf(source):
                    self._consumers[op].append(name)

    def touched(self) -> frozenset[str]:
        """Return the nodes that depend on replaced tensors, and those to copy with them."""
        members: dict[tuple[str, ...], list[str]] = {}
        frames = self._frames()
        for name, frame in frames.items():
            for around in _around(frame):
                members.setdefault(around, []).append(name)
        chosen: set[str] = set()
        seen: set[str] = set()
        waiting = [*self._first]
        while waiting:
            name = waiting.pop()
            if name in chosen:
                continue
            chosen.add(name)
            waiting += self._consumers[name]
            waiting += self._of_one_run(name, seen)
            for around in _around(frames.get(name, ())):
                waiting += members.pop(around, ())
        return frozenset(chosen)

    def _of_one_run(self, name: str, seen: set[str]) -> Iterator[str]:
        """Yield the nodes of inputs whose objects exist for one run, except those ``seen``."""
        waiting = [*self._graph.wiring(name).inputs]
        while waiting:
            source = full(waiting.pop())
            op = op_of(source)
            if op in seen or op not in self._consumers or self._is_leaf(source):
                continue
            wiring = self._graph.wiring(op)
            if wiring.op in _OF_ONE_RUN:
                yield op
            elif wiring.op in _PASS_ON:
                seen.add(op)
                waiting += wiring.inputs

    def _frames(self) -> dict[str, tuple[str, ...]]:
        """Return the frames in which nodes are, outermost first; none if there is no loop."""
        graph = self._graph
        ops = {name: graph.wiring(name).op for name in self._consumers}
        if _ENTER.isdisjoint(ops.values()):
            return {}
        frames: dict[str, tuple[str, ...]] = {}
        waiting: list[tuple[str, tuple[str, ...]]] = [(name, ()) for name in self._roots]
        while waiting:
            name, around = waiting.pop()
            if name in frames:
                continue
            entered = graph.node(name).attr("frame_name") if ops[name] in _ENTER else None
            own = around if entered is None else (*around, str(entered.s, "utf-8", "replace"))
            frames[name] = own
            yielded = own[:-1] if ops[name] in _EXIT else own
            waiting += [(consumer, yielded) for consumer in self._consumers[name]]
        return frames

    def _is_leaf(self, source: str) -> bool:
        """Return whether an input is replaced or fed, so that the walk stops."""
        waits = source.startswith("^") and source[1:] in self._gone
        return waits or source in self._replaced or source in self._fed


class _Copier:
    def __init__(  # noqa: PLR0913 - what a copy is made of
        self,
        graph: GraphIndex,
        replaced: Mapping[str, str],
        fed: Collection[str],
        chosen: Collection[str],
        prefix: str,
        *,
        keep_shapes: bool,
    ) -> None:
        self._graph = graph
        self._replaced = replaced
        self._fed = fed
        self._chosen = chosen
        self._prefix = prefix
        self._keep_shapes = keep_shapes
        self._gone = _placeholders(graph, replaced)

    def source(self, tensor: str) -> str:
        """Return the tensor that a copy reads in the place of a tensor."""
        if tensor in self._replaced:
            return self._replaced[tensor]
        copied = tensor not in self._fed and op_of(tensor) in self._chosen
        return self._named(tensor) if copied else tensor

    def copy(self, name: str) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        """Return the copy of a node."""
        node = self._graph.node(name).message()
        node.name = self._named(name)
        sources = [*node.input]
        del node.input[:]
        for source in sources:
            if not source.startswith("^"):
                found = self.source(full(source))
                node.input.append(source if found == full(source) else found.removesuffix(":0"))
            elif source[1:] in self._chosen:
                node.input.append(f"^{self._named(source[1:])}")
            elif source[1:] not in self._gone:
                node.input.append(source)
        if not self._keep_shapes:
            node.attr.pop("_output_shapes", None)
        if "_class" in node.attr:
            self._place(node)
        for key in ("frame_name", "shared_name"):
            if key in node.attr and node.attr[key].s:
                node.attr[key].s = self._named("").encode() + node.attr[key].s
        return node

    def _place(self, node: Any) -> None:  # noqa: ANN401 - as above
        """Colocate a copy with the copies of the nodes with which the original is colocated."""
        kept = []
        for each in node.attr["_class"].list.s:
            name = each.removeprefix(_COLOCATED).decode("utf-8", "replace")
            if name in self._chosen and each.startswith(_COLOCATED):
                kept.append(_COLOCATED + self._named(name).encode())
            elif name not in self._gone:
                kept.append(each)
        if kept:
            node.attr["_class"].list.s[:] = kept
        else:
            del node.attr["_class"]

    def _named(self, name: str) -> str:
        return f"{self._prefix}/{name}"


def _placeholders(graph: GraphIndex, replaced: Mapping[str, str]) -> frozenset[str]:
    """Return the replaced placeholders, whose control inputs the copies drop."""
    ops = {op_of(tensor) for tensor in replaced}
    return frozenset(op for op in ops if op in graph and graph.wiring(op).op in _PLACEHOLDERS)


def _around(frame: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return a frame and those around it, outermost first."""
    return [frame[:depth] for depth in range(1, len(frame) + 1)]


def with_names(spec: Spec, names: Mapping[str, str]) -> Spec:
    """Return a spec whose tensors are replaced by those that ``names`` has for them."""
    if isinstance(spec, TensorSpec):
        return replace(spec, name=names[full(spec.name)])
    if isinstance(spec, SparseTensorSpec):
        return replace(
            spec,
            values=names[full(spec.values)],
            indices=names[full(spec.indices)],
            dense_shape=names[full(spec.dense_shape)],
        )
    components = tuple(with_names(each, names) for each in spec.components)
    return CompositeTensorSpec(spec.type_spec, components)
