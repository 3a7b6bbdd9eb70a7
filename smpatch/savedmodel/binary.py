"""``saved_model.pb``: the parts of a SavedModel as spans of its wire form.

This module walks only the top level of each MetaGraph, and the signatures, which are small. It
skips the graph and the object graph until a property or a change needs them.

Source: https://protobuf.dev/programming-guides/encoding/ (maps, last one wins),
``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from google.protobuf.message import DecodeError

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.minimal import patched
from smpatch.remote import RemoteBytes
from smpatch.savedmodel.parts import (
    GRAPH_DEF,
    GRAPH_LIBRARY,
    GRAPH_NODE,
    GRAPH_VERSIONS,
    LIBRARY_FUNCTION,
    META_GRAPHS,
    META_INFO_DEF,
    OBJECT_GRAPH_DEF,
    SIGNATURE_DEF,
    Changes,
    Entry,
    Reference,
    Slot,
    entry_key,
    function_name,
    node_name,
)
from smpatch.wire import Field, Splice

_KEY, _VALUE = 1, 2
_OBJECT, _CONCRETE_FUNCTION, _CHILD = 1, 2, 1
_TAGS = 4

_Edit = tuple[Splice, tuple[Field, ...]]
"""A splice and the fields that enclose it, outermost first."""


class BinaryMetaGraph:
    """One MetaGraph of a ``saved_model.pb``."""

    can_change_graph = True

    def __init__(self, data: wire.Buffer, span: Field) -> None:
        """Walk the top level of the MetaGraph at ``span``."""
        self._data = data
        self._span = span
        self._fields = [
            field
            for field in wire.fields(data, span.value, span.end, depth=1)
            if field.wire_type == wire.BYTES
        ]
        self._known_children: dict[int, list[tuple[Field, str, int]]] = {}
        self._all_entries = [field for field in self._fields if field.number == SIGNATURE_DEF]

    @cached_property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized; a parser merges the joined pieces."""
        pieces = [field for field in self._fields if field.number == META_INFO_DEF]
        return b"".join(field.bytes(self._data) for field in pieces)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map of the file, duplicate keys included."""
        return tuple(self._entry(field) for field in self._all_entries)

    @cached_property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """The file and the places of the pieces of the ``GraphDef`` in it."""
        pieces = [field for field in self._fields if field.number == GRAPH_DEF]
        # The whole graph is walked: one fetch is faster than many.
        data = bytes(self._data) if isinstance(self._data, RemoteBytes) else self._data
        return data, tuple((field.value, field.end) for field in pieces)

    @cached_property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return any(field.number == OBJECT_GRAPH_DEF for field in self._fields)

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return all message fields that have this number, serialized, in their order."""
        return tuple(field.bytes(self._data) for field in self._fields if field.number == number)

    @cached_property
    def object_graph(self) -> bytes:
        """The ``SavedObjectGraph``, serialized; a parser merges the joined pieces."""
        return b"".join(self.pieces(OBJECT_GRAPH_DEF))

    @cached_property
    def appended_nodes(self) -> tuple[str, ...]:
        """The nodes after the function library; TensorFlow writes no nodes there."""
        data, pieces = self.graph
        names: list[str] = []
        library = False
        for piece in pieces:
            for field in wire.fields(data, *piece):
                if field.number == GRAPH_LIBRARY:
                    library = True
                elif library and field.number == GRAPH_NODE and field.wire_type == wire.BYTES:
                    names.append(node_name(field.bytes(data)))
        return tuple(names)

    def splices(self, changes: Changes) -> tuple[Splice, ...]:
        """Return the splices that make ``changes`` in the file.

        Raises:
            RefusedError: The object graph is to change, but the file has it in several pieces.
        """
        if changes.removed:
            return (Splice(self._span.start, self._span.end, b""),)
        edits = [] if changes.slots is None else list(self._to_signatures(changes.slots))
        if changes.tags is not None:
            edits += self._to_meta_info(changes.tags)
        if changes.touch_graph:
            outer = (self._span, self._last(GRAPH_DEF))
            edits += [(splice, (*outer, *inner)) for splice, inner in self._to_graph(changes)]
            edits += self._changed_nodes(changes)
        if changes.touch_objects:
            outer = (self._span, self._object_graph_piece())
            edits += [(splice, (*outer, *inner)) for splice, inner in self._to_objects(changes)]
        return wire.enclose(self._data, edits)

    def changed_graph(self, changes: Changes) -> bytes:
        """Return a copy of the ``GraphDef`` with ``changes``, serialized."""
        pieces = self._all(GRAPH_DEF)
        changed = self._changed_nodes(changes)
        edits: list[list[_Edit]] = [
            [(splice, ()) for splice, enclosing in changed if enclosing[-1] is piece]
            for piece in pieces
        ]
        edits[-1] += self._to_graph(changes)
        return b"".join(map(self._spliced, pieces, edits))

    def changed_objects(self, changes: Changes) -> bytes:
        """Return the ``SavedObjectGraph`` with ``changes``, serialized.

        Raises:
            RefusedError: The file has the object graph in several pieces.
        """
        return self._spliced(self._object_graph_piece(), self._to_objects(changes))

    def _spliced(self, field: Field, edits: list[_Edit]) -> bytes:
        """Return the value of a field after edits inside it."""
        splices = [
            Splice(each.start - field.value, each.end - field.value, each.replacement)
            for each in wire.enclose(self._data, edits)
        ]
        return wire.apply(field.bytes(self._data), splices)

    def _to_signatures(self, slots: Sequence[Slot]) -> Iterator[_Edit]:
        """Change, remove and append entries of the ``signature_def`` map."""
        kept = {slot.origin.start: slot for slot in slots if slot.origin is not None}
        for field, entry in zip(self._all_entries, self.entries, strict=True):
            slot = kept.get(field.start)
            if slot is None:
                yield Splice(field.start, field.end, b""), (self._span,)
            elif (slot.key, slot.value) != (entry.key, entry.value):
                new = revised_entry(field.bytes(self._data), slot)
                yield (
                    Splice(field.start, field.end, wire.delimited(SIGNATURE_DEF, new)),
                    (self._span,),
                )
        at = self._after_signatures()
        new = b"".join(
            wire.delimited(
                SIGNATURE_DEF,
                wire.delimited(_KEY, slot.key.encode()) + wire.delimited(_VALUE, slot.value),
            )
            for slot in slots
            if slot.origin is None
        )
        if new:
            yield Splice(at, at, new), (self._span,)

    def _to_meta_info(self, tags: tuple[str, ...]) -> list[_Edit]:
        """Replace the tags of the file."""
        infos = [field for field in self._fields if field.number == META_INFO_DEF]
        if not infos:
            new = wire.delimited(META_INFO_DEF, _fields(_TAGS, (tag.encode() for tag in tags)))
            return [(Splice(self._span.value, self._span.value, new), (self._span,))]
        edits: list[_Edit] = []
        for info in infos:
            inside = list(wire.fields(self._data, info.value, info.end))
            old = [f for f in inside if f.number == _TAGS and f.wire_type == wire.BYTES]
            edits += [(Splice(each.start, each.end, b""), (self._span, info)) for each in old]
            if info is infos[-1]:
                before = [field.end for field in inside if field.number < _TAGS]
                at = old[0].start if old else before[-1] if before else info.value
                new = _fields(_TAGS, (tag.encode() for tag in tags))
                edits.append((Splice(at, at, new), (self._span, info)))
        return edits

    def _to_graph(self, changes: Changes) -> list[_Edit]:
        """Append nodes to the graph and functions to its library, and remove functions."""
        graph = self._last(GRAPH_DEF)
        functions = _fields(LIBRARY_FUNCTION, changes.functions)
        edits: list[_Edit] = []
        libraries = [*_messages(self._data, GRAPH_LIBRARY, graph)]
        if libraries and functions:
            at = libraries[-1].end
            edits.append((Splice(at, at, functions), (libraries[-1],)))
        elif functions:
            at = graph.end
            edits.append((Splice(at, at, wire.delimited(GRAPH_LIBRARY, functions)), ()))
        for library in libraries if changes.without_functions else ():
            edits += self._without_functions(library, graph, changes)
        if changes.nodes:
            at = graph.end
            edits.append((Splice(at, at, _fields(GRAPH_NODE, changes.nodes)), ()))
        return edits

    def _without_functions(self, library: Field, graph: Field, changes: Changes) -> list[_Edit]:
        inside = list(wire.fields(self._data, library.value, library.end))
        gone = [
            field
            for field in inside
            if field.number == LIBRARY_FUNCTION
            and field.wire_type == wire.BYTES
            and function_name(field.bytes(self._data)) in changes.without_functions
        ]
        before = [
            field.number
            for field in wire.fields(self._data, graph.value, graph.end)
            if field.start < library.start
        ]
        # A library after the versions was appended by an edit; once empty, it is removed too.
        if len(gone) == len(inside) and GRAPH_VERSIONS in before and not changes.functions:
            return [(Splice(library.start, library.end, b""), ())]
        return [(Splice(field.start, field.end, b""), (library,)) for field in gone]

    def _changed_nodes(self, changes: Changes) -> list[_Edit]:
        """Remove nodes, and replace other nodes in their places."""
        gone, new = changes.without_nodes, changes.rewritten_nodes
        edits: list[_Edit] = []
        for piece in self._all(GRAPH_DEF) if gone or new else ():
            for field in _messages(self._data, GRAPH_NODE, piece):
                name = node_name(field.bytes(self._data))
                if name in gone:
                    edits.append((Splice(field.start, field.end, b""), (self._span, piece)))
                elif name in new:
                    node = wire.delimited(GRAPH_NODE, new[name])
                    edits.append((Splice(field.start, field.end, node), (self._span, piece)))
        return edits

    def _to_objects(self, changes: Changes) -> list[_Edit]:
        """Append and remove objects and functions, and change the references of the holder."""
        graph = self._object_graph_piece()
        inside = [
            field
            for field in wire.fields(self._data, graph.value, graph.end)
            if field.wire_type == wire.BYTES
        ]
        objects = [field for field in inside if field.number == _OBJECT]
        edits: list[_Edit] = []
        if changes.references is not None:
            edits += self._to_references(objects[changes.holder], changes.references)
        if changes.objects_kept is not None:
            for field in objects[changes.objects_kept :]:
                edits.append((Splice(field.start, field.end, b""), ()))
        for field in inside if changes.without_concrete_functions else ():
            if field.number == _CONCRETE_FUNCTION and (
                entry_key(field.bytes(self._data)) in changes.without_concrete_functions
            ):
                edits.append((Splice(field.start, field.end, b""), ()))
        more = _fields(_OBJECT, changes.objects)
        more += _fields(_CONCRETE_FUNCTION, changes.concrete_functions)
        if more:
            edits.append((Splice(graph.end, graph.end, more), ()))
        return edits

    def _to_references(self, holder: Field, references: Sequence[Reference]) -> Iterator[_Edit]:
        present = self._children(holder)
        kept = {each.origin: each for each in references if each.origin is not None}
        for place, (field, name, number) in enumerate(present):
            wanted = kept.get(place)
            if wanted is None:
                yield Splice(field.start, field.end, b""), (holder,)
            elif (name, number) != (wanted.name, wanted.number):
                new = revised_reference(field.bytes(self._data), wanted)
                yield Splice(field.start, field.end, wire.delimited(_CHILD, new)), (holder,)
        new = b""
        for each in references:
            if each.origin is None:
                message = schema.ObjectReference(node_id=each.number, local_name=each.name)
                new += wire.delimited(_CHILD, message.SerializeToString(deterministic=True))
        if new:
            at = present[-1][0].end if present else holder.end
            yield Splice(at, at, new), (holder,)

    def _children(self, holder: Field) -> list[tuple[Field, str, int]]:
        """Return the references of an object: the field, the name, and the object's number."""
        if holder.start not in self._known_children:
            found: list[tuple[Field, str, int]] = []
            for field in _messages(self._data, _CHILD, holder):
                message = schema.ObjectReference.FromString(field.bytes(self._data))
                found.append((field, str(message.local_name), int(message.node_id)))
            self._known_children[holder.start] = found
        return self._known_children[holder.start]

    def _object_graph_piece(self) -> Field:
        """Return the only piece of the object graph; the numbers of objects count from its start.

        Raises:
            RefusedError: There are several pieces.
        """
        piece, *more = self._all(OBJECT_GRAPH_DEF)
        if more:
            found = "the object graph lies in several pieces, and is not edited"
            raise RefusedError(found, hint="--signature-def-only edits the signatures alone")
        return piece

    def _last(self, number: int) -> Field:
        """Return the last piece of a part; bytes appended to it are at the end of the part."""
        return self._all(number)[-1]

    def _all(self, number: int) -> list[Field]:
        """Return all pieces of a part that the MetaGraph must have."""
        pieces = [field for field in self._fields if field.number == number]
        if not pieces:
            what = "graph" if number == GRAPH_DEF else "object graph"
            raise ModelUnreadableError(f"byte {self._span.start}: this MetaGraph has no {what}")
        return pieces

    def _after_signatures(self) -> int:
        """Return the offset for a new entry: a writer in field order would put it there."""
        before = [field.end for field in self._fields if field.number <= SIGNATURE_DEF]
        if self._all_entries:
            before = [self._all_entries[-1].end]
        return before[-1] if before else self._span.value

    def _entry(self, field: Field) -> Entry:
        # Protobuf parses the entry once, so that a key or a value that occurs twice is merged as
        # in every reader. The value keeps the bytes of the file.
        try:
            message = schema.SignatureDefEntry.FromString(field.bytes(self._data))
        except DecodeError as error:
            found = f"byte {field.start}: a signature cannot be decoded: {error}"
            raise ModelUnreadableError(found) from error
        values = [part.bytes(self._data) for part in _messages(self._data, _VALUE, field)]
        return Entry(message.key, b"".join(values), field.start, field.end)


def _messages(data: wire.Buffer, number: int, inside: Field | None = None) -> Iterator[Field]:
    """Yield the messages and strings that have a number, in all of ``data`` or inside a field."""
    start, end = (0, None) if inside is None else (inside.value, inside.end)
    found = wire.fields(data, start, end)
    return (each for each in found if each.number == number and each.wire_type == wire.BYTES)


def _fields(number: int, values: Iterable[bytes]) -> bytes:
    return b"".join(wire.delimited(number, value) for value in values)


def read(data: wire.Buffer) -> tuple[BinaryMetaGraph, ...]:
    """Return the MetaGraphs of a ``saved_model.pb``.

    Raises:
        ModelUnreadableError: The bytes are not a SavedModel.
    """
    return tuple(BinaryMetaGraph(data, field) for field in _messages(data, META_GRAPHS))


def revised_entry(entry: bytes, slot: Slot) -> bytes:
    """Return an entry of the ``signature_def`` map as a slot has it; unchanged fields keep bytes.

    The entry has no tag and no length.
    """
    message = schema.SignatureDefEntry.FromString(entry)
    message.key = slot.key
    entry = patched(entry, message)
    values = [*_messages(entry, _VALUE)]
    old = b"".join(field.bytes(entry) for field in values)
    new = slot.value
    if not slot.exact:
        renamed = {"inputs": slot.inputs, "outputs": slot.outputs, "defaults": slot.inputs}
        new = patched(old, schema.SignatureDef.FromString(slot.value), renamed)
    if new == old:
        return entry
    splices = [Splice(field.start, field.end, b"") for field in values[:-1]]
    start, end = (values[-1].start, values[-1].end) if values else (len(entry), len(entry))
    return wire.apply(entry, [*splices, Splice(start, end, wire.delimited(_VALUE, new))])


def revised_reference(old: bytes, wanted: Reference) -> bytes:
    """Return an ``ObjectReference`` with another name or number; its other bytes stay."""
    return patched(old, schema.ObjectReference(node_id=wanted.number, local_name=wanted.name))
