"""A second reader of protobuf's wire form, so that no test checks smpatch with its own reader.

It has two uses: to remove one signature from a ``saved_model.pb``, and to check whether a message
is another message to which something was added.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["grown_from", "without_signature"]

_META_GRAPHS, _SIGNATURE_DEF, _KEY = 2, 5, 1
_VARINT, _FIXED64, _BYTES, _GROUP, _END, _FIXED32 = range(6)


@dataclass(frozen=True)
class _Part:
    """A field: the offsets of its start, its length, its content and its end."""

    number: int
    start: int
    length: int
    content: int
    end: int
    delimited: bool


def without_signature(new: bytes, old: bytes, meta_graph: int, key: str) -> bytes:
    """Return ``new`` without a signature, and with the old length of its MetaGraph.

    Args:
        new: A ``saved_model.pb``.
        old: The file before the edit, from which the bytes of that length are taken.
        meta_graph: Index of the MetaGraph.
        key: The key of the signature, which must occur exactly once.
    """
    was, now = _meta_graph(old, meta_graph), _meta_graph(new, meta_graph)
    entries = [
        part
        for part in _parts(new, now.content, now.end)
        if part.number == _SIGNATURE_DEF and _key(new, part) == key.encode()
    ]
    assert len(entries) == 1
    (entry,) = entries
    return b"".join(
        [
            new[: now.length],
            old[was.length : was.content],
            new[now.content : entry.start],
            new[entry.end :],
        ]
    )


def grown_from(old: bytes, new: bytes, levels: int) -> bool:
    """Return whether every field of ``old`` is in ``new``, in the same order and with its bytes.

    The lengths of messages around an addition may differ, down to ``levels`` messages deep.
    """
    there = iter(_parts(new, 0, len(new), every=True))
    for part in _parts(old, 0, len(old), every=True):
        whole, content = old[part.start : part.end], old[part.content : part.end]
        for candidate in there:
            if new[candidate.start : candidate.end] == whole:
                break
            inside = new[candidate.content : candidate.end]
            longer = candidate.number == part.number and len(inside) > len(content)
            if levels and part.delimited and longer and grown_from(content, inside, levels - 1):
                break
        else:
            return False
    return True


def _meta_graph(data: bytes, index: int) -> _Part:
    return [part for part in _parts(data, 0, len(data)) if part.number == _META_GRAPHS][index]


def _key(data: bytes, entry: _Part) -> bytes:
    keys = [part for part in _parts(data, entry.content, entry.end) if part.number == _KEY]
    return data[keys[-1].content : keys[-1].end] if keys else b""


def _parts(data: bytes, at: int, end: int, *, every: bool = False) -> list[_Part]:
    """Return the length-delimited fields of a message, or all fields; a group is one field."""
    parts = []
    depth = start = 0
    while at < end:
        start = start if depth else at
        tag, length = _number(data, at)
        number, kind = tag >> 3, tag & 7
        content = length
        if kind == _VARINT:
            _, at = _number(data, length)
        elif kind == _BYTES:
            size, content = _number(data, length)
            at = content + size
        elif kind in {_FIXED64, _FIXED32}:
            at = length + (8 if kind == _FIXED64 else 4)
        else:
            assert kind in {_GROUP, _END}
            depth += 1 if kind == _GROUP else -1
            at = length
        if depth == 0 and (every or kind == _BYTES):
            parts.append(_Part(number, start, length, content, at, kind == _BYTES))
    assert at == end
    assert depth == 0
    return parts


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
