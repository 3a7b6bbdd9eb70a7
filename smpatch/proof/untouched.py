"""The check that an edit changes only nodes, functions and objects of signatures.

An edit appends nodes and functions, or removes those that nothing needs. The only node that it
changes in its place is a placeholder, and of this only the shape. Python takes signatures from the
last objects: an edit may replace these, and the functions that only they need. All other objects
stay, with their functions.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from smpatch.errors import ValidationError
from smpatch.graph.objects import ObjectGraph
from smpatch.loader import MetaGraph

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
_SHAPES = ("shape", "_output_shapes")


def changed_names(before: MetaGraph, after: MetaGraph) -> frozenset[str]:
    """Return the nodes and functions that an edit changes or removes."""
    if before.graph is after.graph:
        return frozenset()
    old, new = before.graph, after.graph
    nodes = {name for name in old if name not in new or old.raw(name) != new.raw(name)}
    bodies = new.function_bodies
    functions = {name for name, body in old.function_bodies.items() if bodies.get(name) != body}
    return frozenset(nodes | functions)


def check_untouched(before: MetaGraph, after: MetaGraph, changed: Collection[str]) -> None:
    """Check that an edit leaves the nodes, functions and objects that are no part of a signature.

    Args:
        before: The MetaGraph before the edit.
        after: The same after the edit.
        changed: The nodes and functions that the edit changes or removes.

    Raises:
        ValidationError: It changes or removes something else.
    """
    _check_nodes(before, after, changed)
    if before.objects is not after.objects:
        _check_objects(before, after, changed)


def _check_nodes(before: MetaGraph, after: MetaGraph, changed: Collection[str]) -> None:
    appended = set(before.parts.appended_nodes) if changed else set()
    for name in changed:
        if name not in before.graph or name in appended:
            continue
        if name not in after.graph:
            raise _refusal("remove", "the node", name)
        old, new = (each.graph.node(name).message() for each in (before, after))
        if _bytes(old) != _bytes(new) and not _is_reshaped(old, new):
            raise _refusal("change", "the node", name)


def _check_objects(before: MetaGraph, after: MetaGraph, changed: Collection[str]) -> None:
    old, new = before.objects, after.objects
    last = _before_last(old)
    for number in range(last):
        there = number < len(new) and _bytes(old.node(number)) == _bytes(new.node(number))
        if not there and number != old.signature_map:
            raise _refusal("change", "the object", str(number))
    named = old.named_functions(range(last))
    known, now = old.concrete_functions, new.concrete_functions
    for name in sorted(named & known.keys()):
        if name not in now or _bytes(known[name]) != _bytes(now[name]):
            raise _refusal("change", "the traced function", name)
    reached = before.functions.reached(named) if changed else ()
    for name in filter(changed.__contains__, reached):
        if name not in after.functions:
            raise _refusal("remove", "the function", name)
        if _bytes(before.functions[name]) != _bytes(after.functions[name]):
            raise _refusal("change", "the function", name)


def _before_last(objects: ObjectGraph) -> int:
    """Return the number of objects before the last ones from which Python may take signatures."""
    count = len(objects)
    while count and objects.node(count - 1).WhichOneof("kind") == "bare_concrete_function":
        count -= 1
    return count


def _is_reshaped(old: Any, new: Any) -> bool:  # noqa: ANN401 - two NodeDefs
    """Return whether a node is a placeholder that has another shape, and nothing else."""
    for node in (old, new):
        for key in _SHAPES:
            node.attr.pop(key, None)
    return old.op in _PLACEHOLDERS and _bytes(old) == _bytes(new)


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - as above
    return bytes(message.SerializeToString(deterministic=True))


def _refusal(verb: str, kind: str, name: str) -> ValidationError:
    found = f"the edit would {verb} {kind} {name!r}, which is no part of a signature"
    return ValidationError(found, hint="the model is unchanged; please report this")
