"""``saved_model.pbtxt``: the parts of a SavedModel as spans of its text form.

What is edited is the text itself, so that comments, layout and unknown fields stay. What
is read (signatures, graph) is parsed by protobuf's own text parser into smpatch's schema,
fields that it does not know left out, and handed on in binary form, so that no other module
has to know both.

This module does not write binary files, and never prints a parsed message back.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from google.protobuf import text_format

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.savedmodel import text_fields
from smpatch.savedmodel.changes import Changes, Entry, Slot
from smpatch.savedmodel.parts import (
    ASSET_FILE_DEF,
    COLLECTION_DEF,
    OBJECT_GRAPH_DEF,
    SAVER_DEF,
)
from smpatch.savedmodel.text_fields import TextField
from smpatch.savedmodel.text_rewriting import INDENT, block, quoted, removals, revisions
from smpatch.wire import Splice

__all__ = ["TextualMetaGraph", "read"]

_UP_TO_SIGNATURES = frozenset(
    {"meta_info_def", "graph_def", "saver_def", "collection_def", "signature_def"}
)
"""The fields that a printer writes before, or as, the signatures."""

_MESSAGES = {
    SAVER_DEF: ("saver_def", schema.SaverDef),
    ASSET_FILE_DEF: ("asset_file_def", schema.AssetFileDef),
    OBJECT_GRAPH_DEF: ("object_graph_def", schema.SavedObjectGraph),
}
"""The parts that are handed on in binary form when they are asked for: name and class."""


def _entry_message(slot: Slot) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    message = schema.SignatureDefEntry(key=slot.key)
    message.value.MergeFromString(slot.value)
    return message


class TextualMetaGraph:
    """One MetaGraph of a ``saved_model.pbtxt``."""

    can_change_graph = False

    def __init__(self, data: bytes, span: TextField, all_spans: Sequence[TextField]) -> None:
        """Walk the top level of the MetaGraph that lies at ``span``, one of ``all_spans``."""
        self._data = data
        self._span = span
        self._all_spans = all_spans
        self._fields = list(text_fields.fields(data, span.value_start, span.value_end))
        self._entry_fields = {
            field.start: field
            for field in self._fields
            if field.name == "signature_def" and field.is_message
        }

    @cached_property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized, as far as the schema knows it."""
        info, ops = schema.MetaInfoDef(), schema.MetaInfoOps()
        for field in self._fields:
            if field.name == "meta_info_def":
                self._parse(field, info)
                self._parse(field, ops)
        return bytes(info.SerializeToString() + ops.SerializeToString())

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map as it lies in the file, duplicate keys included."""
        return tuple(self._entry(field) for field in self._entry_fields.values())

    @cached_property
    def graph(self) -> tuple[bytes, tuple[tuple[int, int], ...]]:
        """The ``GraphDef`` in binary form, as far as the schema knows it."""
        graph = schema.GraphDef()
        for field in self._fields:
            if field.name == "graph_def":
                self._parse(field, graph)
        data = bytes(graph.SerializeToString())
        return data, ((0, len(data)),)

    @cached_property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return any(field.name == "object_graph_def" for field in self._fields)

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return the fields of a number that the schema knows, serialized, in their order."""
        if number == COLLECTION_DEF:
            return tuple(self._collections())
        name, kind = _MESSAGES[number]
        found = []
        for field in self._fields:
            if field.name == name and field.is_message:
                message = kind()
                self._parse(field, message)
                found.append(bytes(message.SerializeToString()))
        return tuple(found)

    def _collections(self) -> Iterator[bytes]:
        """Yield the collections as far as they list nodes, serialized."""

        def inside(field: TextField, name: str) -> Iterator[TextField]:
            found = text_fields.fields(self._data, field.value_start, field.value_end)
            return (each for each in found if each.name == name)

        def text(field: TextField) -> bytes:
            return text_fields.string_value(self._data, field)

        for field in self._fields:
            if field.name != "collection_def" or not field.is_message:
                continue
            key = b"".join(wire.delimited(1, text(each)) for each in inside(field, "key"))
            lists = [
                b"".join(wire.delimited(1, text(each)) for each in inside(listed, "value"))
                for value in inside(field, "value")
                for listed in inside(value, "node_list")
            ]
            value = b"".join(wire.delimited(1, each) for each in lists)
            yield key + wire.delimited(2, value)

    @cached_property
    def object_graph(self) -> bytes:
        """The ``SavedObjectGraph``, serialized; empty where there is none."""
        return b"".join(self.pieces(OBJECT_GRAPH_DEF))

    @property
    def appended_nodes(self) -> tuple[str, ...]:
        """Nothing: to this form none are appended."""
        return ()

    def splices(self, changes: Changes) -> tuple[Splice, ...]:
        """Return what makes the text what ``changes`` say.

        Raises:
            RefusedError: The graph or its objects are to change.
        """
        if changes.removed:
            return tuple(self._without_it())
        self._check(changes)
        splices = [] if changes.slots is None else list(self._to_signatures(changes.slots))
        if changes.tags is not None:
            splices += self._to_meta_info(changes.tags)
        return tuple(sorted(splices, key=lambda each: (each.start, each.end)))

    def changed_graph(self, changes: Changes) -> bytes:
        """Refuse, as ``splices`` does.

        Raises:
            RefusedError: Nodes or functions are to change.
        """
        self._check(changes)
        return self.graph[0]

    def changed_objects(self, changes: Changes) -> bytes:
        """Refuse, as ``splices`` does.

        Raises:
            RefusedError: The object graph is to change.
        """
        self._check(changes)
        return self.object_graph

    def _without_it(self) -> Iterator[Splice]:
        """Remove the MetaGraph.

        Raises:
            RefusedError: Another one of its list may go too, with the same comma.
        """
        if self._span.in_list and len(self._all_spans) > 2:  # noqa: PLR2004 - of two, one stays
            found = "the MetaGraphs stand in a list, from which none is removed"
            raise RefusedError(found, hint="write each as meta_graphs { } of its own")
        yield from removals(self._data, [self._span], self._all_spans)

    def _check(self, changes: Changes) -> None:
        if changes.nodes:
            found = "a model in text form cannot be given new nodes"
            raise RefusedError(found, hint="only tensors of its main graph can be served")
        if changes.touch_objects:
            found = "the object graph of a model in text form cannot be edited"
            hint = "--signature-def-only edits the signatures alone"
            raise RefusedError(found, hint=hint)

    def _to_signatures(self, slots: Sequence[Slot]) -> Iterator[Splice]:
        """Change, remove and append entries of the ``signature_def`` map."""
        kept = {slot.origin.start: slot for slot in slots if slot.origin is not None}
        present = list(zip(self._entry_fields.values(), self.entries, strict=True))
        gone = [field for field, _ in present if field.start not in kept]
        yield from removals(self._data, gone, [field for field, _ in present])
        for field, entry in present:
            slot = kept.get(field.start)
            if slot is not None and (slot.key, slot.value) != (entry.key, entry.value):
                if slot.exact:
                    yield self._rewritten(field, slot)
                else:
                    yield from revisions(self._data, field, slot)
        new = [slot for slot in slots if slot.origin is None]
        if new:
            yield self._appended(new)

    def _rewritten(self, old: TextField, slot: Slot) -> Splice:
        name = b"" if old.in_list else b"signature_def "
        new = name + block(
            _entry_message(slot), self._data, text_fields.line_indent(self._data, old.start)
        )
        return Splice(old.start, old.end, new)

    def _appended(self, slots: Sequence[Slot]) -> Splice:
        """Return the splice that adds entries where a printer would put them."""
        before = [field for field in self._fields if field.name in _UP_TO_SIGNATURES]
        messages = [_entry_message(slot) for slot in slots]
        if not before:
            return self._first(messages)
        neighbour = list(self._entry_fields.values())[-1] if self._entry_fields else before[-1]
        place = text_fields.insertion_after(self._data, neighbour)
        if (
            place.lead != b" "
        ):  # the neighbour ends its line, so the entries have lines of their own
            indent = text_fields.line_indent(self._data, neighbour.start)
            new = [b"signature_def " + block(each, self._data, indent) for each in messages]
        else:
            new = [
                b"signature_def { "
                + text_format.MessageToString(each, as_one_line=True).encode()
                + b" }"
                for each in messages
            ]
        return Splice(
            place.offset, place.offset, b"".join(place.lead + each for each in new) + place.tail
        )

    def _first(self, messages: Sequence[Any]) -> Splice:
        """Return the splice that opens an otherwise empty MetaGraph."""
        at = self._span.value_start
        outer = text_fields.newline(self._data) + text_fields.line_indent(
            self._data, self._span.start
        )
        inner = outer + INDENT
        indent = inner.lstrip(b"\r\n")
        blocks = (inner + b"signature_def " + block(each, self._data, indent) for each in messages)
        return Splice(at, at, b"".join(blocks) + outer)

    def _to_meta_info(self, tags: Sequence[str]) -> list[Splice]:
        """Put tags in the place of those that are there."""
        infos = [field for field in self._fields if field.name == "meta_info_def"]
        if not infos:
            found = "this MetaGraph in text form has no meta_info_def to hold tags"
            raise RefusedError(found, hint="add `meta_info_def {}` to it")
        old = [
            (info, field)
            for info in infos
            for field in text_fields.fields(self._data, info.value_start, info.value_end)
            if field.name == "tags"
        ]
        fresh = [quoted(tag) for tag in tags]
        splices = [
            Splice(field.value_start, field.value_end, new)
            for (_, field), new in zip(old, fresh, strict=False)
        ]
        fields = [field for _, field in old]
        splices += removals(self._data, fields[len(fresh) :], fields)
        more = [b"tags: " + each for each in fresh[len(old) :]]
        if more:
            splices.append(self._more_tags(infos[-1], [field for _, field in old], more))
        return splices

    def _more_tags(
        self, info: TextField, old: Sequence[TextField], more: Sequence[bytes]
    ) -> Splice:
        inside = list(text_fields.fields(self._data, info.value_start, info.value_end))
        neighbour = old[-1] if old else inside[-1] if inside else None
        if neighbour is None:
            new = b" " + b" ".join(more) + b" "
            return Splice(info.value_start, info.value_start, new)
        place = text_fields.insertion_after(self._data, neighbour)
        new = b"".join(place.lead + each for each in more) + place.tail
        return Splice(place.offset, place.offset, new)

    def _entry(self, field: TextField) -> Entry:
        message = schema.SignatureDefEntry()
        self._parse(field, message)
        value = message.value.SerializeToString(deterministic=True)
        return Entry(message.key, value, field.start, field.end)

    def _parse(self, field: TextField, message: Any) -> None:  # noqa: ANN401 - as above
        try:
            body = self._data[field.value_start : field.value_end].decode()
            text_format.Merge(body, message, allow_unknown_field=True)
        except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
            line = self._data.count(b"\n", 0, field.start) + 1
            found = f"this {field.name} cannot be read: {str(error) or type(error).__name__}"
            raise ModelUnreadableError(found, where=f"line {line}") from error


def read(data: bytes) -> tuple[TextualMetaGraph, ...]:
    """Return the MetaGraphs of a ``saved_model.pbtxt``.

    Raises:
        ModelUnreadableError: The bytes are no SavedModel in text form.
    """
    spans = [
        field
        for field in text_fields.fields(data)
        if field.name == "meta_graphs" and field.is_message
    ]
    return tuple(TextualMetaGraph(data, span, spans) for span in spans)
