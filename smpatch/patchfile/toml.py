"""The reader of a TOML document, with the line of each of its keys.

Python's reader does not return the places of values. This module finds the headers and keys of a
document that Python has read; a value in an inline table or an array has the line of its statement.
This module does not interpret the values.

Source: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from smpatch.patch_table import Path
from smpatch.values import finite

__all__ = ["Document", "Path", "TomlError", "read"]

_STRING = r'"""(?s:\\.|[^\\])*?"{3,5}|\'\'\'(?s:.)*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(rf"[ \t]*({_STRING}|[A-Za-z0-9_-]+)[ \t]*")
_VALUE = re.compile(rf"{_STRING}|#[^\n]*|[\[\]{{}}\n]|[^\[\]{{}}\n#\"']+")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_DEEP = re.compile(r"(?<![\w.\"'-])(?:(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){100}")
"""The start of a key of more than a hundred parts: the time of Python's reader grows with the
square of their number."""

_LONG_NUMBER = re.compile(r"[0-9][0-9_]{639}")
"""A number with more digits than some versions or settings of Python read."""

_BITS = 64
"""The number of bits of the integers that every reader of TOML supports."""

_TOO_DEEP = "it is nested too deeply"
_TOO_LONG = f"a number has more than {_BITS} bits"


class TomlError(Exception):
    """The error that a text is not TOML, or is beyond the limits of this module.

    Attributes:
        found: The fault, in words.
        line: The line of the fault, from 1.
    """

    def __init__(self, found: str, line: int) -> None:
        """Take the fault and its line."""
        super().__init__(found)
        self.found = found
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    Attributes:
        values: The top-level table.
        lines: The line, from 1, of each header and each key outside inline tables.
    """

    values: Mapping[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """Return the line of a value, or of the nearest table or array around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read(text: str) -> Document:
    """Read a document.

    Raises:
        TomlError: The text is not a TOML document, or is beyond the limits of this module.
    """
    if deep := _DEEP.search(text):
        raise TomlError(_TOO_DEEP, text.count("\n", 0, deep.start()) + 1)
    try:
        values = tomllib.loads(text, parse_float=finite)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        found = message[: place.start()] if place else message
        raise TomlError(found[:1].lower() + found[1:], line) from error
    except RecursionError as error:
        raise TomlError(_TOO_DEEP, 1) from error
    except OverflowError as error:
        at = text.find(str(error).partition(" ")[0])
        raise TomlError(str(error), text.count("\n", 0, at) + 1) from error
    except ValueError as error:  # Python reads no number of thousands of digits
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 1
        raise TomlError(_TOO_LONG, line) from error
    lines: dict[Path, int] = {}
    line, counted = 1, 0
    for path, at in _statements(text):
        line, counted = line + text.count("\n", counted, at), at
        lines.setdefault(path, line)
    document = Document(values, lines)
    for path, number in _integers(values):
        if number.bit_length() > _BITS:  # Python may fail to write such a number in an error
            raise TomlError(_TOO_LONG, document.line(path) or 1)
    return document


def _integers(values: Mapping[str, Any]) -> Iterator[tuple[Path, int]]:
    """Yield the integers of a document, the last ones first, without recursion."""
    left: list[tuple[Path, Any]] = [((), values)]
    while left:
        path, value = left.pop()
        if isinstance(value, int):
            yield path, value
        elif isinstance(value, dict):
            left += (((*path, key), each) for key, each in value.items())
        elif isinstance(value, list):
            left += (((*path, place), each) for place, each in enumerate(value))


def _statements(text: str) -> Iterator[tuple[Path, int]]:
    """Yield the path and the position of each header and key of a text that is TOML."""
    lengths: dict[Path, int] = {}
    table: Path = ()
    at = 0
    while (at := _end(_SPACE, text, at)) < len(text):
        start = at
        brackets = 2 if text.startswith("[[", at) else int(text[at] == "[")
        keys, at = _keys(text, at + brackets)
        if brackets:
            table = _table(keys, lengths, appends=brackets == 2)  # noqa: PLR2004 - as TOML has it
            at += brackets
            yield table, start
        else:
            yield (*table, *keys), start
            at = _after_value(text, at + 1)


def _keys(text: str, at: int) -> tuple[list[str], int]:
    """Return the parts of a dotted key, and the position of its end."""
    keys = []
    while found := _KEY.match(text, at):
        part, at = found[1], found.end()
        keys.append(tomllib.loads(f"k={part}")["k"] if part[0] in "\"'" else part)
        if not text.startswith(".", at):
            break
        at += 1
    return keys, at


def _table(keys: list[str], lengths: dict[Path, int], *, appends: bool) -> Path:
    """Return the path of a header; for each array of tables in it, with the last element."""
    path: Path = ()
    for depth, key in enumerate(keys, 1):
        path = (*path, key)
        if appends and depth == len(keys):
            lengths[path] = lengths.get(path, 0) + 1
        if path in lengths:
            path = (*path, lengths[path] - 1)
    return path


def _after_value(text: str, at: int) -> int:
    """Return the position after the last line of a value."""
    depth = 0
    while at < len(text):
        found = _VALUE.match(text, at)
        if found is None:  # impossible, because Python has read the text
            return len(text)
        piece, at = found[0], found.end()
        if piece in {"[", "{"}:
            depth += 1
        elif piece in {"]", "}"}:
            depth -= 1
        elif piece == "\n" and depth == 0:
            return at
    return at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
