"""Change a serialized message into another message, with as few changed bytes as possible.

``patched`` compares the old message with the new one field by field, as the descriptor
describes them, and replaces only the bytes of the fields that differ. All else keeps its bytes
and its place: unknown fields (nested ones too), the order of fields and of map entries, and
lengths and varints that are longer than they need to be.

Long lists that differ in many places are compared position by position. This module opens no file.

Source: https://protobuf.dev/programming-guides/encoding/ (last one wins, merged messages,
maps, packed fields).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from google.protobuf import message_factory

from smpatch import wire
from smpatch.errors import RefusedError
from smpatch.wire import Field, Splice

_FIXED64_TYPES, _FIXED32_TYPES = frozenset({1, 6, 16}), frozenset({2, 7, 15})
_BYTES_TYPES, _MESSAGE_TYPE, _GROUP_TYPE = frozenset({9, 11, 12}), 11, 10
"""Values of ``FieldDescriptor.type``."""

_REPEATED_LABEL = 3
_MOST_COMPARED = 1_000_000
"""The most pairs of elements of two lists that are compared."""


def patched(old: bytes, new: Any, renamed: Mapping[str, Mapping[str, str]] = {}) -> bytes:  # noqa: ANN401 - protobuf makes its classes at run time
    r"""Return bytes that parse to a message and differ from the old bytes as little as possible.

    Args:
        old: The serialized message.
        new: The message, of the same type. Its unknown fields are ignored: the unknown fields of
            ``old`` stay.
        renamed: Name of a map field to new key to old key, for the entries that are renamed. Among
            the other entries, a removed key and an added key with equal values are a rename.

    Returns:
        The bytes; ``old`` itself if nothing differs.

    Raises:
        google.protobuf.message.DecodeError: ``old`` is not a message of this type.
        ValueError: ``renamed`` has one old key for two new keys.
        RefusedError: The result does not parse to the message, which is a defect of smpatch.

    Example:
        >>> from smpatch import schema
        >>> old = b"\x12\x81\x00a\x9a\x06\x01z"  # a padded length, an unknown field
        >>> patched(old, schema.ObjectReference(node_id=1, local_name="a"))
        b'\x08\x01\x12\x81\x00a\x9a\x06\x01z'
    """
    before, after = _known(type(new).FromString(old)), _known(new)
    result = _patched(old, before, after, renamed)
    if result != old and _bytes(_known(type(new).FromString(result))) != _bytes(after):
        found = f"the bytes of a {new.DESCRIPTOR.name} cannot be changed to the new message"
        raise RefusedError(found, hint="this is a defect of smpatch; nothing was changed")
    return result


def _patched(
    old: bytes,
    before: Any,  # noqa: ANN401 - as above
    after: Any,  # noqa: ANN401 - as above
    renamed: Mapping[str, Mapping[str, str]],
) -> bytes:
    was, now = _by_number(before), _by_number(after)
    fields = sorted(before.DESCRIPTOR.fields, key=lambda each: each.number)
    changed = {
        each.number: each
        for each in fields
        if was.get(each.number) != now.get(each.number) or renamed.get(each.name)
    }
    if not changed:
        return old
    walked = list(wire.fields(old))
    splices: list[Splice] = []
    for oneof in before.DESCRIPTOR.oneofs:
        numbers = {each.number for each in oneof.fields}
        present = [each for each in walked if any(_holds(field, each) for field in oneof.fields)]
        if len({each.number for each in present}) > 1 and numbers & changed.keys():
            # A later member clears an earlier one: only the member that is set is written.
            new = b"".join(piece for number in numbers for piece in now.get(number, ()))
            splices += _replaced(present, new, len(old))
            changed = {number: each for number, each in changed.items() if number not in numbers}
    for number, field in changed.items():
        values = getattr(before, field.name), getattr(after, field.name)
        pieces = was.get(number, []), now.get(number, [])
        present = [each for each in walked if _holds(field, each)]
        end = next((each.start for each in walked if each.number > number), len(old))
        if not _is_repeated(field) and field.type == _MESSAGE_TYPE and present and pieces[1]:
            merged = b"".join(each.bytes(old) for each in present)
            new = wire.delimited(number, _patched(merged, *values, {}))
            splices += _replaced(present, new, end)
        elif not _is_repeated(field) and pieces[1] and present:
            splices.append(Splice(present[-1].start, present[-1].end, pieces[1][0]))
        elif isinstance(values[0], Mapping):
            splices += _map(old, field, present, values, renamed.get(field.name, {}))
        elif _is_repeated(field) and field.type in _BYTES_TYPES:
            splices += _repeated(old, field, present, values, pieces, end)
        else:
            splices += _replaced(present, b"".join(pieces[1]), end)
    splices.sort(key=lambda each: (each.start, each.end))
    return wire.apply(old, splices)


def _replaced(present: Sequence[Field], new: bytes, end: int) -> Iterator[Splice]:
    """Yield splices that replace the last of these fields by bytes, and remove the others."""
    for each in present[:-1]:
        yield Splice(each.start, each.end, b"")
    start, end = (present[-1].start, present[-1].end) if present else (end, end)
    yield Splice(start, end, new)


def _repeated(  # noqa: PLR0913, PLR0917 - one field, before and after, as values and as bytes
    old: bytes,
    field: Any,  # noqa: ANN401 - as above
    present: Sequence[Field],
    values: tuple[Any, Any],
    pieces: tuple[list[bytes], list[bytes]],
    end: int,
) -> Iterator[Splice]:
    """Yield splices for a list: equal elements keep their bytes, the others are paired in order."""
    was, now = pieces
    for i, i2, j, j2 in _differing(was, now):
        both = min(i2 - i, j2 - j)
        for one, other in zip(range(i, i + both), range(j, j + both), strict=True):
            here, new = present[one], now[other]
            if field.type == _MESSAGE_TYPE:
                message = _patched(here.bytes(old), values[0][one], values[1][other], {})
                new = wire.delimited(field.number, message)
            yield Splice(here.start, here.end, new)
        for here in present[i + both : i2]:
            yield Splice(here.start, here.end, b"")
        after = i + both
        at = present[after - 1].end if after else present[0].start if present else end
        yield Splice(at, at, b"".join(now[j + both : j2]))


def _differing(was: list[bytes], now: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Yield where two lists differ: start and end in the first, start and end in the second."""
    first, stop, most = 0, 0, min(len(was), len(now))
    while first < most and was[first] == now[first]:
        first += 1
    while stop < most - first and was[-1 - stop] == now[-1 - stop]:
        stop += 1
    one, other = was[first : len(was) - stop], now[first : len(now) - stop]
    if len(one) * len(other) > _MOST_COMPARED:
        yield first, first + len(one), first, first + len(other)
        return
    for tag, i, i2, j, j2 in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            yield first + i, first + i2, first + j, first + j2


def _map(
    old: bytes,
    field: Any,  # noqa: ANN401 - as above
    present: Sequence[Field],
    values: tuple[Any, Any],
    renamed: Mapping[str, str],
) -> Iterator[Splice]:
    """Yield splices for a map: a renamed entry keeps its place, and so do its duplicates."""
    make: Any = message_factory.GetMessageClass(field.message_type)
    entries: list[Any] = [make.FromString(each.bytes(old)) for each in present]
    last = {entry.key: place for place, entry in enumerate(entries)}
    wanted = {
        entry.key: entry
        for entry in (make.FromString(piece) for piece in _pieces_of_map(field, values[1]))
    }
    new_keys = _paired(last.keys(), wanted, {key: entries[at] for key, at in last.items()}, renamed)
    for place, (here, entry) in enumerate(zip(present, entries, strict=True)):
        if entry.key not in new_keys:
            yield Splice(here.start, here.end, b"")
            continue
        goal = wanted[new_keys[entry.key]]
        changed = make.FromString(here.bytes(old))
        if last[entry.key] == place and _value(entry) != _value(goal):
            changed.CopyFrom(goal)
        changed.key = goal.key
        was, new = here.bytes(old), _patched(here.bytes(old), _known(entry), _known(changed), {})
        if new != was:
            yield Splice(here.start, here.end, wire.delimited(field.number, new))
    for key in sorted(wanted.keys() - set(new_keys.values())):
        later = (at.start for at, each in zip(present, entries, strict=True) if each.key > key)
        behind = (each for each in wire.fields(old) if each.number > field.number)
        ends = present[-1].end if present else next((each.start for each in behind), len(old))
        at = next(later, ends)
        entry = _bytes(wanted[key])
        yield Splice(at, at, wire.delimited(field.number, entry))


def _pieces_of_map(field: Any, value: Any) -> list[bytes]:  # noqa: ANN401 - as above
    holder = message_factory.GetMessageClass(field.containing_type)()
    getattr(holder, field.name).MergeFrom(value)
    data = _bytes(holder)
    return [each.bytes(data) for each in wire.fields(data)]


def _paired(
    old_keys: Any,  # noqa: ANN401 - the keys of a map, of any type that protobuf allows
    wanted: Mapping[Any, Any],
    entries: Mapping[Any, Any],
    renamed: Mapping[str, str],
) -> dict[Any, Any]:
    """Return old key to new key, for the entries that stay in their places."""
    pairs = {source: key for key, source in renamed.items() if key in wanted and source in old_keys}
    if len(pairs) != sum(key in wanted and source in old_keys for key, source in renamed.items()):
        raise ValueError(f"two keys are renamed from one: {dict(renamed)}")
    for key in old_keys:
        if key in wanted and key not in pairs and key not in pairs.values():
            pairs[key] = key
    free = [key for key in wanted if key not in pairs.values()]
    for key in old_keys:
        same = (each for each in free if _value(wanted[each]) == _value(entries[key]))
        if key not in pairs and (new := next(same, None)) is not None:
            pairs[key] = new
            free.remove(new)
    return pairs


def _value(entry: Any) -> bytes:  # noqa: ANN401 - as above
    """Return the value of an entry of a map; equal values have equal bytes."""
    only = _known(entry)
    only.ClearField("key")
    if only.DESCRIPTOR.fields_by_name["value"].type == _MESSAGE_TYPE:
        return _bytes(only.value)
    return _bytes(only)


def _by_number(message: Any) -> dict[int, list[bytes]]:  # noqa: ANN401 - as above
    """Return number to fields, with tag and length; equal fields have equal bytes."""
    data, found = _bytes(message), dict[int, list[bytes]]()
    for each in wire.fields(data):
        found.setdefault(each.number, []).append(data[each.start : each.end])
    return found


def _holds(field: Any, found: Field) -> bool:  # noqa: ANN401 - as above
    """Return whether a parser takes a field of the wire form for this field."""
    if found.number != field.number:
        return False
    if field.type in _BYTES_TYPES:
        return found.wire_type == wire.BYTES
    if field.type == _GROUP_TYPE:
        return found.wire_type == wire.GROUP
    if found.wire_type == wire.BYTES:
        return _is_repeated(field)
    if field.type in _FIXED64_TYPES:
        return found.wire_type == wire.FIXED64
    return found.wire_type == (wire.FIXED32 if field.type in _FIXED32_TYPES else wire.VARINT)


def _is_repeated(field: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether a field is a list or a map; protobuf 4.25 has ``label`` alone."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == _REPEATED_LABEL)


def _known(message: Any) -> Any:  # noqa: ANN401 - as above
    """Return a copy without unknown fields."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return copy


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - as above
    return bytes(message.SerializeToString(deterministic=True))
