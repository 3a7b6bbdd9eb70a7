"""The framing of TFRecord files: lengths, records, and their masked CRC-32C.

Each record is read when the caller takes it. A record that is longer than the rest of the file is
refused before its content is read.

Source: ``tensorflow/core/lib/io/record_writer.h``, ``tensorflow/core/lib/hash/crc32c.h``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, BinaryIO, NamedTuple

from smpatch.wire import Splice

LONGEST = 1 << 31
"""A record of this many bytes or more is refused; protobuf messages are shorter."""

_HEAD = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_OVERHEAD = _HEAD.size + _CHECKSUM.size

_IN_LANES = 1 << 14
"""From this many bytes, C code or NumPy computes the checksum, at least ten times as fast."""


class RecordError(Exception):
    """A fault of a record; the message has the number of the record."""


class LongRecordError(RecordError):
    """A record is longer than this module reads; another reader may read it."""


class Record(NamedTuple):
    """A record of a file.

    Attributes:
        number: The number of the record in the file, from 1.
        start: The offset of its head in the file, in bytes.
        data: Its content.
    """

    number: int
    start: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset of the next record in the file."""
        return self.start + _OVERHEAD + len(self.data)


def read(file: BinaryIO, *, longest: int = LONGEST) -> Iterator[Record]:
    """Yield the records of an open file.

    Args:
        file: The file, open at its start.
        longest: A record of this many bytes or more is refused.

    Raises:
        RecordError: One of them is damaged; a ``LongRecordError`` if it is too long.
        OSError: The file cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    number = start = 0
    while head := file.read(_HEAD.size):
        number += 1
        if len(head) < _HEAD.size:
            raise RecordError(f"the file ends within the head of record {number}")
        length, checksum = _HEAD.unpack(head)
        if masked_checksum(head[:8]) != checksum:
            raise RecordError(f"record {number} does not begin like one of a TFRecord file")
        if start + _OVERHEAD + length > size:
            raise RecordError(f"the file ends within record {number}")
        if length >= longest:
            raise LongRecordError(f"record {number} has {length:,} bytes, which are too many")
        data, tail = file.read(length), file.read(_CHECKSUM.size)
        if len(data) < length or len(tail) < _CHECKSUM.size:
            raise RecordError(f"the file ends within record {number}")
        if (masked_checksum(data),) != _CHECKSUM.unpack(tail):
            raise RecordError(f"record {number} is damaged: its checksum does not match")
        record = Record(number, start, data)
        yield record
        start = record.end


def framed(data: bytes) -> bytes:
    """Return the bytes of a record in a file, with its head and its checksum."""
    head, tail = _around(data)
    return head + data + tail


def respliced(record: Record, splices: Iterable[Splice], new: bytes) -> tuple[Splice, ...]:
    """Return the splices of the file that change the content of a record.

    Args:
        record: The record.
        splices: The splices of its content, in their order.
        new: The new content, after these splices.
    """
    head, tail = _around(new)
    at = record.start + _HEAD.size
    moved = (Splice(at + each.start, at + each.end, each.replacement) for each in splices)
    ends = Splice(record.start, at, head), Splice(record.end - len(tail), record.end, tail)
    return (ends[0], *moved, ends[1])


def _around(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after the content of a record: the head and the checksum."""
    length = struct.pack("<Q", len(data))
    head = length + _CHECKSUM.pack(masked_checksum(length))
    return head, _CHECKSUM.pack(masked_checksum(data))


def masked_checksum(data: bytes) -> int:
    """Return the masked CRC-32C of a record, or of its length."""
    value = _checksum(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _checksum(data: bytes) -> int:
    state = 0xFFFFFFFF
    if len(data) >= _IN_LANES:
        # Both libraries are optional: without TensorFlow, NumPy may be missing too.
        with suppress(ImportError):
            return _in_c(data)
        with suppress(ImportError):
            return _in_lanes(data, state) ^ 0xFFFFFFFF
    return _state_after(data, state) ^ 0xFFFFFFFF


def _in_c(data: bytes) -> int:
    """Return the checksum, computed by ``google-crc32c`` of PyPI.

    Raises:
        ImportError: The library is not installed, or it was built without its C code.
    """
    from google_crc32c import cext  # noqa: PLC0415 - for large records alone

    return int(cext.value(data))


def _state_after(data: bytes, state: int) -> int:
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def _in_lanes(data: bytes, state: int) -> int:
    """Return the state after some bytes, which are split into parallel lanes of equal length.

    The checksum is linear. The state after two lanes is the exclusive or of two states: the state
    after the first lane and as many zero bytes as the second lane has, and the state after the
    second lane alone, from the state 0.
    """
    import numpy as np  # noqa: PLC0415 - for large records alone

    width = 1 << (len(data).bit_length() // 2 - 1)
    odd = len(data) % width
    lanes = np.frombuffer(data, np.uint8, offset=odd).reshape(-1, width)
    table = np.array(_table(), np.uint32)
    states: Any = np.zeros(len(lanes), np.uint32)
    states[0] = _state_after(data[:odd], state)
    for column in np.ascontiguousarray(lanes.T):
        states = table[(states ^ column) & 0xFF] ^ (states >> 8)
    first, *others = states.tolist()
    one, two, three, four = _moves(width)
    for each in others:
        first = (
            one[first & 0xFF]
            ^ two[first >> 8 & 0xFF]
            ^ three[first >> 16 & 0xFF]
            ^ (four[first >> 24] ^ each)
        )
    return int(first)


@cache
def _moves(width: int) -> tuple[Sequence[int], ...]:
    """Return the states after ``width`` zero bytes: for each byte of a state, a table by value."""
    bits = [_state_after(bytes(width), 1 << bit) for bit in range(32)]
    tables: list[list[int]] = []
    for byte in range(4):
        table = [0]
        for bit in bits[8 * byte : 8 * byte + 8]:
            table += [value ^ bit for value in table]
        tables.append(table)
    return tuple(tables)


@cache
def _table() -> tuple[int, ...]:
    """Return the CRC-32C of each byte; its polynomial is 0x1EDC6F41, here with reversed bits."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)
