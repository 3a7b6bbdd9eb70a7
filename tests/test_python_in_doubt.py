"""Signatures that sessions serve, but with which Python's loader refuses the whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from tests.oracle import programs

FIXTURES = Path(__file__).parent.parent / "fixtures" / "models"

# A program that writes a model; its output needs both halves of a Split.
EXPORT = """
import sys
import tensorflow as tf
v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    first, second = tf.split(x, 2, axis=1, name="split")
    tf.add(first, second, name="sum")
    builder = v1.saved_model.Builder(sys.argv[1])
    builder.add_meta_graph_and_variables(session, ["serve"], {})
    builder.save()
"""


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("halves") / "model"
    programs.run("-c", EXPORT, place)
    return place


def test_one_fed_output_of_an_operation_that_runs_all_the_same(
    halves: Path, tmp_path: Path
) -> None:
    """The edit was accepted, and after it Python could not load the model."""
    model = tmp_path / "model"
    shutil.copytree(halves, model)
    before = (model / "saved_model.pb").read_bytes()
    inputs, outputs = {"x": "x:0", "first": "split:0"}, {"sum": "sum:0"}
    with pytest.raises(smpatch.ValidationError, match="load refuses the edited model") as caught:
        smpatch.add_predict(model, inputs=inputs, outputs=outputs)
    assert "'split' still runs because split:1 is needed" in caught.value.hint
    assert "report" not in caught.value.hint
    assert "--validate" not in caught.value.hint  # a hint weakens no proof that has failed
    assert (model / "saved_model.pb").read_bytes() == before
    servers = smpatch.Options(validate="runtime")
    receipt = smpatch.add_predict(model, inputs=inputs, outputs=outputs, options=servers)
    assert [note.code for note in receipt.notes] == ["partly-fed"]


def test_a_forgotten_output_of_an_operation_is_what_is_to_be_fed(
    halves: Path, tmp_path: Path
) -> None:
    """The hint named the placeholder, and Python's loader refused the model with that input."""
    model = tmp_path / "model"
    shutil.copytree(halves, model)
    outputs = {"sum": "sum:0"}
    with pytest.raises(smpatch.UnreachableOutputError) as caught:
        smpatch.add_predict(model, inputs={"first": "split:0"}, outputs=outputs)
    assert caught.value.hint == "add --inputs split_1=split:1"
    both = {"first": "split:0", "split_1": "split:1"}
    receipt = smpatch.add_predict(model, inputs=both, outputs=outputs)
    assert receipt.notes == ()


def test_an_output_that_is_a_reference_variable(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / "ref_variables", model)
    inputs, outputs = {"x": "x:0"}, {"w": "layer_1/w:0"}
    with pytest.raises(smpatch.ValidationError, match="reference type"):
        smpatch.add_predict(model, inputs=inputs, outputs=outputs, signature="weights")
    servers = smpatch.Options(validate="runtime")
    receipt = smpatch.add_predict(
        model, inputs=inputs, outputs=outputs, signature="weights", options=servers
    )
    assert "reference-tensor" in [note.code for note in receipt.notes]
