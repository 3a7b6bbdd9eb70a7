"""Copies of functions, with which an inner tensor becomes an output of a new signature.

``signature_def`` names only tensors of the main graph. The functions on the way to an inner tensor
are copied so that they yield it (``clone``), a new node of the main graph calls the copy with the
inputs of the old node, and the new signature names that node's outputs.

This module does not find the tensor that a name means (``inner_tensors``).

Source: ``tensorflow/core/ops/functional_ops.cc``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smpatch.functions.calls import (
    Result,
    clone,
    fresh_name,
    function_of,
    named,
    numbered,
    prefix_of,
    redirected,
)
from smpatch.functions.copies import copies, with_names
from smpatch.functions.inner_tensors import Inner, find_inner, inferred, is_inner
from smpatch.functions.shape_inference import Infer, Place, shapes
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, full
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import (
    CompositeTensorSpec,
    SparseTensorSpec,
    TensorSpec,
    names_of,
    shape_proto,
)
from smpatch.tensor_refs import TensorRef, named_tensors


@dataclass(slots=True)
class _Site:
    """One function on the way to an inner tensor, called from one place."""

    function: str
    results: list[Result] = field(default_factory=list)
    calls: dict[str, _Site] = field(default_factory=dict)


def expose(
    meta_graph: MetaGraph,
    key: str,
    wanted: Mapping[str, str],
    infer: Infer | None = None,
    *,
    tensors: Collection[str] = (),
) -> tuple[MetaGraph, dict[str, TensorRef], dict[str, TensorRef]]:
    """Make each requested output a tensor of the main graph.

    Args:
        meta_graph: The MetaGraph.
        key: The signature to start from.
        wanted: The names of its outputs, tensors of the main graph or inner tensors, by alias.
        infer: Asks TensorFlow for the shapes of inner tensors; None leaves shapes unknown
            that the file does not have.
        tensors: The aliases for which ``wanted`` has a tensor, even if an output has its name.

    Returns:
        The MetaGraph, with copies of functions and calls of them if there are inner tensors; the
        tensors of its main graph that are inputs, by alias; and those that are outputs.

    Raises:
        RefusedError: There is no such signature, output or tensor, or it is ambiguous.
    """
    source = meta_graph.signature(key)
    found: dict[str, TensorRef] = {}
    inner: dict[str, Inner] = {}
    for alias, name in wanted.items():
        if name in source.outputs and alias not in tensors:
            found[alias] = source.outputs[name]
        elif not is_inner(meta_graph, name):
            found[alias] = name
        else:
            inner[alias] = find_inner(meta_graph, key, name, asked=infer is not None)
            found[alias] = ""
    inputs: dict[str, TensorRef] = dict(source.inputs)
    if inner:
        if infer is not None:
            inner = dict(zip(inner, inferred(meta_graph, inner.values(), infer), strict=True))
        nodes, functions, exposed = _yielding(meta_graph, inner, infer)
        # The copy yields the old results too, so that the other outputs need no second
        # call.
        moved, more = _moved(meta_graph, key, found, nodes)
        found = {alias: _from_copy(ref, moved) for alias, ref in found.items()} | exposed
        serialized = (
            each.SerializeToString(deterministic=True) for each in (*nodes.values(), *more)
        )
        extended = Addition(nodes=tuple(serialized), functions=functions)
        meta_graph = meta_graph.with_parts(Draft.of(meta_graph.parts).appended(extended))
    return meta_graph, inputs, found


def _yielding(
    meta_graph: MetaGraph, inner: Mapping[str, Inner], infer: Infer | None
) -> tuple[dict[str, Any], tuple[bytes, ...], dict[str, TensorRef]]:
    """Copy the functions on the way to inner tensors, and call the copies.

    Returns:
        The new call nodes by the names of the old ones, the copies, and the tensors by alias.
    """
    roots: dict[str, _Site] = {}
    exposed: dict[str, TensorRef] = {}
    specs: dict[str, list[TensorSpec]] = {}
    graph, library = meta_graph.graph, meta_graph.functions
    taken: set[str] = set()
    callers: dict[str, str] = {}
    for alias, each in inner.items():
        main_call = each.calls[0]
        root = roots.setdefault(main_call, _Site(function_of(graph.node(main_call).message())))
        known = len(root.results)
        result = _reach_out(library, root, each)
        if len(root.results) > known:
            specs.setdefault(main_call, []).append(each.spec)
        if main_call not in callers:
            callers[main_call] = fresh_name("StatefulPartitionedCall", graph, taken)
        before = len(library[root.function].signature.output_arg)
        exposed[alias] = f"{callers[main_call]}:{before + root.results.index(result)}"
    writer = _Cloning(library)
    nodes = {}
    for main_call, root in roots.items():
        name = writer.write(root)
        node = redirected(graph.node(main_call).message(), name, root.results)
        node.name = callers[main_call]
        shapes_before = _shapes_of(meta_graph, main_call, infer)
        if shapes_before is not None:
            described = node.attr["_output_shapes"].list
            described.shape.extend(shapes_before)
            described.shape.extend(shape_proto(spec.shape) for spec in specs[main_call])
        nodes[main_call] = node
    return nodes, tuple(writer.functions), exposed


def _moved(
    meta_graph: MetaGraph, key: str, found: Mapping[str, TensorRef], nodes: Mapping[str, Any]
) -> tuple[dict[str, str], tuple[Any, ...]]:
    """Return the tensors that take the place of others, and copies of nodes for them.

    A result of an old call becomes the same result of its new call. If a call has effects, the old
    one must not run as well: the nodes between its results and the outputs are copied, too.
    """
    graph, library = meta_graph.graph, meta_graph.functions
    replaced = {
        f"{old}:{place}": f"{node.name}:{place}"
        for old, node in nodes.items()
        for place in range(len(library[library.called_by(old)].signature.output_arg))
    }
    if not _have_effects(library, map(library.called_by, nodes)):
        return replaced, ()
    wanted = [full(name) for ref in found.values() for name in named_tensors(ref) if name]
    given = [full(each) for node in nodes.values() for each in node.input if each[:1] != "^"]
    fed = set(names_of(meta_graph.signatures[key].inputs.values()))
    prefix = prefix_of(key, graph)
    copied = copies(graph, replaced, fed, [*wanted, *given], prefix, keep_shapes=True)
    for node in (*nodes.values(), *copied.nodes):
        for place, each in enumerate(node.input):
            if each[:1] != "^":
                now = copied.tensors.get(full(each), each)
                node.input[place] = each if now == full(each) else now.removesuffix(":0")
            elif each[1:] in nodes:
                node.input[place] = f"^{nodes[each[1:]].name}"
    return {**replaced, **copied.tensors}, copied.nodes


def _have_effects(library: FunctionLibrary, names: Iterable[str]) -> bool:
    ops = {str(node.op) for name in library.reached(names) for node in library[name].node_def}
    return any(library.has_effects(op) for op in ops - CALLS if op not in library)


def _from_copy(ref: TensorRef, moved: Mapping[str, str]) -> TensorRef:
    """Return an output whose tensors are replaced; the whole spec stays if none is."""
    names = {each: moved.get(each, each) for each in map(full, named_tensors(ref))}
    if all(new == old for old, new in names.items()):
        return ref
    if isinstance(ref, SparseTensorSpec | CompositeTensorSpec):
        return with_names(ref, names)
    (name,) = names.values()
    return name


def _reach_out(library: FunctionLibrary, root: _Site, inner: Inner) -> Result:
    """Make every function on the way yield the tensor; return the result of the outermost one."""
    way = [root]
    for step in inner.calls[1:]:
        node = named(library[way[-1].function], step)
        way.append(way[-1].calls.setdefault(step, _Site(function_of(node))))
    result = _yield_also(library, way[-1], f"{inner.node}:{inner.arg}", inner.spec.dtype)
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
    """Writes copies of functions, innermost first, with new numbers in their names."""

    def __init__(self, library: FunctionLibrary) -> None:
        self.functions: list[bytes] = []
        self._library = library
        # The next number belongs to the wrapper that the object graph may get.
        self._number = library.last_number + 1

    def write(self, site: _Site) -> str:
        """Copy a function and the functions on the way that it calls; return the copy's name."""
        nodes = {}
        for step, inner in site.calls.items():
            name = self.write(inner)
            node = named(self._library[site.function], step)
            nodes[step] = redirected(node, name, inner.results)
        self._number += 1
        name = numbered(site.function, self._number)
        body = self._library.body(site.function)
        self.functions.append(clone(body, name, site.results, nodes))
        return name


def _shapes_of(meta_graph: MetaGraph, call: str, infer: Infer | None) -> list[Any] | None:
    """Return the shapes of the results of a call, from the file or from TensorFlow."""
    node = meta_graph.graph.node(call)
    written = node.attr("_output_shapes")
    if written is not None:
        return list(written.list.shape)
    if infer is None:
        return None
    count = len(meta_graph.functions[function_of(node.message())].signature.output_arg)
    places = [Place((), call, index) for index in range(count)]
    return [shape_proto(shape) for shape in shapes(meta_graph, places, infer)]


def _result_name(library: FunctionLibrary, site: _Site) -> str:
    taken = {arg.name for arg in library[site.function].signature.output_arg}
    taken |= {result.name for result in site.results}
    count = len(taken)
    while f"identity_{count}" in taken:
        count += 1
    return f"identity_{count}"
