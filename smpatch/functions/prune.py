"""The removal of the parts that only a removed signature needed: it undoes an addition.

Candidates are the last objects of the object graph with their concrete functions, the functions
that only those call, and the nodes that were appended for the signature. (Objects are known by
their number; the removal of any other object changes the numbers of those after it.) The candidates
are removed if it is proved that nothing refers to them:

* no object and no concrete function of the object graph does, by number or by name, and
  the object graph has no unknown field;
* none of their names is in the parts that stay: graph, function library with its gradients,
  object graph, saver, collections, assets.

If that cannot be proved, all of them stay.

Sources: ``tensorflow/core/protobuf/saved_object_graph.proto``,
``tensorflow/core/framework/function.proto`` (``GradientDef``, ``RegisteredGradient``,
attributes that name functions). An exporter writes nodes before the function library
(``GraphDef`` in field order).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from smpatch import wire
from smpatch.graph.index import CALLS, called, op_of
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import ASSET_FILE_DEF, COLLECTION_DEF, SAVER_DEF
from smpatch.signature import SignatureDef

_REMOVABLE = CALLS | {"Placeholder", "Const"}
"""The operations of nodes that are appended for a signature, beside operations without a state. No
other node can share a state of them by a name."""


def pruned(
    meta_graph: MetaGraph, olds: Sequence[SignatureDef], staying: Sequence[SignatureDef]
) -> MetaGraph:
    """Return a MetaGraph without the parts that only removed signatures needed.

    Args:
        meta_graph: The MetaGraph, whose object graph no longer refers to these signatures.
        olds: The removed signatures, if ``signature_def`` had them.
        staying: The signatures that stay.
    """
    if not meta_graph.has_object_graph:
        return meta_graph
    objects = meta_graph.objects
    wrappers = list(_last_objects(meta_graph))
    nodes = _last_nodes(meta_graph, olds, staying)
    if not (wrappers or nodes) or objects.has_unknown_fields:
        return meta_graph
    named = objects.named_functions(range(len(objects) - len(wrappers)))
    concrete = set(wrappers) - named
    functions = _uncalled(meta_graph, concrete, set(nodes))
    draft = Draft.of(meta_graph.parts).without(
        nodes=nodes, functions=functions, concrete_functions=concrete, objects=len(wrappers)
    )
    if not any(_spelled(draft, concrete | functions, nodes)):
        return meta_graph.with_parts(draft)
    for old in olds if len(olds) > 1 else ():  # what stays of one does not keep the others
        meta_graph = pruned(meta_graph, [old], staying)
    return meta_graph


def _last_objects(meta_graph: MetaGraph) -> Iterator[str]:
    """Yield the functions of the last objects, the last first, until something needs one.

    A function that the main graph calls was exported for a signature; its object stays, so
    that the signature can be added again.
    """
    objects = meta_graph.objects
    by_main: set[str] | None = None
    for number in reversed(range(len(objects))):
        node = objects.node(number)
        if number in objects.referred or node.WhichOneof("kind") != "bare_concrete_function":
            return
        if by_main is None:
            by_main = set(_called_by_main(meta_graph, ()))
        if node.bare_concrete_function.concrete_function_name in by_main:
            return
        yield str(node.bare_concrete_function.concrete_function_name)


def _last_nodes(
    meta_graph: MetaGraph, olds: Sequence[SignatureDef], staying: Sequence[SignatureDef]
) -> list[str]:
    """Return the appended nodes that old signatures needed and that nothing else uses."""
    graph = meta_graph.graph
    appended = {
        name: None
        for name in meta_graph.parts.appended_nodes
        if name in graph and _is_removable(meta_graph, graph.wiring(name).op)
    }
    if not appended or not olds:
        return []
    reached = {op_of(tensor.name) for old in olds for tensor in old.tensors()}
    waiting = [name for name in reached if name in appended]
    while waiting:
        for source in graph.wiring(waiting.pop()).inputs:
            name = op_of(source)
            if name in appended and name not in reached:
                reached.add(name)
                waiting.append(name)
    named = {
        op_of(tensor.name)
        for signature in (*staying, *meta_graph.reserved.values())
        for tensor in signature.tensors()
    }
    consumers = Counter(op_of(source) for name in graph for source in graph.wiring(name).inputs)
    gone: dict[str, None] = {}
    waiting = [name for name in appended if name in reached]
    while waiting:
        name = waiting.pop()
        if name in gone or name in named or consumers[name]:
            continue
        if name in reached and name in appended:
            gone[name] = None
            sources = [op_of(source) for source in graph.wiring(name).inputs]
            consumers.subtract(sources)
            waiting += sources
    return list(gone)


def _is_removable(meta_graph: MetaGraph, op: str) -> bool:
    """Return whether an unused node can be removed: no other node can share its state."""
    op_def = None if op in _REMOVABLE else meta_graph.functions.op_def(op)
    return op in _REMOVABLE or (op_def is not None and not op_def.is_stateful)


def _uncalled(meta_graph: MetaGraph, concrete: set[str], nodes: set[str]) -> set[str]:
    """Return the functions that nothing calls if these concrete functions and nodes are removed."""
    library = meta_graph.functions
    traced = set(meta_graph.objects.concrete_functions) - concrete
    callers: dict[str, set[str]] = {name: set() for name in library}
    callees: dict[str, set[str]] = {}
    for name in library:
        callees[name] = set(library.calls(name))
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
    """Yield the functions that calls in the main graph name; ``_spelled`` finds others."""
    skipped = set(without)
    for name, op in meta_graph.graph.marked.items():
        if name not in skipped and op in CALLS:
            yield meta_graph.functions.called_by(name)


def _spelled(draft: Draft, functions: Iterable[str], nodes: Iterable[str]) -> Iterator[str]:
    """Yield the names of removed functions and nodes that are in the parts that stay.

    In every message (an attribute, a gradient, a key of a map) a name is a field with its length
    before it. Names of nodes are local to the main graph and to each function; an equal name in
    another place means another node.
    """
    data, spans = draft.graph
    numbers = (SAVER_DEF, COLLECTION_DEF, ASSET_FILE_DEF)
    around = [draft.meta_info, draft.object_graph]
    around += [piece for number in numbers for piece in draft.pieces(number)]
    for name in functions:
        wanted = _field(name)
        if any(data.find(wanted, *span) >= 0 for span in spans) or _within(around, wanted):
            yield name
    for name in nodes:
        colocated = _field(f"loc:@{name}")
        if any(data.find(colocated, *span) >= 0 for span in spans) or any(
            _within(around[1:], wanted)
            for wanted in (_field(name), _field(f"^{name}"), f"{name}:".encode())
        ):
            yield name


def _within(parts: Iterable[bytes], wanted: bytes) -> bool:
    return any(wanted in part for part in parts)


def _field(text: str) -> bytes:
    """Return the bytes that a string has in any message, after the tag of its field."""
    data = text.encode()
    return wire.varint(len(data)) + data
