"""The comparison of spans of two files, and of the elements in them.

Bytes are compared in place, a piece at a time, so that gigabytes of constants are read once and
need little memory. Equal parts are never decoded. Elements of other parts are paired by name;
protobuf decodes two elements with one name if their bytes differ, because another encoding (maps
have any order) may have the same meaning.

This module reads no SavedModel: ``sections`` finds the messages.

Source: https://protobuf.dev/programming-guides/encoding/ (order of fields and of maps).
"""

from __future__ import annotations

import mmap
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from smpatch import wire
from smpatch.differ.facts import Tally
from smpatch.errors import ModelUnreadableError

_PIECE = 1 << 20
"""The number of bytes that are compared at once."""

_FORGOTTEN = 1 << 26
"""The number of bytes after which the pages that were read are returned to the system."""

_LARGE = 1 << 24
"""The most bytes of a message to decode; the fields of a larger one are compared one by one."""

_NAMES = 8
"""The most names of elements in a tally."""

_MORE = 0x80
"""The bit of a byte of a varint that another byte follows."""

_LOW = 0x7F


class Span(NamedTuple):
    """Bytes of a file: the buffer, start and end."""

    data: wire.Buffer
    start: int
    end: int

    def bytes(self) -> bytes:
        """Return the bytes."""
        return self.data[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of elements of a part.

    Attributes:
        name: The name of the kind, in the plural.
        name_path: The path of fields to an element's name; empty if elements are paired by place.
        message: The class that decodes an element; None if the schema has none.
        maps: The fields of the message that are maps.
    """

    name: str
    name_path: tuple[int, ...] = ()
    message: Any = None
    maps: frozenset[int] = field(default_factory=frozenset)


def walk(data: wire.Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk the fields of a message, with a faster way for usual fields.

    A graph may have a million nodes, so that one-byte tags and short lengths are read here;
    ``wire.fields`` reads all others, and raises its errors.

    Yields:
        For each field the number (0 unless it is length-delimited), and the offsets of its
        tag, of its value, and of its end.
    """
    at = start
    while at < end:
        tag = data[at]
        if tag & 0x87 == wire.BYTES and tag > wire.BYTES and end - at > 4:  # noqa: PLR2004 - tag, three of length
            length, value = data[at + 1], at + 2
            if length >= _MORE:
                byte = data[value]
                length = length & _LOW | (byte & _LOW) << 7
                value += 1
                if byte >= _MORE:
                    byte = data[value]
                    length |= (byte & _LOW) << 14
                    value += 1
                    if byte >= _MORE:
                        length = end  # wire.fields reads a longer length
            after = value + length
            if after <= end:
                yield tag >> 3, at, value, after
                at = after
                continue
        met = next(wire.fields(data, at, end))
        yield met.number if met.wire_type == wire.BYTES else 0, met.start, met.value, met.end
        at = met.end


def inside(span: Span, number: int, others: list[Span] | None = None) -> Iterator[Span]:
    """Yield the values of the fields of one number; add the other fields, whole, to ``others``."""
    data = span.data
    for found, start, value, end in walk(data, span.start, span.end):
        if found == number:
            yield Span(data, value, end)
        elif others is not None:
            others.append(Span(data, start, end))


def equal(one: Span, other: Span) -> bool:
    """Return whether two spans have the same bytes."""
    size = one.end - one.start
    if size != other.end - other.start:
        return False
    if size <= _PIECE:
        return one.bytes() == other.bytes()
    if one.data is other.data and one.start == other.start:
        return True
    for at in range(0, size, _PIECE):
        to = min(at + _PIECE, size)
        ours = one.data[one.start + at : one.start + to]
        if ours != other.data[other.start + at : other.start + to]:
            return False
        if to % _FORGOTTEN == 0 or to == size:
            _forget(one, at=to)
            _forget(other, at=to)
    return True


def all_equal(ones: Sequence[Span], others: Sequence[Span]) -> bool:
    """Return whether two parts consist of equal pieces."""
    return len(ones) == len(others) and all(map(equal, ones, others))


def by_number(whole_fields: Iterable[Span]) -> list[Span]:
    """Return fields sorted by their numbers; fields with one number keep their order."""
    return sorted(
        whole_fields, key=lambda each: next(wire.fields(each.data, each.start, each.end)).number
    )


def _forget(span: Span, at: int) -> None:
    """Give the pages before an offset back to the system; they are not read again."""
    if isinstance(span.data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        start = max(span.start + at - _FORGOTTEN, 0) // mmap.PAGESIZE * mmap.PAGESIZE
        span.data.madvise(mmap.MADV_DONTNEED, start, span.start + at - start)


def alike(kind: Kind, one: Span, other: Span, *, known_only: bool = False) -> bool:
    """Return whether two messages have the same meaning.

    Args:
        kind: The kind of both, which has the class that decodes them.
        one: A message.
        other: Another message, with other bytes.
        known_only: Whether to leave out fields that are not in the schema: a decoded text has
            lost them.

    Raises:
        ModelUnreadableError: One of them cannot be decoded.
    """
    if kind.message is None:
        return False
    if max(one.end - one.start, other.end - other.start) > _LARGE:
        ours, theirs = _sorted_fields(kind, one), _sorted_fields(kind, other)
        return [key for key, _ in ours] == [key for key, _ in theirs] and all(
            equal(mine, yours) for (_, mine), (_, yours) in zip(ours, theirs, strict=True)
        )
    return _canonical(kind, one, known_only) == _canonical(kind, other, known_only)


def _canonical(kind: Kind, span: Span, known_only: bool) -> bytes:  # noqa: FBT001 - passed on
    data = span.bytes()
    if not kind.maps.issubset(kind.message.DESCRIPTOR.fields_by_number):
        # A map that is not in the schema would keep the order of its entries.
        data = b"".join(
            data[each.start - span.start : each.end - span.start]
            for each in (whole for _, whole in _sorted_fields(kind, span, whole=True))
        )
    try:
        message = kind.message.FromString(data)
    except DecodeError as error:
        found = f"byte {span.start}: one of the {kind.name} cannot be decoded: {error}"
        raise ModelUnreadableError(found) from error
    if known_only:
        message.DiscardUnknownFields()
    return bytes(message.SerializeToString(deterministic=True))


def _sorted_fields(
    kind: Kind, span: Span, *, whole: bool = False
) -> list[tuple[tuple[int, bytes], Span]]:
    """Return the fields, or their values, sorted by number, and in maps by key.

    Protobuf decodes the same message from fields in this order.
    """
    found = []
    for number, start, value, end in walk(span.data, span.start, span.end):
        name = _name(Span(span.data, value, end), (1,)) if number in kind.maps else b""
        # A field without a length has the number 0 here, so that its bytes include its tag.
        at = start if whole or not number else value
        found.append(((number, name), Span(span.data, at, end)))
    return sorted(found, key=lambda each: each[0])


def _name(span: Span, path: Sequence[int]) -> bytes:
    """Return the bytes of the string at the end of a path of fields; empty if there is none."""
    data, start, end = span
    for number in path:
        # Usually it is the first field, and short.
        after = start + 2
        if after < end and data[start] == number << 3 | wire.BYTES and data[start + 1] < _MORE:
            start, end = after, min(after + data[start + 1], end)
            continue
        found = next(inside(Span(data, start, end), number), None)
        if found is None:
            return b""
        _, start, end = found
    return data[start:end]


def tally(
    kind: Kind, ones: Iterable[Span], others: Iterable[Span], means: Callable[[Span, Span], bool]
) -> Tally:
    """Compare the elements of a part.

    Args:
        kind: The kind of the elements.
        ones: The elements of the first model, in their order.
        others: The elements of the second model, in their order.
        means: A function that returns whether two elements with different bytes have the same
            meaning.
    """
    pairing = _Pairing(kind, means)
    before = after = 0
    for place, (one, other) in enumerate(zip_longest(ones, others)):
        before += one is not None
        after += other is not None
        pairing.meet(place, one, other)
    added, removed = (pairing.names_of(waiting) for waiting in (pairing.news, pairing.olds))
    signed = [f"+{name}" for name in added[:_NAMES]]
    signed += [f"-{name}" for name in removed[:_NAMES]]
    signed += [f"~{name}" for name in pairing.changed_names]
    came = [place for place, partner in enumerate(pairing.partners) if partner < 0]
    kept = [partner for partner in pairing.partners if partner >= 0]
    return Tally(
        kind=kind.name,
        before=before,
        after=after,
        added=len(added),
        removed=len(removed),
        changed=pairing.changed,
        recoded=pairing.recoded,
        reordered=any(one > other for one, other in pairwise(kept)),
        appended=bool(came) and came[0] == len(kept),
        names=tuple(signed[:_NAMES]),
    )


_Waiting = dict[bytes, deque[tuple[int, Span]]]


class _Pairing:
    """Elements of two models, paired by name.

    They are met in their order, so that few elements have to be kept. If several elements have one
    name, the first of both models are a pair, and so on.
    """

    def __init__(self, kind: Kind, means: Callable[[Span, Span], bool]) -> None:
        self._kind = kind
        self._means = means
        self.olds: _Waiting = {}
        self.news: _Waiting = {}
        self.partners = array("q")
        """For each element of the second model, the place of its partner in the first, or -1."""
        self.changed = self.recoded = 0
        self.changed_names: list[str] = []

    def meet(self, place: int, one: Span | None, other: Span | None) -> None:
        """Pair the elements of one place, or keep them until their partners are met."""
        if one and other and not (self.olds or self.news) and equal(one, other):
            self.partners.append(place)
            return
        if other is not None:
            self.partners.append(-1)
        if one is not None:
            name = self._name(one, place)
            found = _take(self.news, name)
            if found is None:
                self.olds.setdefault(name, deque()).append((place, one))
            else:
                self._pair(name, (place, one), found)
        if other is not None:
            name = self._name(other, place)
            found = _take(self.olds, name)
            if found is None:
                self.news.setdefault(name, deque()).append((place, other))
            else:
                self._pair(name, found, (place, other))

    def names_of(self, waiting: _Waiting) -> list[str]:
        """Return the names of the elements without a partner, in their order."""
        found = [(place, name) for name, queue in waiting.items() for place, _ in queue]
        return [_readable(name) for _, name in sorted(found)]

    def _pair(self, name: bytes, old: tuple[int, Span], new: tuple[int, Span]) -> None:
        self.partners[new[0]] = old[0]
        if equal(old[1], new[1]):
            return
        if self._means(old[1], new[1]):
            self.recoded += 1
            return
        self.changed += 1
        if len(self.changed_names) < _NAMES:
            self.changed_names.append(_readable(name))

    def _name(self, span: Span, place: int) -> bytes:
        path = self._kind.name_path
        return _name(span, path) if path else str(place).encode()


def _take(waiting: _Waiting, name: bytes) -> tuple[int, Span] | None:
    """Remove the first waiting element of a name, and return it; None if there is none."""
    queue = waiting.get(name)
    if queue is None:
        return None
    found = queue.popleft()
    if not queue:
        del waiting[name]
    return found


def _readable(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
