"""Spans of two files against each other: equal or not, and which elements make the difference.

Bytes are compared where they lie, a piece at a time, so that gigabytes of constants cost one
reading and hardly any memory. What is equal is never decoded. Of what differs the elements
are paired by name; two of one name are decoded by protobuf, to tell another encoding (maps
come in any order) from another meaning.

This room knows no SavedModel: which message lies where is the business of ``sections``.

Source: https://protobuf.dev/programming-guides/encoding/ (order of fields and of maps).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from smpatch import wire
from smpatch.differ.facts import Tally
from smpatch.errors import ModelUnreadableError

__all__ = ["Kind", "Span", "alike", "all_equal", "equal", "inside", "tally", "walk"]

_PIECE = 1 << 20
"""So many bytes are compared at once."""

_FORGOTTEN = 1 << 26
"""After so many bytes the system may take back the pages that were read."""

_LARGE = 1 << 24
"""Messages of more bytes are not decoded: their fields are compared one by one."""

_NAMES = 8
"""So many elements are named."""

_MORE = 0x80
"""The bit that says that a varint goes on."""

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
    """What the elements of a part are.

    Attributes:
        name: In the plural.
        name_path: The fields that lead to an element's name; empty where the place counts.
        message: The class that decodes one; None where nobody knows it.
        maps: The fields of the message that are maps.
    """

    name: str
    name_path: tuple[int, ...] = ()
    message: Any = None
    maps: frozenset[int] = field(default_factory=frozenset)


def walk(data: wire.Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk the fields of a message, quickly where they are as usual.

    A million nodes pass through here, so that one-byte tags and short lengths are read in
    place; everything else goes through ``wire.fields``, with its errors.

    Yields:
        Of each field the number (0 unless it is length-delimited), and the offsets of its
        tag, of its value, and one past it.
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
                        length = end  # too long to be read here
            after = value + length
            if after <= end:
                yield tag >> 3, at, value, after
                at = after
                continue
        met = next(wire.fields(data, at, end))
        yield met.number if met.wire_type == wire.BYTES else 0, met.start, met.value, met.end
        at = met.end


def inside(span: Span, number: int, others: list[Span] | None = None) -> Iterator[Span]:
    """Yield the values of the fields of one number; the other fields, whole, go to ``others``."""
    data = span.data
    for found, start, value, end in walk(data, span.start, span.end):
        if found == number:
            yield Span(data, value, end)
        elif others is not None:
            others.append(Span(data, start, end))


def equal(one: Span, other: Span) -> bool:
    """Tell whether two spans hold the same bytes."""
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
        if to % _FORGOTTEN == 0:
            _forget(one, at=to)
            _forget(other, at=to)
    return True


def all_equal(ones: Sequence[Span], others: Sequence[Span]) -> bool:
    """Tell whether two parts lie in equal pieces."""
    return len(ones) == len(others) and all(map(equal, ones, others))


def _forget(span: Span, at: int) -> None:
    """Let the system take back the pages before an offset, which nobody will read again."""
    if isinstance(span.data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        start = max(span.start + at - _FORGOTTEN, 0) // mmap.PAGESIZE * mmap.PAGESIZE
        span.data.madvise(mmap.MADV_DONTNEED, start, span.start + at - start)


def alike(kind: Kind, one: Span, other: Span, *, known_only: bool = False) -> bool:
    """Tell whether two messages mean the same.

    Args:
        kind: How to decode them.
        one: A message.
        other: Another one, in other bytes.
        known_only: Leave out what the schema does not know, for a text form that was decoded
            has lost it.

    Raises:
        ModelUnreadableError: One cannot be decoded.
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
    try:
        message = kind.message.FromString(span.bytes())
    except DecodeError as error:
        found = f"byte {span.start}: one of the {kind.name} cannot be decoded: {error}"
        raise ModelUnreadableError(found) from error
    if known_only:
        message.DiscardUnknownFields()
    return bytes(message.SerializeToString(deterministic=True))


def _sorted_fields(kind: Kind, span: Span) -> list[tuple[tuple[int, str], Span]]:
    """Return the fields in an order that protobuf's readers do not mind."""
    found = []
    for number, start, value, end in walk(span.data, span.start, span.end):
        name = _name(Span(span.data, value, end), (1,)) if number in kind.maps else ""
        # What is no length-delimited field is told by its tag, which lies in its bytes.
        at = value if number else start
        found.append(((number, name), Span(span.data, at, end)))
    return sorted(found, key=lambda each: each[0])


def _name(span: Span, path: Sequence[int]) -> str:
    """Return the string to which a path of fields leads."""
    for number in path:
        found = next(inside(span, number), None)
        if found is None:
            return ""
        span = found
    return span.bytes().decode("utf-8", "backslashreplace")


def tally(
    kind: Kind, ones: Iterable[Span], others: Iterable[Span], means: Callable[[Span, Span], bool]
) -> Tally:
    """Compare the elements of a part.

    Args:
        kind: What they are.
        ones: Those of the first model, in their order.
        others: Those of the second.
        means: Tells of two in different bytes whether they mean the same.
    """
    before, after = iter(ones), iter(others)
    shared = 0
    while True:
        one, other = next(before, None), next(after, None)
        if one is None or other is None or not equal(one, other):
            break
        shared += 1
    olds = _keyed(kind, chain(() if one is None else (one,), before), shared)
    news = _keyed(kind, chain(() if other is None else (other,), after), shared)
    added = [key for key in news if key not in olds]
    removed = [key for key in olds if key not in news]
    kept = [key for key in news if key in olds]
    touched = [key for key in kept if not equal(olds[key], news[key])]
    changed = [key for key in touched if not means(olds[key], news[key])]
    signed = chain(
        (f"+{name}" for name, _ in added),
        (f"-{name}" for name, _ in removed),
        (f"~{name}" for name, _ in changed),
    )
    return Tally(
        kind=kind.name,
        before=shared + len(olds),
        after=shared + len(news),
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        recoded=len(touched) - len(changed),
        reordered=kept != [key for key in olds if key in news],
        appended=bool(added) and list(news)[-len(added) :] == added,
        names=tuple(name for name, _ in zip(signed, range(_NAMES), strict=False)),
    )


def _keyed(kind: Kind, spans: Iterable[Span], first: int) -> dict[tuple[str, int], Span]:
    """Return elements by name; of several of one name each with the number that it is."""
    found: dict[tuple[str, int], Span] = {}
    times: dict[str, int] = {}
    for place, span in enumerate(spans, first):
        name = _name(span, kind.name_path) if kind.name_path else str(place)
        key = (name, 0)
        if key in found:
            times[name] = times.get(name, 0) + 1
            key = (name, times[name])
        found[key] = span
    return found
