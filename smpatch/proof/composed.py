"""The computation of a signature with functions before and after it, and with constants.

This module does not use the nodes that an edit makes. It takes each function as TensorFlow
traced it, and the signature as it was before the edit. A constant is a ``Const``. If it is
repeated, it is broadcast to dimensions that are numbers, or that the value of another input has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smpatch import dtypes, schema
from smpatch.fragments import Fragment
from smpatch.functions.binding import Bound, Follow
from smpatch.functions.inner_tensors import Inner
from smpatch.graph.fingerprint import Computation, Fingerprints, InnerFeeds, Met
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex
from smpatch.loader import MetaGraph
from smpatch.proof.requests import PART, ComposedRequest, Names
from smpatch.values import tensor_proto


def composed_computation(before: MetaGraph, request: ComposedRequest) -> Computation:
    """Return the computation that a composed signature must have.

    Raises:
        FingerprintError: The graph refers to a node or function that is missing.
    """
    made = {a for each in request.before for a in (*each.outputs, *each.inputs)}
    made |= request.opened.keys()
    flow = _Flow(before, {alias: Fingerprints.leaf("feed", alias) for alias in made})
    for each in request.before:
        flow.run(each)
    yielded = {alias for each in request.before for alias in each.outputs}
    feeds: dict[str, str] = {}
    given: dict[str, bytes] = {}
    inside: InnerFeeds = {}
    for alias, names in (*request.source.items(), *request.opened.items()):
        if alias in request.bound:
            value = value_fingerprint(request.bound[alias], before.functions, flow.values)
        elif alias in yielded or isinstance(names, Inner):
            value = flow.values[alias]
        else:
            labels = (
                [alias] if len(names) == 1 else [f"{PART}{alias}/{i}" for i in range(len(names))]
            )
            feeds |= dict(zip(names, labels, strict=True))
            continue
        if isinstance(names, Inner):
            inside[names.calls, names.spec.name] = value
        else:
            (name,) = names
            given[name] = value
    fed = {alias: Fingerprints.leaf("feed", alias) for alias in request.inputs}
    flow.values = dict(fed)
    order = needed_in_order(request.yielded, request.after)
    yielding = [name for alias in order for name in request.yielded[alias]]
    found, effects = before.fingerprints.tensors(yielding, feeds, given, inside, flow.met)
    flow.effects |= effects
    rest = iter(found)
    parts = {alias: [next(rest) for _ in request.yielded[alias]] for alias in order}
    flow.values |= {alias: each[0] for alias, each in parts.items() if len(each) == 1}
    for fragment in request.after:
        taken = set(fragment.inputs)
        flow.run(fragment)
        for alias in taken - fragment.outputs.keys():
            parts.pop(alias, None)
            if alias in fed:  # the name is an input again
                flow.values[alias] = fed[alias]
        parts |= {alias: [flow.values[alias]] for alias in fragment.outputs}
    outputs = {alias: Fingerprints.whole(each) for alias, each in parts.items()}
    return Computation(outputs, frozenset(flow.effects))


def needed_in_order(yielded: Collection[str], after: Iterable[Fragment]) -> list[str]:
    """Return the source's outputs in the order in which the composed signature's need them."""
    needs = {alias: [alias] for alias in yielded}
    for fragment in after:
        taken = [each for alias in fragment.inputs for each in needs.get(alias, ())]
        for alias in fragment.inputs:
            needs.pop(alias, None)
        needs |= dict.fromkeys(fragment.outputs, taken)
    found = [each for alias in sorted(needs) for each in needs[alias]]
    return list(dict.fromkeys([*found, *yielded]))


def still_needed(
    before: MetaGraph,
    inputs: Mapping[str, Names],
    outputs: Mapping[str, Names],
    opened: Mapping[str, Names | Inner],
) -> frozenset[str]:
    """Return the inputs of a signature that its outputs need if other tensors are fed as well.

    An input is needed if another label of it gives other fingerprints.

    Args:
        before: The MetaGraph before the edit.
        inputs: Alias to the tensors of the signature's inputs.
        outputs: Alias to the tensors of the signature's outputs.
        opened: Alias to a tensor between inputs and outputs that is fed as well.
    """

    def computed(relabelled: str) -> list[object]:
        feeds = {
            name: f"{alias}{'#' if alias == relabelled else ''}/{place}"
            for alias, names in inputs.items()
            for place, name in enumerate(names)
        }
        given: dict[str, bytes] = {}
        inside: InnerFeeds = {}
        for alias, where in opened.items():
            value = Fingerprints.leaf("opened", alias)
            if isinstance(where, Inner):
                inside[where.calls, where.spec.name] = value
            else:
                given |= dict.fromkeys(where, value)
        feeds = {name: label for name, label in feeds.items() if name not in given}
        tensors = before.fingerprints.tensors
        return [tensors(names, feeds, given, inside, {}) for names in outputs.values()]

    plain = computed("")
    return frozenset(alias for alias in inputs if alias and computed(alias) != plain)


@dataclass(slots=True)
class _Flow:
    """The fingerprints of values and effects, while functions are applied one after another.

    Attributes:
        before: The MetaGraph before the edit, for its definitions of operations.
        values: Alias to the fingerprint of its value.
        effects: The fingerprints of effects.
        met: The nodes with effects that the whole computation has visited.
    """

    before: MetaGraph
    values: dict[str, bytes]
    effects: set[bytes] = field(default_factory=set)
    met: Met = field(default_factory=dict)

    def run(self, fragment: Fragment) -> None:
        """Apply a function: add the fingerprints of its results and of its effects."""
        graph = schema.GraphDef()
        for each in fragment.functions:
            graph.library.function.add().MergeFromString(each)
        data = graph.SerializeToString()
        index = GraphIndex(data, [(0, len(data))])
        fingerprints = Fingerprints(index, FunctionLibrary(index, self.before.op_defs))
        root = schema.FunctionDef.FromString(fragment.functions[0]).signature.name
        given = [self.values[alias] for alias in fragment.inputs]
        found, effects = fingerprints.results(root, given, self.met)
        self.values |= dict(zip(fragment.outputs, found, strict=True))
        self.effects |= effects


def value_fingerprint(
    bound: Bound, library: FunctionLibrary, given: Mapping[str, bytes] | None = None
) -> bytes:
    """Return the fingerprint of the tensor that yields a bound value.

    Args:
        bound: The value.
        library: The functions of the model, for its definitions of operations.
        given: Input to the fingerprint of its value; inputs without a fingerprint are fed.
    """
    return _Graph(library, given or {}).fingerprint(bound)


class _Graph:
    def __init__(self, library: FunctionLibrary, given: Mapping[str, bytes]) -> None:
        self._library = library
        self._given = given
        self._bound: dict[str, bytes] = {}
        self._graph = schema.GraphDef()
        self._fed: dict[str, str] = {}

    def fingerprint(self, bound: Bound) -> bytes:
        dtype = dtypes.base(bound.spec.dtype)
        found = self._constant(bound.proto)
        if bound.dims is not None:
            sizes = [
                self._followed(each) if isinstance(each, Follow) else self._numbers([each])
                for each in bound.dims
            ]
            if len(sizes) > 1:
                axis = self._constant(tensor_proto(0, "int32")[1])
                sizes = [
                    self._add("ConcatV2", [*sizes, axis], N=len(sizes), T="int32", Tidx="int32")
                ]
            found = self._add("BroadcastTo", [found, *sizes], T=dtype, Tidx="int32")
        data = self._graph.SerializeToString()
        index = GraphIndex(data, [(0, len(data))])
        made = Fingerprints(index, self._library)
        return made.tensors([f"{found}:0"], self._fed, self._bound, {}, {})[0][0]

    def _followed(self, follow: Follow) -> str:
        name = self._add("Placeholder", [], dtype=follow.dtype)
        if follow.alias in self._given:
            self._bound[f"{name}:0"] = self._given[follow.alias]
        else:
            self._fed[f"{name}:0"] = follow.alias
        shape = self._add("Shape", [name], T=follow.dtype, out_type="int32")
        return self._add(
            "StridedSlice",
            [shape, *(self._numbers([each]) for each in (follow.axis, follow.axis + 1, 1))],
            T="int32",
            Index="int32",
            begin_mask=0,
            ellipsis_mask=0,
            end_mask=0,
            new_axis_mask=0,
            shrink_axis_mask=0,
        )

    def _numbers(self, numbers: list[int]) -> str:
        return self._constant(tensor_proto(numbers, "int32")[1])

    def _constant(self, proto: bytes) -> str:
        tensor = schema.TensorProto.FromString(proto)
        return self._add("Const", [], value=tensor, dtype=dtypes.name(tensor.dtype))

    def _add(self, op: str, inputs: list[str], **attributes: Any) -> str:  # noqa: ANN401 - attributes have several types
        name = f"n{len(self._graph.node)}"
        node = self._graph.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, str):
                node.attr[key].type = dtypes.number(value)
            elif isinstance(value, int):
                node.attr[key].i = value
            else:
                node.attr[key].tensor.CopyFrom(value)
        return name
