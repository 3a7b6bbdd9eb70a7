"""Protobuf's wire form as spans: walk fields, replace bytes, correct the lengths around them.

A field is a span of a buffer, and an edit is a list of splices. The bytes outside the splices are
copied from the old file to the new one, by the kernel if it can. So nothing else changes, and the
cost does not depend on the weights.

This module uses no message type and opens no file.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from smpatch.errors import ModelUnreadableError
from smpatch.remote import RemoteBytes

Buffer = bytes | mmap.mmap | RemoteBytes

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

_MORE = 0x80
"""The bit that is set in each byte of a varint but the last."""

_MAX_VARINT = 10
"""Bytes in the longest varint (64 bits, 7 a byte)."""

_MAX_WIDTH = 5
"""Bytes in the longest tag or length (32 bits); protobuf's parsers refuse more, even zeros."""

_MAX_NESTING = 100
"""Protobuf's own default limit for the nesting of groups and messages together."""

_MAX_NUMBER = (1 << 29) - 1

_CHUNK = 1 << 20
"""Bytes that are compared at a time."""


class Field(NamedTuple):
    """One field of a message in a buffer.

    It is a named tuple, which is cheap to make: a walk makes one for each field.

    Attributes:
        number: The field number.
        wire_type: The encoding of the value (0, 1, 2, 3 or 5).
        start: Offset of the tag, in bytes from the start of the buffer.
        value: Offset of the value, after the length if there is one.
        end: Offset one past the field.
    """

    number: int
    wire_type: int
    start: int
    value: int
    end: int

    def bytes(self, data: Buffer) -> bytes:
        """Return the bytes of the value, without the length of a length-delimited field."""
        return data[self.value : self.end]


class Splice(NamedTuple):
    """A change: ``replacement`` replaces the bytes ``start`` to ``end`` of the old file."""

    start: int
    end: int
    replacement: bytes

    @property
    def growth(self) -> int:
        """The number of bytes by which the file grows; negative if it shrinks."""
        return len(self.replacement) - (self.end - self.start)


class Kept(NamedTuple):
    """The bytes ``start`` to ``end`` of the old file, which stay unchanged."""

    start: int
    end: int


def fields(
    data: Buffer, start: int = 0, end: int | None = None, *, depth: int = 0
) -> Iterator[Field]:
    """Walk the fields of one message without looking inside them.

    Args:
        data: The buffer that holds the message.
        start: Offset of the message's first byte.
        end: Offset one past its last byte; the buffer's end by default.
        depth: How many messages enclose this one; protobuf counts nesting from the outermost.

    Yields:
        Each field in the order of the buffer; a group is one field.

    Raises:
        ModelUnreadableError: The bytes are not a protobuf message; the error names the offset.
    """
    stop = len(data) if end is None else end
    at = start
    while at < stop:
        number, wire_type, value = _read_tag(data, at, stop)
        if wire_type == BYTES:
            if value < stop and (length := data[value]) < _MORE:
                value += 1  # true for most lengths; a call for each would double the time
            else:
                length, value = read_varint(data, value, stop, _MAX_WIDTH)
            after = value + length
        elif wire_type == VARINT:
            _, after = read_varint(data, value, stop)
        elif wire_type == FIXED64:
            after = value + 8
        elif wire_type == FIXED32:
            after = value + 4
        elif wire_type == GROUP:
            after = _end_of_group(data, value, stop, [0] * depth + [number])
        else:
            raise _malformed(at, f"wire type {wire_type} opens no field")
        if after > stop:
            raise _malformed(at, f"field {number} ends {after - stop} bytes past its message")
        yield Field(number, wire_type, at, value, after)
        at = after


def varint(value: int) -> bytes:
    """Encode a number of 0 to 2**64 - 1 in the fewest bytes."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & ~_MORE & 0xFF | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, value: bytes) -> bytes:
    """Encode a length-delimited field: tag, length, value."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def enclose(data: Buffer, edits: Iterable[tuple[Splice, Sequence[Field]]]) -> tuple[Splice, ...]:
    """Add to splices inside nested messages the splices that correct the lengths around them.

    Args:
        data: The old file.
        edits: Each splice with the length-delimited fields that enclose it, outermost
            first. Splices do not overlap. If several insert bytes at one offset, an insertion into
            a message that ends there comes before an insertion after it, in any order of ``edits``.

    Returns:
        All splices in the order of the file, ready for ``pieces``. A length that stays the
        same keeps its bytes, even if they are not the shortest encoding.
    """
    splices: list[tuple[int, int, int, Splice]] = []
    growth: dict[Field, int] = {}
    outside: dict[Field, tuple[Field, ...]] = {}
    for splice, enclosing in edits:
        splices.append((splice.start, splice.end, -len(enclosing), splice))
        for depth, field in enumerate(enclosing):
            growth[field] = growth.get(field, 0) + splice.growth
            outside[field] = tuple(enclosing[:depth])
    for field in sorted(growth, key=lambda each: len(outside[each]), reverse=True):
        if growth[field] == 0:
            continue
        _, at = read_varint(data, field.start, field.value)
        resized = Splice(at, field.value, varint(field.end - field.value + growth[field]))
        splices.append((at, field.value, 0, resized))
        for outer in outside[field]:
            growth[outer] += resized.growth
    return tuple(splice for *_, splice in sorted(splices, key=lambda each: each[:3]))


def pieces(size: int, splices: Sequence[Splice]) -> Iterator[Kept | bytes]:
    """Yield the new file in order: spans of the old file and new bytes.

    Args:
        size: Length of the old file in bytes.
        splices: Splices in the order of the file, not overlapping.

    Yields:
        ``Kept`` spans and replacements, without empty ones.

    Raises:
        ValueError: The splices overlap, are out of order, or reach past the end.
    """
    at = 0
    for splice in splices:
        if not at <= splice.start <= splice.end <= size:
            message = f"{splice} overlaps what came before or leaves the file of {size} bytes"
            raise ValueError(message)
        if splice.start > at:
            yield Kept(at, splice.start)
        if splice.replacement:
            yield splice.replacement
        at = splice.end
    if at < size:
        yield Kept(at, size)


def apply(data: Buffer, splices: Sequence[Splice]) -> bytes:
    """Return the whole new file; only for data that is small enough to be held in memory."""
    return b"".join(
        piece if isinstance(piece, bytes) else data[piece.start : piece.end]
        for piece in pieces(len(data), splices)
    )


def _read_tag(data: Buffer, at: int, stop: int) -> tuple[int, int, int]:
    """Return the field number, the wire type, and the offset after the tag."""
    if at < stop and (tag := data[at]) < _MORE:
        after = at + 1
    else:
        tag, after = read_varint(data, at, stop, _MAX_WIDTH)
    number = tag >> 3
    if not 0 < number <= _MAX_NUMBER:
        raise _malformed(at, f"field number {number} is not allowed")
    return number, tag & 7, after


def same(data: Buffer, splices: Sequence[Splice]) -> bool:
    """Return whether the new file equals the old one, as with replacements by the same bytes.

    Bytes outside the splices are compared only if they shift.
    """
    at = 0
    for piece in pieces(len(data), splices):
        if isinstance(piece, bytes):
            if data[at : at + len(piece)] != piece:
                return False
            at += len(piece)
            continue
        length = piece.end - piece.start
        for offset in range(0, length if at != piece.start else 0, _CHUNK):
            step = min(_CHUNK, length - offset)
            here, there = at + offset, piece.start + offset
            if data[here : here + step] != data[there : there + step]:
                return False
        at += length
    return at == len(data)


def read_varint(data: Buffer, at: int, stop: int, widest: int = _MAX_VARINT) -> tuple[int, int]:
    """Read a number in variable-length encoding.

    Args:
        data: The buffer.
        at: Offset of the first byte of the number.
        stop: Offset at which reading stops.
        widest: The most bytes that the number may have.

    Returns:
        The number, and the offset after it.

    Raises:
        ModelUnreadableError: The number is cut off, or too long.
    """
    value = shift = 0
    for offset in range(at, min(at + widest, stop)):
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, offset + 1
        shift += 7
    if at + widest > stop:
        raise _malformed(at, "a number is cut off")
    what = "a number" if widest == _MAX_VARINT else "a tag or a length"
    raise _malformed(at, f"{what} has more than {widest} bytes")


def _end_of_group(data: Buffer, at: int, stop: int, opened: list[int]) -> int:
    """Return the offset after the end tag of the last open group, without recursion.

    Args:
        data: The buffer.
        at: Offset of the group's first field.
        stop: Offset one past the message that holds the group.
        opened: The numbers of the open groups, from the outermost, after a zero for each message
            around them.
    """
    around = len(opened) - 1
    while len(opened) > around:
        inner, wire_type, value = _read_tag(data, at, stop)
        if wire_type == END_GROUP:
            if inner != opened.pop():
                raise _malformed(at, f"a group is closed by the wrong number {inner}")
            at = value
        elif wire_type == GROUP:
            opened.append(inner)
            if len(opened) > _MAX_NESTING:
                raise _malformed(at, f"groups are nested deeper than {_MAX_NESTING}")
            at = value
        else:
            at = next(fields(data, at, stop)).end
    return at


def _malformed(at: int, found: str) -> ModelUnreadableError:
    return ModelUnreadableError(f"byte {at}: {found}", hint="the file is truncated or not protobuf")
