r"""Walk protobuf's text form as spans, so that an edit of it is a splice of text.

Comments, layout and fields that this package has never heard of have to survive
an edit of `saved_model.pbtxt`, and a parse and print loses all three. So this module
only says where things are: `fields` yields the fields of one message level as
offsets, and whoever edits replaces or inserts bytes at such an offset.

What it deliberately does not do: it knows no schema, it changes no bytes, and it
checks only the level that is walked. A nested message is jumped over from one
quote, comment or bracket to the next, and only its brackets are matched, so that a
graph of many megabytes costs one pass at the speed of a regular expression.

The walk accepts what the specification accepts, and field numbers in place of
names, for printers write unknown fields so. Two readers load a `.pbtxt`,
protobuf's C++ and its Python parser: an escape whose bytes they disagree on (such
as ``\?``) is refused, though only where the value of that string is asked for.

Sources: https://protobuf.dev/reference/protobuf/textformat-spec/ ;
``google/protobuf/text_format.py`` and ``text_encoding.py`` of protobuf 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpatch.errors import ModelUnreadableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = [
    "Insertion",
    "TextField",
    "fields",
    "insertion_after",
    "line_indent",
    "newline",
    "string_value",
]

# Where protobuf's readers of the wire form stop by default. The brackets of lists
# count as well here, which real models, some fifteen deep, are far from noticing.
_DEPTH_LIMIT = 100

_BOM = b"\xef\xbb\xbf"
_HASH, _COLON, _COMMA, _MINUS, _BACKSLASH = b"#:,-\\"
_LIST = ord("[")
_MESSAGE = frozenset(b"{<")
_QUOTES = frozenset(b"\"'")
_CLOSER = {ord("{"): ord("}"), ord("<"): ord(">"), _LIST: ord("]")}

_CONTROL = bytes((*range(9), *range(14, 32), 127))
_FOREIGN = _CONTROL + bytes(range(128, 256))

_GAP = re.compile(rb"\s*(#[^\n\0]*)?")
_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
_HEAD = re.compile(rb"([A-Za-z_]\w*|[0-9]+)\s*(:?)\s*")
_URL_PIECE = re.compile(rb"[-\w.~!$&()*+,;=%/]+")
# What a part gives back is refused at once, so that a failing match is linear too.
_NUMBER = re.compile(
    rb"(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?)(?![\w.])"
)
_NOT_FINITE = re.compile(rb"(?:infinity|inf|nan)(?!\w)", re.IGNORECASE)
# Jumping to the next quote and looking back for backslashes keeps a megabyte of
# escapes (``tensor_content``) out of the regular expression's stack.
_TO_QUOTE = {
    ord('"'): re.compile(rb'[^"\n\0]*"'),
    ord("'"): re.compile(rb"[^'\n\0]*'"),
}
# Each branch opens with a plain byte: only then does the engine search with a
# bitmap of first bytes, ten times as fast as trying the branches everywhere.
_LANDMARK = re.compile(
    rb"\"[^\"\n\0]*\"|'[^'\n\0]*'|#[^\n\0]*|\{|\}|<|>|\[|\]|\"|'|"
    + b"|".join(b"\\x%02x" % code for code in _CONTROL)
)
_SIMPLE_ESCAPES = dict(zip(b"abfnrtv\\'\"", b"\a\b\f\n\r\t\v\\'\"", strict=True))
_SURROGATES = range(0xD800, 0xE000)
_ESCAPE = re.compile(
    rb"\\(?:(?P<simple>[abfnrtv\\'\"])|(?P<octal>[0-3][0-7]{2}|[0-7]{1,2}(?![0-7]))"
    rb"|x(?P<byte>[0-9a-fA-F]{1,2})|u(?P<short>[0-9a-fA-F]{4})"
    rb"|U(?P<long>00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|)"
)
_LINE_REST = re.compile(rb"[ \t\v\f]*[,;]?[ \t\v\f]*(?:#[^\n]*?)?(?=\r?\n|\Z)")
_SEPARATOR = re.compile(rb"[ \t\v\f]*[,;]")
_EXCERPT = re.compile(rb"[\w.+-]{1,24}|[\x80-\xff]{1,24}|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextField:
    """One field of a message, as offsets in bytes from the start of the text.

    Attributes:
        name: As written; an extension or the type of an ``Any`` in its brackets,
            without white space and comments; an unknown field as its number.
        start: The first byte of the name; of the element itself in a list.
        end: One past the last byte of the value, before any separator.
        value_start: The first byte of a scalar; just after a message's opening bracket.
        value_end: One past the last byte of a scalar, adjacent strings included;
            the offset of a message's closing bracket.
        is_message: The value is a message: walk it with
            ``fields(data, value_start, value_end)``.
        in_list: The value is an element of ``name: [...]``.
    """

    name: str
    start: int
    end: int
    value_start: int
    value_end: int
    is_message: bool
    in_list: bool


@dataclass(frozen=True, slots=True)
class Insertion:
    """Where one more field goes, and what has to stand around it.

    ``data[:offset] + lead + new + tail + data[offset:]`` is the edited text.

    Attributes:
        offset: In bytes from the start of the text.
        lead: A line break and the neighbour's indent; one blank where the neighbour
            shares its line with what follows, so that the new field does as well.
        tail: A blank where what follows would otherwise touch the new field.
    """

    offset: int
    lead: bytes
    tail: bytes


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[TextField]:
    """Yield the fields of one message level in the order of the text.

    Args:
        data: The whole text; offsets count from its start.
        start: Where the level begins: 0, or a field's ``value_start``.
        end: Where it ends: a field's ``value_end``, or None for the end of the text.

    Yields:
        One value per field, and one per element of a ``[...]`` list.

    Raises:
        ModelUnreadableError: This level is not in the text form, or brackets or
            strings further down do not close, or are nested too deep.
    """
    stop = len(data) if end is None else end
    at = len(_BOM) if start == 0 and data.startswith(_BOM) else start
    while (at := _gap(data, at, stop)) < stop:
        begin = at
        if head := _HEAD.match(data, at, stop):
            name, colon, at = head[1].decode("ascii"), bool(head[2]), head.end()
        else:
            (name, at), colon = _bracketed_name(data, at, stop), False
        if at < stop and data[at] in (_HASH, _COLON):
            at = _gap(data, at, stop)
            if not colon and at < stop and data[at] == _COLON:
                colon, at = True, _gap(data, at + 1, stop)
        byte = data[at] if at < stop else -1
        if byte == _LIST:
            at = yield from _elements(data, name, at, stop, scalars=colon)
        elif colon or byte in _MESSAGE:
            field = _field(data, name, begin, at, stop)
            yield field
            at = field.end
        else:
            found = f"expected ':' or '{{' after the field name {name[:40]!r}, found "
            hint = "a value follows ':', a message stands in '{' and '}'"
            raise _error(data, at, found + _excerpt(data, at, stop), hint=hint)
        at = _gap(data, at, stop)
        if at < stop and data[at] in b",;":
            at += 1


def string_value(data: bytes, field: TextField) -> bytes:
    r"""Return what a string or bytes field holds, adjacent literals joined.

    Bytes that are not escaped are taken as they are, also where they are not UTF-8.

    Args:
        data: The text that the field was found in.
        field: A scalar whose value is in quotes.

    Returns:
        The bytes after unescaping, as `google.protobuf.text_format` has them.

    Raises:
        ModelUnreadableError: The value is not in quotes, or an escape is unknown or
            read differently by protobuf's parsers (``\?``, surrogates, ``\u005c``).
    """
    at, end = field.value_start, field.value_end
    if field.is_message or data[at] not in _QUOTES:
        raise _error(data, at, f"{field.name[:40]!r} must be a string in quotes")
    parts: list[bytes] = []
    while at < end:
        close = _literal_end(data, at, end)
        parts.append(_unescape(data, at + 1, close - 1))
        at = _gap(data, close, end)
    return b"".join(parts)


def newline(data: bytes) -> bytes:
    r"""Return the line break that the text uses: that of its first line, else ``\n``."""
    first = data.find(b"\n")
    return b"\r\n" if first > 0 and data[first - 1 : first] == b"\r" else b"\n"


def line_indent(data: bytes, offset: int) -> bytes:
    """Return the white space that opens the line in which ``offset`` lies.

    Args:
        data: The whole text.
        offset: In bytes from the start of the text.

    Returns:
        Blanks and tabs up to the line's first other byte, or to the offset.
    """
    at = line = data.rfind(b"\n", 0, offset) + 1
    while at < offset and data[at] in b" \t":
        at += 1
    return data[line:at]


def insertion_after(data: bytes, field: TextField) -> Insertion:
    """Return where one more field goes that is to follow ``field``.

    A separator and a comment that trail on the same line stay with the field that
    they belong to. After an element of a list the place is behind the whole list.

    Args:
        data: The text that the field was found in.
        field: The neighbour to come after.

    Returns:
        The place, on a line of its own wherever the neighbour ends its line.
    """
    end = field.end
    if field.in_list:
        end = _closing(data, end, len(data), kind=_LIST) + 1
    if rest := _LINE_REST.match(data, end):
        return Insertion(rest.end(), newline(data) + line_indent(data, field.start), b"")
    if separator := _SEPARATOR.match(data, end):
        end = separator.end()
    # The line goes on, so there is a next byte.
    return Insertion(end, b" ", b"" if data[end : end + 1].isspace() else b" ")


def _gap(data: bytes, at: int, end: int) -> int:
    """Return the offset after any white space and comments."""
    gap = _GAP.match(data, at, end)
    while gap and gap.lastindex:
        gap = _GAP.match(data, gap.end(), end)
    return gap.end() if gap else at


def _field(data: bytes, name: str, start: int, at: int, end: int) -> TextField:
    """Return the field or list element whose value is at ``at``."""
    in_list = start == at
    if at < end and data[at] in _MESSAGE:
        close = _closing(data, at + 1, end, kind=data[at])
        return TextField(name, start, close + 1, at + 1, close, is_message=True, in_list=in_list)
    after = _scalar_end(data, at, end, name)
    return TextField(name, start, after, at, after, is_message=False, in_list=in_list)


def _elements(
    data: bytes, name: str, at: int, end: int, *, scalars: bool
) -> Generator[TextField, None, int]:
    """Yield the elements of the list that opens at ``at``; return the offset after it."""
    opener = at
    at = _gap(data, at + 1, end)
    if at < end and data[at] == _CLOSER[_LIST]:
        return at + 1
    while at < end:
        if not scalars and data[at] not in _MESSAGE:
            raise _error(data, opener, f"expected ':' before the list of {name[:40]!r}")
        field = _field(data, name, at, at, end)
        yield field
        at = _gap(data, field.end, end)
        if at < end and data[at] == _CLOSER[_LIST]:
            return at + 1
        if at < end and data[at] != _COMMA:
            found = f"expected ',' or ']' in the list of {name[:40]!r}, found "
            raise _error(data, at, found + _excerpt(data, at, end))
        at = _gap(data, at + 1, end)
    raise _unclosed(data, opener)


def _bracketed_name(data: bytes, at: int, end: int) -> tuple[str, int]:
    """Return ``[an.extension]`` or ``[host/a.Type]``, and the offset of what follows it."""
    opener, hint = at, ""
    if data[at] != _LIST:
        if data[at] in _CLOSER.values():
            hint = "a closing bracket too many, or the opening one is missing"
        elif data[at] in _QUOTES:
            hint = "a quote inside a string is written with a backslash before it"
        raise _error(data, at, f"expected a field name, found {_excerpt(data, at, end)}", hint=hint)
    pieces: list[bytes] = []
    at = _gap(data, at + 1, end)
    while piece := _URL_PIECE.match(data, at, end):
        pieces.append(piece[0])
        at = _gap(data, piece.end(), end)
    name = b"".join(pieces)
    host, slash, type_name = name.rpartition(b"/")
    if at >= end or data[at] != _CLOSER[_LIST]:
        found = _excerpt(data, at, end)
        raise _error(data, at, f"expected ']' after the name that '[' opens, found {found}")
    if bool(slash) != bool(host) or not all(map(_IDENTIFIER.fullmatch, type_name.split(b"."))):
        hint = "such as [package.extension] or [type.googleapis.com/package.Message]"
        raise _error(data, opener, "not the name of an extension or of a type", hint=hint)
    return f"[{name.decode('ascii')}]", _gap(data, at + 1, end)


def _scalar_end(data: bytes, at: int, end: int, name: str) -> int:
    """Return one past the last byte of the string, number or identifier at ``at``."""
    if at < end and data[at] in _QUOTES:
        after = at
        while at < end and data[at] in _QUOTES:
            after = _literal_end(data, at, end)
            at = _gap(data, after, end)
        return after
    begin = at
    if at < end and data[at] == _MINUS:
        at = _gap(data, at + 1, end)
        value = _NUMBER.match(data, at, end) or _NOT_FINITE.match(data, at, end)
    else:
        value = _NUMBER.match(data, at, end) or _IDENTIFIER.match(data, at, end)
    if value is None:
        found = f"expected a value for {name[:40]!r}, found {_excerpt(data, begin, end)}"
        raise _error(data, begin, found, hint="a string in quotes, a number, or an identifier")
    return value.end()


def _literal_end(data: bytes, at: int, end: int) -> int:
    """Return the offset after the string literal whose opening quote is at ``at``."""
    to_quote = _TO_QUOTE[data[at]]
    after = at + 1
    while reached := to_quote.match(data, after, end):
        after = reached.end()
        # The opening quote ends the run of backslashes at the latest.
        before = after - 2
        while data[before] == _BACKSLASH:
            before -= 1
        if (after - 2 - before) % 2 == 0:
            return after
    hint = f"close it with {chr(data[at])}, and write a line break inside it as \\n"
    raise _error(data, at, "the string that opens here is not closed on its line", hint=hint)


def _closing(data: bytes, at: int, end: int, *, kind: int) -> int:
    """Return the offset of the bracket that closes one of this kind, given an offset inside."""
    opened, closers = [at - 1], [_CLOSER[kind]]
    for here in _landmarks(data, at, end):
        byte = data[here]
        if byte == closers[-1]:
            closers.pop()
            if not closers:
                return here
            opened.pop()
        elif byte not in _CLOSER:
            raise _misplaced(data, here, opened[-1])
        elif len(closers) == _DEPTH_LIMIT:
            found = f"brackets are nested more than {_DEPTH_LIMIT} deep"
            raise _error(data, here, found, hint="is a closing bracket missing further up?")
        else:
            opened.append(here)
            closers.append(_CLOSER[byte])
    raise _unclosed(data, opened[-1])


def _landmarks(data: bytes, at: int, end: int) -> Iterator[int]:
    """Yield the offset of each bracket, and of bytes that no text holds, outside strings."""
    while at < end:
        for landmark in _LANDMARK.finditer(data, at, end):
            here, after = landmark.span()
            if data[here] in _QUOTES:
                if after - here == 1 or data[after - 2] == _BACKSLASH:
                    # Not the end of this string: find that, and search on from there.
                    at = _literal_end(data, here, end)
                    break
            elif data[here] != _HASH:
                yield here
        else:
            return


def _unescape(data: bytes, start: int, end: int) -> bytes:
    """Return the content of one literal, given the offsets between its quotes."""
    raw = data[start:end]
    if b"\\" not in raw:
        return raw

    def replacement(escape: re.Match[bytes]) -> bytes:
        kind, digits = escape.lastgroup, escape[escape.lastindex or 0]
        if kind == "simple":
            return bytes((_SIMPLE_ESCAPES[digits[0]],))
        if kind in ("octal", "byte"):
            return bytes((int(digits, 8 if kind == "octal" else 16),))
        # The Python parser takes the backslash that \u005c stands for as the start
        # of another escape, and reads no surrogates; the C++ parser does otherwise.
        if kind and (point := int(digits, 16)) != _BACKSLASH and point not in _SURROGATES:
            return chr(point).encode()
        at = start + escape.start()
        found = data[at : at + 2].decode("ascii", "replace")
        hint = r"use \n \r \t \" \' \\, \x41, \101 or \u1234"
        raise _error(data, at, f"not every reader understands the escape {found}", hint=hint)

    return _ESCAPE.sub(replacement, raw)


def _misplaced(data: bytes, at: int, opener: int) -> ModelUnreadableError:
    """Return the error for a bracket of the wrong kind, or a byte that no text holds."""
    if data[at] not in _CLOSER.values():
        return _error(data, at, f"found {_excerpt(data, at, len(data))} outside a string")
    line, column = _position(data, opener)
    found = f"found {chr(data[at])!r} where {chr(_CLOSER[data[opener]])!r} is due"
    hint = f"the bracket still open is {chr(data[opener])!r} at line {line}, column {column}"
    return _error(data, at, found, hint=hint)


def _unclosed(data: bytes, opener: int) -> ModelUnreadableError:
    hint = "the closing bracket is missing, or the file is cut short"
    return _error(data, opener, f"{chr(data[opener])!r} opens here and is not closed", hint=hint)


def _error(data: bytes, at: int, found: str, *, hint: str = "") -> ModelUnreadableError:
    line, column = _position(data, at)
    if at < len(data) and data[at] in _FOREIGN:
        hint = "is this a binary saved_model.pb? A text is ASCII outside strings and comments"
    return ModelUnreadableError(found, where=f"line {line}, column {column}", hint=hint)


def _position(data: bytes, at: int) -> tuple[int, int]:
    """Return line and column as an editor shows them: from 1, columns in characters."""
    start = data.rfind(b"\n", 0, at) + 1
    before = data[start:at].removeprefix(_BOM if start == 0 else b"")
    return data.count(b"\n", 0, at) + 1, len(before.decode("utf-8", "replace")) + 1


def _excerpt(data: bytes, at: int, end: int) -> str:
    """Return what stands at ``at`` in words fit for an error."""
    found = _EXCERPT.match(data, at, end)
    if found is None:
        return "the end of the text" if at >= len(data) else f"{chr(data[at])!r}"
    if found[0][0] < ord(" ") or found[0] == b"\x7f":
        return f"the control byte 0x{found[0][0]:02x}"
    return repr(found[0].decode("utf-8", "backslashreplace"))
