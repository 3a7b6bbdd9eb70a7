"""``saved_model.pbtxt``: the parts of a SavedModel as spans of its text form.

An edit becomes splices of the text. Protobuf's own printer prints a changed signature in its old
place. If only the key of a signature changes, only the key is replaced. All other text stays:
comments, layout and unknown fields. Protobuf's parser reads the signatures and the graph with
smpatch's schema, and callers get them in binary form.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.savedmodel.parts import (
    ASSET_FILE_DEF,
    COLLECTION_DEF,
    OBJECT_GRAPH_DEF,
    SAVER_DEF,
    Changes,
    Entry,
    Slot,
)
from smpatch.savedmodel.text_fields import TextField, fields
from smpatch.wire import Splice

_UP_TO_SIGNATURES = frozenset({"meta_info_def", "graph_def", "saver_def", "collection_def"})
"""The fields that a printer writes before the signatures."""

_MESSAGES = {
    SAVER_DEF: ("saver_def", schema.SaverDef),
    ASSET_FILE_DEF: ("asset_file_def", schema.AssetFileDef),
    OBJECT_GRAPH_DEF: ("object_graph_def", schema.SavedObjectGraph),
}
"""The parts that ``pieces`` turns into binary form: the number to the name and the class."""

_REST_OF_LINE = re.compile(rb"[ \t]*(#[^\n]*?)?(?=\r?\n|\Z)")
_END_OF_LINE = re.compile(rb"[ \t]*(?:\r?\n|\Z)")

_ESCAPE = re.compile(rb"\\[\0-\x7f]")
_ESCAPES = frozenset(b"abfnrtvx01234567\\'\"")
"""The bytes after a backslash that protobuf's parsers in C++ and Python read in the same way."""


class TextualMetaGraph:
    """One MetaGraph of a ``saved_model.pbtxt``."""

    can_change_graph = False

    def __init__(self, data: bytes, span: TextField, all_spans: Sequence[TextField]) -> None:
        """Walk the top level of the MetaGraph at ``span``, which is one of ``all_spans``."""
        self._data = data
        self._span = span
        self._all_spans = all_spans
        self._fields = list(fields(data, span.value_start, span.value_end))
        self._entry_fields = [
            field for field in self._fields if field.name == "signature_def" and field.is_message
        ]

    @cached_property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized, without unknown fields."""
        info, ops = schema.MetaInfoDef(), schema.MetaInfoOps()
        for field in self._fields:
            if field.name == "meta_info_def":
                self._parse(field, info)
                self._parse(field, ops)
        return bytes(info.SerializeToString() + ops.SerializeToString())

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map of the file, duplicate keys included."""
        return tuple(self._entry(field) for field in self._entry_fields)

    @cached_property
    def graph(self) -> tuple[bytes, tuple[tuple[int, int], ...]]:
        """The ``GraphDef`` in binary form, without unknown fields."""
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
        """Return all message fields that have this number, serialized, in their order."""
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
        """Yield the collections, serialized, with their lists of nodes alone."""

        def inside(field: TextField, name: str) -> Iterator[TextField]:
            found = fields(self._data, field.value_start, field.value_end)
            return (each for each in found if each.name == name)

        def text(field: TextField) -> bytes:
            entry = schema.SignatureDefEntry()
            written = self._data[field.value_start : field.value_end].decode("utf-8", "replace")
            try:
                merge_text(f"key: {written}", entry)
            except DecodeError as error:
                raise ModelUnreadableError(f"a collection cannot be read: {error}") from error
            return str(entry.key).encode()

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
        """The ``SavedObjectGraph``, serialized; empty if there is none."""
        return b"".join(self.pieces(OBJECT_GRAPH_DEF))

    @property
    def appended_nodes(self) -> tuple[str, ...]:
        """Always empty: no edit appends nodes in this form."""
        return ()

    def splices(self, changes: Changes) -> tuple[Splice, ...]:
        """Return the splices that make ``changes`` in the text.

        Raises:
            RefusedError: ``changes`` has new nodes or changes the object graph, or a splice would
                lose text.
        """
        if changes.removed:
            return tuple(self._without_it())
        self._check(changes)
        splices = [] if changes.slots is None else list(self._to_signatures(changes.slots))
        if changes.tags is not None:
            splices += self._to_meta_info(changes.tags)
        return tuple(sorted(splices, key=lambda each: (each.start, each.end)))

    def changed_graph(self, changes: Changes) -> bytes:
        """Return the ``GraphDef`` as it is in the file, serialized.

        Raises:
            RefusedError: ``changes`` has new nodes or changes the object graph.
        """
        self._check(changes)
        return self.graph[0]

    def changed_objects(self, changes: Changes) -> bytes:
        """Return the ``SavedObjectGraph`` as it is in the file, serialized.

        Raises:
            RefusedError: ``changes`` has new nodes or changes the object graph.
        """
        self._check(changes)
        return self.object_graph

    def _without_it(self) -> Iterator[Splice]:
        """Yield the splices that remove the MetaGraph.

        Raises:
            RefusedError: It is in a list, and the file has more than two MetaGraphs: if another one
                is removed too, both removals may contain the same comma.
        """
        if self._span.in_list and len(self._all_spans) > 2:  # noqa: PLR2004 - of two, one stays
            found = "smpatch removes a MetaGraph from a list only if the file has two MetaGraphs"
            raise RefusedError(found, hint="write each as meta_graphs { } of its own")
        yield from _removals(self._data, self._all_spans, {self._span.start})

    def _check(self, changes: Changes) -> None:
        if changes.nodes:
            found = "a model in text form cannot be given new nodes"
            raise RefusedError(found, hint="only tensors of its main graph can be served")
        if changes.touch_objects:
            found = "the object graph of a model in text form cannot be edited"
            raise RefusedError(found, hint="--signature-def-only edits the signatures alone")

    def _to_signatures(self, slots: Sequence[Slot]) -> Iterator[Splice]:
        """Change, remove and append entries of the ``signature_def`` map."""
        kept = {slot.origin.start: slot for slot in slots if slot.origin is not None}
        gone = {field.start for field in self._entry_fields if field.start not in kept}
        yield from _removals(self._data, self._entry_fields, gone)
        for field, entry in zip(self._entry_fields, self.entries, strict=True):
            slot = kept.get(field.start)
            if slot is not None and (slot.key, slot.value) != (entry.key, entry.value):
                yield self._changed(field, entry, slot)
        new = [_entry_message(slot) for slot in slots if slot.origin is None]
        if new:
            names = _UP_TO_SIGNATURES
            others = [each for each in self._fields if each.name in names and not each.in_list]
            neighbours = [each for each in self._entry_fields if each.start in kept] or others
            yield self._added(new, b"signature_def ", self._span, neighbours)

    def _changed(self, field: TextField, old: Entry, slot: Slot) -> Splice:
        keys = [each for each in self._inside(field) if each.name == "key"]
        if slot.value == old.value and len(keys) == 1:
            return Splice(keys[0].value_start, keys[0].value_end, _printed(slot.key))
        self._refuse_loss(field, old.key)
        start = field.value_start - 1
        one_line = b"\n" not in self._data[start : field.end]
        new = _printed(_entry_message(slot), b" " if one_line else self._line_break(field))
        return Splice(start, field.end, new)

    def _refuse_loss(self, field: TextField, key: str) -> None:
        """Refuse to print a signature anew if protobuf's parser here cannot read its whole text."""
        body = self._data[field.value_start : field.value_end]
        strange = [each for each in _ESCAPE.findall(body) if each[1] not in _ESCAPES]
        reason = f"not every reader understands the escape {strange[0].decode()}" if strange else ""
        try:
            merge_text(body, schema.SignatureDefEntry())
        except DecodeError as error:
            words = str(error)
            reason = (words.partition(" : ")[2] or words).replace('"smpatch.', '"tensorflow.')
        if reason:
            found = f"signature {key!r} has text that an edit would lose: {reason}"
            hint = "take it out of the text, or add a signature under another key"
            line = self._data.count(b"\n", 0, field.start) + 1
            raise RefusedError(found, where=f"line {line}", hint=hint)

    def _to_meta_info(self, tags: Sequence[str]) -> Iterator[Splice]:
        """Replace the tags of the file."""
        infos = [field for field in self._fields if field.name == "meta_info_def"]
        if not infos:
            found = "this MetaGraph in text form has no meta_info_def to hold tags"
            raise RefusedError(found, hint="add `meta_info_def {}` to it")
        old = [each for info in infos for each in self._inside(info) if each.name == "tags"]
        yield from _removals(self._data, old, {each.start for each in old[len(tags) :]})
        for field, tag in zip(old, tags, strict=False):
            yield Splice(field.value_start, field.value_end, _printed(tag))
        if len(tags) > len(old):
            yield self._added(tags[len(old) :], b"tags: ", infos[-1], old)

    def _added(
        self, new: Sequence[Any], name: bytes, holder: TextField, neighbours: Sequence[TextField]
    ) -> Splice:
        """Return the splice that adds fields after the last neighbour, or first in the holder."""
        at, lead = holder.value_start, b" "
        for neighbour in neighbours[-1:]:
            at = neighbour.after
            rest = _REST_OF_LINE.match(self._data, at)
            if neighbour.in_list:
                at, name, lead = neighbour.end, b"", b", "
            elif rest is not None:
                at, lead = rest.end(), self._line_break(neighbour)
        tail = b"" if lead != b" " or self._data[at : at + 1].isspace() else b" "
        return Splice(at, at, b"".join(lead + name + _printed(each, lead) for each in new) + tail)

    def _inside(self, field: TextField) -> Iterator[TextField]:
        return fields(self._data, field.value_start, field.value_end)

    def _line_break(self, field: TextField) -> bytes:
        """Return a line break and the indent of the line in which a field starts."""
        feed = self._data.find(b"\n")
        line = self._data[self._data.rfind(b"\n", 0, field.start) + 1 : field.start]
        indent = line[: len(line) - len(line.lstrip(b" \t"))]
        return (b"\r\n" if self._data[feed - 1 : feed] == b"\r" else b"\n") + indent

    def _entry(self, field: TextField) -> Entry:
        message = schema.SignatureDefEntry()
        self._parse(field, message)
        value = message.value.SerializeToString(deterministic=True)
        return Entry(message.key, value, field.start, field.end)

    def _parse(self, field: TextField, message: Any) -> None:  # noqa: ANN401 - as above
        try:
            merge_text(self._data[field.value_start : field.value_end], message, unknown=True)
        except DecodeError as error:
            line = self._data.count(b"\n", 0, field.start) + 1
            found = f"this {field.name} cannot be read: {error}"
            raise ModelUnreadableError(found, where=f"line {line}") from error


def read(data: bytes) -> tuple[TextualMetaGraph, ...]:
    """Return the MetaGraphs of a ``saved_model.pbtxt``.

    Raises:
        ModelUnreadableError: The bytes are not a SavedModel in text form.
    """
    spans = [each for each in fields(data) if each.name == "meta_graphs" and each.is_message]
    return tuple(TextualMetaGraph(data, span, spans) for span in spans)


def merge_text(text: bytes | str, message: Any, *, unknown: bool = False) -> None:  # noqa: ANN401 - protobuf's classes are made at run time
    """Read protobuf's text form into a message.

    Args:
        text: The text; bytes are UTF-8.
        message: The message to which the fields are added.
        unknown: Whether fields that the schema does not have are skipped.

    Raises:
        DecodeError: The text is not in this form. Protobuf's parser itself raises a
            ``ParseError``, a ``ValueError`` for a number that is too large for its field, or a
            ``RecursionError``.
    """
    try:
        body = text.decode() if isinstance(text, bytes) else text
        text_format.Merge(body, message, allow_unknown_field=unknown)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise DecodeError(str(error) or type(error).__name__) from error


def _entry_message(slot: Slot) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    message = schema.SignatureDefEntry(key=slot.key)
    message.value.MergeFromString(slot.value)
    return message


def _printed(value: Any, line_break: bytes = b" ") -> bytes:  # noqa: ANN401 - as above
    """Return a value as protobuf prints it, a message in braces.

    Args:
        value: A string or a message.
        line_break: A line feed and the indent of the line; without a line feed, the whole value
            is on one line.
    """
    if isinstance(value, str):
        printed = text_format.MessageToString(schema.SignatureDefEntry(key=value))
        return printed.partition(" ")[2].strip().encode() if value else b'""'
    if b"\n" not in line_break:
        return b"{ " + text_format.MessageToString(value, as_one_line=True).encode() + b" }"
    lines = text_format.MessageToString(value, indent=2).encode().split(b"\n")[:-1]
    return b"{" + b"".join(line_break + line for line in lines) + line_break + b"}"


def _removals(data: bytes, present: Sequence[TextField], gone: Container[int]) -> Iterator[Splice]:
    """Yield the splices that remove fields, each with its separator and the rest of its line.

    If an earlier element of a list stays, an element is removed with the comma before it.

    Args:
        data: The whole text.
        present: All fields of that name in the message, in their order.
        gone: The start offsets of the fields to remove.
    """
    one_stays = False  # before the field, in its list
    for before, field in zip((*present[-1:], *present), present, strict=False):
        joined = before.in_list and before.end < before.after <= field.start
        one_stays = joined and (one_stays or before.start not in gone)
        if field.start not in gone:
            continue
        start, end = field.start, field.end
        owner = before if one_stays else field
        separator = owner.after - 1
        if owner.after > owner.end:
            between = data[end:separator] if owner is field else data[owner.after : start]
            if between.strip():  # a comment
                yield Splice(separator, owner.after, b"")
            else:
                start, end = min(start, separator), max(end, owner.after)
        line = data.rfind(b"\n", 0, start) + 1
        rest = _END_OF_LINE.match(data, end)
        if rest is not None and not data[line:start].strip():
            yield Splice(line, rest.end(), b"")
        else:
            yield Splice(start - (data[start - 1 : start] in {b" ", b"\t"}), end, b"")
