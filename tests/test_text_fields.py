"""The text walk on syntax that no printer writes, on broken text and on very long text."""

from __future__ import annotations

import pytest

from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields


def walk(data: bytes, start: int, end: int) -> None:
    """Visit the fields of all levels."""
    for field in text_fields.fields(data, start, end):
        if field.is_message:
            walk(data, field.value_start, field.value_end)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1", [("a", b"1")]),
        (b"a:1,b:2;c:3", [("a", b"1"), ("b", b"2"), ("c", b"3")]),
        (b"a: - 1", [("a", b"- 1")]),
        (b"a: -\n inf b: -NaN", [("a", b"-\n inf"), ("b", b"-NaN")]),
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
        (b"[pkg.ext]: 1 [pkg.other] { }", [("[pkg.ext]", b"1"), ("[pkg.other]", b" ")]),
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
        (b"a { }\n}", (2, 1), "a field name, found '}'", "is one too many"),
        (b"a: 'it's'", (1, 9), "expected ':' or '{' after the field name 's'", ""),
        (b'a: "x" b"', (1, 9), "expected ':' or '{' after", "a value follows"),
        (b'a: "one\ntwo"', (1, 4), "string that opens here is not closed", "line break"),
        (b'a { b: "x }', (1, 8), "string that opens here is not closed", "the same quote"),
        (b'"\xc3\xa9" a', (1, 1), "a field name, found '\"'", "a quote is missing"),
        (b"a: '\xc3\xa9' :", (1, 8), "expected a field name, found ':'", ""),
        (b"a: +1", (1, 4), "value for 'a', found '+1'", "a number"),
        (b"a: - ", (1, 4), "expected a value for 'a', found '-'", "a number"),
        (b"a:", (1, 3), "value for 'a', found the end of the text", ""),
        (b"a { b: }", (1, 8), "expected a value for 'b', found '}'", ""),
        (b"a", (1, 2), "field name 'a', found the end", ""),
        (b"a: [1 2]", (1, 7), "',' or ']' in the list of 'a', found '2'", ""),
        (b"a: [1,", (1, 7), "expected a value for 'a', found the end of the text", ""),
        (b"a: [[1]]", (1, 5), "expected a value for 'a', found '['", ""),
        (b"[a.b", (1, 1), "expected a field name, found '['", ""),
        (b"a: 1,, b: 2", (1, 6), "expected a field name, found ','", ""),
        (b"\x08\x01\x12\xff", (1, 1), "expected a field name, found '\\x08'", ""),
        (b"a { b: \x00 }", (1, 8), "expected a value for 'b', found '\\x00'", ""),
        ("a: “x”".encode(), (1, 4), "expected a value for 'a', found '“", ""),
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


LONG = 200_000
ONE_SCREEN = 250


# With more than linear time these tests would never end.
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
        (b"a: " + b"1." * LONG + b"x", 1),
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
