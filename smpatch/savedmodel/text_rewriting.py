"""A signature of a text file told otherwise: splices of text that leave the rest as it is.

What stays the same keeps its bytes, comments and layout included: a renamed alias replaces
the string alone, a changed tensor its name or its sizes alone.

This module is about one entry of the ``signature_def`` map, and about taking fields out.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf import text_format

from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields
from smpatch.savedmodel.changes import Slot
from smpatch.savedmodel.revision import same_but_name_and_shape, same_rank
from smpatch.savedmodel.text_fields import TextField
from smpatch.wire import Splice

__all__ = ["INDENT", "block", "quoted", "removals", "revisions"]

INDENT = b"  "
"""One level of protobuf's own printers."""

_REST_OF_LINE = re.compile(rb"[ \t\v\f]*[,;]?[ \t\v\f]*(?:#[^\n]*?)?(?=\r?\n|\Z)")
_SEPARATOR = re.compile(rb"\s*[,;]")
_GAP = rb"(?:\s|#[^\n]*(?:\n|\Z))*"
_COMMA = re.compile(_GAP + rb"(,)" + _GAP)


def block(message: Any, data: bytes, indent: bytes) -> bytes:  # noqa: ANN401 - protobuf's classes are made at run time
    """Return a message in braces, its fields a level deeper than ``indent``."""
    newline = text_fields.newline(data)
    lines = text_format.MessageToString(message).encode().splitlines()
    body = b"".join(newline + indent + INDENT + line for line in lines)
    return b"{" + body + newline + indent + b"}"


def quoted(value: str) -> bytes:
    """Return a string as the text form writes it."""
    printed = text_format.MessageToString(schema.SignatureDefEntry(key=value), as_one_line=True)
    return printed.partition(" ")[2].strip().encode() if value else b'""'


def removals(
    data: bytes, gone: Iterable[TextField], present: Sequence[TextField]
) -> Iterator[Splice]:
    """Yield the splices that take fields out, with the lines that they had for themselves.

    Args:
        data: The whole text.
        gone: The fields that go.
        present: All fields of that name in the message, in their order.
    """
    starts = {field.start for field in gone}
    alone = [field for field in present if field.start in starts and not field.in_list]
    splices = [_removal(data, field) for field in alone]
    for elements in _lists(data, present):
        splices += _out_of_list(data, elements, starts)
    yield from sorted(splices)


def revisions(data: bytes, entry: TextField, slot: Slot) -> Iterator[Splice]:
    """Yield what makes an entry of the ``signature_def`` map what a slot has.

    Args:
        data: The whole text.
        entry: The entry.
        slot: What it is to be.
    """
    old, new = schema.SignatureDefEntry(), schema.SignatureDef.FromString(slot.value)
    _merge(data, entry, old)
    if old.key != slot.key:
        yield _key_splice(data, entry, slot.key)
    values = [each for each in _inside(data, entry) if each.name == "value"]
    if old.value == new:
        return
    if len(values) != 1:
        yield _value_splice(data, entry, new)
        return
    (value,) = values
    for name in ("inputs", "outputs", "defaults"):
        names = slot.outputs if name == "outputs" else slot.inputs
        yield from _map_splices(
            data, value, name, (getattr(old.value, name), getattr(new, name)), names
        )
    if old.value.method_name != new.method_name:
        yield from _method_splices(data, value, new.method_name)


def _map_splices(
    data: bytes,
    value: TextField,
    name: str,
    maps: tuple[Mapping[str, Any], Mapping[str, Any]],
    names: Mapping[str, str],
) -> Iterator[Splice]:
    before, after = maps
    aliases = {names.get(alias, alias): alias for alias in after}
    present = [each for each in _inside(data, value) if each.name == name]
    keys = {field.start: _key(data, field) for field in present}
    last = {keys[field.start]: field for field in present}
    gone = [each for each in present if keys[each.start] not in aliases]
    yield from removals(data, gone, present)
    for field in present:
        was = keys[field.start]
        alias = aliases.get(was)
        if alias is None:
            continue
        if alias != was:
            yield _key_splice(data, field, alias)
        if last[was] is field and before[was] != after[alias]:
            yield from _value_splices(data, field, before[was], after[alias])
    for alias in sorted(after):
        if names.get(alias, alias) not in last:
            yield _insertion(data, value, name, alias, after[alias])


def _method_splices(data: bytes, value: TextField, method_name: str) -> Iterator[Splice]:
    present = [each for each in _inside(data, value) if each.name == "method_name"]
    if present:
        yield Splice(present[-1].value_start, present[-1].value_end, quoted(method_name))
    else:
        yield _line(data, value, b"method_name: " + quoted(method_name))


def _insertion(data: bytes, value: TextField, name: str, alias: str, what: Any) -> Splice:  # noqa: ANN401 - as above
    """Return the splice that adds an entry to a map, behind those that are there."""
    key = b"key: " + quoted(alias)
    printed = text_format.MessageToString(what, as_one_line=True).encode()
    new = name.encode() + b" { " + key + b" value { " + printed + b" } }"
    return _line(data, value, new)


def _line(data: bytes, holder: TextField, new: bytes) -> Splice:
    """Return the splice that puts a field behind the last one of a message."""
    inside = list(_inside(data, holder))
    if not inside:
        at = holder.value_start
        return Splice(at, at, b" " + new + b" ")
    place = text_fields.insertion_after(data, inside[-1])
    return Splice(place.offset, place.offset, place.lead + new + place.tail)


def _key_splice(data: bytes, entry: TextField, key: str) -> Splice:
    keys = [each for each in _inside(data, entry) if each.name == "key"]
    if keys:
        return Splice(keys[-1].value_start, keys[-1].value_end, quoted(key))
    at = entry.value_start
    return Splice(at, at, b" key: " + quoted(key))


def _value_splices(
    data: bytes,
    entry: TextField,
    before: Any,  # noqa: ANN401 - as above
    after: Any,  # noqa: ANN401 - as above
) -> Iterator[Splice]:
    """Yield what gives a map's entry another value; of a tensor what differs is replaced."""
    values = [each for each in _inside(data, entry) if each.name == "value"]
    inside = list(_inside(data, values[0])) if len(values) == 1 else []
    names = [each for each in inside if each.name == "name"]
    shapes = [each for each in inside if each.name == "tensor_shape"]
    if (len(names), len(shapes)) != (1, 1) or not same_but_name_and_shape(before, after):
        yield _value_splice(data, entry, after)
        return
    if before.name != after.name:
        yield Splice(names[0].value_start, names[0].value_end, quoted(after.name))
    if before.tensor_shape == after.tensor_shape:
        return
    dims = [each for each in _inside(data, shapes[0]) if each.name == "dim"]
    sizes = [[each for each in _inside(data, dim) if each.name == "size"] for dim in dims]
    if same_rank(before.tensor_shape, after.tensor_shape) and all(len(each) == 1 for each in sizes):
        both = zip(before.tensor_shape.dim, after.tensor_shape.dim, strict=True)
        for (size,), (was, now) in zip(sizes, both, strict=True):
            if was.size != now.size:
                yield Splice(size.value_start, size.value_end, str(now.size).encode())
    else:
        yield _message_splice(data, shapes[0], b"tensor_shape", after.tensor_shape)


def _value_splice(data: bytes, entry: TextField, message: Any) -> Splice:  # noqa: ANN401 - as above
    """Return the splice that rewrites the value of a map's entry."""
    values = [each for each in _inside(data, entry) if each.name == "value"]
    if len(values) == 1:
        return _message_splice(data, values[0], b"value", message)
    found = "this signature has several values, or none, and is not edited"
    line = data.count(b"\n", 0, entry.start) + 1
    raise ModelUnreadableError(found, where=f"line {line}", hint="write it as one value { }")


def _message_splice(data: bytes, field: TextField, name: bytes, message: Any) -> Splice:  # noqa: ANN401 - as above
    """Return the splice that prints a field anew, on one line where it is on one."""
    lead = b"" if field.in_list else name + b" "
    if b"\n" in data[field.start : field.end]:
        new = block(message, data, text_fields.line_indent(data, field.start))
    else:
        new = b"{ " + text_format.MessageToString(message, as_one_line=True).encode() + b" }"
    return Splice(field.start, field.end, lead + new)


def _removal(data: bytes, field: TextField) -> Splice:
    line = data.rfind(b"\n", 0, field.start) + 1
    alone = not data[line : field.start].strip()
    rest = _REST_OF_LINE.match(data, field.end)
    if alone and rest:
        if line == 0:
            after = re.compile(rb"\r?\n").match(data, rest.end())
            return Splice(0, after.end() if after else rest.end(), b"")
        start = line - 1
        start -= data[start - 1 : start] == b"\r"
        return Splice(start, rest.end(), b"")
    separator = _SEPARATOR.match(data, field.end)
    end = separator.end() if separator else field.end
    before = data[field.start - 1 : field.start]
    return Splice(field.start - (before in {b" ", b"\t"}), end, b"")


class _Element(NamedTuple):
    """An element of a list, and where the comma before it is; None before the first."""

    field: TextField
    comma: int | None


def _lists(data: bytes, present: Sequence[TextField]) -> Iterator[list[_Element]]:
    """Yield the elements of each list; several may have the same name."""
    elements: list[_Element] = []
    for field in present:
        if not field.in_list:
            continue
        comma = None
        if elements:
            comma = _COMMA.fullmatch(data, elements[-1].field.end, field.start)
            if comma is None:
                yield elements
                elements = []
        elements.append(_Element(field, comma and comma.start(1)))
    yield elements


def _out_of_list(data: bytes, elements: Sequence[_Element], gone: set[int]) -> Iterator[Splice]:
    """Take elements out, each with the comma behind it or, where none stays behind, before it."""
    stays = [place for place, each in enumerate(elements) if each.field.start not in gone]
    last = stays[-1] if stays else -1
    for place, (field, before) in enumerate(elements):
        if place in stays:
            continue
        comma = elements[place + 1].comma if place < last else before
        if comma is None:
            yield Splice(field.start, field.end, b"")
            continue
        start, end = min(field.start, comma), max(field.end, comma + 1)
        between = data[field.end : comma] if place < last else data[comma + 1 : field.start]
        if between.strip():  # a comment
            yield Splice(field.start, field.end, b"")
            yield Splice(comma, comma + 1, b"")
        else:
            yield Splice(start, end, b"")


def _key(data: bytes, entry: TextField) -> str:
    keys = [each for each in _inside(data, entry) if each.name == "key"]
    return text_fields.string_value(data, keys[-1]).decode("utf-8", "replace") if keys else ""


def _inside(data: bytes, field: TextField) -> Iterator[TextField]:
    return text_fields.fields(data, field.value_start, field.value_end)


def _merge(data: bytes, field: TextField, message: Any) -> None:  # noqa: ANN401 - as above
    body = data[field.value_start : field.value_end].decode()
    text_format.Merge(body, message, allow_unknown_field=True)
