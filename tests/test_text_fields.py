"""The text walk on syntax that no printer writes, on broken text and on monstrous text."""

from __future__ import annotations

import pytest

from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields


def walk(data: bytes, start: int, end: int) -> None:
    """Visit the fields of all levels."""
    for field in text_fields.fields(data, start, end):
        if field.is_message:
            walk(data, field.value_start, field.value_end)


def only(data: bytes) -> text_fields.TextField:
    """Return the one field of a text."""
    (field,) = text_fields.fields(data)
    return field


@pytest.mark.parametrize(
    ("literal", "content"),
    [
        (rb'"\1012"', b"A2"),
        (rb'"\0"', b"\0"),
        (rb'"\18"', b"\x018"),
        (rb'"\x4g"', b"\x04g"),
        (rb'"\x414"', b"A4"),
        (rb'"\u1234"', "\u1234".encode()),
        (rb'"\U0001F600"', "\U0001f600".encode()),
        (rb'"\\u0041"', rb"\u0041"),
        (rb'"\\" "n"', rb"\n"),
        (b'"caf\xc3\xa9"', b"caf\xc3\xa9"),
        (b"'say \"hi\"'", b'say "hi"'),
        (b'"\xff"', b"\xff"),
        (b'""', b""),
    ],
)
def test_literals(literal: bytes, content: bytes) -> None:
    data = b"a: " + literal
    assert text_fields.string_value(data, only(data)) == content


@pytest.mark.parametrize(
    "literal",
    [
        rb"\q",
        rb"\?",
        rb"\8",
        rb"\400",
        rb"\x",
        rb"\xg",
        rb"\u123",
        rb"\ud83d\ude00",
        rb"\U00110000",
        rb"\u005c",
        rb"\U0000005C",
        rb"\N{DASH}",
        b"\\\xc3\xa9",
    ],
)
def test_escapes_that_readers_disagree_on_are_refused(literal: bytes) -> None:
    data = b'a: "fine" "..' + literal + b'"'
    field = only(data)
    with pytest.raises(ModelUnreadableError, match="not every reader understands") as raised:
        text_fields.string_value(data, field)
    assert raised.value.where == "line 1, column 14"


@pytest.mark.parametrize("data", [b"a: 5", b"a: word", b"a { b: 'x' }", b"a {}"])
def test_string_value_asks_for_quotes(data: bytes) -> None:
    with pytest.raises(ModelUnreadableError, match="'a' must be a string in quotes"):
        text_fields.string_value(data, only(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1", [("a", b"1")]),
        (b"a:1,b:2;c:3", [("a", b"1"), ("b", b"2"), ("c", b"3")]),
        (b"a: - 1", [("a", b"- 1")]),
        (b"a: - # minus\n inf b: -NaN", [("a", b"- # minus\n inf"), ("b", b"-NaN")]),
        (
            b"a: .5 b: 1.e-5f c: 0x1F d: 017",
            [("a", b".5"), ("b", b"1.e-5f"), ("c", b"0x1F"), ("d", b"017")],
        ),
        (b"a { b: 1 }", [("a", b" b: 1 ")]),
        (b"a: < b: 1 >, c: <>", [("a", b" b: 1 "), ("c", b"")]),
        (b"a # why\n : # not\n { }", [("a", b" ")]),
        (b'a{b:\'}\'c:"\\"}"#}\n}', [("a", b'b:\'}\'c:"\\"}"#}\n')]),
        (b"a: [1, -2 , # three\n 3]", [("a", b"1"), ("a", b"-2"), ("a", b"3")]),
        (b"a: ['x' 'y', \"]\"] b: 1", [("a", b"'x' 'y'"), ("a", b'"]"'), ("b", b"1")]),
        (b"a [{b: [1]}, <>]", [("a", b"b: [1]"), ("a", b"")]),
        (b"a: [] b: [ # none\n ]", []),
        (b"[pkg.ext]: 1 [ pkg # x\n . other ] { }", [("[pkg.ext]", b"1"), ("[pkg.other]", b" ")]),
        (b"[type.googleapis.com/a.B] { }", [("[type.googleapis.com/a.B]", b" ")]),
        (b"7: 1 8 { 9: 2 }", [("7", b"1"), ("8", b" 9: 2 ")]),
        (b"\xef\xbb\xbfa: 1\r\nb: 2", [("a", b"1"), ("b", b"2")]),
        (b" # only a comment", []),
        (b"\xef\xbb\xbf", []),
        (b"# \xff\x01 any bytes\na: '\x01\xff\r'", [("a", b"'\x01\xff\r'")]),
    ],
)
def test_syntax(data: bytes, expected: list[tuple[str, bytes]]) -> None:
    found = [
        (field.name, data[field.value_start : field.value_end])
        for field in text_fields.fields(data)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("data", "where", "found", "hint"),
    [
        (b"a: 1\n  b 2", (2, 5), "after the field name 'b', found '2'", "a value follows"),
        (b"a {\n b: 1\n", (1, 3), "'{' opens here and is not closed", "cut short"),
        (b"a { b < c: 1 }", (1, 14), "found '}' where '>' is due", "line 1, column 7"),
        (b"a { }\n}", (2, 1), "a field name, found '}'", "bracket too many"),
        (b"a: 'it's'", (1, 9), "expected ':' or '{' after the field name 's'", ""),
        (b'a: "x" b"', (1, 9), "expected ':' or '{' after", "a value follows"),
        (b'a: "one\ntwo"', (1, 4), "string that opens here is not closed", "line break"),
        (b'a { b: "x }', (1, 8), "string that opens here is not closed", 'close it with "'),
        (b'"\xc3\xa9" a', (1, 1), "a field name, found '\"'", "inside a string"),
        (b"a: '\xc3\xa9' :", (1, 8), "expected a field name, found ':'", ""),
        (b"a: 12ab", (1, 4), "expected a value for 'a', found '12ab'", "a number"),
        (b"a: 1.2.3", (1, 4), "expected a value for 'a', found '1.2.3'", "a number"),
        (b"a: +1", (1, 4), "value for 'a', found '+1'", "a number"),
        (b"a: - word", (1, 4), "expected a value for 'a', found '-'", "a number"),
        (b"a:", (1, 3), "value for 'a', found the end of the text", ""),
        (b"a { b: }", (1, 8), "expected a value for 'b', found '}'", ""),
        (b"a", (1, 2), "field name 'a', found the end", ""),
        (b"a: [1 2]", (1, 7), "',' or ']' in the list of 'a', found '2'", ""),
        (b"a: [1,]", (1, 7), "expected a value for 'a', found ']'", ""),
        (b"a: [1,", (1, 4), "'[' opens here and is not closed", "cut short"),
        (b"a: [[1]]", (1, 5), "expected a value for 'a', found '['", ""),
        (b"a [1]", (1, 3), "expected ':' before the list of 'a'", ""),
        (b"[a.b", (1, 5), "']' after the name that '[' opens", ""),
        (b"[a..b]: 1", (1, 1), "not the name of an extension", "such as [package"),
        (b"[/a.b]: 1", (1, 1), "not the name of an extension", "such as [package"),
        (b"a: 1,, b: 2", (1, 6), "expected a field name, found ','", ""),
        (b"\x08\x01\x12\xff", (1, 1), "found the control byte 0x08", "binary saved_model"),
        (b"a { b: \x00 }", (1, 8), "found the control byte 0x00 outside", "binary saved_model"),
        (b"# a\0", (1, 4), "found the control byte 0x00", "binary saved_model"),
        (b"a: '\0'", (1, 4), "string that opens here is not closed", ""),
        ("a: “x”".encode(), (1, 4), "expected a value for 'a', found '“'", "ASCII"),
        (b"\xef\xbb\xbf!", (1, 1), "expected a field name, found '!'", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    data: bytes, where: tuple[int, int], found: str, hint: str
) -> None:
    with pytest.raises(ModelUnreadableError) as raised:
        walk(data, 0, len(data))
    assert raised.value.where == "line {}, column {}".format(*where)
    assert found in raised.value.found
    assert hint in raised.value.hint


def test_depth_is_bounded_and_the_bound_is_exact() -> None:
    deep = b"a{" * 100 + b"}" * 100
    assert len(list(text_fields.fields(deep))) == 1
    with pytest.raises(ModelUnreadableError, match="nested more than 100 deep") as raised:
        list(text_fields.fields(b"a{" + deep + b"}"))
    assert raised.value.where == "line 1, column 202"


LONG = 1_000_000
ONE_SCREEN = 250


# Anything worse than linear time would keep these from ending at all.
@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"a{" * LONG, None),
        (b"a<" * LONG, None),
        (b"a:[" * LONG, None),
        (b"[" * LONG, None),
        (b"}" * LONG, None),
        (b'"' * LONG, None),
        (b"#" * LONG, 0),
        (b"#\n" * LONG, 0),
        (b"a: " + b'"' * LONG, 1),
        (b"a: " + b'"' * (LONG + 1), None),
        (b"a { b: " + b"'" * LONG + b"}", 1),
        (b'a: "' + b'\\"' * LONG, None),
        (b'a: "' + b'\\"' * LONG + b'"', 1),
        (b'a { b: "' + b'\\"' * LONG + b'" }', 1),
        (b'a { b: "' + b"\\" * LONG + b'" }', 1),
        (b"a: " + b"1" * LONG + b"x", None),
        (b"a: " + b"1." * LONG, None),
        (b"a: 1e" + b"1" * LONG + b"x", None),
        (b"a: " + b" # x\n" * LONG, None),
        (b"a" * LONG, None),
        (b" " * LONG, 0),
        (b"[" + b"a." * LONG, None),
        (b"a { " + b"#\n" * LONG + b"}", 1),
        (b"a: 1 " * (LONG // 10), LONG // 10),
        (b"a: [" + b"1," * (LONG // 10) + b"2]", LONG // 10 + 1),
    ],
    ids=lambda value: value[:12].decode() if isinstance(value, bytes) else "",
)
def test_monstrous_text_is_walked_in_linear_time(data: bytes, count: int | None) -> None:
    if count is None:
        with pytest.raises(ModelUnreadableError) as raised:
            list(text_fields.fields(data))
        assert len(str(raised.value)) < ONE_SCREEN
    else:
        assert sum(1 for _ in text_fields.fields(data)) == count


def test_a_long_string_unescapes_in_linear_time() -> None:
    data = b'a: "' + rb"\000\"\200?" * (LONG // 10) + b'"'
    assert text_fields.string_value(data, only(data)) == b'\0"\x80?' * (LONG // 10)


@pytest.mark.parametrize(
    ("data", "edited"),
    [
        (b"a: 1\n", b"a: 1\nnew {}\n"),
        (b"a: 1", b"a: 1\nnew {}"),
        (b"a: 1\r\nb: 2\r\n", b"a: 1\r\nnew {}\r\nb: 2\r\n"),
        (b"a: 1, # one\n\nb: 2", b"a: 1, # one\nnew {}\n\nb: 2"),
        (b"a: 1 # one\r\n, b: 2", b"a: 1 # one\r\nnew {}\r\n, b: 2"),
        (b"\t a: 1; \nb: 2", b"\t a: 1; \n\t new {}\nb: 2"),
        (b"  a {\n    b: 1\n  } # end", b"  a {\n    b: 1\n  } # end\n  new {}"),
        (b"a: 1 b: 2", b"a: 1 new {} b: 2"),
        (b"a: 1; b: 2", b"a: 1; new {} b: 2"),
        (b"a:'x'b:2", b"a:'x' new {} b:2"),
        (b"a: 1 ,b: 2", b"a: 1 , new {} b: 2"),
        (b"a: [1,\n 2] # list\nb: 3", b"a: [1,\n 2] # list\nnew {}\nb: 3"),
        (b"\xef\xbb\xbfa: 1\n", b"\xef\xbb\xbfa: 1\nnew {}\n"),
    ],
)
def test_insertion_keeps_the_layout(data: bytes, edited: bytes) -> None:
    at = text_fields.insertion_after(data, next(text_fields.fields(data)))
    assert data[: at.offset] + at.lead + b"new {}" + at.tail + data[at.offset :] == edited


def test_insertion_inside_a_message_on_one_line_stays_inside() -> None:
    data = b"a { b: 1 }  # end\n"
    outer = only(data)
    (inner,) = text_fields.fields(data, outer.value_start, outer.value_end)
    assert text_fields.insertion_after(data, inner) == text_fields.Insertion(8, b" ", b"")


@pytest.mark.parametrize(
    ("data", "style"),
    [
        (b"", b"\n"),
        (b"a", b"\n"),
        (b"\n", b"\n"),
        (b"\rx", b"\n"),
        (b"a\r\nb\n", b"\r\n"),
        (b"a\nb\r\n", b"\n"),
    ],
)
def test_newline_is_that_of_the_first_line(data: bytes, style: bytes) -> None:
    assert text_fields.newline(data) == style


@pytest.mark.parametrize(
    ("offset", "indent"), [(0, b""), (1, b" "), (2, b" \t"), (5, b" \t"), (7, b""), (9, b"  ")]
)
def test_line_indent_is_the_blanks_before_the_offset(offset: int, indent: bytes) -> None:
    assert text_fields.line_indent(b" \ta: 1\n  b: 2", offset) == indent
