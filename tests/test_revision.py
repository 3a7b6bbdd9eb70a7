"""Edits keep all other parts of the file; each test is for a defect that once changed one."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, RefusedError, UsageError, load, schema, wire
from smpatch.edits import (
    AddPredict,
    AddSignature,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    Remove,
    Rename,
    Retag,
)
from smpatch.functions.compare import disagreements
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


@pytest.mark.parametrize("key", ["scale", "both"])
def test_an_alias_that_is_added_after_a_rename_of_the_same_can_be_renamed(
    key: str, tmp_path: Path
) -> None:
    """Both once had the alias in the file as their origin: a ``ValueError``."""
    model = _model(tmp_path, "linear")
    if key == "both":
        smpatch.patch(model, Copy("scale", "both"), options=UNPROVED)
    first = EditSignature(
        key, rename_outputs={"product": "b"}, add_outputs={"product": "product:0"}
    )
    then = EditSignature(key, rename_outputs={"product": "c", "b": "d"})
    receipt = smpatch.patch(model, [first, then], options=UNPROVED)
    assert sorted(receipt.signature.outputs) == ["c", "d"]
    assert load(model).signatures[key] == receipt.signature


def test_a_key_that_looks_like_a_pattern_is_removed_alone(tmp_path: Path) -> None:
    """The proof once asked why the key that the pattern matches is still there."""
    model = _model(tmp_path, "linear")
    data = (model / "saved_model.pb").read_bytes()
    smpatch.copy_signature(model, "scale", "s*", options=UNPROVED)
    smpatch.remove_signatures(model, "s[*]", options=Options(validate="runtime"))
    assert (model / "saved_model.pb").read_bytes() == data


@pytest.mark.parametrize("key", ["s*", "s[c]ale"])
def test_a_key_that_is_a_pattern_does_not_remove_others_the_second_time(
    key: str, tmp_path: Path
) -> None:
    """``once`` removed the key, and at its second application the signature that it matches."""
    model = _model(tmp_path, "linear")
    smpatch.copy_signature(model, "scale", key, options=UNPROVED)
    with pytest.raises(RefusedError, match="a pattern that matches scale") as raised:
        smpatch.patch(model, [Remove((key,))], options=UNPROVED, once=True)
    alone = raised.value.hint.partition("'")[2].partition("'")[0]
    for outcome in ("removed", "unchanged"):
        receipt = smpatch.patch(model, [Remove((alone,))], options=UNPROVED, once=True)
        assert receipt.outcome == outcome
        assert list(load(model).signatures) == ["scale"]
    smpatch.copy_signature(model, "scale", key, options=UNPROVED)
    smpatch.remove_signatures(model, key, "scale", options=UNPROVED)
    assert not load(model).signatures


def test_the_tags_after_several_retags_name_the_meta_graph(tmp_path: Path) -> None:
    """The option once named the tags in between, which the model does not have yet."""
    model = _model(tmp_path, "several_tag_sets")
    edits = [Retag(("train",), ("a",)), Retag(("a",), ("b",)), Copy("train", "again")]
    receipt = smpatch.patch(model, edits, options=Options(tag_set="b", validate="none"))
    assert receipt.tag_set == ("b",)
    assert set(load(model).meta_graph("b").signatures) == {"again", "train"}


@pytest.mark.parametrize("place", [2, np.int64(2)])
def test_a_meta_graph_is_named_by_its_place(place: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as a caller has it
    model = _model(tmp_path, "several_tag_sets")
    assert smpatch.retag(model, place, "b", options=UNPROVED).tag_set == ("b",)
    with pytest.raises(UsageError, match="the tags that it has: True"):
        Retag(True, ("b",))  # noqa: FBT003 - it is refused


def test_a_shape_that_contradicts_a_default_is_refused(tmp_path: Path) -> None:
    """Such a signature once promised a shape that its own default does not have."""
    model = _model(tmp_path, "linear")
    smpatch.patch(model, EditSignature("scale", defaults={"x": [1, 2]}), options=UNPROVED)
    with pytest.raises(RefusedError, match=r"its default is \[2\], which \[3\] contradicts"):
        smpatch.patch(model, EditSignature("scale", shapes={"x": (3,)}), options=UNPROVED)
    for default in ([1, 2, 3], None):
        edit = EditSignature("scale", shapes={"x": (3,)}, defaults={"x": default})
        assert smpatch.patch(model, edit, options=Options(dry_run=True)).outcome == "edited"
    renamed = EditSignature("scale", rename_inputs={"x": "z"}, shapes={"z": (2,)})
    assert smpatch.patch(model, renamed, options=UNPROVED).outcome == "edited"


def test_a_signature_that_python_does_not_have_is_put_in_again(tmp_path: Path) -> None:
    """It once was ``unchanged``: only ``signature_def`` was compared."""
    model = _model(tmp_path, "module")
    served = Options(validate="none", signature_def_only=True)
    smpatch.patch(model, EditSignature(KEY, rename_outputs={"score": "z"}), options=served)
    again = AddSignature(load(model).signatures[KEY], KEY, overwrite=True)
    proved = Options(validate="runtime")
    for outcome in ("replaced", "unchanged"):
        assert smpatch.patch(model, again, options=proved).outcome == outcome
        assert not disagreements(load(model).meta_graph())


def test_a_signature_for_which_python_computes_another_one_is_put_in_again(tmp_path: Path) -> None:
    model = _model(tmp_path, "module")
    swap = [
        FromSignature(KEY, {"score": "encoded:0"}, "raw"),
        EditSignature("raw", shapes={"score": None}),
    ]
    smpatch.patch(model, swap, options=UNPROVED)
    found = load(model).signatures
    served = Options(validate="none", signature_def_only=True)
    wanted = AddSignature(found["raw"], KEY, overwrite=True)
    smpatch.patch(model, wanted, options=served)
    proved = Options(validate="runtime")
    for outcome in ("replaced", "unchanged"):
        assert smpatch.patch(model, wanted, options=proved).outcome == outcome


@pytest.mark.parametrize("names", [False, True])
def test_python_lost_the_signature_that_differed_from_that_of_servers(
    tmp_path: Path, *, names: bool
) -> None:
    """A rename of an output gave Python the computation of servers, and no note said so."""
    model = _model(tmp_path, "module")
    served = Options(validate="none", signature_def_only=True)
    smpatch.patch(model, FromSignature(KEY, {"score": "encoded:0"}, "raw"), options=served)
    other = load(model).signatures["raw"]
    if names:
        other = replace(other, outputs={"other": other.outputs["score"]})
    smpatch.patch(model, AddSignature(other, KEY, overwrite=True), options=served)
    edit = EditSignature(KEY, rename_outputs={next(iter(other.outputs)): "z"})
    for options in (UNPROVED, Options()):
        with pytest.raises(RefusedError, match="Python takes another signature"):
            smpatch.patch(model, edit, options=options)
    assert smpatch.patch(model, edit, options=served).outcome == "edited"
    receipt = smpatch.patch(model, Rename(KEY, "renamed"), options=UNPROVED)
    told = [each.text for each in receipt.notes if each.code == "halves-disagree"]
    assert any("'renamed' is different" in each for each in told)


@pytest.mark.parametrize("kind", [Rename, Copy])
@pytest.mark.parametrize("only", [False, True])
def test_a_signature_of_one_half_does_not_replace_one_of_both(
    kind: type[Rename | Copy], tmp_path: Path, *, only: bool
) -> None:
    """Without a proof ``signature_def`` once lost the signature, and with one it was a defect."""
    model = _model(tmp_path, "halves_disagree")
    edit = kind("plus", "half", overwrite=True)
    options = Options(validate="none", signature_def_only=only)
    found = "it is only in the object graph" if only else "signature_def has no 'plus' to take its"
    with pytest.raises(RefusedError, match=found):
        smpatch.patch(model, edit, options=options)
    kept = kind("half", "plus", overwrite=True)
    assert "plus" in smpatch.patch(model, kept, options=UNPROVED).changes[-1].key


@pytest.mark.parametrize(
    "edit",
    [
        Rename("half", "k"),
        Rename("half", "plus", overwrite=True),
        Copy("half", "k"),
        Remove(("half",)),
    ],
)
def test_an_edit_of_signature_def_alone_is_found_again(edit: Edit, tmp_path: Path) -> None:
    """A key that a rename leaves in the object graph once counted as one still to be renamed."""
    model = _model(tmp_path, "halves_disagree")
    only = Options(validate="none", signature_def_only=True)
    assert smpatch.patch(model, edit, options=only, once=True).outcome != "unchanged"
    data = (model / "saved_model.pb").read_bytes()
    assert smpatch.patch(model, edit, options=only, once=True).outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == data


def _in_two(data: bytes) -> bytes:
    """Write each object graph of a SavedModel in two pieces, as a parser merges them."""
    new = b""
    for outer in wire.fields(data):
        piece = data[outer.start : outer.end]
        if outer.number == 2:
            inside, piece = outer.bytes(data), b""
            for field in wire.fields(inside):
                part = inside[field.start : field.end]
                if field.number == 7:
                    objects = field.bytes(inside)
                    *_, cut = [e.start for e in wire.fields(objects) if e.number == 1]
                    part = wire.delimited(7, objects[:cut]) + wire.delimited(7, objects[cut:])
                piece += part
            piece = wire.delimited(2, piece)
        new += piece
    return new


@pytest.mark.parametrize(
    "edit", [Rename(KEY, "k"), Copy(KEY, "k"), Remove((KEY,)), EditSignature(KEY, {"x": "z"})]
)
def test_an_object_graph_in_two_pieces_is_not_edited(edit: Edit, tmp_path: Path) -> None:
    """The removal once ended with an ``IndexError``."""
    model = _model(tmp_path, "module")
    data = _in_two((model / "saved_model.pb").read_bytes())
    (model / "saved_model.pb").write_bytes(data)
    with pytest.raises(RefusedError, match="lies in several pieces"):
        smpatch.patch(model, edit, options=UNPROVED)
    assert (model / "saved_model.pb").read_bytes() == data
    only = Options(validate="none", signature_def_only=True)
    assert smpatch.patch(model, edit, options=only).outcome != "unchanged"


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


@pytest.mark.parametrize("alias", ["score ", "score  "])
def test_an_inner_tensor_does_not_replace_an_output_whose_alias_differs_by_blanks(
    alias: str, tmp_path: Path
) -> None:
    """The output ``score`` once became the inner tensor as well."""
    model = _model(tmp_path, "module")
    edit = EditSignature(KEY, add_outputs={alias: "encoded:0"})
    receipt = smpatch.patch(model, edit, options=UNPROVED)
    names = {each: spec.tensors()[0].name for each, spec in receipt.signature.outputs.items()}
    assert names == {"score": "StatefulPartitionedCall_3:0", alias: "StatefulPartitionedCall_3:1"}


def test_an_inner_tensor_that_is_named_like_an_output_is_the_tensor(tmp_path: Path) -> None:
    """The added output was once the output of that name, and the proof refused it."""
    model = _model(tmp_path, "module")
    smpatch.patch(model, EditSignature(KEY, rename_outputs={"score": "encoded"}), options=UNPROVED)
    edit = EditSignature(KEY, add_outputs={"inner": "encoded"})
    receipt = smpatch.patch(model, edit, options=Options(validate="runtime"))
    names = {each: spec.tensors()[0].name for each, spec in receipt.signature.outputs.items()}
    assert names["inner"] != names["encoded"]


def test_an_alias_is_no_tensor_to_add(tmp_path: Path) -> None:
    model = _model(tmp_path, "module")
    smpatch.patch(model, EditSignature(KEY, rename_outputs={"score": "z"}), options=UNPROVED)
    edit = EditSignature(KEY, add_outputs={"again": "z"})
    with pytest.raises(RefusedError, match="it is the name of an output, and no tensor"):
        smpatch.patch(model, edit, options=UNPROVED)
