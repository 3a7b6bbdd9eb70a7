"""``saved_model.pb``: the parts of a SavedModel as spans of its wire form.

Only the top level of each MetaGraph is walked, and the signatures, which are small. The
graph and the object graph are passed over.

Source: https://protobuf.dev/programming-guides/encoding/ (maps, last one wins),
``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from google.protobuf.message import DecodeError

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError
from smpatch.forms.parts import (
    GRAPH_DEF,
    GRAPH_LIBRARY,
    GRAPH_NODE,
    LIBRARY_FUNCTION,
    META_GRAPHS,
    META_INFO_DEF,
    OBJECT_GRAPH_DEF,
    SIGNATURE_DEF,
    Addition,
    Entry,
)
from smpatch.wire import Field, Splice

__all__ = ["BinaryMetaGraph", "read"]

_KEY, _VALUE = 1, 2
_OBJECT, _CONCRETE_FUNCTION, _CHILD = 1, 2, 1

_Edit = tuple[Splice, tuple[Field, ...]]
"""A splice and the fields that enclose it, outermost first."""


class BinaryMetaGraph:
    """One MetaGraph of a ``saved_model.pb``."""

    def __init__(self, data: wire.Buffer, span: Field) -> None:
        """Walk the top level of the MetaGraph that lies at ``span``."""
        self._data = data
        self._span = span
        self._fields = [
            field
            for field in wire.fields(data, span.value, span.end, depth=1)
            if field.wire_type == wire.BYTES
        ]
        self._all_entries = [field for field in self._fields if field.number == SIGNATURE_DEF]

    @cached_property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized; pieces put together are merged on parsing."""
        pieces = [field for field in self._fields if field.number == META_INFO_DEF]
        return b"".join(field.bytes(self._data) for field in pieces)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map as it lies in the file, duplicate keys included."""
        return tuple(self._entry(field) for field in self._all_entries)

    @cached_property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """The file and where in it the pieces of the ``GraphDef`` lie."""
        pieces = [field for field in self._fields if field.number == GRAPH_DEF]
        return self._data, tuple((field.value, field.end) for field in pieces)

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return any(field.number == OBJECT_GRAPH_DEF for field in self._fields)

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return the fields of a number that are messages, serialized, in their order."""
        return tuple(field.bytes(self._data) for field in self._fields if field.number == number)

    def put(
        self, key: str, signature: bytes, replaced: Entry | None, addition: Addition | None = None
    ) -> tuple[Splice, ...]:
        """Return the splices that add a signature, or put it in the place of another."""
        entry = wire.delimited(
            SIGNATURE_DEF,
            wire.delimited(_KEY, key.encode()) + wire.delimited(_VALUE, signature),
        )
        if replaced is not None:
            splice = Splice(replaced.start, replaced.end, entry)
        else:
            at = self._after_signatures()
            splice = Splice(at, at, entry)
        edits: list[_Edit] = [(splice, (self._span,))]
        if addition is not None:
            edits += self._to_graph(addition) + self._to_objects(addition)
        return wire.enclose(self._data, edits)

    def _to_graph(self, addition: Addition) -> list[_Edit]:
        """Append nodes and functions at the end of the graph and of its library."""
        graph = self._last(GRAPH_DEF)
        functions = _fields(LIBRARY_FUNCTION, addition.functions)
        edits: list[_Edit] = []
        libraries = [
            field
            for field in wire.fields(self._data, graph.value, graph.end)
            if field.number == GRAPH_LIBRARY and field.wire_type == wire.BYTES
        ]
        if libraries and functions:
            edits.append(_append(functions, (self._span, graph, libraries[-1])))
        elif functions:
            edits.append(_append(wire.delimited(GRAPH_LIBRARY, functions), (self._span, graph)))
        if addition.nodes:
            edits.append(_append(_fields(GRAPH_NODE, addition.nodes), (self._span, graph)))
        return edits

    def _to_objects(self, addition: Addition) -> list[_Edit]:
        """Append objects and functions, and put references into objects that are there."""
        if not (addition.objects or addition.concrete_functions or addition.children):
            return []
        graph = self._last(OBJECT_GRAPH_DEF)
        inside = list(wire.fields(self._data, graph.value, graph.end))
        objects = [field for field in inside if field.number == _OBJECT]
        edits: list[_Edit] = []
        for number, reference in addition.children:
            holder = (self._span, graph, objects[number])
            new = wire.delimited(_CHILD, reference)
            old = self._reference(objects[number], _local_name(reference))
            if old is not None:
                edits.append((Splice(old.start, old.end, new), holder))
            else:
                edits.append(_append(new, holder))
        more = _fields(_OBJECT, addition.objects)
        more += _fields(_CONCRETE_FUNCTION, addition.concrete_functions)
        if more:
            edits.append(_append(more, (self._span, graph)))
        return edits

    def _reference(self, holder: Field, name: str) -> Field | None:
        for field in wire.fields(self._data, holder.value, holder.end):
            if field.number == _CHILD and _local_name(field.bytes(self._data)) == name:
                return field
        return None

    def _last(self, number: int) -> Field:
        """Return the last piece of a part; what is appended to it comes last of all pieces."""
        return [field for field in self._fields if field.number == number][-1]

    def _after_signatures(self) -> int:
        """Return where a new entry goes: where a writer in field order would put it."""
        before = [field.end for field in self._fields if field.number <= SIGNATURE_DEF]
        if self._all_entries:
            before = [self._all_entries[-1].end]
        return before[-1] if before else self._span.value

    def _entry(self, field: Field) -> Entry:
        # Parsed once with protobuf, so that a key or a value that occurs twice is merged as
        # every reader merges it; the value is kept in the bytes that stand in the file.
        try:
            message = schema.SignatureDefEntry.FromString(field.bytes(self._data))
        except DecodeError as error:
            found = f"byte {field.start}: a signature cannot be decoded: {error}"
            raise ModelUnreadableError(found) from error
        values = [
            part.bytes(self._data)
            for part in wire.fields(self._data, field.value, field.end)
            if part.number == _VALUE and part.wire_type == wire.BYTES
        ]
        return Entry(message.key, b"".join(values), field.start, field.end)


def _append(new: bytes, enclosing: tuple[Field, ...]) -> _Edit:
    """Return the edit that adds bytes at the end of the innermost of these fields."""
    at = enclosing[-1].end
    return Splice(at, at, new), enclosing


def _fields(number: int, values: Iterable[bytes]) -> bytes:
    return b"".join(wire.delimited(number, value) for value in values)


def _local_name(reference: bytes) -> str:
    return str(schema.ObjectReference.FromString(reference).local_name)


def read(data: wire.Buffer) -> tuple[BinaryMetaGraph, ...]:
    """Return the MetaGraphs of a ``saved_model.pb``.

    Raises:
        ModelUnreadableError: The bytes are no SavedModel.
    """
    return tuple(
        BinaryMetaGraph(data, field)
        for field in wire.fields(data)
        if field.number == META_GRAPHS and field.wire_type == wire.BYTES
    )
