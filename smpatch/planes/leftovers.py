"""What only a signature that is gone needed, so that taking one away undoes adding it.

An object goes when nothing refers to it, it is the last, for objects are known by their
number, and the main graph does not call its function: that is what was appended for a
signature, and never what an exporter wrote. With it go its concrete function, the functions
that nothing calls any more, and of the signature's nodes those that were appended.

Everything else stays, useful or not: this room is no optimizer.

Source: ``tensorflow/core/protobuf/saved_object_graph.proto``; an exporter writes nodes before
the function library (``GraphDef`` in field order), and no object that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from smpatch.forms.draft import Draft
from smpatch.graph.functions import called
from smpatch.graph.index import op_of
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef

__all__ = ["without_leftovers"]


def without_leftovers(
    meta_graph: MetaGraph, old: SignatureDef | None, staying: Mapping[str, SignatureDef]
) -> MetaGraph:
    """Return a MetaGraph without what a signature that is gone alone needed.

    Args:
        meta_graph: The MetaGraph, whose object graph no longer refers to that signature.
        old: What it was; None where ``signature_def`` never had it.
        staying: The signatures that stay, by key.
    """
    if not meta_graph.has_object_graph:
        return meta_graph
    wrappers = list(_last_objects(meta_graph))
    nodes = [] if old is None else _last_nodes(meta_graph, old, staying)
    if not wrappers and not nodes:
        return meta_graph
    named = _named_by_objects(meta_graph, len(meta_graph.objects) - len(wrappers))
    concrete = {each for each in wrappers if each not in named}
    draft = Draft.of(meta_graph.parts).without(
        nodes=nodes,
        functions=_uncalled(meta_graph, concrete, set(nodes)),
        concrete_functions=concrete,
        objects=len(wrappers),
    )
    return meta_graph.with_parts(draft)


def _last_objects(meta_graph: MetaGraph) -> Iterator[str]:
    """Yield the functions of the last objects, the last first, as far as nothing needs them."""
    objects = meta_graph.objects
    referred = {
        reference.node_id
        for number in range(len(objects))
        for reference in objects.node(number).children
    }
    by_main: set[str] | None = None
    for number in reversed(range(len(objects))):
        node = objects.node(number)
        if number in referred or node.WhichOneof("kind") != "bare_concrete_function":
            return
        if by_main is None:
            by_main = set(_called_by_main(meta_graph, ()))
        if node.bare_concrete_function.concrete_function_name in by_main:
            return
        yield str(node.bare_concrete_function.concrete_function_name)


def _last_nodes(
    meta_graph: MetaGraph, old: SignatureDef, staying: Mapping[str, SignatureDef]
) -> list[str]:
    """Return the appended nodes behind a signature that nothing else uses."""
    appended = [name for name in meta_graph.parts.appended_nodes if name in meta_graph.graph]
    if not appended:
        return []
    graph = meta_graph.graph
    reached = {tensor.name.rpartition(":")[0] for tensor in old.tensors()}
    waiting = [name for name in reached if name in appended]
    while waiting:
        for source in graph.wiring(waiting.pop()).inputs:
            name = op_of(source)
            if name in appended and name not in reached:
                reached.add(name)
                waiting.append(name)
    named = {
        tensor.name.rpartition(":")[0]
        for signature in staying.values()
        for tensor in signature.tensors()
    }
    gone: list[str] = []
    changed = True
    while changed:
        consumed = {
            op_of(source)
            for name in graph
            if name not in gone
            for source in graph.wiring(name).inputs
        }
        fresh = [
            name
            for name in appended
            if name in reached and name not in gone and name not in named and name not in consumed
        ]
        gone += fresh
        changed = bool(fresh)
    return gone


def _named_by_objects(meta_graph: MetaGraph, kept: int) -> set[str]:
    """Return the concrete functions that the first objects name."""
    named: set[str] = set()
    for number in range(kept):
        node = meta_graph.objects.node(number)
        named.update(node.function.concrete_functions)
        named.add(node.bare_concrete_function.concrete_function_name)
    return named


def _uncalled(meta_graph: MetaGraph, concrete: set[str], nodes: set[str]) -> set[str]:
    """Return the functions that nothing calls when these concrete functions and nodes go."""
    library = meta_graph.functions
    traced = set(meta_graph.objects.concrete_functions) - concrete
    callers: dict[str, set[str]] = {name: set() for name in library}
    callees: dict[str, set[str]] = {}
    for name in library:
        callees[name] = {each for node in library[name].node_def for each in called(node)}
        for each in callees[name] & callers.keys():
            callers[each].add(name)
    by_main = set(_called_by_main(meta_graph, nodes))
    waiting = set(concrete)
    for name in nodes:
        waiting.update(called(meta_graph.graph.node(name).message()))
    gone: set[str] = set()
    while waiting:
        name = waiting.pop()
        if (
            name in callers
            and name not in gone
            and name not in traced
            and name not in by_main
            and callers[name] <= gone
        ):
            gone.add(name)
            waiting |= callees[name]
    return gone


def _called_by_main(meta_graph: MetaGraph, without: Iterable[str]) -> Iterator[str]:
    """Yield what the nodes of the main graph name in their attributes."""
    skipped = set(without)
    for name in meta_graph.graph:
        if name not in skipped:
            yield from called(meta_graph.graph.node(name).message())
