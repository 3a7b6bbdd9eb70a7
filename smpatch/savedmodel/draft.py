"""The new state of a MetaGraph: the parts in the file with changes that are not written yet.

A draft has the properties of the parts in a file, so the packages that read a model also read an
edited model. Several edits become one set of splices. Every method that edits returns a new draft.

This module does not decide which changes are allowed, or which belong together.

Source: protobuf merges the pieces of a message field on parsing; bytes appended to a serialized
``GraphDef`` are such a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from smpatch import schema, wire
from smpatch.savedmodel.parts import (
    OBJECT_GRAPH_DEF,
    Addition,
    Changes,
    Entry,
    MetaGraphParts,
    Reference,
    Slot,
    entry_key,
    function_name,
    node_name,
)
from smpatch.wire import Splice

_TAGS = 4
_NOWHERE = -1
"""The offset of an entry that is not in the file."""


class Draft:
    """The parts of a MetaGraph with changes to them."""

    def __init__(self, parts: MetaGraphParts, changes: Changes = Changes()) -> None:  # noqa: B008 - it cannot change
        """Make a draft of the parts of a file and the changes of them."""
        self._parts = parts
        self.changes = changes

    @classmethod
    def of(cls, parts: MetaGraphParts) -> Draft:
        """Return a draft of the parts; the same object if they are a draft already."""
        return parts if isinstance(parts, Draft) else cls(parts)

    # The methods for readers, as in ``MetaGraphParts``.

    @property
    def can_change_graph(self) -> bool:
        """Whether the form takes changes of the graph and of the object graph."""
        return self._parts.can_change_graph

    @cached_property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized."""
        info, tags = self._parts.meta_info, self.changes.tags
        if tags is None:
            return info
        kept = (info[each.start : each.end] for each in wire.fields(info) if each.number != _TAGS)
        return b"".join([*kept, *(wire.delimited(_TAGS, tag.encode()) for tag in tags)])

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The new ``signature_def`` map, duplicate keys included."""
        return tuple(
            slot.origin._replace(key=slot.key, value=slot.value)
            if slot.origin is not None
            else Entry(slot.key, slot.value, _NOWHERE, _NOWHERE)
            for slot in self._slots
        )

    @cached_property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """A buffer and the places of the pieces of the ``GraphDef`` in it, in binary form."""
        if not self.changes.touch_graph:
            return self._parts.graph
        changed = self._parts.changed_graph(self.changes)
        return changed, ((0, len(changed)),)

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return self._parts.has_object_graph

    @cached_property
    def object_graph(self) -> bytes:
        """The ``SavedObjectGraph``, serialized; empty if there is none."""
        if not self.changes.touch_objects:
            return self._parts.object_graph
        return self._parts.changed_objects(self.changes)

    @cached_property
    def appended_nodes(self) -> tuple[str, ...]:
        """The nodes after the function library; TensorFlow writes no nodes there."""
        old = (
            each for each in self._parts.appended_nodes if each not in self.changes.without_nodes
        )
        return (*old, *(node_name(node) for node in self.changes.nodes))

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return all message fields that have this number, serialized, in their order."""
        return (self.object_graph,) if number == OBJECT_GRAPH_DEF else self._parts.pieces(number)

    def splices(self, changes: Changes | None = None) -> tuple[Splice, ...]:
        """Return the splices that make the draft of the file, or other changes instead."""
        return self._parts.splices(self.changes if changes is None else changes)

    def changed_graph(self, changes: Changes) -> bytes:
        """Return the ``GraphDef`` of the file with ``changes`` instead of the draft's own."""
        return self._parts.changed_graph(changes)

    def changed_objects(self, changes: Changes) -> bytes:
        """Return the file's ``SavedObjectGraph`` with ``changes`` instead of the draft's own."""
        return self._parts.changed_objects(changes)

    # The methods for edits.

    def put(self, key: str, value: bytes) -> Draft:
        """Return a draft with a signature of these exact bytes, in place of one of the same key."""
        slots = list(self._slots)
        place = self._place(key)
        if place is None:
            return self._with_slots([*slots, Slot(key, value, exact=True)])
        slots[place] = Slot(key, value, slots[place].origin, exact=True)
        return self._with_slots(slots)

    def revised(
        self, key: str, value: bytes, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> Draft:
        """Return a draft in which a signature changes, and its unchanged fields keep their bytes.

        Args:
            key: The signature key.
            value: The new ``SignatureDef``, serialized.
            inputs: New alias to old alias, for each renamed input.
            outputs: New alias to old alias, for each renamed output.
        """
        place = self._place(key)
        if place is None:
            return self.put(key, value)
        slots = list(self._slots)
        old = slots[place]
        slots[place] = old._replace(
            value=value, inputs=_through(inputs, old.inputs), outputs=_through(outputs, old.outputs)
        )
        return self._with_slots(slots)

    def renamed(self, source: str, target: str) -> Draft:
        """Return a draft in which a signature and its duplicates have another key."""
        return self._with_slots(
            slot._replace(key=target) if slot.key == source else slot
            for slot in self._slots
            if slot.key != target
        )

    def removed(self, *keys: str) -> Draft:
        """Return a draft without the signatures of these keys."""
        gone = frozenset(keys)
        return self._with_slots(slot for slot in self._slots if slot.key not in gone)

    def tagged(self, tags: tuple[str, ...]) -> Draft:
        """Return a draft with these tags."""
        return self._changed(self.changes._replace(tags=tags))

    def removed_as_a_whole(self) -> Draft:
        """Return a draft whose splices remove the whole MetaGraph; others in the file stay."""
        return self._changed(self.changes._replace(removed=True))

    def appended(self, addition: Addition) -> Draft:
        """Return a draft with more nodes, functions, objects and concrete functions."""
        old = self.changes
        return self._changed(
            old._replace(
                nodes=(*old.nodes, *addition.nodes),
                functions=(*old.functions, *addition.functions),
                objects=(*old.objects, *addition.objects),
                concrete_functions=(*old.concrete_functions, *addition.concrete_functions),
            )
        )

    def rewritten(self, nodes: Mapping[str, bytes]) -> Draft:
        """Return a draft in which nodes of the main graph are replaced, each in its place.

        ``nodes`` has the name of each such node and its new ``NodeDef``, serialized.
        """
        old = self.changes
        fresh = {node_name(each) for each in old.nodes}
        of_the_file = {name: node for name, node in nodes.items() if name not in fresh}
        return self._changed(
            old._replace(
                nodes=tuple(nodes.get(node_name(each), each) for each in old.nodes),
                rewritten_nodes={**old.rewritten_nodes, **of_the_file},
            )
        )

    def referring(self, holder: int, references: Iterable[Reference]) -> Draft:
        """Return a draft in which an object, the map of signatures, has these references."""
        return self._changed(self.changes._replace(holder=holder, references=tuple(references)))

    @property
    def references(self) -> tuple[Reference, ...] | None:
        """The new references of the map of signatures; None if they were not changed."""
        return self.changes.references

    def names_in_file(self, holder: int) -> tuple[str, ...]:
        """Return the names of the references of an object in the file, in their order."""
        nodes = schema.SavedObjectGraph.FromString(self._parts.object_graph).nodes
        return tuple(each.local_name for each in nodes[holder].children)

    def without(
        self,
        *,
        nodes: Iterable[str] = (),
        functions: Iterable[str] = (),
        concrete_functions: Iterable[str] = (),
        objects: int = 0,
    ) -> Draft:
        """Return a draft without some nodes, functions and concrete functions, by name.

        ``objects`` of its objects, counted from the last one, are removed too.
        """
        old = self.changes
        gone = frozenset(nodes), frozenset(functions), frozenset(concrete_functions)
        new = old._replace(
            nodes=tuple(each for each in old.nodes if node_name(each) not in gone[0]),
            functions=tuple(each for each in old.functions if function_name(each) not in gone[1]),
            concrete_functions=tuple(
                each for each in old.concrete_functions if entry_key(each) not in gone[2]
            ),
            without_nodes=old.without_nodes | gone[0],
            rewritten_nodes={n: b for n, b in old.rewritten_nodes.items() if n not in gone[0]},
            without_functions=old.without_functions | gone[1],
            without_concrete_functions=old.without_concrete_functions | gone[2],
        )
        if objects:
            fresh = max(len(old.objects) - objects, 0)
            of_the_file = objects - (len(old.objects) - fresh)
            kept = old.objects_kept
            if of_the_file:
                kept = (self._objects_in_file if kept is None else kept) - of_the_file
            new = new._replace(objects=old.objects[:fresh], objects_kept=kept)
        return self._changed(new)

    def _place(self, key: str) -> int | None:
        """Return the place of the slot that readers use for a key: the last of several."""
        places = [place for place, slot in enumerate(self._slots) if slot.key == key]
        return places[-1] if places else None

    @cached_property
    def _objects_in_file(self) -> int:
        return len(schema.SavedObjectGraph.FromString(self._parts.object_graph).nodes)

    @cached_property
    def _slots(self) -> tuple[Slot, ...]:
        if self.changes.slots is not None:
            return self.changes.slots
        return tuple(Slot(entry.key, entry.value, entry) for entry in self._parts.entries)

    def _with_slots(self, slots: Iterable[Slot]) -> Draft:
        return self._changed(self.changes._replace(slots=tuple(slots)))

    def _changed(self, changes: Changes) -> Draft:
        return Draft(self._parts, changes)


def _through(new: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    """Return new alias to alias in the file, for renames after earlier renames.

    Args:
        new: New alias to old alias.
        old: Old alias to the alias in the file.
    """
    moved = {*old.values()} - old.keys()  # a later signature of that alias is a new one
    through = {a: old.get(was, was) for a, was in new.items() if was not in moved}
    kept = {alias: was for alias, was in old.items() if alias not in new.values()}
    return {alias: was for alias, was in {**kept, **through}.items() if alias != was}
