"""Fewest changed bytes: the result parses to the new message; all other bytes stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch import schema, wire
from smpatch.minimal import patched
from smpatch.savedmodel.binary import revised_entry
from smpatch.savedmodel.parts import Slot
from tests.tensorflow_says import ask

UNKNOWN = bytes.fromhex("9a06017a")
"""Field 99, which no message here has, with the value ``z``."""

names = st.text("abz0", max_size=3)
tensors = st.builds(
    lambda name, dtype, sizes: schema.TensorInfo(
        name=name,
        dtype=dtype,
        tensor_shape=schema.TensorShapeProto(
            dim=[schema.TensorShapeProto.Dim(size=size) for size in sizes]
        ),
    ),
    names,
    st.sampled_from([0, 1, 7]),
    st.lists(st.sampled_from([-1, 0, 3, 300]), max_size=3),
)
signatures = st.builds(
    lambda inputs, outputs, method: schema.SignatureDef(
        inputs=inputs, outputs=outputs, method_name=method
    ),
    st.dictionaries(names, tensors, max_size=3),
    st.dictionaries(names, tensors, max_size=3),
    names,
)


def canonical(message: Any) -> bytes:  # noqa: ANN401 - protobuf makes its classes at run time
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return bytes(copy.SerializeToString(deterministic=True))


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """Draw the bytes of a signature in unusual form: any order, duplicates, padding, unknowns."""
    first, second = draw(signatures), draw(signatures)
    pieces = []
    for message in (first, second):
        data = message.SerializeToString()
        pieces += [data[each.start : each.end] for each in wire.fields(data)]
    pieces = draw(st.permutations([*pieces, UNKNOWN]))
    return b"".join(padded(piece) if draw(st.booleans()) else piece for piece in pieces)


def padded(field: bytes) -> bytes:
    """Write the length of a field in one byte more than it needs."""
    (only,) = wire.fields(field)
    size = wire.varint(only.end - only.value)
    longer = size[:-1] + bytes((size[-1] | 0x80, 0))
    return wire.varint(only.number << 3 | wire.BYTES) + longer + only.bytes(field)


@given(odd(), signatures)
def test_the_bytes_parse_to_the_new_message_and_keep_unknown_fields(old: bytes, new: Any) -> None:  # noqa: ANN401 - protobuf makes its classes at run time
    result = patched(old, new)
    assert canonical(schema.SignatureDef.FromString(result)) == canonical(new)
    assert UNKNOWN in result or padded(UNKNOWN) in result


@given(odd())
def test_an_equal_message_changes_no_byte(old: bytes) -> None:
    assert patched(old, schema.SignatureDef.FromString(old)) == old


def entry(number: int, key: str, value: bytes) -> bytes:
    return wire.delimited(number, wire.delimited(1, key.encode()) + wire.delimited(2, value))


def test_a_renamed_key_keeps_its_place_and_the_unknown_fields_of_its_value() -> None:
    value = schema.TensorInfo(name="x:0", dtype=1).SerializeToString() + UNKNOWN
    other = schema.TensorInfo(name="y:0", dtype=1).SerializeToString()
    old = entry(1, "z", value) + UNKNOWN + entry(1, "a", other)
    new = schema.SignatureDef.FromString(old)
    new.inputs["new"].CopyFrom(new.inputs.pop("z"))
    assert patched(old, new) == entry(1, "new", value) + UNKNOWN + entry(1, "a", other)


def test_keys_with_equal_values_are_paired_by_the_caller() -> None:
    first, second = (
        schema.TensorInfo(name="x:0").SerializeToString() + wire.delimited(number, b"u")
        for number in (98, 99)
    )
    old = entry(1, "a", first) + entry(1, "b", second)
    new = schema.SignatureDef(inputs={key: schema.TensorInfo(name="x:0") for key in ("a", "b")})
    swapped = patched(old, new, {"inputs": {"a": "b", "b": "a"}})
    assert swapped == entry(1, "b", first) + entry(1, "a", second)
    with pytest.raises(ValueError, match="renamed from one"):
        patched(old, new, {"inputs": {"a": "b", "b": "b"}})


def test_a_duplicate_of_a_removed_key_goes_too_and_does_not_come_back() -> None:
    dead, live = (schema.TensorInfo(name=name).SerializeToString() for name in ("dead", "live"))
    old = entry(1, "a", dead) + entry(1, "b", live) + entry(1, "a", live)
    new = schema.SignatureDef(inputs={"b": schema.TensorInfo(name="live")})
    assert patched(old, new) == entry(1, "b", live)


def test_a_cleared_member_of_a_oneof_does_not_come_back() -> None:
    old = wire.delimited(1, b"dead") + wire.delimited(4, wire.delimited(1, b"v"))
    new = schema.TensorInfo(name="live")
    assert schema.TensorInfo.FromString(patched(old, new)) == new


def test_a_sparse_input_that_becomes_dense_does_not_stay_sparse() -> None:
    old, new = schema.SignatureDef(), schema.SignatureDef()
    for message in (old, new):
        message.inputs["ids"].dtype = 1
        message.inputs["ids"].tensor_shape.SetInParent()
    old.inputs["ids"].coo_sparse.values_tensor_name = "v:0"
    new.inputs["ids"].name = "dense:0"
    before = wire.delimited(1, b"key") + wire.delimited(2, old.SerializeToString())
    written = revised_entry(before, Slot("key", new.SerializeToString()))
    assert schema.SignatureDefEntry.FromString(written).value == new


def test_an_element_in_the_middle_goes_and_the_others_keep_their_bytes() -> None:
    children = [
        wire.delimited(1, wire.delimited(2, name.encode()) + UNKNOWN) for name in ("a", "b", "c")
    ]
    old = b"".join(children)
    new = schema.SavedObject.FromString(old)
    del new.children[1]
    new.children.add(node_id=300, local_name="d")
    added = wire.delimited(1, bytes.fromhex("08ac02") + wire.delimited(2, b"d"))
    assert patched(old, new) == children[0] + children[2] + added


def test_tensorflow_s_own_classes_read_what_was_wanted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    said = ask("minimal", tmp_path_factory)
    assert said["examples"] >= 100
    assert said["wrong"] == []
