"""Inputs of TensorFlow 2 exports that the exported function takes, but that no output needs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch.edits import EditSignature
from smpatch.runs import sessions
from smpatch.runtime.process import Child
from smpatch.runtime.python_questions import call as call_in_python
from smpatch.runtime.questions import Array, RunResult
from tests.contract.models import FIXTURES
from tests.oracle import programs
from tests.oracle.client import Oracle, decoded, encoded

EXPORT = """
import sys
import tensorflow as tf
rows = tf.TensorSpec([None, 2], tf.float32, name="observation")
junk = tf.TensorSpec([None], tf.float32, name="reward")
texts = tf.TensorSpec([3, None], tf.string, name="words")
class Policy(tf.Module):
    def __init__(self):
        self.w = tf.Variable([[1.0, 2.0], [3.0, 5.0]])
        self.seen = tf.Variable(0.0)
    @tf.function(input_signature=[rows, junk, texts])
    def action(self, observation, reward, words):
        return {"action": tf.matmul(observation, self.w), "twice": observation * 2.0}
    @tf.function(input_signature=[rows, junk])
    def value(self, observation, reward):
        return {"action": tf.matmul(observation, self.w), "value": reward * 2.0}
    @tf.function(input_signature=[rows, junk])
    def stored(self, observation, reward):
        self.seen.assign(tf.reduce_sum(reward))
        return {"action": tf.matmul(observation, self.w)}
    @tf.function(input_signature=[rows, junk])
    def checked(self, observation, reward):
        tf.debugging.assert_equal(tf.shape(observation)[0], tf.shape(reward)[0])
        return {"action": tf.matmul(observation, self.w)}
policy = Policy()
names = ("action", "value", "stored", "checked")
tf.saved_model.save(policy, sys.argv[1], {name: getattr(policy, name) for name in names})
"""
ROWS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("policy") / "model"
    programs.run("-c", EXPORT, place)
    return place


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def dropped(key: str, *aliases: str, outputs: tuple[str, ...] = ()) -> EditSignature:
    return EditSignature(key, drop_inputs=aliases, drop_outputs=outputs)


def results(answer: dict[str, Any]) -> dict[str, Any]:
    return {alias: decoded(value).tolist() for alias, value in answer["arrays"].items()}


def test_an_input_that_no_output_needs_can_be_dropped(model: Path, oracle: Oracle) -> None:
    """The edit was refused; the error named a need that no output had."""
    edit = dropped("action", "reward", "words")
    options = smpatch.Options(validate="run")
    receipt = smpatch.edit_signature(model, edit, options=options)
    assert receipt.signature.inputs.keys() == {"observation"}
    assert receipt.notes[0].code == "zeros-instead"
    assert receipt.numbers is not None
    assert set(receipt.numbers["action"]) == {"action", "twice"}
    expected = {"action": [[7.0, 12.0], [15.0, 26.0], [23.0, 40.0]], "twice": (ROWS * 2).tolist()}
    name = receipt.signature.inputs["observation"].tensors()[0].name
    about = {"directory": model, "tags": ["serve"], "key": "action", "feed": {name: encoded(ROWS)}}
    assert results(oracle.ask("run_signature", **about)) == expected
    called = oracle.ask("call", **about, inputs={"observation": ("dense", name)})
    assert results(called) == expected


@pytest.mark.parametrize("is_right", [True, False])
def test_python_compares_the_numbers_of_a_signature_that_has_lost_an_input(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_right: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The reference did not run without the input, and a note said that nothing was compared."""
    edit, options = dropped("action", "reward", "words"), smpatch.Options(validate="run")

    def called(child: Child, key: str, inputs: Mapping[str, Array], limit: float) -> RunResult:
        said = call_in_python(child, key, inputs, limit)
        if is_right or key != "action" or "reward" in inputs:
            return said
        arrays = {name: replace(each, data=each.data[::-1]) for name, each in said.arrays.items()}
        return RunResult(arrays=arrays)

    monkeypatch.setattr(sessions, "call_in_python", called)
    if is_right:
        receipt = smpatch.edit_signature(model, edit, options=options)
        assert "numbers-not-compared" not in [note.code for note in receipt.notes]
        return
    before = (model / "saved_model.pb").read_bytes()
    with pytest.raises(smpatch.ValidationError, match=r"what it was before the edit \(tf.saved"):
        smpatch.edit_signature(model, edit, options=options)
    assert (model / "saved_model.pb").read_bytes() == before


def test_to_drop_it_twice_is_to_drop_it(model: Path) -> None:
    edit = dropped("action", "reward")
    smpatch.patch(model, edit, once=True)
    after = (model / "saved_model.pb").read_bytes()
    assert smpatch.patch(model, edit, once=True).outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == after


def test_what_was_appended_goes_with_the_signature(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    smpatch.edit_signature(model, dropped("action", "reward"))
    for each in (model, other):
        smpatch.remove_signatures(each, "action")
    assert (model / "saved_model.pb").read_bytes() == (other / "saved_model.pb").read_bytes()


def test_a_dropped_input_can_be_added_again(model: Path) -> None:
    smpatch.edit_signature(model, dropped("action", "reward"))
    back = EditSignature("action", add_inputs={"reward": "action_reward:0"})
    receipt = smpatch.edit_signature(model, back, options=smpatch.Options(validate="full"))
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")
    assert "unused-input" in [note.code for note in receipt.notes]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (dropped("action", "observation"), "the outputs 'action', 'twice' need it"),
        (dropped("value", "reward"), "the output 'value' needs it"),
        # The function also computes the dropped output; with zeros, this could fail.
        (dropped("value", "reward", outputs=("value",)), "the function that computes them takes"),
        # The output waits for an assignment, and for an assertion.
        (dropped("stored", "reward"), "the output 'action' needs it"),
        (dropped("checked", "reward"), "the output 'action' needs it"),
    ],
)
def test_zeros_take_no_place_that_something_depends_on(
    model: Path, edit: EditSignature, found: str
) -> None:
    before = (model / "saved_model.pb").read_bytes()
    with pytest.raises(smpatch.UnreachableOutputError) as caught:
        smpatch.edit_signature(model, edit)
    assert found in caught.value.found
    assert (model / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize(("kind", "possible"), [("linear", True), ("text_form", False)])
def test_the_error_named_a_command_that_does_not_work_in_text_form(
    kind: str, *, possible: bool, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(FIXTURES / kind, tmp_path / kind))
    options = smpatch.Options(validate="none")
    with pytest.raises(smpatch.RefusedError, match="need it") as caught:
        smpatch.patch(model, dropped("scale", "x"), options=options)
    assert ("smpatch compose" in str(caught.value)) == possible
