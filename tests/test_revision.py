"""Edits keep all other parts of the file; each test is for a defect that once changed one."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

import smpatch
from smpatch import Options, RefusedError, load, schema, wire
from smpatch.edits import AddPredict, Copy, Edit, EditSignature, Remove, Rename
from smpatch.savedmodel.binary import revised_entry, revised_reference
from smpatch.savedmodel.parts import Reference, Slot
from tests.contract.editing import copy
from tests.contract.models import FIXTURES

UNPROVED = Options(validate="none")
KEY = "serving_default"

UNKNOWN = wire.delimited(999, b"from the future")


def _model(tmp_path: Path, name: str) -> Path:
    copy(FIXTURES / name, tmp_path / name)
    return tmp_path / name


def test_a_reference_whose_name_comes_first_keeps_its_order(tmp_path: Path) -> None:
    """TensorFlow 2.0 wrote the name first; a rename wrote the number first."""
    model = _model(tmp_path, "module")
    file = model / "saved_model.pb"
    data = file.read_bytes()
    # The root object also has this reference; the last one is meant.
    *_, found = re.finditer(rb"(\x08.)(\x12\x0fserving_default)", data, re.DOTALL)
    data = data[: found.start()] + found[2] + found[1] + data[found.end() :]
    file.write_bytes(data)
    smpatch.rename_signature(model, KEY, "other", options=UNPROVED)
    assert b"\x12\x05other" + found[1] in file.read_bytes()
    smpatch.rename_signature(model, "other", KEY, options=UNPROVED)
    assert file.read_bytes() == data


@pytest.mark.parametrize(
    "old",
    [
        b"\x08\x07" + wire.delimited(2, b"a") + UNKNOWN,
        wire.delimited(2, b"a") + b"\x08\x87\x00" + UNKNOWN,
        wire.delimited(2, b"b") + b"\x08\x01" + wire.delimited(2, b"a") + b"\x08\x07",
        UNKNOWN,
    ],
)
def test_a_reference_says_what_is_wanted_and_keeps_the_rest(old: bytes) -> None:
    new = revised_reference(old, Reference("c", 300))
    message = schema.ObjectReference.FromString(new)
    assert (message.local_name, message.node_id) == ("c", 300)
    assert (UNKNOWN in new) is (UNKNOWN in old)
    was = schema.ObjectReference.FromString(old)
    assert revised_reference(old, Reference(was.local_name, was.node_id)) == old


def _entry(shape: bytes) -> bytes:
    info = wire.delimited(1, b"x:0") + b"\x10\x01" + wire.delimited(3, shape) + UNKNOWN
    signature = wire.delimited(1, wire.delimited(1, b"x") + wire.delimited(2, info))
    return wire.delimited(1, b"k") + wire.delimited(2, signature)


def test_a_shape_keeps_the_names_of_its_dimensions_and_what_is_around_it(tmp_path: Path) -> None:
    """The edit wrote the whole description of the tensor again, without them."""
    named = b"\x08\x03" + wire.delimited(2, b"rows") + UNKNOWN
    entry = _entry(wire.delimited(2, named) + wire.delimited(2, b"\x08\x04") + UNKNOWN)
    value = schema.SignatureDefEntry.FromString(entry).value
    value.inputs["x"].tensor_shape.dim[1].size = 5
    new = revised_entry(entry, Slot("k", value.SerializeToString()))
    assert new == _entry(wire.delimited(2, named) + wire.delimited(2, b"\x08\x05") + UNKNOWN)
    model = _model(tmp_path, "newer_writer")
    before = (model / "saved_model.pb").read_bytes()
    for shape in ((7,), (None,)):
        edit = EditSignature("scale", shapes={"x": shape})
        smpatch.edit_signature(model, edit, options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("exact", [True, False])
def test_of_a_signature_in_several_pieces_none_stays_behind(*, exact: bool) -> None:
    """Readers merge the pieces: a removed part would come back from an earlier piece."""
    info = schema.TensorInfo(name="x:0", dtype=1)
    pieces = [schema.SignatureDef(inputs={"gone": info}), schema.SignatureDef(method_name="m")]
    entry = wire.delimited(1, b"k")
    entry += b"".join(wire.delimited(2, each.SerializeToString()) for each in pieces)
    wanted = schema.SignatureDef(outputs={"y": info}, method_name="n")
    new = revised_entry(entry, Slot("k", wanted.SerializeToString(), exact=exact))
    assert schema.SignatureDefEntry.FromString(new).value == wanted


def test_an_alias_that_is_renamed_twice_keeps_what_it_had(tmp_path: Path) -> None:
    """A list of edits is written once; the writer must find the alias that the file has."""
    files = []
    for name, aliases in (("once", ("x", "b")), ("twice", ("x", "a", "b"))):
        (tmp_path / name).mkdir()
        model = _model(tmp_path / name, "newer_writer")
        steps = pairwise(aliases)
        edits = [EditSignature("scale", rename_inputs={old: new}) for old, new in steps]
        smpatch.patch(model, edits, options=UNPROVED)
        files.append((model / "saved_model.pb").read_bytes())
    assert files[0] == files[1]


def test_tags_in_several_pieces_are_all_replaced(tmp_path: Path) -> None:
    """Readers merge the pieces, and so also their tags."""
    infos = b"".join(wire.delimited(1, wire.delimited(4, tag)) for tag in (b"serve", b"gpu"))
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01" + wire.delimited(2, infos))
    smpatch.retag(tmp_path, ("serve", "gpu"), ("new",), options=UNPROVED)
    assert load(tmp_path).meta_graph().tags == ("new",)


@pytest.mark.parametrize("name", ["module", "no_signatures"])
def test_a_new_signature_stands_where_a_writer_would_put_it(tmp_path: Path, name: str) -> None:
    """Its place is beside the other signatures or, if there are none, in the order of fields."""
    model = _model(tmp_path, name)
    options = Options(validate="none", signature_def_only=True)
    before = load(model).meta_graph()
    edit: Edit = Copy(KEY, "again")
    if not before.signatures:
        edit = AddPredict({"x": "x:0"}, {"y": "y:0"}, "again")
    smpatch.patch(model, [edit], options=options)
    data = (model / "saved_model.pb").read_bytes()
    (meta_graph,) = [each for each in wire.fields(data) if each.number == 2]
    numbers = [each.number for each in wire.fields(data, meta_graph.value, meta_graph.end)]
    assert 5 in numbers
    assert numbers == sorted(numbers)


def test_a_key_that_is_edited_keeps_its_place_in_pythons_map(tmp_path: Path) -> None:
    """Its reference moved to the place of the key with its new name, or to the end."""
    model = _model(tmp_path, "keras_functional")
    children = [*load(model).meta_graph().objects.signatures]
    first = children[0]
    alias = next(iter(load(model).signatures[first].outputs))
    edit = EditSignature(first, rename_outputs={alias: "zzz"})
    swapped: list[Edit] = [Copy(first, "second"), edit, Rename(first, "k"), Rename("second", first)]
    smpatch.patch(model, swapped, options=UNPROVED)
    assert [*load(model).meta_graph().objects.signatures] == ["k", *children[1:], first]


def test_what_another_key_still_has_is_shared_again(tmp_path: Path) -> None:
    """The edits made a second wrapper function, which stayed."""
    model = _model(tmp_path, "module")
    before = (model / "saved_model.pb").read_bytes()
    edit = EditSignature(KEY, rename_outputs={"score": "a"})
    smpatch.patch(model, [Copy(KEY, "copy"), edit], options=UNPROVED)
    edit = EditSignature(KEY, rename_outputs={"a": "score"})
    smpatch.patch(model, [edit, Remove(("copy",))], options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "key", "alias", "said"),
    [
        ("wrong_tensor_info", "missing", "x", "gone:0: no such node in the graph"),
        ("ragged", "rows", "ids", "row_splits:0 is the input 'new' too"),
        ("sparse", "twice", "ids", "ids/indices:0 is the input 'new' too"),
    ],
)
def test_what_was_wrong_before_is_told_under_the_new_names(
    name: str, key: str, alias: str, said: str, tmp_path: Path
) -> None:
    """The error called the graph damaged, or refused the edit for a fault that it did not make."""
    model = _model(tmp_path, name)
    edit = EditSignature(key, rename_inputs={alias: "new"})
    receipt = smpatch.edit_signature(model, edit, options=UNPROVED)
    (note,) = [each.text for each in receipt.notes if each.code == "already-wrong"]
    assert said in note
    assert note.endswith("(as before the edit)")
    assert "new" in load(model).signatures[key].inputs


@pytest.mark.parametrize(
    "edit",
    [
        EditSignature("missing", rename_inputs={"x": "class"}),
        EditSignature("missing", add_outputs={"more": "nowhere:0"}),
        EditSignature("missing", add_outputs={"more": "x:0"}, drop_outputs=("product",)),
        EditSignature("missing", method_name="classify"),
    ],
)
def test_what_was_wrong_before_excuses_nothing_else(edit: EditSignature, tmp_path: Path) -> None:
    model = _model(tmp_path, "wrong_tensor_info")
    before = (model / "saved_model.pb").read_bytes()
    with pytest.raises(RefusedError):
        smpatch.edit_signature(model, edit, options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == before
