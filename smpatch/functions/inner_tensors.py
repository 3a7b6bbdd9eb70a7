"""The tensors inside the functions that a signature calls, and the search for one by its name.

The name of a tensor is ``node:index``. If several calls have a tensor of that name, the call nodes
that lead to it are written after it: ``node:index@call+call``. Such a name is valid for the copy
of a call, too.

This module refuses tensors in the bodies of loops and branches, which have no single value.

Source: ``tensorflow/core/ops/functional_ops.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from smpatch import dtypes
from smpatch.display import quoted
from smpatch.errors import RefusedError, TensorNotFoundError, TensorUnservableError
from smpatch.functions.shape_inference import Infer, Place, shapes
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, called, full, op_of
from smpatch.graph.resolve import OpDefMissingError, TensorName, nearest, parse
from smpatch.loader import MetaGraph
from smpatch.signature import Shape, SignatureDef, TensorSpec, names_of, shape_from_proto

_MOST_INSIDE, _DEEPEST = 250_000, 100
"""The most tensors and nodes to which a call leads, on all paths; and the most nested calls."""

_PARAMETERS = frozenset({"Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp"})
"""Operations in a layer whose outputs are not results of the layer."""

_PATH = "@"
_STEP = "+"


@dataclass(frozen=True, slots=True)
class Inner:
    """A tensor inside a function that a signature calls.

    Attributes:
        calls: The call nodes that lead to it, the main graph's first.
        function: The function in whose body it is.
        op: The operation that yields it.
        spec: Its name there (``node:index``), dtype and shape.
        arg: The name of its output argument and its place in it, as functions write them.
    """

    calls: tuple[str, ...]
    function: str
    op: str
    spec: TensorSpec
    arg: str

    @property
    def node(self) -> str:
        """The node that yields it."""
        return op_of(self.spec.name)

    @property
    def path(self) -> str:
        """Its name with the path of calls, if it is inside functions; no other tensor has it."""
        calls = f"{_PATH}{_STEP.join(self.calls)}" if self.calls else ""
        return f"{self.spec.name}{calls}"


def is_inner(meta_graph: MetaGraph, name: str) -> bool:
    """Return whether a name means a tensor inside functions, and not in the main graph."""
    return _PATH in name or parse(name).op not in meta_graph.graph


def inferred(meta_graph: MetaGraph, inner: Iterable[Inner], infer: Infer) -> tuple[Inner, ...]:
    """Return inner tensors with the shapes that TensorFlow can infer."""
    known = tuple(inner)
    names = [each.spec.name.rpartition(":") for each in known]
    places = [
        Place(each.calls, op, int(index)) for each, (op, _, index) in zip(known, names, strict=True)
    ]
    found = shapes(meta_graph, places, infer)
    return tuple(
        each if shape is None else replace(each, spec=replace(each.spec, shape=shape))
        for each, shape in zip(known, found, strict=True)
    )


def inner_tensors(meta_graph: MetaGraph, source: SignatureDef) -> Iterator[Inner]:
    """Yield the tensors inside the functions that a signature calls, call by call."""
    library = meta_graph.functions
    for name in _called_by(meta_graph, source):
        yield from _inside(library, (name,), library.called_by(name))


def _inside(library: FunctionLibrary, calls: tuple[str, ...], function: str) -> Iterator[Inner]:
    """Yield the tensors of a function and, after each call in it, those of the called function.

    Raises:
        RefusedError: There are more than any model has. A few functions, each of which calls the
            next one twice, make more calls than memory holds.
    """
    waiting = [_body(library, calls, function, ())]
    count = 0
    while waiting:
        try:
            found = next(waiting[-1])
        except StopIteration:
            waiting.pop()
            continue
        count += 1
        if count > _MOST_INSIDE or len(waiting) > _DEEPEST:
            words = f"call node {calls[0]!r} leads to too many or too deeply nested functions"
            hint = f"up to {_MOST_INSIDE:,} tensors and nodes are looked at, {_DEEPEST} deep"
            raise RefusedError(words, hint=hint)
        if isinstance(found, Inner):
            yield found
        elif found is not None:
            waiting.append(_body(library, *found))


_Call = tuple[tuple[str, ...], str, tuple[str, ...]]
"""The call nodes that lead to a function, its name, and the functions on the way."""


def _body(
    library: FunctionLibrary, calls: tuple[str, ...], function: str, above: tuple[str, ...]
) -> Iterator[Inner | _Call | None]:
    """Yield for each node of one function its tensors, then its call, or None if it has none.

    A function that calls itself is not entered again.
    """
    if function not in library or function in above:
        return
    for node in library[function].node_def:
        yielded = library.outputs(node) or []
        shapes = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else []
        for index, output in enumerate(yielded):
            shape: Shape = shape_from_proto(shapes[index]) if index < len(shapes) else None
            spec = TensorSpec(f"{node.name}:{index}", output.dtype, shape)
            yield Inner(calls, function, node.op, spec, f"{output.arg}:{output.index}")
        if node.op in CALLS:
            yield (*calls, node.name), node.attr["f"].func.name, (*above, function)
        else:
            yield None


def _called_by(meta_graph: MetaGraph, source: SignatureDef) -> list[str]:
    """Return the call nodes of the main graph between a signature's inputs and outputs."""
    fed = set(names_of(source.inputs.values()))
    wanted = names_of(source.outputs.values())
    graph = meta_graph.graph
    seen: set[str] = set()
    while wanted:
        tensor = wanted.pop()
        op = op_of(tensor)
        if tensor in fed or op in seen or op not in graph:
            continue
        seen.add(op)
        wanted += [full(each.removeprefix("^")) for each in graph.sources(op)]
    return [name for name in graph if name in seen and graph.wiring(name).op in CALLS]


def _reached(meta_graph: MetaGraph, source: SignatureDef) -> Iterator[str]:
    """Yield the functions that a signature calls, without those of loops and branches."""
    library = meta_graph.functions
    nodes = [meta_graph.graph.node(name).message() for name in _called_by(meta_graph, source)]
    seen: set[str] = set()
    while nodes:
        name = str(nodes.pop().attr["f"].func.name)
        if name in library and name not in seen:
            seen.add(name)
            yield name
            nodes += [node for node in library[name].node_def if node.op in CALLS]


def find_inner(
    meta_graph: MetaGraph, key: str, name: str, *, asked: bool = True, what: str = ""
) -> Inner:
    """Return the tensor inside the functions of a signature that a name means.

    Args:
        meta_graph: The MetaGraph.
        key: The signature key.
        name: ``node:index``, with ``@call+call`` after it if that is ambiguous.
        asked: Whether TensorFlow was asked for operations that the model does not define.
        what: The input or output that errors name; by default an output of this name.

    Raises:
        RefusedError: There is none, or more than one.
    """
    source, wanted = meta_graph.signatures[key], name
    name, _, path = wanted.partition(_PATH)
    tensor = parse(name)
    everything = list(inner_tensors(meta_graph, source))
    matches = [each for each in everything if _matches(each, tensor)]
    named = matches
    if path:
        matches = [each for each in named if _STEP.join(each.calls) == path]
        matches = matches or _in_copies(meta_graph, source, named, path)
    if len(matches) == 1:
        _check_servable(matches[0])
        return matches[0]
    where = what or f"output {wanted!r}"
    if matches:
        names = list(dict.fromkeys(each.spec.name for each in matches))
        if len(names) > 1:
            found = f"the node has {len(names)} outputs"
            raise TensorNotFoundError(found, where=where, hint=f"use {' or '.join(names[:4])}")
        choices = " or ".join(each.path for each in matches[:4])
        found = f"{len(matches)} calls have a tensor of that name"
        raise TensorNotFoundError(found, where=where, hint=f"use {choices}")
    if named:
        found = f"signature {key!r} computes no such tensor"
        hint = " or ".join(each.path for each in named[:4])
        raise TensorNotFoundError(found, where=where, hint=f"use {hint}")
    # This comes first, because a node in the body of a branch may have the same name.
    for undefined in _undefined(meta_graph, source, tensor.op):
        if not asked:
            raise OpDefMissingError(undefined, where=where)
        found = f"TensorFlow has no operation {undefined!r}, which yields it"
        raise TensorNotFoundError(
            found, where=where, hint="load its library with --op-library FILE"
        )
    holder = _in_control_flow(meta_graph, source, tensor.op)
    if holder:
        found = f"it is in the body of {holder}, which may run zero or more times"
        raise TensorUnservableError(found, where=where, hint="name a tensor outside")
    layer = layer_outputs(name, everything)
    known = {each.node for each in everything}
    same = _renumbered(tensor, everything)
    hint = f"did you mean {' or '.join(same[:4])}?" if same else ""
    hint = hint or (f"the layer's last tensor is {' or '.join(layer)}" if layer else "")
    if name in source.outputs:
        hint = hint or "it is the name of an output, and no tensor"
    hint = hint or nearest(tensor.op, [*source.outputs, *sorted(known), *meta_graph.graph])
    hint = hint or f"smpatch suggest --signature {quoted(key)} lists the tensors"
    raise TensorNotFoundError(f"signature {key!r} computes no such tensor", where=where, hint=hint)


def _renumbered(tensor: TensorName, inside: Iterable[Inner]) -> list[str]:
    """Return the tensors whose names differ from a name only by the numbers of scopes.

    Keras counts the layers of a process, so that the next export of a model has other numbers.
    """
    *scopes, last = tensor.op.split("/")
    ends = ("",) if tensor.index is None else (f":{tensor.index}",)
    names = [each.spec.name for each in inside if each.op not in _PARAMETERS]
    # At first the number of a layer's own name stays: `enc_1` is `enc_1_1`, or else `enc_2`.
    for stems in (scopes, [re.sub(r"_\d+$", "", each) for each in scopes]):
        pattern = "/".join((*(rf"{re.escape(each)}(?:_\d+)*" for each in stems), re.escape(last)))
        found = [
            name
            for name in dict.fromkeys(names)
            if re.fullmatch(pattern, name.rpartition(":")[0]) and name.endswith(ends)
        ]
        if found:
            return found
    return []


def layer_outputs(name: str, inside: Iterable[Inner]) -> list[str]:
    """Return the last tensor of a layer; two tensors if two layers can have the name.

    Keras 3 adds a number to the name of a layer: the scope of ``enc_1`` is ``enc_1_1``.

    Args:
        name: A layer, with scopes before it or without.
        inside: Tensors inside functions, in the order in which they are computed.
    """
    layer = re.escape(name.rpartition(":")[0] or name).rpartition("/")[2]
    numbered, plain = re.compile(rf"{layer}_\d+"), re.compile(layer)
    found: dict[re.Pattern[str], str] = {}
    for each in inside:
        if each.op in _PARAMETERS or dtypes.base(each.spec.dtype) in dtypes.UNSERVABLE:
            continue
        scopes = each.node.split("/")[:-1]
        for pattern in (numbered, plain):
            if any(map(pattern.fullmatch, scopes)):
                found[pattern] = each.spec.name
    return list(dict.fromkeys(found[each] for each in (numbered, plain) if each in found))


def _in_copies(
    meta_graph: MetaGraph, source: SignatureDef, named: Iterable[Inner], path: str
) -> list[Inner]:
    """Return the tensors of a path whose first call the signature has replaced by a copy.

    A copy has the same operation and inputs, calls of the same names inside, and the tensor
    in it has the structural fingerprint of the one that the path names.
    """
    first, *rest = path.split(_STEP)
    graph = meta_graph.graph
    if first not in graph or graph.wiring(first).op not in CALLS:
        return []
    feeds = {
        tensor.name: f"{alias} {place}"
        for alias, spec in source.inputs.items()
        for place, tensor in enumerate(spec.tensors())
    }
    inside = meta_graph.fingerprints.inside
    try:
        return [
            each
            for each in named
            if list(each.calls[1:]) == rest
            and graph.wiring(each.calls[0])[1:] == graph.wiring(first)[1:]
            and inside(feeds, each.calls, each.spec.name)
            == inside(feeds, (first, *rest), each.spec.name)
        ]
    except FingerprintError:
        return []


def _undefined(meta_graph: MetaGraph, source: SignatureDef, name: str) -> Iterator[str]:
    """Yield the operations without a definition that nodes of that name have."""
    library = meta_graph.functions
    for function in _reached(meta_graph, source):
        for node in library[function].node_def:
            if node.name == name and library.op_def(node.op) is None:
                yield node.op


def _matches(each: Inner, tensor: TensorName) -> bool:
    op, _, index = each.spec.name.rpartition(":")
    return op == tensor.op and (tensor.index is None or int(index) == tensor.index)


def _check_servable(inner: Inner) -> None:
    if dtypes.base(inner.spec.dtype) in dtypes.UNSERVABLE:
        found = f"{inner.spec.name} is a {inner.spec.dtype} handle, which cannot be fetched"
        raise TensorUnservableError(found)


def _in_control_flow(meta_graph: MetaGraph, source: SignatureDef, op: str) -> str:
    """Return the loop or branch in whose body a node is; empty if there is none."""
    library = meta_graph.functions
    waiting = [(name, "") for name in _reached(meta_graph, source)]
    seen: set[str] = set()
    while waiting:
        name, holder = waiting.pop()
        if name in seen or name not in library:
            continue
        seen.add(name)
        for node in library[name].node_def:
            if node.name == op and holder:
                return holder
            inside = holder if node.op in CALLS else f"{node.op} {node.name!r}"
            waiting += [(each, inside) for each in called(node) if each in library]
    return ""
