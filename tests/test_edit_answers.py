"""The refusals and notes of edits; each of these tests is for a text that was once untrue."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from fixtures.make import raw
from smpatch import (
    AliasError,
    Options,
    RefusedError,
    UnreachableOutputError,
    UsageError,
    schema,
)
from smpatch.cli.editing import report
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename, Retag
from smpatch.signature import CLASSIFY
from tests.contract.models import FIXTURES

BEFORE = " (as before the edit)"
DRY = Options(validate="none", dry_run=True)


def edit(name: str, key: str, **changes: object) -> tuple[str, ...]:
    """Return the notes of a dry run of an edit of a fixture."""
    request = EditSignature(key, **changes)  # type: ignore[arg-type]
    return tuple(
        note.text for note in smpatch.edit_signature(FIXTURES / name, request, options=DRY).notes
    )


def test_dropping_an_output_twice_is_dropping_it() -> None:
    with pytest.raises(RefusedError, match="no outputs are left"):
        edit("text_form", "scale", drop_outputs=("product", "product"))


def test_the_last_output_is_not_dropped_where_another_rule_was_broken_before(
    tmp_path: Path,
) -> None:
    """The text had only the first broken rule, not the rule that the edit itself broke."""
    model = shutil.copytree(FIXTURES / "linear", tmp_path / "model")

    def classify(entry: bytes) -> bytes:
        message = schema.SignatureDefEntry.FromString(entry)
        message.value.method_name = CLASSIFY
        return bytes(message.SerializeToString())

    file = model / "saved_model.pb"
    file.write_bytes(raw.regrow(file.read_bytes(), (2, 5), classify))
    renamed = EditSignature("scale", rename_outputs={"product": "scores"})
    told = [note.text for note in smpatch.edit_signature(model, renamed, options=DRY).notes]
    assert told == [f"its inputs are x: float32, and {CLASSIFY} takes one, inputs: string{BEFORE}"]
    dropped = EditSignature("scale", drop_outputs=("product",))
    with pytest.raises(RefusedError, match="no outputs are left"):
        smpatch.edit_signature(model, dropped, options=DRY)
    to_regress = EditSignature(
        "scale", rename_outputs={"product": "outputs"}, method_name="regress"
    )
    with pytest.raises(RefusedError, match="its inputs are x: float32"):
        smpatch.edit_signature(model, to_regress, options=DRY)


def test_an_input_that_is_needed_is_not_to_be_dropped() -> None:
    with pytest.raises(UnreachableOutputError) as caught:
        edit("linear", "scale", drop_inputs=("x",))
    assert (caught.value.where, caught.value.found) == (
        "input 'x'",
        "the output 'product' needs it",
    )
    assert "--signature NEW --bind 'x=[0.0]'" in caught.value.hint


def test_only_the_outputs_that_need_an_input_are_named() -> None:
    """The text named the first output, even if another one needed the input."""
    with pytest.raises(UnreachableOutputError) as caught:
        smpatch.edit_signature(
            FIXTURES.parent / "exporters" / "policy",
            EditSignature("action", drop_inputs=("0/observation",)),
            options=DRY,
        )
    assert caught.value.found == "the output 'action' needs it"


def test_what_an_output_needs_is_added_with_an_option_of_edit() -> None:
    with pytest.raises(UnreachableOutputError) as caught:
        edit("sparse", "dense", add_outputs={"total": "total:0"})
    assert caught.value.hint == "add --add-input ids/indices:0"


@pytest.mark.parametrize(("value", "hint"), [(1.0, "write [...]"), ([[1.0]], "write [...]")])
def test_the_form_of_a_default_is_that_of_its_input(value: object, hint: str) -> None:
    with pytest.raises(RefusedError) as caught:
        edit("text_form", "scale", defaults={"x": value})
    assert caught.value.hint.startswith(hint)


def test_a_default_of_a_scalar_is_no_list() -> None:
    with pytest.raises(RefusedError) as caught:
        edit("scalar", "double", defaults={"x": [1]})
    assert caught.value.hint == "write no list"


def test_an_input_of_unknown_rank_takes_more_than_the_graph_says() -> None:
    stays, unproved = edit("text_form", "scale", shapes={"x": None})
    assert "its placeholder keeps [?]" in stays
    assert unproved == "not proved: the graph takes the wider shape of 'x' (nothing was run)"


def test_an_output_of_unknown_rank_promises_less_than_the_graph() -> None:
    assert edit("module", "serving_default", shapes={"score": None}) == (
        "'score': the graph has [?]; the signature promises less: <unknown rank>",
    )


def test_a_default_in_text_form_keeps_older_releases_from_reading_the_model() -> None:
    told = "TensorFlow 2.11 and older cannot read a saved_model.pbtxt that has defaults"
    assert edit("text_form", "scale", defaults={"x": [1.0]}) == (told,)
    assert edit("text_form", "scale", rename_inputs={"x": "z"}) == ()
    assert edit("linear", "scale", defaults={"x": [1.0]}) == ()


def test_a_method_that_tf_serving_does_not_know_is_noted() -> None:
    assert edit("text_form", "scale", method_name="Predict") == (
        "method 'Predict': TF Serving has no such method (did you mean predict?)",
    )
    assert edit("text_form", "scale", method_name="predict") == ()


def test_a_method_of_no_rules_leaves_outputs_too() -> None:
    with pytest.raises(RefusedError, match="no outputs are left"):
        edit("text_form", "scale", method_name="foo", drop_outputs=("product",))


def test_a_tag_is_named_once(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / "text_form", model)
    with pytest.raises(UsageError, match="names a tag twice"):
        smpatch.patch(model, [Retag(0, ("a", "a"))], options=DRY)


def test_what_is_removed_for_servers_alone_is_not_said_to_be_there() -> None:
    alone = Options(validate="none", dry_run=True, signature_def_only=True)
    receipt = smpatch.remove_signatures(FIXTURES / "halves_disagree", "half", options=alone)
    texts = {note.code: note.text for note in receipt.notes}
    assert "loaders see what was done to 'half'; tf.saved_model" in texts["object-graph-unchanged"]


def test_a_signature_that_is_there_is_left_out_without_offering_another_key() -> None:
    model = FIXTURES / "text_form"
    with pytest.raises(RefusedError) as caught:
        smpatch.copy_signatures(model, model, options=DRY)
    assert caught.value.hint == (
        "signature 'scale' was left out: the key is taken; replace it with --overwrite"
    )


def test_a_call_of_another_function_is_not_taken_for_the_same_tensor() -> None:
    """Exporters give all calls the same names; values were returned under the wrong keys."""
    options = Options(validate="none", dry_run=True, overwrite=True)
    giver, taker = FIXTURES / "same_variable_names", FIXTURES / "unsorted_keys"
    ours, theirs = (smpatch.load(each).signatures["serving_default"] for each in (taker, giver))
    names = [{tensor.name for tensor in each.tensors()} for each in (ours, theirs)]
    assert "PartitionedCall:0" in names[0] & names[1]
    with pytest.raises(RefusedError) as caught:
        smpatch.copy_signatures(taker, giver, options=options)
    assert "calls a different function here" in str(caught.value)
    again = smpatch.copy_signatures(taker, taker, options=options)
    assert {each.outcome for each in again.changes} == {"unchanged"}


def test_a_call_that_takes_another_variable_is_not_taken_for_the_same_tensor(
    tmp_path: Path,
) -> None:
    """Two towers of one class have equal functions; the signature of the other one was kept."""
    model = Path(shutil.copytree(FIXTURES / "keras_functional", tmp_path / "model"))
    file = model / "saved_model.pb"
    graph = smpatch.load(model).meta_graph().graph
    _, fed, one, other, *_ = graph.wiring("StatefulPartitionedCall_1").inputs
    assert graph.wiring(one).op == graph.wiring(other).op == "VarHandleOp"
    there, swapped = (
        b"".join(b"\x1a" + bytes([len(each)]) + each.encode() for each in sources)
        for sources in ((fed, one, other), (fed, other, one))
    )
    data = file.read_bytes()
    assert data.count(there) == 1
    file.write_bytes(data.replace(there, swapped))
    options = Options(validate="none", dry_run=True, overwrite=True)
    with pytest.raises(RefusedError, match="takes other inputs or variables here"):
        smpatch.copy_signatures(
            model, FIXTURES / "keras_functional", keys="serving_default", options=options
        )


def test_no_method_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    model = FIXTURES / "text_form"
    receipt = smpatch.edit_signature(model, EditSignature("scale", method_name=""), options=DRY)
    report("edit", receipt, as_json=False, quiet=False)
    assert "\n  method  (no method name)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes",
    [
        {"rename_inputs": {"x": "\udcff"}},
        {"rename_outputs": {"product": "a\udcff"}},
        {"add_outputs": {"\udcff": "product:0"}},
        {"add_inputs": {"\udcff": "x:0"}},
        {"method_name": "\udcff"},
    ],
)
def test_bytes_of_the_command_line_that_are_no_utf_8_are_refused(
    changes: dict[str, object],
) -> None:
    with pytest.raises(AliasError, match="not a usable name"):
        edit("text_form", "scale", **changes)


def test_a_type_that_was_wrong_before_is_told_of_the_signature_that_is_edited() -> None:
    assert edit("wrong_tensor_info", "wrong_dtype", rename_inputs={"x": "y"}) == (
        "x:0 is float32, the signature says int32 (as before the edit)",
    )
    assert edit("ref_variables", "serving_default", method_name="predict") == ()


def test_meta_graphs_of_equal_tags_are_told_apart_by_place() -> None:
    with pytest.raises(smpatch.TagSetError) as caught:
        smpatch.load(FIXTURES.parent / "broken" / "same_tags_twice").meta_graph()
    assert "retag --from INDEX" in caught.value.hint


@pytest.mark.parametrize("name", ["linear", "module"])
def test_a_copy_that_is_there_already_is_no_removal_and_no_init_op(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line said that the key is removed, and that the source runs when the model is loaded."""
    model = Path(shutil.copytree(FIXTURES / name, tmp_path / "model"))
    key = next(iter(smpatch.load(model).signatures))
    options = Options(validate="none", overwrite=True)
    smpatch.copy_signature(model, key, "again", options=options)
    before = (model / "saved_model.pb").read_bytes()
    receipt = smpatch.copy_signature(model, key, "again", options=options)
    assert (model / "saved_model.pb").read_bytes() == before
    assert [(each.key, each.outcome, each.was) for each in receipt.changes] == [
        ("again", "unchanged", "")
    ]
    report("copy", receipt, as_json=False, quiet=False)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("nothing to do: again in ")
    assert not [line for line in said if "removed" in line or "runs when" in line]


@pytest.mark.parametrize(
    "edits",
    [
        (Copy("scale", "b"), Remove(("b",))),
        (Rename("scale", "b"), Rename("b", "scale")),
        (Retag(0, ("a",)), Retag(0, ("serve",))),
        (EditSignature("scale", method_name="own"), EditSignature("scale", method_name="predict")),
    ],
)
def test_a_list_that_takes_its_edits_back_says_that_nothing_is_changed(
    edits: tuple[Edit, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receipt said that a signature was removed, or that an init op has its old key."""
    model = Path(shutil.copytree(FIXTURES / "linear", tmp_path / "model"))
    data = (model / "saved_model.pb").read_bytes()
    receipt = smpatch.patch(model, edits, options=Options(validate="none"))
    assert (model / "saved_model.pb").read_bytes() == data
    assert {(each.outcome, each.was) for each in receipt.changes} == {("unchanged", "")}
    there = smpatch.load(model).signatures
    assert all(each.signature == there.get(each.key) for each in receipt.changes)
    report("apply", receipt, as_json=False, quiet=False)
    said = capsys.readouterr().out
    assert "runs when" not in said
    assert said.count("nothing to do") == len(receipt.changes)
