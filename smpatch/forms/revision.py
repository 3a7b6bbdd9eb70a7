"""A signature of the file told otherwise, in wire form, and what refers to its object.

What stays the same keeps its bytes and its place: a renamed alias replaces the alias
alone, a changed tensor its name or its shape alone, and fields that the schema does not
know stay.

Source: ``tensorflow/core/protobuf/meta_graph.proto``, ``trackable_object_graph.proto``;
https://protobuf.dev/programming-guides/encoding/ (maps, last one wins).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smpatch import schema, wire
from smpatch.forms.changes import Reference, Slot
from smpatch.wire import Field, Splice

__all__ = ["MAPS", "revised_entry", "revised_reference", "same_but_name_and_shape", "same_rank"]

MAPS = {1: "inputs", 2: "outputs", 4: "defaults"}
"""The maps of a ``SignatureDef`` by field number."""

_METHOD_NAME = 3
_TENSOR_NAME, _TENSOR_SHAPE, _DIM = 1, 3, 2
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
    before, after = (schema.SignatureDef.FromString(each) for each in (old, slot.value))
    splices: list[Splice] = []
    for number, name in MAPS.items():
        names: Mapping[str, str] = slot.outputs if name == "outputs" else slot.inputs
        splices += _map_splices(old, number, getattr(before, name), getattr(after, name), names)
    splices += _method_splices(old, before.method_name, after.method_name)
    splices.sort(key=lambda each: (each.start, each.end))
    return wire.apply(old, splices)


def _map_splices(
    old: bytes,
    number: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    names: Mapping[str, str],
) -> Iterator[Splice]:
    aliases = {names.get(alias, alias): alias for alias in after}
    present = [field for field in wire.fields(old) if _is(field, number)]
    last = {_key(field.bytes(old)): field for field in present}
    for field in present:
        entry = field.bytes(old)
        was = _key(entry)
        alias = aliases.get(was)
        if alias is None:
            yield Splice(field.start, field.end, b"")
            continue
        new = _with_key(entry, alias) if alias != was else entry
        if last[was] is field and _bytes(before[was]) != _bytes(after[alias]):
            new = _with_value(new, before[was], after[alias])
        if new != entry:
            yield Splice(field.start, field.end, wire.delimited(number, new))
    for alias in sorted(after):
        if names.get(alias, alias) not in last:
            entry = wire.delimited(_KEY, alias.encode())
            entry += wire.delimited(_VALUE, _bytes(after[alias]))
            at = _place(old, number, alias)
            yield Splice(at, at, wire.delimited(number, entry))


def _place(old: bytes, number: int, alias: str) -> int:
    """Return where an entry goes: before the first that sorts after it, as a writer puts it."""
    at = 0
    for field in wire.fields(old):
        if field.number > number or (
            _is(field, number) and _key(field.bytes(old)).encode() > alias.encode()
        ):
            return field.start
        at = field.end
    return at


def _method_splices(old: bytes, before: str, after: str) -> Iterator[Splice]:
    if before == after:
        return
    new = wire.delimited(_METHOD_NAME, after.encode()) if after else b""
    present = [field for field in wire.fields(old) if _is(field, _METHOD_NAME)]
    for field in present[:-1]:
        yield Splice(field.start, field.end, b"")
    if present:
        yield Splice(present[-1].start, present[-1].end, new)
    else:
        later = [field.start for field in wire.fields(old) if field.number > _METHOD_NAME]
        at = later[0] if later else len(old)
        yield Splice(at, at, new)


def _with_key(entry: bytes, key: str) -> bytes:
    """Return an entry of a map under another key, its value untouched."""
    keys = [field for field in wire.fields(entry) if _is(field, _KEY)]
    if not keys:
        return (wire.delimited(_KEY, key.encode()) if key else b"") + entry
    if keys[-1].bytes(entry) == key.encode():
        return entry
    last = keys[-1]
    return wire.apply(entry, (Splice(last.start, last.end, wire.delimited(_KEY, key.encode())),))


def _with_value(entry: bytes, before: Any, after: Any) -> bytes:  # noqa: ANN401 - protobuf's classes are made at run time
    """Return an entry of a map with another value; of a tensor what differs is replaced."""
    values = [field for field in wire.fields(entry) if _is(field, _VALUE)]
    new = _bytes(after)
    if len(values) == 1 and same_but_name_and_shape(before, after):
        new = _tensor(values[0].bytes(entry), before, after)
    splices = [Splice(field.start, field.end, b"") for field in values]
    at = values[-1].end if values else len(entry)
    return wire.apply(entry, (*splices, Splice(at, at, wire.delimited(_VALUE, new))))


def same_but_name_and_shape(before: Any, after: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether two values are descriptions of tensors that differ in no more than these."""
    if not isinstance(before, schema.TensorInfo) or not before.HasField("tensor_shape"):
        return False
    other = schema.TensorInfo()
    other.CopyFrom(before)
    if after.WhichOneof("encoding") == "name":
        other.name = after.name
    other.tensor_shape.CopyFrom(after.tensor_shape)
    return _bytes(other) == _bytes(after)


def same_rank(before: Any, after: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether two shapes differ in no more than the sizes of their dimensions."""
    other = schema.TensorShapeProto()
    other.CopyFrom(before)
    if len(before.dim) != len(after.dim):
        return False
    for dim, wanted in zip(other.dim, after.dim, strict=True):
        dim.size = wanted.size
    return _bytes(other) == _bytes(after)


def _tensor(old: bytes, before: Any, after: Any) -> bytes:  # noqa: ANN401 - as above
    """Return a ``TensorInfo`` with another name and shape, its other bytes as they are."""
    splices: list[Splice] = []
    if before.name != after.name:
        splices += _last_replaced(old, _TENSOR_NAME, after.name.encode())
    if _bytes(before.tensor_shape) != _bytes(after.tensor_shape):
        shapes = [field for field in wire.fields(old) if _is(field, _TENSOR_SHAPE)]
        new = _bytes(after.tensor_shape)
        if len(shapes) == 1 and same_rank(before.tensor_shape, after.tensor_shape):
            new = _shape(shapes[0].bytes(old), before.tensor_shape, after.tensor_shape)
        splices += _last_replaced(old, _TENSOR_SHAPE, new)
    splices.sort(key=lambda each: (each.start, each.end))
    return wire.apply(old, splices)


def _shape(old: bytes, before: Any, after: Any) -> bytes:  # noqa: ANN401 - as above
    dims = [field for field in wire.fields(old) if _is(field, _DIM)]
    return wire.apply(
        old,
        [
            Splice(field.start, field.end, wire.delimited(_DIM, _bytes(now)))
            for field, was, now in zip(dims, before.dim, after.dim, strict=True)
            if was.size != now.size
        ],
    )


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


def _key(entry: bytes) -> str:
    keys = [field.bytes(entry) for field in wire.fields(entry) if _is(field, _KEY)]
    return keys[-1].decode("utf-8", "surrogateescape") if keys else ""


def _is(field: Field, number: int) -> bool:
    return field.number == number and field.wire_type == wire.BYTES


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - protobuf's classes are made at run time
    return bytes(message.SerializeToString(deterministic=True))
