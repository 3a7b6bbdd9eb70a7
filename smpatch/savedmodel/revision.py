"""A signature of the file told otherwise, in wire form, and what refers to its object.

What stays the same keeps its bytes and its place: a renamed alias replaces the alias
alone, a changed tensor its name or its shape alone, and fields that the schema does not
know stay.

Source: ``tensorflow/core/protobuf/meta_graph.proto``, ``trackable_object_graph.proto``;
https://protobuf.dev/programming-guides/encoding/ (maps, last one wins).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch import schema, wire
from smpatch.minimal import patched
from smpatch.savedmodel.changes import Reference, Slot
from smpatch.wire import Field, Splice

__all__ = ["revised_entry", "revised_reference"]

_MAPS = {1: "inputs", 2: "outputs", 4: "defaults"}
"""The maps of a ``SignatureDef`` by field number."""

_NODE_ID, _LOCAL_NAME = 1, 2
_KEY, _VALUE = 1, 2


def revised_entry(entry: bytes, slot: Slot) -> bytes:
    """Return an entry of the ``signature_def`` map as a slot has it.

    Args:
        entry: The entry in the file, without its tag and length.
        slot: What it is to be.
    """
    values = [field for field in wire.fields(entry) if _is(field, _VALUE)]
    old = b"".join(field.bytes(entry) for field in values)
    new = slot.value if slot.exact else _revised(old, slot)
    entry = _with_key(entry, slot.key)
    if new == old:
        return entry
    values = [field for field in wire.fields(entry) if _is(field, _VALUE)]
    splices = [Splice(field.start, field.end, b"") for field in values[:-1]]
    if values:
        splices.append(Splice(values[-1].start, values[-1].end, wire.delimited(_VALUE, new)))
    else:
        splices.append(Splice(len(entry), len(entry), wire.delimited(_VALUE, new)))
    return wire.apply(entry, splices)


def _revised(old: bytes, slot: Slot) -> bytes:
    """Return the serialized ``SignatureDef`` of a slot, with as much of the old as stays."""
    renamed = {name: slot.outputs if name == "outputs" else slot.inputs for name in _MAPS.values()}
    return patched(old, schema.SignatureDef.FromString(slot.value), renamed)


def _with_key(entry: bytes, key: str) -> bytes:
    """Return an entry of a map under another key, its value untouched."""
    keys = [field for field in wire.fields(entry) if _is(field, _KEY)]
    if not keys:
        return (wire.delimited(_KEY, key.encode()) if key else b"") + entry
    if keys[-1].bytes(entry) == key.encode():
        return entry
    last = keys[-1]
    return wire.apply(entry, (Splice(last.start, last.end, wire.delimited(_KEY, key.encode())),))


def _last_replaced(old: bytes, number: int, value: bytes) -> Iterator[Splice]:
    """Yield what puts one field in the place of all of its number."""
    present = [field for field in wire.fields(old) if _is(field, number)]
    for field in present[:-1]:
        yield Splice(field.start, field.end, b"")
    start, end = (present[-1].start, present[-1].end) if present else (0, 0)
    yield Splice(start, end, wire.delimited(number, value))


def revised_reference(old: bytes, wanted: Reference) -> bytes:
    """Return an ``ObjectReference`` with another name or number, its other bytes as they are.

    Args:
        old: The message in the file.
        wanted: What it is to be.
    """
    message = schema.ObjectReference.FromString(old)
    splices: list[Splice] = []
    if message.local_name != wanted.name:
        splices += _last_replaced(old, _LOCAL_NAME, wanted.name.encode())
    if message.node_id != wanted.number:
        numbers = [field for field in wire.fields(old) if field.number == _NODE_ID]
        splices += [Splice(field.start, field.end, b"") for field in numbers]
        at = numbers[-1].end if numbers else 0
        new = wire.varint(_NODE_ID << 3) + wire.varint(wanted.number)
        splices.append(Splice(at, at, new))
    splices.sort(key=lambda each: (each.start, each.end))
    return wire.apply(old, splices)


def _is(field: Field, number: int) -> bool:
    return field.number == number and field.wire_type == wire.BYTES
