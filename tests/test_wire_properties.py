"""The wire walk and its splices over random messages, judged by protobuf's own parser."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from google.protobuf import empty_pb2, unknown_fields
from google.protobuf.message import DecodeError
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fixtures.make import raw
from smpatch import wire
from smpatch.errors import ModelUnreadableError
from smpatch.wire import Field, Splice

NUMBERS = st.integers(1, 20) | st.sampled_from([2047, 2048, 2**21, raw.HIGHEST_FIELD])
SIZES = st.integers(0, 12) | st.sampled_from([125, 126, 127, 128, 129, 16381, 16383, 16384])
WIDTHS = st.integers(1, 5)
"""The least number of bytes in which a length is written; protobuf accepts five."""


@dataclass(frozen=True)
class Part:
    """A field that was drawn.

    Attributes:
        number: The field number.
        wire_type: The wire type.
        value: The value that protobuf must read: a number, bytes, or the fields of a group.
        inside: The fields of a nested message; their bytes are then the value.
        width: The least number of bytes of the length; 1 for as few as possible.
    """

    number: int
    wire_type: int
    value: Any = None
    inside: tuple[Part, ...] | None = None
    width: int = 1

    def encoded(self) -> bytes:
        """Return the bytes of the field, made with the writer of the fixtures."""
        tag = raw.tag(self.number, self.wire_type)
        if self.wire_type == raw.VARINT:
            return tag + raw.varint(self.value)
        if self.wire_type == raw.GROUP:
            return tag + encoded(self.value) + raw.tag(self.number, raw.END_GROUP)
        if self.wire_type != raw.BYTES:
            return tag + struct.pack("<Q" if self.wire_type == raw.FIXED64 else "<I", self.value)
        payload: bytes = self.value if self.inside is None else encoded(self.inside)
        length = bytearray(raw.varint(len(payload)))
        missing = self.width - len(length)
        if missing > 0:
            length[-1] |= 0x80
            length += b"\x80" * (missing - 1) + b"\x00"
        return tag + bytes(length) + payload

    def meaning(self) -> tuple[int, int, Any]:
        """Return the number, the wire type and the value that protobuf must read."""
        if self.wire_type == raw.GROUP:
            return self.number, self.wire_type, [part.meaning() for part in self.value]
        value = encoded(self.inside) if self.inside is not None else self.value
        return self.number, self.wire_type, value


def encoded(parts: tuple[Part, ...]) -> bytes:
    return b"".join(part.encoded() for part in parts)


payloads = st.builds(lambda size, byte: bytes([byte]) * size, SIZES, st.integers(0, 255))
scalars = st.one_of(
    st.builds(Part, NUMBERS, st.just(raw.VARINT), st.integers(0, 2**64 - 1)),
    st.builds(Part, NUMBERS, st.just(raw.FIXED64), st.integers(0, 2**64 - 1)),
    st.builds(Part, NUMBERS, st.just(raw.FIXED32), st.integers(0, 2**32 - 1)),
    st.builds(Part, NUMBERS, st.just(raw.BYTES), payloads, width=WIDTHS),
)


def _deeper(inner: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    several = st.lists(inner, max_size=4).map(tuple)
    return st.one_of(
        st.builds(Part, NUMBERS, st.just(raw.GROUP), several),
        st.builds(Part, NUMBERS, st.just(raw.BYTES), inside=several, width=WIDTHS),
    )


messages = st.lists(st.recursive(scalars, _deeper, max_leaves=10), max_size=6).map(tuple)


def _protobuf_reads(data: bytes) -> list[tuple[int, int, Any]]:
    """Parse with protobuf into a message without fields; return the unknown fields that it kept."""
    return _unknown(unknown_fields.UnknownFieldSet(empty_pb2.Empty.FromString(data)))


def _unknown(found: Any) -> list[tuple[int, int, Any]]:  # noqa: ANN401 - protobuf's stubs do not have it
    return [
        (
            each.field_number,
            each.wire_type,
            _unknown(each.data) if each.wire_type == raw.GROUP else each.data,
        )
        for each in found
    ]


def _value(data: bytes, found: Field) -> Any:  # noqa: ANN401 - a number, bytes, or fields
    value = found.bytes(data)
    if found.wire_type == wire.BYTES:
        return value
    if found.wire_type == wire.GROUP:
        end_tag = raw.tag(found.number, raw.END_GROUP)
        assert value.endswith(end_tag)
        return _walked(value[: -len(end_tag)])
    if found.wire_type == wire.VARINT:
        return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(value))
    return int.from_bytes(value, "little")


def _walked(data: bytes) -> list[tuple[int, int, Any]]:
    return [(each.number, each.wire_type, _value(data, each)) for each in wire.fields(data)]


@given(messages)
def test_walk_reads_what_protobuf_reads(parts: tuple[Part, ...]) -> None:
    data = encoded(parts)
    assert _protobuf_reads(data) == [part.meaning() for part in parts], "the test's own writer"
    assert _walked(data) == [part.meaning() for part in parts]


@given(messages, st.binary(max_size=8), st.binary(max_size=8))
def test_walk_does_not_look_beyond_its_message(
    parts: tuple[Part, ...], before: bytes, after: bytes
) -> None:
    data, offset = encoded(parts), len(before)
    expected = [
        Field(f.number, f.wire_type, f.start + offset, f.value + offset, f.end + offset)
        for f in wire.fields(data)
    ]
    assert list(wire.fields(before + data + after, offset, offset + len(data))) == expected


small = st.lists(
    st.recursive(
        st.builds(Part, NUMBERS, st.just(raw.BYTES), st.binary(max_size=20), width=WIDTHS)
        | scalars.filter(lambda part: part.wire_type != raw.BYTES),
        _deeper,
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@given(small)
def test_every_truncation_is_told_with_an_offset(parts: tuple[Part, ...]) -> None:
    data = encoded(parts)
    borders = {0, *(each.end for each in wire.fields(data))}
    for size in range(len(data)):
        if size in borders:
            assert len(list(wire.fields(data[:size]))) < len(parts)
            continue
        with pytest.raises(ModelUnreadableError, match=r"^byte \d+: ") as caught:
            list(wire.fields(data[:size]))
        assert int(caught.value.found.split()[1].rstrip(":")) <= size


@given(st.binary(max_size=40) | st.lists(st.sampled_from(range(32)), max_size=40).map(bytes))
def test_any_bytes_are_refused_or_read_as_protobuf_reads_them(data: bytes) -> None:
    try:
        found = _walked(data)
    except ModelUnreadableError as error:
        found = None
        lenient = "field number 0" in error.found  # Python's protobuf accepts it
    try:
        expected = _protobuf_reads(data)
    except DecodeError:
        assert found is None
        return
    assert found == expected or (found is None and lenient)


@dataclass
class Editing:
    """A random message that is edited, and the splices so far.

    Attributes:
        data: The old bytes.
        edits: The splices, each with the fields that enclose it.
    """

    data: bytes
    edits: list[tuple[Splice, tuple[Field, ...]]] = field(default_factory=list)


@st.composite
def editings(draw: st.DrawFn) -> tuple[Editing, tuple[Part, ...]]:
    """Draw a message, edits at any depth of it, and the message that they should make."""
    parts = draw(messages)
    editing = Editing(encoded(parts))
    expected = _edit(draw, parts, editing, (), (0, len(editing.data)))
    draw(st.randoms(use_true_random=False)).shuffle(editing.edits)
    return editing, expected


def _edit(
    draw: st.DrawFn,
    parts: tuple[Part, ...],
    editing: Editing,
    enclosing: tuple[Field, ...],
    span: tuple[int, int],
) -> tuple[Part, ...]:
    """Insert, replace, remove and descend in one message; return its fields after the edits."""
    found = list(wire.fields(editing.data, *span))
    after: list[Part] = []
    for part, lies in zip(parts, found, strict=True):
        what = draw(st.sampled_from(["keep", "keep", "insert", "replace", "remove", "descend"]))
        if what == "insert":
            new = draw(scalars)
            editing.edits.append((Splice(lies.start, lies.start, new.encoded()), enclosing))
            after += [new, part]
        elif what == "replace":
            new = draw(scalars)
            editing.edits.append((Splice(lies.start, lies.end, new.encoded()), enclosing))
            after.append(new)
        elif what == "remove":
            editing.edits.append((Splice(lies.start, lies.end, b""), enclosing))
        elif what == "descend" and part.inside is not None:
            inner = (*enclosing, lies)
            inside = _edit(draw, part.inside, editing, inner, (lies.value, lies.end))
            same = len(encoded(inside)) == len(encoded(part.inside))
            after.append(replace(part, inside=inside, width=part.width if same else 1))
        else:
            after.append(part)
    if draw(st.booleans()):
        new = draw(scalars)
        editing.edits.append((Splice(span[1], span[1], new.encoded()), enclosing))
        after.append(new)
    return tuple(after)


@given(editings())
def test_edits_at_any_depth_make_the_message_that_was_meant(
    drawn: tuple[Editing, tuple[Part, ...]],
) -> None:
    editing, expected = drawn
    splices = wire.enclose(editing.data, editing.edits)
    done = wire.apply(editing.data, splices)
    assert done == encoded(expected)
    assert _protobuf_reads(done) == [part.meaning() for part in expected]


@given(editings())
def test_bytes_outside_the_splices_are_those_of_the_old_file(
    drawn: tuple[Editing, tuple[Part, ...]],
) -> None:
    """The reverse of each splice, applied to the new file, gives the old file."""
    editing, _ = drawn
    splices = wire.enclose(editing.data, editing.edits)
    done = wire.apply(editing.data, splices)
    at, reverse = 0, []
    for splice in splices:
        start = splice.start + at
        reverse.append(
            Splice(start, start + len(splice.replacement), editing.data[splice.start : splice.end])
        )
        at += splice.growth
    assert wire.apply(done, reverse) == editing.data


@given(editings(), st.data())
def test_splices_that_overlap_are_refused(
    drawn: tuple[Editing, tuple[Part, ...]], data: st.DataObject
) -> None:
    editing, _ = drawn
    splices = wire.enclose(editing.data, editing.edits)
    wide = [splice for splice in splices if splice.end > splice.start]
    assume(wide)
    chosen = data.draw(st.sampled_from(wide))
    at = splices.index(chosen)
    doubled = [*splices[: at + 1], Splice(chosen.end - 1, chosen.end, b"?"), *splices[at + 1 :]]
    with pytest.raises(ValueError, match="overlaps"):
        wire.apply(editing.data, doubled)


@st.composite
def splicings(draw: st.DrawFn) -> tuple[bytes, list[Splice]]:
    """Draw data and splices of two byte values; new and shifted bytes then often equal the old."""
    few = st.lists(st.sampled_from(b"ab"), max_size=3).map(bytes)
    data = draw(few)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    if len(places) % 2:
        places.pop()
    pairs = zip(places[::2], places[1::2], strict=True)
    return data, [Splice(start, end, draw(few)) for start, end in pairs]


@given(splicings())
@example((b"ab", [Splice(0, 0, b"a"), Splice(1, 2, b"")]))  # the shifted bytes differ
@example((b"aab", [Splice(0, 1, b""), Splice(2, 2, b"a")]))  # here they are equal
def test_a_file_is_the_same_exactly_where_its_bytes_would_be(
    splicing: tuple[bytes, list[Splice]],
) -> None:
    """An edit whose new file is taken for the old one is lost and reported as no change."""
    data, splices = splicing
    assert wire.same(data, splices) == (wire.apply(data, splices) == data)
