"""Functions of sparse and ragged tensors become the same signatures as in TensorFlow's export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import Options, TensorSpec, load
from smpatch.signature import Spec
from smpatch.suggestions import suggest
from tests.oracle import programs
from tests.oracle.client import Oracle, encoded

Sketch = dict[str, tuple[str, object]]


INSIDE = {"given": "given_x", "given_1": "given", "given_2": "given_1", "given_3": "given_2"}
"""TensorFlow's alias to smpatch's: only smpatch gives the dense tensor of a structure its name."""


def test_a_function_of_composites_serves_as_in_tensorflows_own_export(
    oracle: Oracle, tmp_path: Path
) -> None:
    feeds = oracle.ask("build_composites", directory=tmp_path)["feeds"]
    plain, own = tmp_path / "plain", tmp_path / "own"
    for name in feeds:
        smpatch.promote_function(plain, name, options=Options(validate="none"))
    ours, theirs = load(plain).signatures, load(own).signatures
    for name in feeds:
        inputs = _sketch(theirs[name].inputs)
        if name == "nested":
            inputs = {INSIDE[alias]: spec for alias, spec in inputs.items()}
        assert _sketch(ours[name].inputs) == inputs
        assert _sketch(ours[name].outputs) == _sketch(theirs[name].outputs)
    loaders = ["python", "session"]
    expected = oracle.ask("tour", directory=own, tags=["serve"], feeds=feeds, loaders=loaders)
    nested = {INSIDE[alias]: value for alias, value in feeds["nested"].items()}
    given = {**feeds, "nested": nested}
    told = oracle.ask("tour", directory=plain, tags=["serve"], feeds=given, loaders=loaders)
    for loader in loaders:
        assert told[loader] == expected[loader]
        assert all("arrays" in told[loader][name] for name in feeds)


def _sketch(specs: Mapping[str, Spec]) -> Sketch:
    found: Sketch = {}
    for alias, spec in specs.items():
        assert isinstance(spec, TensorSpec)
        found[alias] = (spec.dtype, spec.shape)
    return found


def test_what_takes_a_handle_is_suggested_with_the_reason_why_not(
    oracle: Oracle, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    oracle.ask("build", name="refused", directory=model)
    refusals = {
        each.traced.path: each.refusal for each in suggest(load(model).meta_graph(None)).functions
    }
    assert refusals["ragged"] == ""
    assert refusals["ragged_out"] == ""
    assert "'x' is a variant handle" in refusals["takes_handle"]


EXPORT = """
import sys
import tensorflow as tf
rows = [tf.TensorSpec([None, None, 3], tf.float32, name="x")]
def ragged(x):
    return {"count": tf.shape(x)[0], "boxes": tf.RaggedTensor.from_tensor(x[:, :, 0], padding=0.0)}
def deep(x):
    return [x * 2.0, tf.RaggedTensor.from_tensor(x[..., tf.newaxis], ragged_rank=2)]
def sparse(x):
    return tf.sparse.from_dense(x)
def slices(x):
    return {"s": tf.IndexedSlices(x, tf.range(tf.shape(x)[0])), "y": x + 1.0}
@tf.function(input_signature=rows)
def ragged_by_hand(x):
    boxes, count = ragged(x)["boxes"], ragged(x)["count"]
    return {"boxes_values": boxes.values, "boxes_row_splits": boxes.row_splits, "count": count}
@tf.function(input_signature=rows)
def deep_by_hand(x):
    dense, boxes = deep(x)
    outer, inner = boxes.nested_row_splits
    parts = {"output_1_row_splits_0": outer, "output_1_row_splits_1": inner}
    return {"output_0": dense, "output_1_values": boxes.flat_values, **parts}
@tf.function(input_signature=rows)
def sparse_by_hand(x):
    found = sparse(x)
    parts = {"output_0_indices": found.indices, "output_0_values": found.values}
    return {"output_0_dense_shape": found.dense_shape, **parts}
@tf.function(input_signature=rows)
def slices_by_hand(x):
    return {"s_component_0": slices(x)["s"].values, "s_component_1": slices(x)["s"].indices,
            "y": slices(x)["y"]}
by_hand = {"ragged": ragged_by_hand, "deep": deep_by_hand, "sparse": sparse_by_hand,
           "slices": slices_by_hand}
module = tf.Module()
for each in (ragged, deep, sparse, slices):
    setattr(module, each.__name__, tf.function(each, input_signature=rows))
tf.saved_model.save(module, sys.argv[1], signatures={})
tf.saved_model.save(module, sys.argv[2], signatures=by_hand)
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    plain, by_hand = (tmp_path_factory.mktemp("composites") / name for name in ("plain", "by_hand"))
    programs.run("-c", EXPORT, plain, by_hand)
    for name in ("ragged", "deep", "sparse", "slices"):
        smpatch.promote_function(plain, name, options=Options(validate="none"))
    return plain, by_hand


@pytest.mark.parametrize("name", ["ragged", "deep", "sparse", "slices"])
def test_a_composite_result_is_served_as_its_parts(
    name: str, exports: tuple[Path, Path], oracle: Oracle
) -> None:
    """A function with a ragged result was once refused, even if only dense results were wanted."""
    plain, by_hand = exports
    ours, theirs = (load(each).signatures[name] for each in exports)
    shapes = _sketch(theirs.outputs)
    if name == "slices":  # the object graph does not describe its parts
        shapes |= {
            f"s_component_{place}": (t, None) for place, t in enumerate(("float32", "int32"))
        }
    assert _sketch(ours.outputs) == shapes
    x = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    x[0, 2:] = 0.0
    told = []
    for model, signature in ((plain, ours), (by_hand, theirs)):
        (tensor,) = signature.inputs["x"].tensors()
        about = {"directory": model, "tags": ["serve"], "key": name}
        feed = {tensor.name: encoded(x)}
        told.append(oracle.ask("run_signature", **about, feed=feed)["arrays"])
        inputs = {"x": ("dense", tensor.name)}
        told.append(oracle.ask("call", **about, inputs=inputs, feed=feed)["arrays"])
    assert told == [told[2]] * 4


def test_a_run_compares_the_parts_with_the_function(
    exports: tuple[Path, Path], tmp_path: Path
) -> None:
    for name in ("ragged", "deep", "sparse"):
        options = Options(validate="run", save_to=tmp_path / name)
        receipt = smpatch.promote_function(exports[1], name, signature="new", options=options)
        assert not [note for note in receipt.notes if note.code.startswith("numbers")]


def test_the_dense_results_can_be_had_alone_and_a_composite_one_leads_to_its_parts(
    exports: tuple[Path, Path],
) -> None:
    options = Options(validate="none", dry_run=True)
    promote = smpatch.promote_function
    asked = {"n": "count"}
    receipt = promote(exports[1], "ragged", outputs=asked, signature="n", options=options)
    assert receipt.signature.outputs.keys() == {"n"}
    with pytest.raises(smpatch.TensorNotFoundError) as caught:
        promote(exports[1], "ragged", outputs={"b": "boxes"}, signature="n", options=options)
    assert caught.value.hint == "its parts are boxes_values, boxes_row_splits"
