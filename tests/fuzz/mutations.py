"""Models whose bytes are damaged at random places of their structure.

A mutation of the wire form picks a field at any depth. It removes or repeats the field, puts
another before it, or gives it another number, wire type or content. The lengths around the field
are changed with it, so that the fault is at that depth and not at the first length. Some mutations
flip bits or write wrong lengths. A mutation of the text form picks tokens instead.

This module deliberately does not use smpatch's own wire code, which is the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fixtures.make import raw

__all__ = ["Choices", "broken_text", "broken_wire"]

_DEEPEST = 12

HOSTILE_NAMES = (
    b"",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x1b]0;title\x07\x1b[2J",
    "\u202e\u2028\x9b31m".encode(),
    b"../../../etc/passwd",
    b"/",
    b"^x",
    b"x:-1",
    b"x:99999999999999999999",
    b":0",
    b"a" * 5000,
    b"\x00",
    b"serving_default",
    b"__saved_model_init_op",
)
"""Hostile names, for the place of a name."""

HOSTILE_NUMBERS = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)

HOSTILE_FIELDS = (
    raw.tag(1, raw.BYTES) + raw.varint(2**31 - 1),  # the length is 2 GiB
    raw.tag(5, raw.BYTES) + raw.varint(2**62),
    raw.tag(1000, raw.GROUP) * 99,
    raw.tag(1000, raw.GROUP) * 50 + raw.tag(1000, raw.END_GROUP) * 50,
    raw.tag(2, raw.GROUP) + raw.tag(2, raw.END_GROUP),
    raw.tag(2, raw.VARINT) + b"\x05",
    raw.tag(raw.HIGHEST_FIELD, raw.VARINT) + b"\xff" * 9 + b"\x01",
    raw.tag(5, raw.FIXED32) + bytes(4),
    raw.tag(1, raw.VARINT) + b"\x80" * 9 + b"\x01",
    b"\x8a\x80\x80\x80\x00\x01x",  # field 1 with a tag of five bytes
    b"\x8a\x80\x80\x80\x80\x00\x01x",  # and of six
    b"\x0a\x81\x80\x80\x80\x00x",  # a length of five bytes
    b"\x0a\x81\x80\x80\x80\x80\x00x",  # and of six
    raw.UNKNOWN,
)
"""Fields, and bytes that only look like a field, to put between other fields."""

_TOKEN = re.compile(rb"\s+|\w+|\"(?:[^\"\\\n]|\\.)*\"|.", re.DOTALL)

HOSTILE_TOKENS = (
    *(b"{", b"}", b"<", b">", b"[", b"]", b":", b",", b";", b"#", b'"', b"'", b"\\", b"-"),
    *(b"signature_def", b"meta_graphs", b"graph_def", b"node", b"key", b"value", b"name", b"op"),
    *(b'"\\377"', b'"\\ud800"', b'"\\U00110000"', b'"\\?"', b"'\\x1b[2J'", b'"../../x"'),
    *(b"99999999999999999999", b"-1", b"1e999", b"nan", b"0x", b"08", b"DT_NO_SUCH", b"true"),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"a{" * 200, b"}" * 200, b"[" * 200),
    *(b"[type.googleapis.com/tensorflow.NodeDef] {}", b"1000: 5", b"1000 { 1: 2 }"),
)


_Thing = TypeVar("_Thing")


class Choices:
    """Decisions by numbers that were drawn; if no number is left, the simplest decision."""

    def __init__(self, numbers: Sequence[int]) -> None:
        """Decide by these numbers, one after the other."""
        self._numbers = iter(numbers)

    @classmethod
    def of(cls, decisions: bytes) -> Choices:
        """Decide by numbers of two bytes each."""
        pairs = zip(decisions[::2], decisions[1::2], strict=False)
        return cls([high << 8 | low for high, low in pairs])

    def below(self, bound: int) -> int:
        """Return a number from 0 to ``bound`` - 1."""
        return next(self._numbers, 0) % bound if bound > 1 else 0

    def one_of(self, things: Sequence[_Thing]) -> _Thing:
        """Return one of them."""
        return things[self.below(len(things))]


@dataclass(frozen=True)
class _Span:
    """A field of a well-formed message: number, wire type, and its offsets in the message."""

    number: int
    wire_type: int
    start: int
    body: int
    end: int


def broken_wire(data: bytes, choices: Choices, times: int) -> bytes:
    """Return the bytes of a model after ``times`` mutations."""
    for _ in range(times):
        if choices.below(8) == 0:
            data = _flipped(data, choices)
        else:
            data = _deeper(data, choices, _DEEPEST)
    return data


def broken_text(data: bytes, choices: Choices, times: int) -> bytes:
    """Return the text of a model after ``times`` mutations."""
    for _ in range(times):
        tokens = _TOKEN.findall(data)
        at = choices.below(len(tokens) + 1)
        length = 1 + choices.below(4)
        action = choices.below(6)
        if action == 0:
            del tokens[at : at + length]
        elif action == 1:
            tokens[at:at] = tokens[at : at + length * 4]
        elif action == 2:
            other = choices.below(len(tokens) + 1)
            tokens[at : at + length], tokens[other:other] = [], tokens[at : at + length]
        elif action == 3:
            tokens = tokens[:at]
        elif action == 4:
            tokens[at : at + 1] = [choices.one_of(HOSTILE_TOKENS)]
        else:
            tokens[at:at] = [choices.one_of(HOSTILE_TOKENS)]
        data = b"".join(tokens)
    return data


def _flipped(data: bytes, choices: Choices) -> bytes:
    at = choices.below(len(data)) if data else 0
    changed = bytes([data[at] ^ 1 << choices.below(8)]) if data else b"\x0a"
    return data[:at] + changed + data[at + 1 :]


def _deeper(data: bytes, choices: Choices, depth: int) -> bytes:
    """Change a field of a message at some depth; correct the lengths of the messages around it."""
    spans = _spans(data)
    if not spans:
        return data + choices.one_of(HOSTILE_FIELDS) if choices.below(2) else _named(data, choices)
    span = spans[choices.below(len(spans))]
    if span.wire_type == raw.BYTES and depth and choices.below(4):
        inside = _deeper(data[span.body : span.end], choices, depth - 1)
        return data[: span.start] + raw.field(span.number, inside) + data[span.end :]
    new = _ACTIONS[choices.below(len(_ACTIONS))](data, span, choices)
    return data[: span.start] + new + data[span.end :]


def _named(_: bytes, choices: Choices) -> bytes:
    return choices.one_of(HOSTILE_NAMES)


def _gone(data: bytes, span: _Span, choices: Choices) -> bytes:  # noqa: ARG001 - one of the actions
    return b""


def _doubled(data: bytes, span: _Span, choices: Choices) -> bytes:
    return data[span.start : span.end] * (2 + choices.below(3))


def _with_another_before(data: bytes, span: _Span, choices: Choices) -> bytes:
    return choices.one_of(HOSTILE_FIELDS) + data[span.start : span.end]


def _replaced(data: bytes, span: _Span, choices: Choices) -> bytes:  # noqa: ARG001 - as above
    return choices.one_of(HOSTILE_FIELDS)


def _of_another_number(data: bytes, span: _Span, choices: Choices) -> bytes:
    number = (*range(1, 12), raw.HIGHEST_FIELD)[choices.below(12)]
    return raw.tag(number, span.wire_type) + data[_after_tag(data, span.start) : span.end]


def _of_another_wire_type(data: bytes, span: _Span, choices: Choices) -> bytes:
    return raw.tag(span.number, choices.below(8)) + data[_after_tag(data, span.start) : span.end]


def _with_a_number(data: bytes, span: _Span, choices: Choices) -> bytes:  # noqa: ARG001 - as above
    number = HOSTILE_NUMBERS[choices.below(len(HOSTILE_NUMBERS))]
    return raw.tag(span.number, raw.VARINT) + raw.varint(number)


def _with_a_name(data: bytes, span: _Span, choices: Choices) -> bytes:  # noqa: ARG001 - as above
    return raw.field(span.number, choices.one_of(HOSTILE_NAMES))


def _cut(data: bytes, span: _Span, choices: Choices) -> bytes:
    body = data[span.body : span.end]
    return raw.field(span.number, body[: choices.below(len(body) + 1)])


def _split_in_two(data: bytes, span: _Span, choices: Choices) -> bytes:
    """Write a field in two pieces; protobuf merges two messages, but not two strings."""
    body = data[span.body : span.end]
    ends = [each.end for each in _spans(body)] or [0]
    at = ends[choices.below(len(ends))]
    return raw.field(span.number, body[:at]) + raw.field(span.number, body[at:])


def _wrapped(data: bytes, span: _Span, choices: Choices) -> bytes:
    """Put a field into a field of its number, many times."""
    new = data[span.body : span.end]
    for _ in range((2, 20, 98, 99, 150)[choices.below(5)]):
        new = raw.field(span.number, new)
    return raw.field(span.number, new)


def _with_a_wrong_length(data: bytes, span: _Span, choices: Choices) -> bytes:
    body = data[span.body : span.end]
    length = max(0, len(body) + (-1, 1, -7, 1000, 2**31 - 1)[choices.below(5)])
    return raw.tag(span.number, raw.BYTES) + raw.varint(length) + body


def _padded(data: bytes, span: _Span, choices: Choices) -> bytes:  # noqa: ARG001 - as above
    return raw.padded(span.number, data[span.body : span.end])


_ACTIONS: tuple[Callable[[bytes, _Span, Choices], bytes], ...] = (
    *(_gone, _doubled, _with_another_before, _replaced, _of_another_number),
    *(_of_another_wire_type, _with_a_number, _with_a_name, _cut, _split_in_two),
    *(_wrapped, _with_a_wrong_length, _padded),
)


def _spans(data: bytes) -> list[_Span]:
    """Return the fields of a message; none if the bytes are not a message."""
    spans = []
    at = 0
    try:
        while at < len(data):
            start = at
            key, at = _number(data, at)
            number, wire_type = key >> 3, key & 7
            body = at
            if wire_type == raw.VARINT:
                _, at = _number(data, at)
            elif wire_type == raw.BYTES:
                length, body = _number(data, at)
                at = body + length
            else:
                at += {raw.FIXED64: 8, raw.FIXED32: 4}[wire_type]
            if number == 0 or at > len(data):
                return []
            spans.append(_Span(number, wire_type, start, body, at))
    except (IndexError, KeyError):
        return []
    return spans


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _after_tag(data: bytes, at: int) -> int:
    while data[at] & 128:
        at += 1
    return at + 1
