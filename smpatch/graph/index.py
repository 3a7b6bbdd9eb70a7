"""The nodes of a graph by name, each decoded on demand.

The index is one pass over the top level of a ``GraphDef``: it reads the name, the operation and the
inputs of each node and skips the rest, so that gigabytes of constants cost nothing.

This module does not interpret attributes (``resolve`` does), and follows no input (``reach`` does).

Source: ``tensorflow/core/framework/graph.proto``, ``node_def.proto``.
"""

from __future__ import annotations

import contextlib
import mmap
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError

if TYPE_CHECKING:
    from smpatch.graph.numbered import Numbered

_GRAPH_NODE, _GRAPH_LIBRARY, _GRAPH_VERSIONS = 1, 2, 4
_LIBRARY_FUNCTION, _FUNCTION_SIGNATURE = 1, 1
_NODE_NAME, _NODE_OP, _NODE_INPUT, _NODE_ATTR = 1, 2, 3, 5
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_DEPTH = 2
"""The number of messages that enclose a ``GraphDef``."""

_NODE_TAG = _GRAPH_NODE << 3 | wire.BYTES
_MORE = 0x80
"""The bit of a byte after which a varint continues."""

_parse_wiring = schema.NodeWiring.FromString
_parse_batch = schema.GraphWiring.FromString

_BATCH = 1 << 14
"""Bytes of small nodes that are decoded at once: protobuf's parser is fast, but a call is slow."""

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""Operations that only call the function in their attribute ``f``."""

MARKED = CALLS | {
    *("Placeholder", "PlaceholderV2", "Enter", "RefEnter", "Exit", "RefExit"),
    *("Switch", "RefSwitch", "_SwitchN", "Merge", "RefMerge"),
}
"""The operations that a walk treats in a special way: placeholders, control flow and calls."""

Sources = str | tuple[str, ...]
"""A node's inputs; a single input is a string, which saves a million tuples."""

_LARGE, _SAMPLE, _MANY = 1 << 22, 1 << 10, 1 << 16
"""A graph is large if it has at least ``_LARGE`` bytes and more than ``_MANY`` nodes; the first
``_SAMPLE`` fields give an estimate of their number."""

_FEW = 1 << 14
"""The number of searches by name in a large graph after which all names are indexed."""

_SMALL_NODE = 1 << 16
"""Up to this many bytes protobuf's own parser is faster than a walk around the attributes."""


class Wiring(NamedTuple):
    """The operation of a node and the sources of its inputs.

    A named tuple, not a dataclass: a walk makes one for each node of the graph.

    Attributes:
        name: The node's name.
        op: The operation, such as ``MatMul``, or the name of a library function.
        inputs: ``op``, ``op:index`` or ``^op`` (a control input), as the node has them.
    """

    name: str
    op: str
    inputs: tuple[str, ...]


class Node:
    """One ``NodeDef``, whose parts are decoded on demand."""

    __slots__ = ("_data", "_decoded", "_span", "_wiring")

    def __init__(self, data: wire.Buffer, span: tuple[int, int]) -> None:
        """Keep the place of a node, ``span`` (start and end in bytes), and decode nothing yet."""
        self._data = data
        self._span = span
        self._decoded: Any = None
        self._wiring: Wiring | None = None

    @property
    def wiring(self) -> Wiring:
        """The name, the operation and the inputs."""
        if self._wiring is None:
            self._wiring = _wiring(self._data, *self._span)
        return self._wiring

    def message(self) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        """Return the whole node, unknown fields included."""
        return _decode(schema.NodeDef, self._data[self._span[0] : self._span[1]], self._span[0])

    def attr(self, key: str) -> Any | None:  # noqa: ANN401 - an AttrValue; protobuf makes the class at run time
        """Return an attribute as an ``AttrValue`` message, or None if it is not there."""
        if self._span[1] - self._span[0] <= _SMALL_NODE:
            with contextlib.suppress(ModelUnreadableError):  # one attribute may be sound
                if self._decoded is None:
                    self._decoded = self.message()
                return self._decoded.attr.get(key)
        span = self.attr_span(key)
        if span is None:
            return None
        return _decode(schema.AttrValue, self._data[span[0] : span[1]], self._span[0])

    def attr_span(self, key: str) -> tuple[int, int] | None:
        """Return the place of the ``AttrValue`` of an attribute, and do not decode it.

        Returns:
            Start and end in bytes, or None if the attribute is not there. If several entries have
            the key, this is the last one, which protobuf's parser keeps.
        """
        wanted = key.encode()
        found = None
        for entry in wire.fields(self._data, *self._span):
            if entry.number != _NODE_ATTR or entry.wire_type != wire.BYTES:
                continue
            name, value = b"", (entry.end, entry.end)
            for part in wire.fields(self._data, entry.value, entry.end):
                if part.wire_type != wire.BYTES:
                    continue
                if part.number == _ENTRY_KEY:
                    name = part.bytes(self._data)
                elif part.number == _ENTRY_VALUE:
                    value = (part.value, part.end)
            if name == wanted:
                found = value
        return found


class GraphIndex:
    """The nodes of a graph by name.

    A ``GraphDef`` may have several pieces, because protobuf's parser merges a message field that
    occurs twice.
    """

    def __init__(self, data: wire.Buffer, graph_defs: Sequence[tuple[int, int]]) -> None:
        """Keep the places of the pieces of a graph, ``graph_defs`` (start and end in bytes)."""
        self._data = data
        self._graph_defs = tuple(graph_defs)
        self._asked = 0

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._nodes.numbers)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a node of that name."""
        if self.numbered is None:
            return name in self._nodes.numbers
        return isinstance(name, str) and self.number(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in the order of the graph."""
        return iter(self._nodes.numbers)

    def node(self, name: str) -> Node:
        """Return a node by name.

        Raises:
            KeyError: There is no such node.
        """
        return Node(self._data, self._span(self._offset(name)))

    def raw(self, name: str) -> bytes:
        """Return a node as its serialized ``NodeDef``.

        Raises:
            KeyError: There is no such node.
        """
        start, end = self._span(self._offset(name))
        return bytes(self._data[start:end])

    def wiring(self, name: str) -> Wiring:
        """Return the operation of a node and the sources of its inputs.

        Raises:
            KeyError: There is no such node.
        """
        return _wiring(self._data, *self._span(self._offset(name)))

    @cached_property
    def numbered(self) -> Numbered | None:
        """The nodes as numbers, if the graph is large and no two nodes have one name; else None.

        It is None, too, after the names of all nodes are indexed.
        """
        data, size = self._data, sum(end - start for start, end in self._graph_defs)
        # A file in a store is read only as far as necessary.
        if size < _LARGE or not isinstance(data, bytes | mmap.mmap) or not self._has_many():
            return None
        from smpatch.graph.numbered import numbered  # noqa: PLC0415 - NumPy, for large graphs alone

        return numbered(data, self._graph_defs, MARKED, partial(_message, data))

    def number(self, name: str) -> int | None:
        """Return the number of a node of a large graph; None if there is none.

        After ``_FEW`` calls it drops ``numbered``, because an index of all names is then faster.
        """
        nodes = self.numbered
        if nodes is None:
            return None
        self._asked += 1
        if self._asked > _FEW:
            self.numbered = None
        number = nodes.number(name)
        found = number is not None and self.wiring_at(nodes.start(number)).name == name
        return number if found else None

    def wiring_at(self, offset: int) -> Wiring:
        """Return the wiring of the node whose field starts at an offset."""
        return _wiring(self._data, *self._span(offset))

    @cached_property
    def producer(self) -> int:
        """The ``GraphDef`` version of the TensorFlow that wrote the graph."""
        versions = schema.VersionDef()
        for field in self._fields(_GRAPH_VERSIONS):
            versions.MergeFrom(_decode(schema.VersionDef, field.bytes(self._data), field.start))
        return int(versions.producer)

    @cached_property
    def function_signatures(self) -> dict[str, Any]:
        """The library's functions by name, each as the ``OpDef`` of its signature."""
        return {op_def.name: op_def for op_def, _ in self._functions}

    @cached_property
    def function_bodies(self) -> dict[str, bytes]:
        """The library's functions by name, each as its serialized ``FunctionDef``."""
        return {op_def.name: self._data[start:end] for op_def, (start, end) in self._functions}

    @cached_property
    def _functions(self) -> list[tuple[Any, tuple[int, int]]]:
        found = []
        for library in self._fields(_GRAPH_LIBRARY):
            for function in wire.fields(self._data, library.value, library.end):
                if function.number != _LIBRARY_FUNCTION or function.wire_type != wire.BYTES:
                    continue
                op_def = schema.OpDef()
                for part in wire.fields(self._data, function.value, function.end):
                    if part.number == _FUNCTION_SIGNATURE and part.wire_type == wire.BYTES:
                        op_def.MergeFrom(_decode(schema.OpDef, part.bytes(self._data), part.start))
                found.append((op_def, (function.value, function.end)))
        return found

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the inputs of a node, as the node has them."""
        found = self._nodes.sources[self._nodes.numbers[name]]
        return (found,) if isinstance(found, str) else found

    @property
    def tables(self) -> tuple[Mapping[str, int], Sequence[Sources]]:
        """Every node's number, and the inputs of the node of each number."""
        return self._nodes.numbers, self._nodes.sources

    @property
    def marked(self) -> Mapping[str, str]:
        """The nodes whose operation is one of ``MARKED``, with the operation."""
        return self._nodes.marked

    @cached_property
    def _nodes(self) -> _Nodes:
        nodes, self.numbered = _Nodes(), None  # this index has all names
        try:
            for start, end in self._graph_defs:
                nodes.read(self._data, start, end)
        except (DecodeError, IndexError) as error:
            raise ModelUnreadableError(f"the graph has a damaged node: {error}") from error
        return nodes

    def _has_many(self) -> bool:
        """Return whether there are many nodes, estimated from the largest piece's first fields."""
        start, end = max(self._graph_defs, key=lambda span: span[1] - span[0])
        with contextlib.suppress(ModelUnreadableError):  # the index of all names reports it
            *_, last = islice(wire.fields(self._data, start, end, depth=_DEPTH), _SAMPLE)
            return _SAMPLE * (end - start) > _MANY * (last.end - start)
        return False

    def _offset(self, name: str) -> int:
        """Return the offset at which the field of a node starts.

        Raises:
            KeyError: There is no such node.
        """
        nodes = self.numbered
        if nodes is None:
            return self._nodes.offset(name)
        number = self.number(name)
        if number is None:
            raise KeyError(name)
        return nodes.start(number)

    def _span(self, offset: int) -> tuple[int, int]:
        """Return start and end of the body of the node whose field starts at ``offset``.

        It checks nothing, because ``_Nodes.read`` or ``numbered`` has walked over these bytes.
        """
        data = self._data
        while data[offset] >= _MORE:  # a tag in more bytes than it needs is legal
            offset += 1
        length = shift = 0
        while (byte := data[(offset := offset + 1)]) >= _MORE:
            length |= (byte & 0x7F) << shift
            shift += 7
        length |= byte << shift
        return offset + 1, offset + 1 + length

    def _fields(self, number: int) -> Iterator[wire.Field]:
        for start, end in self._graph_defs:
            for field in wire.fields(self._data, start, end, depth=_DEPTH):
                if field.number == number and field.wire_type == wire.BYTES:
                    yield field


class _Nodes:
    """Offset, inputs and number of each node; if two nodes have one name, the last counts."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.sources: list[Sources] = []
        self.marked: dict[str, str] = {}
        self._offsets = array("Q")

    def read(self, data: wire.Buffer, start: int, end: int) -> None:
        """Add the nodes of one ``GraphDef``.

        A graph may have a million nodes. So this loop reads only the lengths of common nodes (less
        than 16 KiB), and protobuf's parser gets batches of them as one message. ``wire.fields``
        reads everything else.
        """
        at = batch = start
        put = self._offsets.append
        while at < end:
            if data[at] == _NODE_TAG:
                length = data[at + 1]
                after = 0
                if length < _MORE:
                    after = at + 2 + length
                elif (high := data[at + 2]) < _MORE:
                    after = at + 3 + (length & 0x7F | high << 7)
                if 0 < after <= end:
                    put(at)
                    at = after
                    if at - batch >= _BATCH:
                        self._add(_parse_batch(data[batch:at]).node)
                        batch = at
                    continue
            self._add(_parse_batch(data[batch:at]).node)
            field = next(wire.fields(data, at, end, depth=_DEPTH))
            if field.number == _GRAPH_NODE and field.wire_type == wire.BYTES:
                put(at)
                self._add([_message(data, field.value, field.end)])
            batch = at = field.end
        self._add(_parse_batch(data[batch:at]).node)

    def offset(self, name: str) -> int:
        """Return the offset at which the field of a node starts.

        Raises:
            KeyError: There is no such node.
        """
        return self._offsets[self.numbers[name]]

    def _add(self, nodes: Iterable[Any]) -> None:
        numbers, marked = self.numbers, self.marked
        push = self.sources.append
        number = len(self.sources)
        for node in nodes:
            name, op, inputs = node.name, node.op, node.input
            numbers[name] = number
            number += 1
            push(inputs[0] if len(inputs) == 1 else tuple(inputs))
            if op in MARKED:
                marked[name] = op
            elif marked:
                marked.pop(name, None)


def _wiring(data: wire.Buffer, start: int, end: int) -> Wiring:
    message = _message(data, start, end)
    return Wiring(message.name, message.op, tuple(message.input))


def _message(data: wire.Buffer, start: int, end: int) -> Any:  # noqa: ANN401 - as below
    if end - start <= _SMALL_NODE:
        body = data[start:end]
    else:  # so that a constant's weights are not copied
        body = b"".join(
            data[field.start : field.end]
            for field in wire.fields(data, start, end)
            if field.number in {_NODE_NAME, _NODE_OP, _NODE_INPUT}
        )
    try:
        return _parse_wiring(body)
    except DecodeError as error:
        raise _undecodable("node", start, error) from error


def _decode(kind: Any, data: bytes, offset: int) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise _undecodable(kind.DESCRIPTOR.name, offset, error) from error


def _undecodable(what: str, offset: int, error: Exception) -> ModelUnreadableError:
    return ModelUnreadableError(f"byte {offset}: this {what} cannot be decoded: {error}")


def op_of(source: str) -> str:
    """Return the name of the node of an input, which is ``op``, ``op:index`` or ``^op``."""
    name = source.removeprefix("^")
    return name.rpartition(":")[0] if ":" in name else name


def full(source: str) -> str:
    """Return an input of a node with the number of the output: ``op`` becomes ``op:0``."""
    return source if ":" in source or source.startswith("^") else f"{source}:0"


def called(node: Any) -> list[str]:  # noqa: ANN401 - a NodeDef
    """Return the functions that a node names in its attributes, and its own operation."""
    names, waiting = [node.op], [*node.attr.values()]
    while waiting:
        value = waiting.pop()
        kind = value.WhichOneof("value")
        for func in [value.func] if kind == "func" else value.list.func if kind == "list" else ():
            names.append(func.name)
            waiting += func.attr.values()  # a function may take functions
    return names
