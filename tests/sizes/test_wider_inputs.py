"""Shapes with an open dimension that the graph fixes: proved by runs, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import EditSignature, Options, Receipt, ValidationError
from smpatch.edits import Edit, FromSignature, Remove
from smpatch.signature import Shape
from smpatch.validator import Mode
from tests.contract.models import FIXTURES
from tests.oracle import programs
from tests.oracle.client import Oracle, decoded, encoded

WEIGHTS = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0], [2.0, 1.0]], np.float32)
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)
OPEN: Mapping[str, Shape] = {"x": (None, 4), "y": (None, 2)}

Model = Callable[[str], Path]


def _edit(
    directory: Path,
    key: str,
    shapes: Mapping[str, Shape],
    validate: Mode = "auto",
) -> Receipt:
    edits: list[Edit] = [EditSignature(key, shapes=shapes)]
    return smpatch.patch(directory, edits, options=Options(validate=validate))


def _codes(receipt: Receipt) -> set[str]:
    return {note.code for note in receipt.notes}


@pytest.mark.parametrize("kind", ["dense", "session"])
def test_a_batch_of_three_runs_in_every_loader_once_the_shape_is_open(
    kind: str, model: Model, oracle: Oracle
) -> None:
    directory = model(kind)
    receipt = _edit(directory, "free", OPEN)
    assert "proved-shape" in _codes(receipt)
    feeds = {"free": {"x": encoded(ROWS)}}
    toured = oracle.ask(
        "tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["python", "session"]
    )
    for loader in ("python", "session"):
        found = decoded(toured[loader]["free"]["arrays"]["y"])
        np.testing.assert_allclose(found, ROWS @ WEIGHTS, rtol=1e-6)


def test_rows_of_several_shapes_are_not_compared_and_a_note_says_so(model: Model) -> None:
    receipt = _edit(model("session"), "cut", {"x": (None, 4), "y": (None, None)})
    (note,) = [each for each in receipt.notes if each.code == "unproved-shape"]
    assert "output 'y' has several shapes in single runs" in note.text


def test_a_batch_of_one_that_has_no_row_is_refused(model: Model) -> None:
    found = r"with the size 1 output 'y' is \[\], and the signature promises \[\?\]"
    with pytest.raises(ValidationError, match=found) as refused:
        _edit(model("session"), "squeezed", {"x": (None, 4), "y": (None,)})
    assert "--shape y=unknown opens it as well" in str(refused.value)


def test_a_dimension_without_elements_opens(model: Model) -> None:
    receipt = _edit(model("session"), "empty", {"none": (2, None)})
    (note,) = [each for each in receipt.notes if each.code == "proved-shape"]
    assert "dimension 1 of 'none' runs with the sizes 0, 1" in note.text


def test_before_the_edit_a_session_refuses_the_batch(model: Model, oracle: Oracle) -> None:
    feeds = {"free": {"x": encoded(ROWS)}}
    toured = oracle.ask(
        "tour", directory=model("session"), tags=["serve"], feeds=feeds, loaders=["session"]
    )
    assert "(1, 4)" in toured["session"]["free"]["refused"]


@pytest.mark.parametrize(
    ("kind", "key", "shapes", "found"),
    [
        ("dense", "reshaped", OPEN, r"'Reshape' \(Reshape\) in the function"),
        ("session", "reshaped", OPEN, r"the graph fixes the size at 'fixed' \(Reshape\)"),
        (
            "dense",
            "detector",
            {"x": (None, None, 4), "y": (None, 2)},
            r"has 1 rows for a batch of 2, not 2; the graph fixes the size at 'map/",
        ),
        ("dense", "normed", {"x": (None, 4), "y": (None, 4)}, "differs from single runs"),
        ("dense", "free", {"x": (None, 4)}, r"promises \[1, 2\] \(--shape y=-1,2 opens it"),
    ],
    ids=["function", "main graph", "loop", "mean over the batch", "output that stays"],
)
def test_a_size_that_the_graph_fixes_is_refused_by_name(
    kind: str,
    key: str,
    shapes: Mapping[str, Shape],
    found: str,
    model: Model,
) -> None:
    directory = model(kind)
    old = (directory / "saved_model.pb").read_bytes()
    with pytest.raises(ValidationError, match=found) as caught:
        _edit(directory, key, shapes)
    assert caught.value.exit_code == 5
    assert "the model is unchanged" in str(caught.value)
    assert (directory / "saved_model.pb").read_bytes() == old


def test_a_graph_for_two_rows_takes_one_and_six(model: Model, oracle: Oracle) -> None:
    directory = model("dense")
    receipt = _edit(directory, "pairs", OPEN)
    (note,) = [note for note in receipt.notes if note.code == "proved-shape"]
    assert "sizes 1, 2, 4, 6" in note.text
    feeds = {"pairs": {"x": encoded(ROWS)}}
    toured = oracle.ask("tour", directory=directory, tags=["serve"], feeds=feeds)
    found = decoded(toured["python"]["pairs"]["arrays"]["y"])
    np.testing.assert_allclose(found, ROWS @ WEIGHTS, rtol=1e-6)


def test_strings_are_proved_as_well(model: Model) -> None:
    receipt = _edit(model("dense"), "words", {"text": (None,), "length": (None,)})
    assert "proved-shape" in _codes(receipt)


def test_what_was_not_run_is_not_proved_and_says_so(model: Model) -> None:
    receipt = _edit(model("dense"), "reshaped", OPEN, validate="none")
    (note,) = [note for note in receipt.notes if note.code == "unproved-shape"]
    assert "not proved" in note.text


def test_the_other_signature_of_the_placeholder_is_named(model: Model) -> None:
    receipt = _edit(model("session"), "free", OPEN)
    (note,) = [note for note in receipt.notes if note.code == "shared-placeholder"]
    assert "'free', 'reshaped'" in note.text


def test_an_input_that_takes_less_does_not_promise_less(model: Model) -> None:
    directory = model("lossy")
    receipt = _edit(directory, "first", {"x": (8, 3)}, validate="none")
    (note,) = [note for note in receipt.notes if note.code == "narrowed-shape"]
    assert note.text == "'x': the graph has [?, 3]; the signature asks clients for [8, 3]"


def test_the_text_form_says_that_its_placeholder_stays_closed(model: Model, oracle: Oracle) -> None:
    """The note once was "proved", and Python's session refused the batch."""
    directory = model("text")
    receipt = _edit(directory, "free", OPEN)
    assert {"proved-shape", "placeholder-unchanged"} <= _codes(receipt)
    feeds = {"free": {"x": encoded(ROWS)}}
    toured = oracle.ask(
        "tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["session"]
    )
    assert "(1, 4)" in toured["session"]["free"]["refused"]
    binary = model("session")
    assert "placeholder-unchanged" not in _codes(_edit(binary, "free", OPEN))


def test_an_inner_output_that_is_added_afterwards_promises_no_size(
    model: Model, oracle: Oracle
) -> None:
    directory = model("dense")
    _edit(directory, "free", OPEN)
    (inner, *_) = (
        each.path
        for each in smpatch.suggest(directory, signature="free").inner
        if each.op == "MatMul"
    )
    smpatch.derive_signature(directory, "free", outputs={"m": inner}, signature="made")
    smpatch.patch(directory, [EditSignature("free", add_outputs={"m": inner})])
    signatures = smpatch.load(directory).signatures
    for key in ("made", "free"):
        spec = signatures[key].outputs["m"]
        assert isinstance(spec, smpatch.TensorSpec)
        assert spec.shape == (None, None)
    feeds = {key: {"x": encoded(ROWS)} for key in ("made", "free")}
    toured = oracle.ask(
        "tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["python", "session"]
    )
    for loader in ("python", "session"):
        for key in feeds:
            found = decoded(toured[loader][key]["arrays"]["m"])
            np.testing.assert_allclose(found, ROWS @ WEIGHTS, rtol=1e-6)


def test_a_signature_of_a_narrowed_one_asks_for_the_same(tmp_path: Path, oracle: Oracle) -> None:
    directory = Path(shutil.copytree(FIXTURES / "linear", tmp_path / "model"))
    _edit(directory, "scale", {"x": (2,)})
    smpatch.derive_signature(directory, "scale", outputs={"y": "y:0"}, signature="made")
    spec = smpatch.load(directory).signatures["made"].inputs["x"]
    assert isinstance(spec, smpatch.TensorSpec)
    assert spec.shape == (2,)
    feeds = {"made": {"x": encoded(np.array([1.0, 3.0], np.float32))}}
    told = oracle.ask("tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["session"])
    np.testing.assert_allclose(decoded(told["session"]["made"]["arrays"]["y"]), [2.5, 3.5])


def test_steps_that_the_graph_never_reads_are_refused(tmp_path: Path, oracle: Oracle) -> None:
    """The signature once ran with six steps, read three of them, and this counted as a proof."""
    directory = Path(shutil.copytree(FIXTURES / "keras_rnn", tmp_path / "model"))
    spec = smpatch.load(directory).signatures["serving_default"].inputs["steps"]
    assert isinstance(spec, smpatch.TensorSpec)
    assert spec.shape == (None, 3, 2)
    before = (directory / "saved_model.pb").read_bytes()
    with pytest.raises(ValidationError, match="reads only 3 elements, even if"):
        _edit(directory, "serving_default", {"steps": (None, None, 2)})
    assert (directory / "saved_model.pb").read_bytes() == before

    # In TensorFlow itself, without the proof, six steps give the same as the first three.
    _edit(directory, "serving_default", {"steps": (None, None, 2)}, validate="none")
    steps = np.random.default_rng(0).random((1, 6, 2), np.float32)
    found = []
    for count in (6, 3):
        feeds = {"serving_default": {"steps": encoded(steps[:, :count])}}
        asked = {"directory": directory, "tags": ["serve"], "feeds": feeds, "loaders": ["session"]}
        toured = oracle.ask("tour", **asked)["session"]["serving_default"]["arrays"]
        found.append(decoded(toured["output_0"]))
    np.testing.assert_array_equal(*found)


WIDER = EditSignature("serving_default", shapes={"steps": (None, None, 2)})


@pytest.mark.parametrize(
    "later",
    [
        (EditSignature("serving_default", rename_inputs={"steps": "s"}),),
        (EditSignature("serving_default", rename_outputs={"output_0": "y"}),),
        (FromSignature("serving_default", {"z": "output_0"}, "serving_default", overwrite=True),),
        (FromSignature("serving_default", {"z": "output_0"}, "o"), Remove(("serving_default",))),
    ],
)
def test_a_wider_input_is_proved_although_a_later_edit_of_the_list_changes_the_signature(
    later: tuple[Edit, ...], tmp_path: Path
) -> None:
    """The later edit once took the place of the one that opened it, and nothing was run."""
    directory = Path(shutil.copytree(FIXTURES / "keras_rnn", tmp_path / "model"))
    before = (directory / "saved_model.pb").read_bytes()
    with pytest.raises(ValidationError, match="reads only 3 elements"):
        smpatch.patch(directory, [WIDER, *later])
    assert (directory / "saved_model.pb").read_bytes() == before
    receipt = smpatch.patch(directory, [WIDER, *later], options=Options(validate="none"))
    assert "unproved-shape" in _codes(receipt)


def test_an_input_that_is_opened_and_closed_again_in_one_list_is_not_run(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(FIXTURES / "keras_rnn", tmp_path / "model"))
    closed = EditSignature("serving_default", shapes={"steps": (None, 3, 2)})
    assert "proved-shape" not in _codes(smpatch.patch(directory, [WIDER, closed]))


def test_rows_and_columns_that_all_count_are_proved_with_their_sizes(tmp_path: Path) -> None:
    directory = Path(
        shutil.copytree(FIXTURES.parent / "exporters" / "from_onnx", tmp_path / "model")
    )
    receipt = _edit(directory, "serving_default", {"image": (None, None, None, 3)})
    (note,) = [note for note in receipt.notes if note.code == "proved-shape"]
    for place in (1, 2):
        assert f"dimension {place} of 'image' runs with the sizes 1, 5, 6, 7, 12, 18" in note.text
    assert "no change" not in note.text


def test_a_size_that_does_not_run_is_named(model: Model) -> None:
    receipt = _edit(model("dense"), "windows", {"x": (None, None, 4)})
    (note,) = [note for note in receipt.notes if note.code == "proved-shape"]
    assert "dimension 1 of 'x' runs with the sizes 2, 3, 4, 6, 9, fails with 1" in note.text


SHARED = """
import sys
import tensorflow.compat.v1 as tf
tf.disable_eager_execution()
x = tf.placeholder(tf.float32, [2], name="x")
k = tf.placeholder_with_default([1.0, 2.0], [2], name="k")
y = tf.multiply(x, tf.reduce_sum(k), name="y")
info = tf.saved_model.utils.build_tensor_info
predict = tf.saved_model.signature_def_utils.build_signature_def
made = {
    key: predict({"x": info(x), **more}, {"y": info(y)}, "tensorflow/serving/predict")
    for key, more in (("fed", {"k": info(k)}), ("not fed", {}))
}
with tf.Session() as session:
    builder = tf.saved_model.Builder(sys.argv[1])
    builder.add_meta_graph_and_variables(session, ["serve"], made)
    builder.save()
"""


def test_a_wider_input_was_refused_because_another_signature_uses_its_default(
    tmp_path: Path, oracle: Oracle
) -> None:
    """The proof took the shape of the placeholder for a part of the other computation."""
    directory = tmp_path / "model"
    programs.run("-c", SHARED, str(directory))
    _edit(directory, "fed", {"k": (None,)})
    x, k = (encoded(np.array(each, np.float32)) for each in ([1.0, 1.0], [2.0, 3.0, 4.0]))
    feeds = {"fed": {"x": x, "k": k}, "not fed": {"x": x}}
    told = oracle.ask(
        "tour", directory=directory, tags=["serve"], feeds=feeds, loaders=["session"]
    )["session"]
    assert decoded(told["fed"]["arrays"]["y"]).tolist() == [9.0, 9.0]
    assert decoded(told["not fed"]["arrays"]["y"]).tolist() == [3.0, 3.0]
