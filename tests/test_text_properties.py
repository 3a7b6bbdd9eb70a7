"""The text walk against protobuf's own printer and parser, over random messages."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from google.protobuf import any_pb2, descriptor_pb2, struct_pb2, text_format, type_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields

if TYPE_CHECKING:
    from google.protobuf.message import Message

# The tokens of printed text: enough of the syntax to write the same tokens in another
# layout. The expression is independent of the walk that these tests judge.
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[[\w.]+/[\w.]+\]|[-+.\w]+|[^\s\w]')
WORD = re.compile(r"[-+.\w]+")

scalars = (
    st.none()
    | st.booleans()
    | st.text(max_size=12)
    | st.sampled_from(['"', "'", "# no comment", "a { b: 1 }", "\\", '\\"', "}", "\r\n", "é\u2028"])
    | st.floats(allow_nan=False)
)
json = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def structs(draw: st.DrawFn) -> struct_pb2.Struct:
    """Draw maps, lists, oneofs and strings, nested to any depth."""
    message = struct_pb2.Struct()
    message.update(draw(st.dictionaries(st.text(max_size=6), json, max_size=5)))
    return message


@st.composite
def uninterpreted(draw: st.DrawFn) -> descriptor_pb2.UninterpretedOption:
    """Draw every kind of number, and a bytes field."""
    message = descriptor_pb2.UninterpretedOption(
        positive_int_value=draw(st.integers(0, 2**64 - 1)),
        negative_int_value=draw(st.integers(-(2**63), 2**63 - 1)),
        double_value=draw(st.floats(allow_nan=False)),
        string_value=draw(st.binary(max_size=20)),
        aggregate_value=draw(st.text(max_size=8)),
    )
    for part in draw(st.lists(st.text(max_size=5), max_size=3)):
        message.name.add(name_part=part, is_extension=draw(st.booleans()))
    return message


@st.composite
def sources(draw: st.DrawFn) -> descriptor_pb2.FileDescriptorProto:
    """Draw repeated numbers and strings, enums, and messages in messages."""
    message = descriptor_pb2.FileDescriptorProto(
        dependency=draw(st.lists(st.text(max_size=5), max_size=3)),
        public_dependency=draw(st.lists(st.integers(-9, 9), max_size=4)),
    )
    for path in draw(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=3)):
        message.source_code_info.location.add(path=path, leading_comments=draw(st.text(max_size=5)))
    kind = draw(st.sampled_from(descriptor_pb2.FieldDescriptorProto.Type.values()))
    message.message_type.add(name="M").field.add(name="f", type=kind)
    return message


@st.composite
def packed(draw: st.DrawFn) -> type_pb2.Option:
    """Draw an Any, which the printer writes under its type's name in brackets."""
    value = any_pb2.Any()
    # A message without maps: their order in the packed bytes differs from run to run.
    value.Pack(draw(uninterpreted()))
    return type_pb2.Option(name=draw(st.text(max_size=5)), value=value)


messages = structs() | uninterpreted() | sources() | packed()
gaps = st.sampled_from(["", " ", "\t", "\n", "\r\n", '# { " [ \n', "#'\r\n  ", "\n#\n# >\n\n"])


def laid_out(draw: st.DrawFn, message: Message) -> str:
    """Return a message as the printer writes it, with any of its options."""
    arrange = functools.partial(
        text_format.MessageToString,
        message,
        as_one_line=draw(st.booleans()),
        pointy_brackets=draw(st.booleans()),
        use_short_repeated_primitives=draw(st.booleans()),
        indent=draw(st.integers(0, 4)),
    )
    printed = arrange(as_utf8=draw(st.booleans()))
    # Up to protobuf 4 this printer does not escape a NUL, which no parser accepts.
    return arrange(as_utf8=False) if "\0" in printed else printed


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Message, bytes]:
    """Draw a message and its text, in the layout of the printer or in a careless one."""
    message = draw(messages)
    printed = laid_out(draw, message)
    if draw(st.booleans()):
        return message, printed.encode()
    pieces = [draw(gaps)]
    before = ""
    for token in TOKEN.findall(printed):
        gap = draw(gaps)
        if not gap and WORD.match(before) and WORD.match(token):
            gap = " "
        pieces += [gap, token]
        before = token
    return message, "".join([*pieces, draw(gaps)]).encode()


def walk(
    data: bytes, start: int = 0, end: int | None = None
) -> list[tuple[text_fields.TextField, Any]]:
    """Return every field with the fields inside it."""
    return [
        (field, walk(data, field.value_start, field.value_end) if field.is_message else [])
        for field in text_fields.fields(data, start, end)
    ]


def plain(data: bytes, tree: list[tuple[text_fields.TextField, Any]]) -> bytes:
    """Return the text for a tree of spans, without lists, comments and layout."""
    return b" ".join(
        b"%s { %s }" % (field.name.encode(), plain(data, inner))
        if field.is_message
        else b"%s: %s" % (field.name.encode(), data[field.value_start : field.value_end])
        for field, inner in tree
    )


def parsed(data: bytes, like: Message) -> Message:
    """Return the message that protobuf reads from the text."""
    return text_format.Parse(data, type(like)())


def shape(tree: list[tuple[text_fields.TextField, Any]]) -> list[Any]:
    """Return the names in a tree, without any offset."""
    return [(field.name, field.is_message, shape(inner)) for field, inner in tree]


@given(layouts())
def test_the_spans_hold_the_whole_message(layout: tuple[Message, bytes]) -> None:
    message, data = layout
    assert parsed(plain(data, walk(data)), message) == message


@given(layouts())
def test_the_bytes_of_each_field_are_that_field(layout: tuple[Message, bytes]) -> None:
    message, data = layout
    merged = type(message)()
    for field in text_fields.fields(data):
        alone = data[field.start : field.end]
        if field.in_list:
            alone = field.name.encode() + b": " + alone
        merged.MergeFrom(parsed(alone, message))
    assert merged == message


@given(layouts())
def test_spans_are_in_order_disjoint_and_inside_their_parent(
    layout: tuple[Message, bytes],
) -> None:
    _, data = layout

    def check(tree: list[tuple[text_fields.TextField, Any]], floor: int, ceiling: int) -> None:
        for field, inner in tree:
            assert floor <= field.start <= field.value_start <= field.value_end <= field.end
            assert field.end <= field.after <= ceiling
            if field.is_message:
                assert data[field.value_start - 1 : field.value_start] in {b"{", b"<"}
                assert data[field.value_end : field.end] in {b"}", b">"}
            else:
                assert field.value_end == field.end > field.value_start
            assert field.after == field.end or data[field.after - 1 : field.after] in {b",", b";"}
            if not field.in_list:
                assert data[field.start : field.start + 1] == field.name[:1].encode()
            check(inner, field.value_start, field.value_end)
            floor = field.after

    check(walk(data), 0, len(data))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(layouts(), st.data())
def test_mutated_text_is_walked_or_refused_with_its_place(
    layout: tuple[Message, bytes], choice: st.DataObject
) -> None:
    data = bytearray(layout[1] or b"a")
    for _ in range(choice.draw(st.integers(1, 4))):
        at = choice.draw(st.integers(0, len(data)))
        strange = st.sampled_from(b"{}<>[]\"'\\#:,;-./ \n\0\x01\xff1a")
        data[at : at + choice.draw(st.integers(0, 2))] = bytes(
            choice.draw(st.lists(strange, max_size=3))
        )
    place = "line 1, column 1"
    try:
        walk(bytes(data))
    except ModelUnreadableError as error:
        place = error.where
    assert re.fullmatch(r"line [1-9]\d*, column [1-9]\d*", place)
