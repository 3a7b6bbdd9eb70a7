"""The line of each key of a TOML document; Python's own reader reads the values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch.patchfile.toml import Path, TomlError, read

TRICKY = r"""# a comment with [brackets] and "quotes"
version = 1

"quoted \"key\"" = "a # no comment"
dotted.'literal key'.x = [
  1, # [ in a comment
  "] in a text", { y = "}" },
]
text = @@@
[[edit]]
a = 1 \@@@
"@@@
literal = '''@@@
[not.a.table]
\\'''

[[edit]]   # the first
rename = "a"
  [edit.inputs]
  x = "x:0"
  [[edit.inner]]
  y = 1
  [[edit.inner]]
  y = 2
[[edit]]
rename = "b"
[ "a" . b ]
c = 1""".replace("@@@", '"' * 3)


def test_headers_and_keys_have_their_lines() -> None:
    document = read(TRICKY)
    assert {path: TRICKY.splitlines()[line - 1].split("#")[0].strip() for path, line in
            document.lines.items()} == {
        ("version",): "version = 1",
        ('quoted "key"',): r'"quoted \"key\"" = "a',
        ("dotted", "literal key", "x"): "dotted.'literal key'.x = [",
        ("text",): 'text = """',
        ("literal",): "literal = '''" + '"' * 3,
        ("edit", 0): "[[edit]]",
        ("edit", 0, "rename"): 'rename = "a"',
        ("edit", 0, "inputs"): "[edit.inputs]",
        ("edit", 0, "inputs", "x"): 'x = "x:0"',
        ("edit", 0, "inner", 0): "[[edit.inner]]",
        ("edit", 0, "inner", 0, "y"): "y = 1",
        ("edit", 0, "inner", 1): "[[edit.inner]]",
        ("edit", 0, "inner", 1, "y"): "y = 2",
        ("edit", 1): "[[edit]]",
        ("edit", 1, "rename"): 'rename = "b"',
        ("a", "b"): '[ "a" . b ]',
        ("a", "b", "c"): "c = 1",
    }  # fmt: skip
    inner = document.lines["edit", 0, "inner", 0], document.lines["edit", 0, "inner", 1]
    assert inner == (inner[0], inner[0] + 2)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("dotted", "literal key", "x", 2, "y"), 5),
        (("edit", 0, "inputs", "nothing"), 19),
        (("edit", 7), None),
        ((), None),
    ],
)
def test_what_has_no_line_has_that_of_what_is_around_it(path: Path, line: int | None) -> None:
    assert read(TRICKY).line(path) == line


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a = 1\nb = \n", 2, "invalid value"),
        ("a = 1\na = 2\n", 2, "cannot overwrite a value"),
        ("[[a]]\n[a]\n", 2, "cannot declare"),
        ("a = 1\nb = [0.5, -1e400]\n", 2, "-1e400 does not fit into float64"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, line: int, found: str) -> None:
    with pytest.raises(TomlError) as caught:
        read(text)
    assert (caught.value.line, found in caught.value.found) == (line, True), caught.value.found
    assert "line" not in caught.value.found


def test_what_is_nested_too_deeply_is_no_crash() -> None:
    with pytest.raises(TomlError):
        read("a = " + "[" * 100_000)


@given(st.lists(st.tuples(st.text(), st.text(), st.integers(0, 2)), unique_by=lambda each: each[0]))
def test_whatever_stands_in_keys_and_values_every_key_is_found(
    entries: list[tuple[str, str, int]],
) -> None:
    lines, expected = [], {}
    for key, value, blank in entries:
        lines += ["# [[edit]] ' \" '''"] * blank
        expected[key,] = len(lines) + 1
        lines.append(f"{basic(key)} = {basic(value)}")
    document = read("\n".join(lines))
    assert document.lines == expected
    assert document.values == {key: value for key, value, _ in entries}


def basic(text: str) -> str:
    """Return a text as a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
