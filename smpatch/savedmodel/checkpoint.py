"""The index of a checkpoint: it records which file holds which bytes of a variable.

``variables/variables.index`` is a table in the form of LevelDB: blocks of entries. A key is stored
without the beginning that it shares with the key before it. The first key is empty, and its value
has the number of data files. Each other key is the name of a tensor, or of a slice of a tensor.

Sources: ``tensorflow/core/util/tensor_bundle/tensor_bundle.cc``,
``tensorflow/core/protobuf/tensor_bundle.proto``, ``tensorflow/core/lib/io/format.cc``,
``format_description.txt`` of Snappy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smpatch import wire
from smpatch.errors import ModelUnreadableError

INDEX = "variables/variables.index"
"""The index, below the directory of a SavedModel."""

_DATA = "variables/variables.data-{:05}-of-{:05}"

_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_FOOTER = 48
_TRAILER = 5
"""The number of bytes after a block: one for the kind of compression, and a checksum."""

_PLAIN, _SNAPPY = 0, 1
"""The kinds of compression of a block."""

_COPY_FROM_NEAR = 2

_NUMBER = 4
"""The size in bytes of each number in the list at the end of a block."""

_MOST = 1 << 28
"""An index of more bytes is not read; a million variables need a quarter of this size."""

_NUM_SHARDS = 1
_SHARD, _OFFSET, _SIZE, _SLICES = 3, 4, 5, 7


@dataclass(frozen=True, slots=True)
class Extent:
    """The place of the bytes of a tensor.

    Attributes:
        shard: The number of the data file.
        end: The least size of the file in bytes.
        sliced: Whether the tensor consists of slices, which have entries of their own.
    """

    shard: int
    end: int
    sliced: bool


@dataclass(frozen=True, slots=True)
class Index:
    """The content of an index.

    Attributes:
        shards: The number of data files.
        extents: The extent of each tensor, by its name.
    """

    shards: int
    extents: dict[bytes, Extent]

    def file(self, shard: int) -> str:
        """Return the path of the data file ``shard``, below the directory of the SavedModel."""
        return _DATA.format(shard, self.shards)


def read_index(directory: Path) -> Index | None:
    """Read the index of a SavedModel.

    Returns:
        Its content; None if there is no index, or if it cannot be read here.
    """
    try:
        with (directory / INDEX).open("rb") as opened:
            if os.fstat(opened.fileno()).st_size > _MOST:
                return None
            data = opened.read()
        return _read(data)
    except (OSError, ModelUnreadableError, IndexError):
        return None


def _read(data: bytes) -> Index | None:
    footer = data[-_FOOTER:]
    if len(footer) < _FOOTER or not footer.endswith(_MAGIC):
        return None
    at = 0
    for _ in range(2):  # the handle of another block comes first
        _, at = wire.read_varint(footer, at, len(footer))
    shards, extents = 1, {}
    for _, handle in _entries(_block(data, *_handle(footer, at))):
        for key, value in _entries(_block(data, *_handle(handle, 0))):
            found = _numbers(value)
            if key:
                end = found.get(_OFFSET, 0) + found.get(_SIZE, 0)
                extents[key] = Extent(found.get(_SHARD, 0), end, _SLICES in found)
            else:
                shards = found.get(_NUM_SHARDS, 0)
    return Index(shards, extents)


def _numbers(message: bytes) -> dict[int, int]:
    """Return field number to value of a message; 0 if the value is not a number."""
    return {
        each.number: wire.read_varint(message, each.value, each.end)[0]
        if each.wire_type == wire.VARINT
        else 0
        for each in wire.fields(message)
    }


def _handle(data: bytes, at: int) -> tuple[int, int]:
    """Return the start and the size of a block."""
    start, at = wire.read_varint(data, at, len(data))
    size, _ = wire.read_varint(data, at, len(data))
    return start, size


def _block(data: bytes, start: int, size: int) -> bytes:
    """Return a block, decompressed.

    Raises:
        ModelUnreadableError: It is damaged, or has another kind of compression.
    """
    if start + size + _TRAILER <= len(data):
        block, way = data[start : start + size], data[start + size]
        if way == _PLAIN:
            return block
        if way == _SNAPPY:
            return _decompressed(block)
    raise _damaged()


def _decompressed(data: bytes) -> bytes:
    """Decompress a block of Snappy: literal bytes, and copies of earlier output.

    Raises:
        ModelUnreadableError: It is damaged, or longer than ``_MOST``.
    """
    wanted, at = wire.read_varint(data, 0, len(data))
    if wanted > _MOST:
        raise _damaged()
    made = bytearray()
    while at < len(data):
        tag = data[at]
        kind, length = tag & 3, tag >> 2
        at += 1
        if kind == 0:
            wide = max(0, length - 59)
            if wide:
                length = int.from_bytes(data[at : at + wide], "little")
            at += wide
            made += data[at : at + length + 1]
            at += length + 1
            continue
        if kind == 1:
            length, far, wide = (length & 7) + 4, tag >> 5 << 8, 1
        else:
            length, far, wide = length + 1, 0, 2 if kind == _COPY_FROM_NEAR else 4
        far |= int.from_bytes(data[at : at + wide], "little")
        at += wide
        if not 0 < far <= len(made) or len(made) > wanted:
            raise _damaged()
        for _ in range(length):  # a copy may include bytes that it has just added
            made.append(made[-far])
    if len(made) != wanted:
        raise _damaged()
    return bytes(made)


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block.

    Raises:
        ModelUnreadableError: It is damaged.
    """
    if len(block) < _NUMBER:
        raise _damaged()
    restarts = int.from_bytes(block[-_NUMBER:], "little")
    stop, at, key = len(block) - _NUMBER * (restarts + 1), 0, b""
    while at < stop:
        shared, at = wire.read_varint(block, at, stop)
        own, at = wire.read_varint(block, at, stop)
        length, at = wire.read_varint(block, at, stop)
        if shared > len(key) or at + own + length > stop:
            raise _damaged()
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def _damaged() -> ModelUnreadableError:
    return ModelUnreadableError("a block of the index cannot be read")
