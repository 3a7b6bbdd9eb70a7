"""``saved_model.pbtxt``: the parts of a SavedModel as spans of its text form.

What is edited is the text itself, so that comments, layout and unknown fields stay. What
is read (signatures, graph) is parsed by protobuf's own text parser into smpatch's schema,
fields that it does not know left out, and handed on in binary form, so that no other room
has to know both.

This room does not write binary files, and never prints a parsed message back.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from google.protobuf import text_format

from smpatch import schema, text
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.forms.parts import (
    ASSET_FILE_DEF,
    OBJECT_GRAPH_DEF,
    SAVER_DEF,
    Addition,
    Entry,
)
from smpatch.text import TextField
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

_INDENT = b"  "
"""One level of protobuf's own printers."""


class TextualMetaGraph:
    """One MetaGraph of a ``saved_model.pbtxt``."""

    def __init__(self, data: bytes, span: TextField) -> None:
        """Walk the top level of the MetaGraph that lies at ``span``."""
        self._data = data
        self._span = span
        self._fields = list(text.fields(data, span.value_start, span.value_end))
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

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return any(field.name == "object_graph_def" for field in self._fields)

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return the fields of a number that the schema knows, serialized, in their order."""
        name, kind = _MESSAGES[number]
        found = []
        for field in self._fields:
            if field.name == name and field.is_message:
                message = kind()
                self._parse(field, message)
                found.append(bytes(message.SerializeToString()))
        return tuple(found)

    def put(
        self, key: str, signature: bytes, replaced: Entry | None, addition: Addition | None = None
    ) -> tuple[Splice, ...]:
        """Return the splice that adds a signature, or puts it in the place of another.

        Raises:
            RefusedError: Something is to be added beside it, to the graph or its objects.
        """
        if addition is not None and addition.nodes:
            found = "a model in text form cannot be given new nodes"
            raise RefusedError(found, hint="only tensors of its main graph can be served")
        if addition is not None:
            found = "the object graph of a model in text form cannot be edited"
            hint = "--signature-def-only edits the signatures alone"
            raise RefusedError(found, hint=hint)
        message = schema.SignatureDefEntry(key=key)
        message.value.MergeFromString(signature)
        if replaced is not None:
            old = self._entry_fields[replaced.start]
            name = b"" if old.in_list else b"signature_def "
            new = name + self._block(message, text.line_indent(self._data, old.start))
            return (Splice(old.start, old.end, new),)
        before = [field for field in self._fields if field.name in _UP_TO_SIGNATURES]
        if not before:
            return (self._first(message),)
        neighbour = list(self._entry_fields.values())[-1] if self._entry_fields else before[-1]
        place = text.insertion_after(self._data, neighbour)
        if place.lead != b" ":  # the neighbour ends its line, so the entry has lines of its own
            new = b"signature_def " + self._block(
                message, text.line_indent(self._data, neighbour.start)
            )
        else:
            printed = text_format.MessageToString(message, as_one_line=True)
            new = b"signature_def { " + printed.encode() + b" }"
        return (Splice(place.offset, place.offset, place.lead + new + place.tail),)

    def _first(self, message: Any) -> Splice:  # noqa: ANN401 - protobuf's classes are made at run time
        """Return the splice that opens an otherwise empty MetaGraph."""
        at = self._span.value_start
        outer = text.newline(self._data) + text.line_indent(self._data, self._span.start)
        inner = outer + _INDENT
        block = self._block(message, inner.lstrip(b"\r\n"))
        return Splice(at, at, inner + b"signature_def " + block + outer)

    def _block(self, message: Any, indent: bytes) -> bytes:  # noqa: ANN401 - as above
        newline = text.newline(self._data)
        lines = text_format.MessageToString(message).encode().splitlines()
        body = b"".join(newline + indent + _INDENT + line for line in lines)
        return b"{" + body + newline + indent + b"}"

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
    return tuple(
        TextualMetaGraph(data, field)
        for field in text.fields(data)
        if field.name == "meta_graphs" and field.is_message
    )
