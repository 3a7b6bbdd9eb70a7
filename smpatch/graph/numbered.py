"""A large graph as arrays of integers: the offset of each node, and the nodes of its inputs.

``index`` reads each node in Python, which takes microseconds; a million of them take seconds.
This module reads a window of the file at a time, and NumPy reads all its nodes at once: their
boundaries, their fields, and a hash of each name. A table of hashes then turns inputs into numbers.

Protobuf decodes the nodes that are not as TensorFlow writes them, one at a time: for example a node
with a tag of more than one byte or a name that is not ASCII, or a node of more than 16 KiB. If two
nodes have one name, or some bytes are not a node, ``numbered`` returns None, and ``index`` reads
the graph.

Distinct names have distinct hashes here, or ``numbered`` returns None. So an input that names a
node never leads to another node. An input that names no node leads to a wrong node if their hashes
(64 bits, with a secret key) are equal; then a damaged graph counts as sound.

This module makes no object for a node.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError

_Ints = NDArray[np.int64]
_Hashes = NDArray[np.uint64]
_Bytes = NDArray[np.uint8]
_Mask = NDArray[np.bool_]

_NODE = _NAME = 1 << 3 | wire.BYTES
_OP, _INPUT = 2 << 3 | wire.BYTES, 3 << 3 | wire.BYTES
_DEPTH = 2
"""The number of messages that enclose a ``GraphDef``."""
_MORE = 0x80
_WINDOW = 1 << 20
"""Bytes that are read together: arrays of that size stay in the processor's cache."""
_PAD = bytes(16)
"""Bytes after a window: a word or a length may be read past its end, but is not used then."""
_BLOCK = 1 << 16
"""The number of names that one step searches for."""
_TOO_LONG = 1 << 20
_FEWEST = 256
"""With fewer nodes between two fields that are not small nodes, ``index`` is as fast."""
_LONGEST_PORT = 6

DONE, SEVERAL, SPECIAL = -1, -2, -3
"""In place of the next node: there is none, there are several, or the node must be decoded."""

_KEY, _FACTOR = (int.from_bytes(os.urandom(8), "little") | 1 for _ in range(2))
_WORD = (1 << 64) - 1
_ONES = 0x0101010101010101
_TOPS = np.uint64(0x80 * _ONES)
_PARTS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Masks for the first bytes of a word, by the number of bytes."""


class Numbered:
    """The nodes of a graph by number, in the order of the graph."""

    def __init__(
        self, starts: _Ints, names: _Hashes, inputs: _Hashes, counts: _Ints, marked: _Ints
    ) -> None:
        """Turn the hashes of the names in inputs into numbers of nodes."""
        self._starts = starts
        self._names = names
        self._shift = np.uint64(64 - (2 * len(names)).bit_length())
        self._slots = self._placed()
        self._marked = marked
        self._ends = np.cumsum(counts, dtype=np.int32)
        self._sources = self._found(inputs)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._starts)

    def start(self, number: int) -> int:
        """Return the offset at which the field of a node starts."""
        return int(self._starts[number])

    def number(self, name: str) -> int | None:
        """Return the node whose name has the same hash, or None; the caller compares the names."""
        wanted = _hash(name.encode("utf-8", "surrogatepass"))
        at = wanted >> int(self._shift)
        while (held := int(self._slots[at])) >= 0 and int(self._names[held]) != wanted:
            at = at + 1 & len(self._slots) - 1
        return held if held >= 0 else None

    def sources(self, number: int) -> list[int]:
        """Return the nodes of the inputs of a node, in their order; -1 for a missing node."""
        start = self._ends[number - 1] if number else 0
        return self._sources[start : self._ends[number]].tolist()  # type: ignore[no-any-return]

    def following(self, special: Collection[int]) -> memoryview[int] | None:
        """Return for each node the node of its only input, or ``DONE``, ``SEVERAL``, ``SPECIAL``.

        Args:
            special: Nodes that must be decoded, like the nodes that read them. Nodes of a marked
                operation and nodes with an input that is not in the graph must be decoded, too.

        Returns:
            The numbers; None if too many nodes must be decoded to save time.
        """
        counts = np.diff(self._ends, prepend=np.int32(0))
        following = np.where(counts == 0, np.int32(DONE), np.int32(SEVERAL))
        alone = np.flatnonzero(counts == 1)
        following[alone] = self._sources[self._ends[alone] - 1]
        edges = np.flatnonzero(np.isin(self._sources, [-1, *special]))
        fed = np.searchsorted(self._ends, edges, side="right")
        looked_at = np.concatenate([fed, self._marked, np.fromiter(special, np.int64)])
        if 8 * len(looked_at) > len(self) + _FEWEST:
            return None
        following[looked_at] = SPECIAL
        return following.data

    def _placed(self) -> NDArray[np.int32]:
        """Return the table of numbers: each is in the slot of its hash, or after it without a gap.

        Raises:
            _NotNumberedError: Two nodes have one name.
        """
        slots = np.full(1 << 64 - int(self._shift), -1, np.int32)
        for start in range(0, len(self), _BLOCK):
            waiting = np.arange(start, min(start + _BLOCK, len(self)))
            at = (self._names[waiting] >> self._shift).astype(np.int64)
            while waiting.size:
                free = np.flatnonzero(slots.take(at) < 0)
                slots[at[free]] = waiting[free]
                held = slots.take(at)
                others = np.flatnonzero(held != waiting)
                held, waiting, at = held[others], waiting[others], at[others]
                if (self._names[held] == self._names[waiting]).any():
                    raise _NotNumberedError
                at = at + 1 & len(slots) - 1
        return slots

    def _found(self, wanted: _Hashes) -> NDArray[np.int32]:
        """Return the numbers of nodes by the hashes of their names; -1 if there is none."""
        found = np.full(len(wanted), -1, np.int32)
        for start in range(0, len(wanted), _BLOCK):
            left = np.arange(start, min(start + _BLOCK, len(wanted)))
            at = (wanted[left] >> self._shift).astype(np.int64)
            while left.size:
                held = self._slots.take(at)
                same = (held >= 0) & (self._names.take(held) == wanted.take(left))
                found[left[same]] = held[same]
                on = np.flatnonzero(~same & (held >= 0))
                left, at = left[on], at[on] + 1 & len(self._slots) - 1
        return found


class _NotNumberedError(Exception):
    """The graph must be read by ``index``."""


def numbered(
    data: bytes | mmap.mmap,
    graph_defs: Iterable[tuple[int, int]],
    marked: Collection[str],
    decoded: Callable[[int, int], Any],
) -> Numbered | None:
    """Read a large graph.

    Args:
        data: The file.
        graph_defs: The places of the pieces of the graph in it, start and end in bytes.
        marked: Operations whose nodes must be decoded.
        decoded: Returns the wiring of the node between two offsets.

    Returns:
        Its nodes; None if that saves no time, or if something is wrong.
    """
    reader = _Reader(data, marked, decoded)
    try:
        for start, end in graph_defs:
            reader.read(start, end)
        return Numbered(*reader.arrays()) if len(reader) else None
    except (_NotNumberedError, DecodeError, IndexError, ModelUnreadableError):
        return None


class _Reader:
    """The reader of a graph, with the nodes that it has read."""

    def __init__(
        self, data: bytes | mmap.mmap, marked: Collection[str], decoded: Callable[[int, int], Any]
    ) -> None:
        self._data = data
        self._decoded = decoded
        self._marked_ops = np.array([_hash(op.encode()) for op in marked], np.uint64)
        self._count = self._breaks = 0
        self._scratch = np.empty((2, _WINDOW), np.bool_)  # new memory for each window costs more
        self._starts: list[_Ints] = []
        self._names: list[_Hashes] = []
        self._inputs: list[_Hashes] = []
        self._counts: list[_Ints] = []
        self._marked: list[_Ints] = []

    def __len__(self) -> int:
        """Return the number of nodes that were read."""
        return self._count

    def read(self, start: int, end: int) -> None:
        """Read one ``GraphDef``."""
        at = start
        while at < end:
            after = self._window(at, min(at + _WINDOW, end))
            if after == at:
                after = self._field(at, end)
            if isinstance(self._data, mmap.mmap):  # pages that were read would count as memory
                page = at - at % mmap.PAGESIZE
                self._data.madvise(mmap.MADV_DONTNEED, page, after - page)
            at = after

    def arrays(self) -> tuple[_Ints, _Hashes, _Hashes, _Ints, _Ints]:
        """Return starts and hashes of nodes, hashes and counts of inputs, and marked nodes."""
        names, inputs = _joined(self._names), _joined(self._inputs)
        return _joined(self._starts), names, inputs, _joined(self._counts), _joined(self._marked)

    def _field(self, at: int, end: int) -> int:
        """Read a field that is not a small node, and return its end."""
        self._breaks += 1
        if self._breaks > _FEWEST + self._count // _FEWEST:
            raise _NotNumberedError
        field = next(wire.fields(self._data, at, end, depth=_DEPTH))
        if field.number << 3 | field.wire_type == _NODE:
            node = self._decoded(field.value, field.end)
            names, ops, inputs = _hashes_of(node)
            self._add(np.array([at]), names, ops, inputs, np.array([len(inputs)]))
        return field.end

    def _window(self, at: int, stop: int) -> int:
        """Read the small nodes from ``at`` on, and return the end of the last one."""
        size = stop - at
        if stop + len(_PAD) <= len(self._data):
            text = np.frombuffer(self._data, np.uint8, size + len(_PAD), at)
        else:
            text = np.frombuffer(self._data[at:stop] + _PAD, np.uint8)
        starts, bodies, ends = _boundaries(text, size, self._scratch[:, :size])
        if not starts.size:
            return at
        fields = _Fields(text, bodies, ends)
        names, ops, inputs, owners = fields.hashes()
        for number in np.flatnonzero(fields.odd).tolist():
            body = self._data[at + int(starts[number]) : at + int(ends[number])]
            (node,) = schema.GraphWiring.FromString(body).node
            names[number : number + 1], ops[number : number + 1], given = _hashes_of(node)
            inputs = np.concatenate([inputs, given])
            owners = np.concatenate([owners, np.full(len(given), number)])
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=len(starts))
        self._add(starts + at, names, ops, inputs[order], counts)
        return at + int(ends[-1])

    def _add(
        self, starts: _Ints, names: _Hashes, ops: _Hashes, inputs: _Hashes, counts: _Ints
    ) -> None:
        self._starts.append(starts)
        self._names.append(names)
        self._inputs.append(inputs)
        self._counts.append(counts)
        self._marked.append(np.flatnonzero(np.isin(ops, self._marked_ops)) + self._count)
        self._count += len(starts)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays as one, and clear the list."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _boundaries(text: _Bytes, size: int, scratch: _Mask) -> tuple[_Ints, _Ints, _Ints]:
    """Return the starts of consecutive nodes, the starts of their bodies, and their ends.

    Bytes inside a node may look like the start of a node. So a start counts only if it is the end
    of the node before.
    """
    tagged, named = scratch
    np.equal(text[2 : size + 2], _NAME, tagged)
    tagged |= np.equal(text[3 : size + 3], _NAME, named)
    tagged &= np.equal(text[:size], _NODE, named)
    starts = np.flatnonzero(tagged)
    bodies, lengths = _lengths(text, starts + 1)
    ends = bodies + lengths
    whole = np.flatnonzero((ends <= size) & (text.take(bodies) == _NAME))
    starts, bodies, ends = starts.take(whole), bodies.take(whole), ends.take(whole)
    if not starts.size or starts[0]:
        return starts[:0], bodies[:0], ends[:0]
    if (starts[1:] != ends[:-1]).any():
        place = {start: number for number, start in enumerate(starts.tolist())}
        until = ends.tolist()
        chain: list[int] = []
        number: int | None = 0
        while number is not None:
            chain.append(number)
            number = place.get(until[number])
        starts, bodies, ends = starts[chain], bodies[chain], ends[chain]
    return starts, bodies, ends


def _lengths(text: _Bytes, at: _Ints) -> tuple[_Ints, _Ints]:
    """Read a length at each place; return its end, and the length or at least ``_TOO_LONG``."""
    lengths = text.take(at).astype(np.int64)
    at = at + 1
    long = np.flatnonzero(lengths >= _MORE)
    if long.size:
        high = text.take(at.take(long)).astype(np.int64)
        lengths[long] += np.where(high < _MORE, (high << 7) - _MORE, _TOO_LONG)
        at[long] += 1
    return at, lengths


class _Fields:
    """The name, the operation and the inputs of the nodes of a window, as places in it."""

    def __init__(self, text: _Bytes, bodies: _Ints, ends: _Ints) -> None:
        """Walk over the first field of all nodes, then over the second of all, and so on."""
        self._text = text
        self._words = np.ndarray((len(text) - 8,), "<u8", text, strides=(1,))
        self.odd = np.zeros(len(bodies), np.bool_)
        self._places = {tag: np.zeros((2, len(bodies)), np.int64) for tag in (_NAME, _OP)}
        none = np.zeros(0, np.int64)
        self._inputs = [(none, none, none)]
        numbers, at = np.arange(len(bodies)), bodies
        at = at[on := at < ends]
        numbers, ends = numbers[on], ends[on]
        while numbers.size:
            tags = text.take(at)
            at, lengths = _lengths(text, at + 1)
            after = at + lengths
            sound = (
                (after <= ends) & (tags & 7 == wire.BYTES) & (tags > wire.BYTES) & (tags < _MORE)
            )
            if not sound.all():
                self.odd[numbers[~sound]] = True
                tags[~sound] = 0
            for tag, places in self._places.items():
                found = np.flatnonzero(tags == tag)
                if found.size:
                    owners = numbers.take(found)
                    places[0, owners], places[1, owners] = at.take(found), lengths.take(found)
            found = np.flatnonzero(tags == _INPUT)
            if found.size:
                self._inputs.append((numbers.take(found), at.take(found), lengths.take(found)))
            at = after
            further = np.flatnonzero(sound & (after < ends))
            if further.size < at.size:
                numbers, at, ends = numbers.take(further), at.take(further), ends.take(further)

    def hashes(self) -> tuple[_Hashes, _Hashes, _Hashes, _Ints]:
        """Return the hashes of names, operations and inputs, and the nodes of these inputs.

        The hashes of odd nodes mean nothing, and their inputs are left out.
        """
        every = np.arange(len(self.odd))
        names, ops = (self._hashes(every, *place) for place in self._places.values())
        owners, at, sizes = map(np.concatenate, zip(*self._inputs, strict=True))
        control = (self._text[at] == ord("^")) & (sizes > 0)
        at, sizes = at + control, sizes - control
        colons = np.zeros(len(at), np.bool_)
        inputs = self._hashes(owners, at, sizes, colons)
        some = np.flatnonzero(colons)
        if some.size:
            port, last = np.zeros(len(some), np.int64), at[some] + sizes[some] - 1
            for back in range(_LONGEST_PORT):
                here = (port == 0) & (back < sizes[some]) & (self._text[last - back] == ord(":"))
                port[here] = back + 1
            still = np.zeros(len(some), np.bool_)
            inputs[some] = self._hashes(owners[some], at[some], sizes[some] - port, still)
            self.odd[owners[some[still | control[some]]]] = True
        kept = ~self.odd[owners]
        return names, ops, inputs[kept], owners[kept]

    def _hashes(
        self, owners: _Ints, at: _Ints, sizes: _Ints, colons: _Mask | None = None
    ) -> _Hashes:
        """Return the hashes of texts, as ``_hash`` does; mark a node as odd if a text is not ASCII.

        Args:
            owners: The node of each text.
            at: The start of each text.
            sizes: The length of each text, in bytes.
            colons: An array in which to mark the texts that have a colon.
        """
        hashes = sizes.astype(np.uint64) * np.uint64(_KEY)
        texts = np.arange(len(at))
        while texts.size:
            words = self._words[at] & _PARTS.take(np.minimum(sizes, 8))
            self.odd[owners[texts[np.flatnonzero(words & _TOPS)]]] = True
            if colons is not None:
                other = words ^ np.uint64(ord(":") * _ONES)
                colons[texts[np.flatnonzero(other - np.uint64(_ONES) & ~other & _TOPS)]] = True
            mixed = (hashes.take(texts) ^ words) * np.uint64(_FACTOR)
            hashes[texts] = mixed ^ mixed >> np.uint64(32)
            on = np.flatnonzero(sizes > 8)  # noqa: PLR2004 - bytes in a word
            texts, at, sizes = texts.take(on), at.take(on) + 8, sizes.take(on) - 8
        return hashes


def _hash(text: bytes) -> int:
    """Return the hash of a text, as ``_Fields`` computes the hashes of many texts."""
    value = len(text) * _KEY & _WORD
    for at in range(0, max(len(text), 1), 8):
        value = (value ^ int.from_bytes(text[at : at + 8], "little")) * _FACTOR & _WORD
        value ^= value >> 32
    return value


def _hashes_of(node: Any) -> tuple[_Hashes, _Hashes, _Hashes]:  # noqa: ANN401 - a NodeWiring
    """Return the hashes of a node's name, of its operation, and of the nodes of its inputs."""
    return (_array([node.name]), _array([node.op]), _array([_origin(each) for each in node.input]))


def _array(texts: Sequence[str]) -> _Hashes:
    return np.array([_hash(text.encode()) for text in texts], np.uint64)


def _origin(source: str) -> str:
    """Return the node that an input names; a control input is a name after its ``^``."""
    if source.startswith("^"):
        return source[1:]
    return source.rpartition(":")[0] if ":" in source else source
