"""Edits that are proved by running the model before and after: ``--validate run``."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, Receipt, UsageError, ValidationError, patcher
from smpatch.edits import (
    AddPredict,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
)
from smpatch.runtime import installation
from smpatch.validator import Validator, by_numbers
from tests.cli.conftest import Run
from tests.oracle import client
from tests.writer import models

Mutate = Callable[[str, str], None]


Edited = Callable[..., Receipt]


@pytest.fixture
def edited(validator: Validator) -> Edited:
    """Return a function that does edits and proves them by numbers."""

    def edit(model: Path, *edits: Edit, **options: Any) -> Receipt:  # noqa: ANN401 - the fields of Options
        chosen = Options(validate="run", **options)
        return patcher.patch(model, edits, options=chosen, validator=validator)

    return edit


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch, oracle: client.Oracle) -> Mutate:
    """Return a function that plants a fault in a staged model after all loaders accepted it."""
    right = by_numbers.same_numbers

    def install(fault: str, key: str) -> None:
        def wrong(asked: Any, edited: Any, *rest: Any) -> by_numbers.Numbers:  # noqa: ANN401 - as the function it replaces
            oracle.ask("mutate", directory=edited.directory, fault=fault, key=key)
            return right(asked, edited, *rest)

        monkeypatch.setattr(by_numbers, "same_numbers", wrong)

    return install


def _codes(receipt: Receipt) -> set[str]:
    return {note.code for note in receipt.notes if note.code.startswith("numbers-")}


SWAP = {"a": "b", "b": "a"}
EDITS: Mapping[str, Sequence[Edit]] = {
    "rename": [Rename("one", "first")],
    "copy": [Copy("one", "first")],
    "exchanged names": [EditSignature("one", rename_outputs=SWAP), Rename("one", "first")],
    "other order": [
        EditSignature("one", rename_outputs={"a": "z"}, rename_inputs={"x": "_y"}),
        Copy("one", "first"),
    ],
    "derived": [FromSignature("one", {"c": "b", "d": "a"}, "first")],
}


@pytest.mark.parametrize("name", EDITS)
def test_what_is_kept_gives_the_same_in_both_halves(twins: Path, name: str, edited: Edited) -> None:
    receipt = edited(twins, *EDITS[name])
    signatures = smpatch.load(twins).signatures
    assert receipt.numbers == {key: tuple(each.outputs) for key, each in signatures.items()}
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")
    assert _codes(receipt) == set()


FAULTS = {
    "exchange_outputs": ("a", "C runtime"),
    "exchange_captures": ("a", "C runtime"),
    "call_another": ("a", "C runtime"),
    "exchange_bound_inputs": ("a", "tf.saved_model.load"),
    "call_another_in_python": ("a", "tf.saved_model.load"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_number_that_is_another_refuses_the_edit(
    twins: Path, mutate: Mutate, fault: str, edited: Edited
) -> None:
    before = models.tree(twins)
    mutate(fault, "first")
    with pytest.raises(ValidationError) as caught:
        edited(twins, Rename("one", "first"))
    error = caught.value
    output, loader = FAULTS[fault]
    assert error.exit_code == 5
    assert error.where == f"signature 'first', output '{output}'"
    assert f"it is not what it was before the edit ({loader})" in error.found
    assert "elements differ, by " in error.found
    assert "unchanged" in error.hint
    assert models.tree(twins) == before


def test_what_was_wrong_in_a_copy_only_names_the_copy(
    twins: Path, mutate: Mutate, edited: Edited
) -> None:
    mutate("exchange_outputs", "copied")
    with pytest.raises(ValidationError, match="signature 'copied', output 'a'"):
        edited(twins, Copy("one", "copied"))


def test_what_is_random_or_has_a_state_is_told_and_not_counted(
    fickle: Path, edited: Edited
) -> None:
    receipt = edited(fickle, Rename("noise", "a_noise"), Rename("reader", "z_reader"))
    assert receipt.numbers is not None
    assert receipt.numbers["a_noise"] == ("steady",)
    assert receipt.numbers.keys() == {"a_noise", "nothing", "text", "write"}
    told = {note.text for note in receipt.notes if note.code == "numbers-unstable"}
    assert {text.partition(" is random")[0] for text in told} == {
        "signature 'a_noise': the output 'random'",
        "signature 'counter': the output 'count'",
        "signature 'z_reader': the output 'read'",
    }


def test_what_is_no_number_is_the_same_as_itself(fickle: Path, edited: Edited) -> None:
    receipt = edited(fickle, EditSignature("nothing", rename_outputs={"nan": "z", "inf": "a"}))
    assert receipt.numbers is not None
    assert receipt.numbers["nothing"] == ("a", "z")


def test_strings_are_compared(fickle: Path, mutate: Mutate, edited: Edited) -> None:
    receipt = edited(fickle, EditSignature("text", rename_outputs={"upper": "a", "length": "z"}))
    assert receipt.numbers is not None
    assert receipt.numbers["text"] == ("a", "z")
    mutate("exchange_outputs", "text")
    with pytest.raises(ValidationError, match="the type is int32, not string"):
        edited(fickle, EditSignature("text", rename_outputs={"a": "b"}))


def test_what_a_signature_writes_is_gone_afterwards(
    fickle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: Edited
) -> None:
    """The model saves itself; it is called with a path that the proof makes up."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    receipt = edited(fickle, Rename("write", "save"))
    assert receipt.numbers is not None
    assert receipt.numbers["save"] == ("written",)
    assert [*(tmp_path / "scratch").iterdir()] == []
    assert not Path("/1").exists()


def test_a_new_output_is_held_against_the_tensor_that_it_names(
    tmp_path: Path, edited: Edited
) -> None:
    model = models.linear(tmp_path / "model")
    receipt = edited(model, AddPredict({"x": "x"}, {"y": "y:0"}, "added"))
    assert receipt.numbers == {"added": ("y",), "scale": ("product",)}
    edit = EditSignature("scale", add_outputs={"late": "y"}, rename_outputs={"product": "z"})
    assert (edited(model, edit).numbers or {})["scale"] == ("late", "z")


@pytest.mark.parametrize(
    "edit",
    [
        PromoteFunction("two", key="promoted"),
        FromSignature("one", {"inner": "mul:0"}, "promoted"),
    ],
)
def test_what_is_new_is_held_against_its_other_half(
    twins: Path, mutate: Mutate, edit: Edit, edited: Edited
) -> None:
    before = models.tree(twins)
    mutate("exchange_captures", "promoted")
    with pytest.raises(ValidationError) as caught:
        edited(twins, edit)
    assert (
        "differs from the result of 'two'" in caught.value.found
        or "different numbers" in caught.value.found
    )
    assert models.tree(twins) == before


@pytest.mark.parametrize(
    "edit",
    [
        PromoteFunction("two", key="promoted"),
        FromSignature("one", {"inner": "mul:0"}, "promoted"),
    ],
)
def test_what_is_the_same_in_both_halves_needs_no_note(
    twins: Path, edit: Edit, edited: Edited
) -> None:
    receipt = edited(twins, edit)
    assert _codes(receipt) == set()
    assert receipt.numbers is not None
    assert receipt.numbers.keys() == {"one", "two"}


PROMOTED: Mapping[str, PromoteFunction] = {
    "all names": PromoteFunction("inner", key="new"),
    "names": PromoteFunction(
        "inner", {"z": "Left", "a": "right"}, {"k": "output_1_least", "b": "output_0"}, "new"
    ),
    "one output": PromoteFunction(
        "inner", {"right": "Left", "Left": "right"}, {"b": "output_1_least"}, "new"
    ),
    "own key": PromoteFunction("inner"),
}


@pytest.mark.parametrize("signature_def_only", [True, False])
@pytest.mark.parametrize("name", PROMOTED)
def test_a_function_gives_as_a_signature_what_it_gave(
    twins: Path, edited: Edited, name: str, *, signature_def_only: bool
) -> None:
    receipt = edited(twins, PROMOTED[name], signature_def_only=signature_def_only)
    assert _codes(receipt) == set()


def test_a_trace_is_called_by_its_name(twins: Path, edited: Edited) -> None:
    named = {
        trace.function
        for trace in smpatch.load(twins).meta_graph(None).objects.traces
        if trace.path == "traced"
    }
    assert len(named) == 2
    for place, name in enumerate(named):
        receipt = edited(twins, PromoteFunction(name, key=f"new{place}"))
        assert _codes(receipt) == set()


@pytest.mark.parametrize("name", ["all names", "names"])
def test_arguments_that_are_exchanged_refuse_the_edit(
    twins: Path, edited: Edited, mutate: Mutate, name: str
) -> None:
    before = models.tree(twins)
    mutate("exchange_inputs", "new")
    with pytest.raises(ValidationError, match="it differs from the result of 'inner': "):
        edited(twins, PROMOTED[name])
    assert models.tree(twins) == before


def test_halves_that_differ_refuse_what_would_make_one_of_them_of_the_other(
    twins: Path, edited: Edited, oracle: client.Oracle
) -> None:
    """A signature made from another one has the wiring of one half, which both halves then have."""
    oracle.ask("mutate", directory=twins, fault="exchange_bound_inputs", key="one")
    before = models.tree(twins)
    with pytest.raises(ValidationError, match=r"output 'b': .* \(tf.saved_model.load\)"):
        edited(twins, FromSignature("one", {"inner": "mul:0", "b": "b"}, "new"))
    assert models.tree(twins) == before
    receipt = edited(twins, Rename("one", "first"))
    assert (receipt.numbers or {})["first"] == ("a", "b")


def test_what_is_new_in_one_half_only_is_told(twins: Path, edited: Edited) -> None:
    edit = FromSignature("one", {"inner": "mul:0", "b": "b"}, "new")
    receipt = edited(twins, edit, signature_def_only=True)
    (note,) = (each for each in receipt.notes if each.code == "numbers-new")
    assert (
        note.text
        == "signature 'new': the model before the edit has nothing to compare 'inner' with"
    )


def test_keys_that_are_gone_are_not_run(twins: Path, edited: Edited) -> None:
    receipt = edited(twins, Remove(("tw*",)), Copy("one", "two"))
    assert receipt.numbers == {"one": ("a", "b"), "two": ("a", "b")}


def test_what_does_not_run_before_is_told(tmp_path: Path, edited: Edited) -> None:
    model = Path(shutil.copytree(models.FIXTURES / "wrong_tensor_info", tmp_path / "model"))
    receipt = edited(model, Rename("serving_default", "new"))
    assert receipt.numbers == {"new": ("product",)} or receipt.numbers is not None
    told = [note.text for note in receipt.notes if note.code == "numbers-not-compared"]
    assert any("no tensor gone:0" in text for text in told)


@pytest.mark.parametrize("name", ["sparse", "ragged", "ragged_sparse_inputs"])
def test_inputs_in_several_parts_are_fed(tmp_path: Path, name: str, edited: Edited) -> None:
    model = Path(shutil.copytree(models.FIXTURES / name, tmp_path / "model"))
    key = next(iter(smpatch.load(model).signatures))
    receipt = edited(model, Rename(key, "renamed"))
    assert (receipt.numbers or {}).get("renamed")


def test_a_model_without_its_variables_is_run_as_far_as_it_goes(
    twins: Path, edited: Edited
) -> None:
    """The C runtime loads it, and its functions then fail before and after."""
    shutil.rmtree(twins / "variables")
    receipt = edited(twins, Rename("one", "new"))
    assert receipt.numbers == {}
    assert "numbers-not-compared" in _codes(receipt)


class TestGivenValues:
    """A file gives values for some inputs; the other values are made up."""

    def test_by_the_names_of_before_or_of_now(
        self, twins: Path, tmp_path: Path, edited: Edited
    ) -> None:
        named: dict[str, Any] = {"one/x": np.ones(2, np.float32)}
        np.savez(tmp_path / "a.npz", **named)
        edits: list[Edit] = [EditSignature("one", rename_inputs={"x": "y"}), Rename("one", "new")]
        receipt = edited(twins, *edits, feed=tmp_path / "a.npz")
        assert (receipt.numbers or {})["new"] == ("a", "b")

    def test_they_make_a_signature_run_that_made_up_values_do_not(
        self, edited: Edited, tmp_path: Path
    ) -> None:
        model = Path(shutil.copytree(models.FIXTURES / "classify_regress", tmp_path / "model"))
        x = b"\n\x0f\n\r\n\x01x\x12\x08\x12\x06\n\x04\x00\x00\x00?"  # a tf.train.Example: x is 0.5
        named: dict[str, Any] = {"classify/inputs": np.array([x])}
        np.savez(tmp_path / "a.npz", **named)
        receipt = edited(model, Rename("classify", "new"), feed=tmp_path / "a.npz")
        assert (receipt.numbers or {}).get("new") == ("classes", "scores")

    def test_a_file_that_names_no_input(self, twins: Path, tmp_path: Path, edited: Edited) -> None:
        before = models.tree(twins)
        np.savez(tmp_path / "a.npz", gone=np.ones(1))
        with pytest.raises(UsageError, match="names no input"):
            edited(twins, Rename("one", "new"), feed=tmp_path / "a.npz")
        assert models.tree(twins) == before

    def test_without_a_run_they_make_no_sense(self, twins: Path) -> None:
        with pytest.raises(UsageError, match="only --validate run uses"):
            smpatch.rename_signature(twins, "one", "new", options=Options(feed="a.npz"))


def test_nothing_is_run_where_nothing_is_written(twins: Path, edited: Edited) -> None:
    assert edited(twins, Rename("one", "new"), dry_run=True).numbers is None
    assert edited(twins, Copy("one", "one")).numbers is None


class TestCommands:
    """Every command that edits takes ``--validate run`` and reports its result."""

    def test_what_gives_the_same_is_counted(self, twins: Path, call: Run) -> None:
        said = call("rename", twins, "--from", "one", "--to", "new", "--validate", "run")
        assert said.code == 0, said.err
        assert "run before and after the edit: 4 outputs give the same, bit for bit" in said.out

    def test_what_is_not_the_same_is_exit_code_5(
        self, twins: Path, call: Run, mutate: Mutate
    ) -> None:
        before = models.tree(twins)
        mutate("exchange_outputs", "two")
        said = call("copy", twins, "--from", "one", "--to", "new", "--validate", "run")
        assert said.code == 5
        assert said.line.startswith("smpatch: signature 'two', output 'a': it is not what it was")
        assert models.tree(twins) == before

    def test_a_frozen_graph_is_run_as_it_was(self, tmp_path: Path, call: Run) -> None:
        said = call(
            *("wrap", models.FIXTURES.parent / "graphs" / "frozen.pb", "--save-to", tmp_path / "m"),
            *("--inputs", "x=features", "--outputs", "y=head/scores", "--validate", "run"),
        )
        assert said.code == 0, said.err
        assert "1 output gives the same, bit for bit" in said.out

    def test_a_patch_file_is_proved_with_values_of_the_user(
        self, twins: Path, tmp_path: Path, call: Run
    ) -> None:
        np.savez(tmp_path / "x.npz", x=np.ones(2, np.float32))
        patch = tmp_path / "patch.toml"
        patch.write_text('version = 1\n[[edit]]\nrename = "one"\nto = "new"\n')
        options = ("--validate", "run", "--feed", tmp_path / "x.npz", "--json")
        said = call("apply", patch, twins, *options)
        assert said.code == 0, said.err
        (outcome,) = said.document["apply"]["models"]
        assert outcome["receipt"]["numbers"] == {"new": ["a", "b"], "two": ["a", "b"]}

    def test_signatures_of_another_export_are_held_against_their_tensors(
        self, tmp_path: Path, call: Run
    ) -> None:
        source, model = models.linear(tmp_path / "source"), models.linear(tmp_path / "model")
        models.add(source, "added")
        options = ("--from-model", source, "--validate", "run", "--json")
        said = call("copy-signatures", model, *options)
        assert said.code == 0, said.err
        assert said.document["edit"]["numbers"] == {"added": ["y"], "scale": ["product"]}


def test_every_metagraph_that_got_other_tags_is_run(tmp_path: Path, edited: Edited) -> None:
    model = Path(shutil.copytree(models.FIXTURES / "several_tag_sets", tmp_path / "model"))
    edits = [Retag(("train",), ("training",)), Retag(("serve", "gpu"), ("serve", "tpu"))]
    keys = {
        key
        for each in smpatch.load(model).meta_graphs
        for key in each.signatures
        if {*each.tags} in ({"train"}, {"serve", "gpu"})
    }
    receipt = edited(model, *edits)
    assert (receipt.numbers or {}).keys() == keys


@pytest.mark.own_children
def test_without_the_c_runtime_there_is_no_proof(
    twins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installation.find()
    assert found is not None
    without = dataclasses.replace(found, cc_library=None)
    monkeypatch.setattr(installation, "find", lambda: without)
    before = models.tree(twins)
    with pytest.raises(ValidationError, match="cannot be run: no C libraries") as caught:
        smpatch.rename_signature(twins, "one", "new", options=Options(validate="run"))
    assert "--validate full" in caught.value.hint
    assert models.tree(twins) == before


def test_a_note_names_inputs_that_differ_between_the_halves(twins: Path, edited: Edited) -> None:
    """Nothing was run in Python, and no note said so."""
    apart = Options(validate="none", signature_def_only=True)
    smpatch.edit_signature(twins, EditSignature("one", rename_inputs={"x": "z"}), options=apart)
    receipt = edited(twins, Rename("one", "first"))
    (note,) = (each for each in receipt.notes if each.code == "numbers-not-compared")
    inputs = "its inputs are ['x'] and ['x'], and the values are for ['z']"
    assert note.text == f"signature 'first': its numbers are not compared: {inputs}"
