"""An inner tensor of a signature becomes an output of a new one.

What people want to fetch lies inside the functions that a signature calls, where
``signature_def`` cannot point. The functions on the way are copied so that they yield it
(``clone``), a new node of the main graph calls the copy with what the old node is given,
and the new signature names that node's outputs. The rest is the business of
``main_graph``, as for any signature on tensors of the main graph.

This room refuses tensors in the bodies of loops and branches, which have no single value.

Source: ``tensorflow/core/ops/functional_ops.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from smpatch import dtypes
from smpatch.edits import AddPredict, FromSignature, TensorRef
from smpatch.errors import RefusedError, TensorNotFoundError, TensorUnservableError
from smpatch.forms.draft import Draft
from smpatch.forms.parts import Addition
from smpatch.graph.functions import CALLS, FunctionLibrary, called
from smpatch.graph.resolve import OpDefMissingError, TensorName, nearest, parse
from smpatch.loader import MetaGraph
from smpatch.planes.calls import fresh_name
from smpatch.planes.clone import Result, clone, redirected
from smpatch.planes.inline import Infer, Place, shapes
from smpatch.signature import Shape, SignatureDef, TensorSpec, shape_from_proto, shape_proto

__all__ = ["Inner", "expose", "find_inner", "inferred", "inner_tensors"]

_NUMBER = re.compile(r"_\d+$")
_MOST_INSIDE, _DEEPEST = 250_000, 100
"""More tensors and nodes, and calls within calls, no model has; each path of calls counts."""

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
    def path(self) -> str:
        """How it is named where the name alone is ambiguous."""
        return f"{self.spec.name}{_PATH}{_STEP.join(self.calls)}"


@dataclass(slots=True)
class _Site:
    """One function on the way, as it is called from one place."""

    function: str
    results: list[Result] = field(default_factory=list)
    calls: dict[str, _Site] = field(default_factory=dict)


def expose(
    meta_graph: MetaGraph, edit: FromSignature, infer: Infer | None = None
) -> tuple[MetaGraph, AddPredict]:
    """Make the outputs that are asked for tensors of the main graph.

    Args:
        meta_graph: The MetaGraph.
        edit: The request.
        infer: Asks TensorFlow for the shapes of inner tensors; None leaves those unknown
            that the file does not tell.

    Returns:
        The MetaGraph, with copies of functions and a call of them where inner tensors were
        asked for, and the request that names tensors of its main graph.

    Raises:
        RefusedError: There is no such signature, output or tensor, or it is ambiguous.
    """
    source = meta_graph.signatures.get(edit.source)
    if source is None:
        hint = nearest(edit.source, meta_graph.signatures) or (
            f"signatures here: {', '.join(meta_graph.signatures) or 'none'}"
        )
        raise TensorNotFoundError(
            "no such signature", where=f"signature {edit.source!r}", hint=hint
        )
    found: dict[str, TensorRef] = {}
    inner: dict[str, Inner] = {}
    for alias, wanted in edit.outputs.items():
        if wanted in source.outputs:
            found[alias] = source.outputs[wanted]
        elif _PATH not in wanted and parse(wanted).op in meta_graph.graph:
            found[alias] = wanted
        else:
            inner[alias] = _search(meta_graph, source, wanted, edit.source, asked=infer is not None)
            found[alias] = ""
    inputs: dict[str, TensorRef] = dict(source.inputs)
    if inner:
        if infer is not None:
            inner = dict(zip(inner, inferred(meta_graph, inner.values(), infer), strict=True))
        meta_graph, exposed, callers = _yielding(meta_graph, inner, infer)
        # The copy yields the old results too, so that what is asked for beside an inner
        # tensor is not computed by a second call.
        found = {alias: _from_copy(ref, callers) for alias, ref in found.items()} | exposed
    request = AddPredict(inputs, found, edit.key, edit.overwrite, without_inputs=not inputs)
    return meta_graph, request


def inferred(meta_graph: MetaGraph, inner: Iterable[Inner], infer: Infer) -> tuple[Inner, ...]:
    """Return inner tensors with the shapes that TensorFlow infers, as far as it can tell."""
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
        function = meta_graph.graph.node(name).attr("f")
        if function is not None:
            yield from _inside(library, (name,), function.func.name)


def _inside(library: FunctionLibrary, calls: tuple[str, ...], function: str) -> Iterator[Inner]:
    """Yield the tensors of a function and, behind each of its calls, those of what is called.

    Raises:
        RefusedError: There are more than any model has: a few functions that call each other
            twice over, and so on, make more calls than memory holds.
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
            words = f"call node {calls[0]!r} leads to functions within functions without end"
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
    """Yield for each node of one function its tensors, then its call, or None where it has none.

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
    fed = {tensor.name for spec in source.inputs.values() for tensor in spec.tensors()}
    wanted = [tensor.name for spec in source.outputs.values() for tensor in spec.tensors()]
    graph = meta_graph.graph
    seen: set[str] = set()
    while wanted:
        tensor = wanted.pop()
        op = tensor.rpartition(":")[0] if ":" in tensor else tensor
        if tensor in fed or op in seen or op not in graph:
            continue
        seen.add(op)
        for each in graph.wiring(op).inputs:
            name = each.removeprefix("^")
            wanted.append(name if ":" in name else f"{name}:0")
    return [name for name in graph if name in seen and graph.wiring(name).op in CALLS]


def _reached(meta_graph: MetaGraph, source: SignatureDef) -> Iterator[str]:
    """Yield the functions that a signature calls, loops and branches left out."""
    library = meta_graph.functions
    nodes = [meta_graph.graph.node(name).message() for name in _called_by(meta_graph, source)]
    seen: set[str] = set()
    while nodes:
        name = _function(nodes.pop())
        if name in library and name not in seen:
            seen.add(name)
            yield name
            nodes += [node for node in library[name].node_def if node.op in CALLS]


def find_inner(meta_graph: MetaGraph, key: str, name: str) -> Inner:
    """Return the tensor inside the functions of a signature that a name means.

    Args:
        meta_graph: The MetaGraph.
        key: The signature key.
        name: ``node:index``, with ``@call+call`` behind it where that is ambiguous.

    Raises:
        RefusedError: There is none, or more than one.
    """
    return _search(meta_graph, meta_graph.signatures[key], name, key, asked=True)


def _search(
    meta_graph: MetaGraph, source: SignatureDef, wanted: str, key: str, *, asked: bool
) -> Inner:
    name, _, path = wanted.partition(_PATH)
    tensor = parse(name)
    everything = list(inner_tensors(meta_graph, source))
    matches = [each for each in everything if _matches(each, tensor)]
    if path:
        matches = [each for each in matches if _STEP.join(each.calls) == path]
    if len(matches) == 1:
        _check_servable(matches[0])
        return matches[0]
    where = f"output {wanted!r}"
    if matches:
        if len({each.spec.name for each in matches}) > 1:
            names = " or ".join(each.spec.name for each in matches[:4])
            found = f"the node has {len(matches)} outputs"
            raise TensorNotFoundError(found, where=where, hint=f"use {names}")
        choices = " or ".join(each.path for each in matches[:4])
        found = f"{len(matches)} calls have a tensor of that name"
        raise TensorNotFoundError(found, where=where, hint=f"say which: {choices}")
    holder = _in_control_flow(meta_graph, source, tensor.op)
    if holder:
        found = f"it lies in the body of {holder}, which may run never or many times"
        raise TensorUnservableError(found, where=where, hint="name a tensor outside")
    for undefined in _undefined(meta_graph, source, tensor.op):
        if not asked:
            raise OpDefMissingError(undefined, where=where)
        found = f"TensorFlow has no operation {undefined!r}, which yields it"
        raise TensorNotFoundError(
            found, where=where, hint="load its library with --op-library FILE"
        )
    known = {each.spec.name.rpartition(":")[0] for each in everything}
    hint = nearest(tensor.op, [*source.outputs, *sorted(known), *meta_graph.graph])
    hint = hint or f"smpatch suggest --signature {key} lists what there is"
    raise TensorNotFoundError(f"signature {key!r} computes no such tensor", where=where, hint=hint)


def _undefined(meta_graph: MetaGraph, source: SignatureDef, name: str) -> Iterator[str]:
    """Yield the operations of nodes of that name that nothing defines."""
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
    """Return the loop or branch in whose body a node lies, or nothing."""
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


def _yielding(
    meta_graph: MetaGraph, inner: Mapping[str, Inner], infer: Infer | None
) -> tuple[MetaGraph, dict[str, TensorRef], dict[str, str]]:
    """Copy the functions on the way to inner tensors, and call the copies.

    Returns:
        The MetaGraph with the calls, alias to tensor, and old call node to new.
    """
    roots: dict[str, _Site] = {}
    exposed: dict[str, TensorRef] = {}
    specs: dict[str, list[TensorSpec]] = {}
    graph, library = meta_graph.graph, meta_graph.functions
    taken: set[str] = set()
    callers: dict[str, str] = {}
    for alias, each in inner.items():
        main_call = each.calls[0]
        root = roots.setdefault(main_call, _Site(_function(graph.node(main_call).message())))
        known = len(root.results)
        result = _reach_out(library, root, each)
        if len(root.results) > known:
            specs.setdefault(main_call, []).append(each.spec)
        if main_call not in callers:
            callers[main_call] = fresh_name("StatefulPartitionedCall", graph, taken)
        before = len(library[root.function].signature.output_arg)
        exposed[alias] = f"{callers[main_call]}:{before + root.results.index(result)}"
    writer = _Cloning(library)
    nodes = []
    for main_call, root in roots.items():
        name = writer.write(root)
        node = redirected(graph.node(main_call).message(), name, root.results)
        node.name = callers[main_call]
        told = _told(meta_graph, main_call, infer)
        if told is not None:
            described = node.attr["_output_shapes"].list
            described.shape.extend(told)
            described.shape.extend(shape_proto(spec.shape) for spec in specs[main_call])
        nodes.append(node.SerializeToString(deterministic=True))
    addition = Addition(nodes=tuple(nodes), functions=tuple(writer.functions))
    extended = Draft.of(meta_graph.parts).appended(addition)
    return meta_graph.with_parts(extended), exposed, callers


def _from_copy(ref: TensorRef, callers: Mapping[str, str]) -> TensorRef:
    """Return the result of a copied call in the place of the same one of the old call."""
    name = ref.name if isinstance(ref, TensorSpec) else ref
    if not isinstance(name, str):
        return ref
    op, _, index = name.rpartition(":")
    return f"{callers[op]}:{index}" if op in callers else ref


def _reach_out(library: FunctionLibrary, root: _Site, inner: Inner) -> Result:
    """Make every function on the way yield the tensor; return the outermost one's result."""
    way = [root]
    for step in inner.calls[1:]:
        node = _node(library, way[-1].function, step)
        way.append(way[-1].calls.setdefault(step, _Site(_function(node))))
    op = inner.spec.name.rpartition(":")[0]
    result = _yield_also(library, way[-1], f"{op}:{inner.arg}", inner.spec.dtype)
    for depth in range(len(way) - 1, 0, -1):
        site = way[depth]
        place = len(library[site.function].signature.output_arg) + site.results.index(result)
        tensor = f"{inner.calls[depth]}:output:{place}"
        result = _yield_also(library, way[depth - 1], tensor, inner.spec.dtype)
    return result


def _yield_also(library: FunctionLibrary, site: _Site, tensor: str, dtype: str) -> Result:
    """Add a result to a function, or return the one that yields the tensor already."""
    for known in site.results:
        if known.tensor == tensor:
            return known
    site.results.append(Result(_result_name(library, site), tensor, dtype))
    return site.results[-1]


class _Cloning:
    """Writes copies of functions, innermost first, under numbers of their own."""

    def __init__(self, library: FunctionLibrary) -> None:
        self.functions: list[bytes] = []
        self._library = library
        # The next number belongs to the wrapper that the object graph may get.
        self._number = library.last_number + 1

    def write(self, site: _Site) -> str:
        """Copy a function with all that it calls on the way; return the copy's name."""
        nodes = {}
        for step, inner in site.calls.items():
            name = self.write(inner)
            node = _node(self._library, site.function, step)
            nodes[step] = redirected(node, name, inner.results)
        self._number += 1
        name = f"{_NUMBER.sub('', site.function)}_{self._number}"
        body = self._library.body(site.function)
        self.functions.append(clone(body, name, site.results, nodes))
        return name


def _told(meta_graph: MetaGraph, call: str, infer: Infer | None) -> list[Any] | None:
    """Return the shapes of what a call yields, as the file says or as TensorFlow infers."""
    node = meta_graph.graph.node(call)
    written = node.attr("_output_shapes")
    if written is not None:
        return list(written.list.shape)
    if infer is None:
        return None
    count = len(meta_graph.functions[_function(node.message())].signature.output_arg)
    places = [Place((), call, index) for index in range(count)]
    return [shape_proto(shape) for shape in shapes(meta_graph, places, infer)]


def _result_name(library: FunctionLibrary, site: _Site) -> str:
    taken = {arg.name for arg in library[site.function].signature.output_arg}
    taken |= {result.name for result in site.results}
    count = len(taken)
    while f"identity_{count}" in taken:
        count += 1
    return f"identity_{count}"


def _node(library: FunctionLibrary, function: str, name: str) -> Any:  # noqa: ANN401 - a NodeDef
    return next(node for node in library[function].node_def if node.name == name)


def _function(node: Any) -> str:  # noqa: ANN401 - a NodeDef
    return str(node.attr["f"].func.name)
