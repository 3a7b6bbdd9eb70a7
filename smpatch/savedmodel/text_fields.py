r"""The fields of protobuf's text form as spans, so that an edit of it is a splice of text.

This module finds offsets: it has no schema, changes no bytes and reads no value. It checks the
level that it walks; in nested messages it checks only brackets, strings and comments. Protobuf's
parser checks the rest when a value is read, and TensorFlow when the model is validated.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from smpatch.errors import ModelUnreadableError

_DEEPEST = 100
"""The limit of protobuf's readers of the wire form; real models have about fifteen levels."""

_BOM = b"\xef\xbb\xbf"
_CLOSER = {b"{": b"}", b"<": b">", b"[": b"]"}
_QUOTES = frozenset({b'"', b"'"})
_BACKSLASH = ord("\\")

_GAP = re.compile(rb"\s*(?:#[^\n]*)?")
_NAME = re.compile(rb"\w+|\[[\w\s./%-]+\]")
_WORD = re.compile(rb"-?\s*[\w.][\w.+-]*")
# Each branch begins with a plain byte, so that the engine searches with a bitmap of first bytes.
_LANDMARK = re.compile(rb"\"[^\"\\\n]*\"|'[^'\\\n]*'|#[^\n]*|\{|\}|<|>|\[|\]|\"|'")
_EXCERPT = re.compile(rb"[\w.+-]{1,24}|[\x80-\xff]{1,24}|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextField:
    """One field of a message, as offsets in bytes from the start of the text.

    Attributes:
        name: The name as written: an extension or the type of an ``Any`` with its brackets, an
            unknown field as its number.
        start: The first byte of the name; in a list, of the element.
        end: One past the last byte of the value.
        after: One past the ``,`` or ``;`` that follows; ``end`` if none follows.
        value_start: The first byte of a scalar; one past the opening bracket of a message.
        value_end: One past the last byte of a scalar, adjacent strings included; the closing
            bracket of a message.
        is_message: Whether the value is a message, whose fields are
            ``fields(data, value_start, value_end)``.
        in_list: Whether the value is an element of ``name: [...]``.
    """

    name: str
    start: int
    end: int
    after: int
    value_start: int
    value_end: int
    is_message: bool
    in_list: bool


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[TextField]:
    """Yield the fields of one message level in the order of the text.

    Args:
        data: The whole text; offsets count from its start.
        start: The start of the level: 0, or a field's ``value_start``.
        end: The end of the level: a field's ``value_end``, or None for the end of the text.

    Yields:
        One value for each field, and one for each element of a ``[...]`` list.

    Raises:
        ModelUnreadableError: This level is not in the text form, or a bracket or a string in a
            nested message is not closed.
    """
    stop = len(data) if end is None else end
    at = _gap(data, len(_BOM) if start == 0 and data.startswith(_BOM) else start, stop)
    while at < stop:
        head = _NAME.match(data, at, stop)
        if head is None:
            hint = "before this place a bracket or a quote is missing, or is one too many"
            raise _error(data, at, f"expected a field name, found {_excerpt(data, at)}", hint)
        name, value = head[0].decode("ascii"), _gap(data, head.end(), stop)
        if data[value : value + 1] == b":":
            value = _gap(data, value + 1, stop)
        elif value >= stop or data[value : value + 1] not in _CLOSER:
            hint = "a value follows ':', a message stands in '{' and '}'"
            found = f"expected ':' or '{{' after the field name {name[:40]!r}, found "
            raise _error(data, value, found + _excerpt(data, value), hint)
        if data[value : value + 1] == b"[":
            at = yield from _elements(data, name, value, stop)
        else:
            field = _field(data, name, at, value, stop)
            yield field
            at = field.after
        at = _gap(data, at, stop)


def _elements(data: bytes, name: str, at: int, stop: int) -> Generator[TextField, None, int]:
    """Yield the elements of the list that opens at ``at``; return the offset after it."""
    at = _gap(data, at + 1, stop)
    while data[at : at + 1] != b"]":
        field = _field(data, name, at, at, stop)
        yield field
        at = _gap(data, field.after, stop)
        if field.after == field.end and data[at : at + 1] != b"]":
            found = f"expected ',' or ']' in the list of {name[:40]!r}, found "
            raise _error(data, at, found + _excerpt(data, at))
    return _after(data, at + 1, stop)


def _field(data: bytes, name: str, start: int, at: int, stop: int) -> TextField:
    """Return the field whose value is at ``at``; for an element of a list, ``start`` equals it."""
    is_message = data[at : at + 1] in {b"{", b"<"}
    value_end = _closing(data, at, stop) if is_message else _scalar_end(data, name, at, stop)
    end = value_end + is_message
    after, value_start = _after(data, end, stop), at + is_message
    return TextField(name, start, end, after, value_start, value_end, is_message, start == at)


def _gap(data: bytes, at: int, stop: int) -> int:
    """Return the offset after any white space and comments."""
    while (gap := _GAP.match(data, at, stop)) and gap.end() > at:
        at = gap.end()
    return at


def _after(data: bytes, end: int, stop: int) -> int:
    """Return the offset after the separator that follows a field; ``end`` if none follows."""
    at = _gap(data, end, stop)
    return at + 1 if data[at : at + 1] in {b",", b";"} else end


def _scalar_end(data: bytes, name: str, at: int, stop: int) -> int:
    """Return one past the last byte of the strings, number or identifier at ``at``."""
    if data[at : at + 1] in _QUOTES:
        while data[at : at + 1] in _QUOTES:
            end = _string_end(data, at, stop)
            at = _gap(data, end, stop)
        return end
    if word := _WORD.match(data, at, stop):
        return word.end()
    hint = "a value is a string in quotes, a number, or an identifier"
    raise _error(data, at, f"expected a value for {name[:40]!r}, found {_excerpt(data, at)}", hint)


def _string_end(data: bytes, at: int, stop: int) -> int:
    """Return the offset after the string whose opening quote is at ``at``.

    It searches for quotes and counts the backslashes before them, because regular expressions
    need much memory for a megabyte of escapes.
    """
    quote, close = data[at : at + 1], at
    while (close := data.find(quote, close + 1, stop)) > 0:
        before = close - 1
        while data[before] == _BACKSLASH:
            before -= 1
        if (close - before) % 2:
            break
    if close < 0 or data.find(b"\n", at, close) > 0:
        hint = "close it with the same quote, and write a line break inside it as \\n"
        raise _error(data, at, "the string that opens here is not closed on its line", hint)
    return close + 1


def _closing(data: bytes, opener: int, stop: int) -> int:
    """Return the offset of the bracket that closes the one at ``opener``."""
    opened, at = [opener], opener + 1
    while landmark := _LANDMARK.search(data, at, stop):
        here, at = landmark.span()
        byte = data[here : here + 1]
        if byte in _CLOSER:
            if len(opened) == _DEEPEST:
                hint = "is a closing bracket missing further up?"
                raise _error(data, here, f"brackets are nested more than {_DEEPEST} deep", hint)
            opened.append(here)
        elif byte in _QUOTES:
            at = at if at > here + 1 else _string_end(data, here, stop)
        elif byte != b"#":
            last = opened.pop()
            due = _CLOSER[data[last : last + 1]]
            if byte != due:
                hint = "the bracket still open is at line {}, column {}".format(*_place(data, last))
                found = f"found {byte.decode()!r} where {due.decode()!r} is due"
                raise _error(data, here, found, hint)
            if not opened:
                return here
    hint = "the closing bracket is missing, or the file is cut short"
    raise _error(data, opened[-1], f"{chr(data[opened[-1]])!r} opens here and is not closed", hint)


def _error(data: bytes, at: int, found: str, hint: str = "") -> ModelUnreadableError:
    where = "line {}, column {}".format(*_place(data, at))
    return ModelUnreadableError(found, where=where, hint=hint)


def _excerpt(data: bytes, at: int) -> str:
    excerpt = _EXCERPT.match(data, at)
    return repr(excerpt[0].decode("utf-8", "replace")) if excerpt else "the end of the text"


def _place(data: bytes, at: int) -> tuple[int, int]:
    """Return the line and the column as an editor shows them: from 1, columns in characters."""
    start = data.rfind(b"\n", 0, at) + 1
    before = data[start:at].removeprefix(_BOM if start == 0 else b"")
    return data.count(b"\n", 0, at) + 1, len(before.decode("utf-8", "replace")) + 1
