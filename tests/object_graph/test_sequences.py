"""Several edits of one model, each after the one before."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, RefusedError, load
from tests.contract.models import FIXTURES
from tests.object_graph.conftest import UNPROVED, assert_values
from tests.object_graph.subjects import Asked
from tests.oracle.client import Oracle, decoded, encoded

OVERWRITE = replace(UNPROVED, overwrite=True)
X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The fixture whose function ``encode`` is not a signature."""
    copied = tmp_path / "model"
    shutil.copytree(FIXTURES / "module", copied)
    return copied


def assert_all(oracle: Oracle, model: Path, asked: dict[str, Asked]) -> None:
    """Compare the values in both loaders, also after TensorFlow has saved the model again."""
    feeds: dict[str, Any] = {key: each.feed for key, each in asked.items()}
    again = model.with_name("again")
    shutil.rmtree(again, ignore_errors=True)
    assert oracle.ask("save_again", directory=model, tags=["serve"], to=again) == {}
    for directory in (model, again):
        told = oracle.ask(
            "tour",
            directory=directory,
            tags=["serve"],
            feeds=feeds,
            loaders=["python", "session"],
        )
        assert_values(told["python"], asked)
        assert_values(told["session"], asked)
        assert told["listed"].keys() >= asked.keys()


def test_many_edits_after_each_other(oracle: Oracle, model: Path) -> None:
    encoded_x = encoded(X)
    product = X @ np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)
    code = product + np.array([0.25, 0.5], np.float32)
    asked: dict[str, Asked] = {}
    for place in range(5):
        key = f"encode_{place}"
        smpatch.promote_function(
            model, "encode", outputs={f"y{place}": "output_0"}, signature=key, options=UNPROVED
        )
        asked[key] = Asked({"x": encoded_x}, {f"y{place}": encoded(code)})
    smpatch.derive_signature(
        model,
        "encode_3",
        outputs={"b": "y3", "a": "product:0"},
        signature="inner",
        options=UNPROVED,
    )
    asked["inner"] = Asked({"x": encoded_x}, {"b": encoded(code), "a": encoded(product)})
    smpatch.derive_signature(
        model, "inner", outputs={"c": "product:0", "d": "a"}, signature="again", options=UNPROVED
    )
    asked["again"] = Asked({"x": encoded_x}, {"c": encoded(product), "d": encoded(product)})
    assert_all(oracle, model, asked)
    # The key that was promoted first gets another output.
    smpatch.derive_signature(
        model, "encode_0", outputs={"p": "product:0"}, signature="encode_0", options=OVERWRITE
    )
    asked["encode_0"] = Asked({"x": encoded_x}, {"p": encoded(product)})
    assert_all(oracle, model, asked)


def test_overwriting_an_exported_signature_changes_both_halves(oracle: Oracle, model: Path) -> None:
    score = encoded((X @ np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)).sum(axis=1) + 0.75)
    before = load(model).meta_graph(None)
    assert decoded(score).tolist() == [27.75, 69.75]
    receipt = smpatch.promote_function(
        model,
        "__call__",
        inputs={"z": "x"},
        outputs={"y": "score"},
        signature="serving_default",
        options=OVERWRITE,
    )
    assert receipt.outcome == "replaced"
    assert_all(oracle, model, {"serving_default": Asked({"z": encoded(X)}, {"y": score})})
    meta_graph = load(model).meta_graph(None)
    assert len(meta_graph.objects.signatures) == 1
    # The old object stays; nothing refers to it.
    assert len(meta_graph.objects) == len(before.objects) + 1
    told = oracle.ask("tflite", directory=model, key="serving_default",
                     feed={"z": encoded(X)}, tags=["serve"])  # fmt: skip
    assert told["arrays"] == {"y": score}


def test_an_equal_signature_is_left_as_it_is(model: Path) -> None:
    tensors = load(model).signatures["serving_default"]
    request: dict[str, Any] = {
        "inputs": {"x": tensors.inputs["x"]},
        "outputs": {"s": tensors.outputs["score"]},
        "signature": "same",
    }
    smpatch.add_predict(model, **request, options=UNPROVED)
    before = (model / "saved_model.pb").read_bytes()
    receipt = smpatch.add_predict(model, **request, options=OVERWRITE)
    assert receipt.outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == before


def test_what_was_added_in_one_half_is_completed_in_the_other(oracle: Oracle, model: Path) -> None:
    alone = replace(UNPROVED, signature_def_only=True)
    tensors = load(model).signatures["serving_default"]
    request: dict[str, Any] = {
        "inputs": {"x": tensors.inputs["x"]},
        "outputs": {"s": tensors.outputs["score"]},
        "signature": "late",
    }
    smpatch.add_predict(model, **request, options=alone)
    smpatch.add_predict(model, **request, options=OVERWRITE)
    expected = encoded(np.array([27.75, 69.75], np.float32))
    assert_all(oracle, model, {"late": Asked({"x": encoded(X)}, {"s": expected})})


def test_smpatchs_own_validation_accepts_each_way(model: Path) -> None:
    full = Options(validate="full")
    promoted = smpatch.promote_function(model, "encode", options=full)
    exposed = smpatch.derive_signature(
        model, "encode", outputs={"y": "product:0"}, signature="product", options=full
    )
    for receipt in (promoted, exposed):
        assert receipt.loaders == ("C runtime", "tf.saved_model.load")
        assert receipt.fingerprint == "refreshed"
        assert receipt.notes == ()


def test_a_copy_stands_for_nothing_that_the_original_stood_for(
    oracle: Oracle, tmp_path: Path
) -> None:
    """TFLite replaces a function that implements an operation with an operation of its own."""
    model = tmp_path / "model"
    oracle.ask("build", name="attributes", directory=model)
    known = set(load(model).meta_graph(None).functions)
    smpatch.derive_signature(
        model,
        "serving_default",
        outputs={"a": "in_composite:0", "b": "in_one:0", "c": "in_xla:0"},
        signature="inner",
        options=UNPROVED,
    )
    library = load(model).meta_graph(None).functions
    copies = {
        name.rpartition("_")[0].removeprefix("__inference_"): set(library[name].attr)
        for name in set(library) - known
    }
    assert copies.keys() == {"composite", "one", "compiled", "serve", "signature_wrapper_inner",
                             "signature_wrapper_serve"}  # fmt: skip
    assert "_XlaMustCompile" in copies["compiled"]
    gone = {"_implements", "api_implements", "api_preferred_device"}
    assert gone.isdisjoint(set().union(*copies.values()))


def test_an_export_that_defines_no_operation_asks_tensorflow(oracle: Oracle, model: Path) -> None:
    """The first releases of TensorFlow 2 did not write the list of operations."""
    oracle.ask("without_op_list", directory=model)
    request: dict[str, Any] = {"outputs": {"y": "product:0"}, "signature": "inner"}
    with pytest.raises(RefusedError, match="does not define the outputs of the operation 'MatMul'"):
        smpatch.derive_signature(model, "serving_default", **request, options=UNPROVED)
    asking = Options(validate="runtime")
    smpatch.derive_signature(model, "serving_default", **request, options=asking)
    product = encoded(X @ np.array([[1.0, 2.0], [4.0, 8.0]], np.float32))
    assert_all(oracle, model, {"inner": Asked({"x": encoded(X)}, {"y": product})})
