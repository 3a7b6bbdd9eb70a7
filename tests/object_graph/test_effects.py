"""A function with effects runs once for each call of a signature, whichever tensors it exposes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import load
from smpatch.edits import AddPredict, Copy, EditSignature, FromSignature
from tests.object_graph.conftest import UNPROVED
from tests.oracle import programs
from tests.oracle.client import Oracle, decoded, encoded

FEED = {"x": encoded(np.array([[1.0, 2.0]], np.float32))}

EXPOSED = {
    "inner and existing": {"now": "now:0", "count": "count", "sum": "sum"},
    "existing by tensor": {"now": "now:0", "count": "{count}"},
    "existing alone": {"count": "count"},
    "without the count": {"tenfold": "tenfold:0"},
    "one tensor twice": {"b": "now:0", "a": "now:0", "c": "tenfold:0"},
}


@pytest.fixture(scope="module")
def counting(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose functions count their calls, with signatures of every kind."""
    directory = tmp_path_factory.mktemp("counter") / "model"
    oracle.ask("build", name="counter", directory=directory)
    signature = load(directory).signatures["serving_default"]
    tensors = {alias: each.tensors()[0].name for alias, each in signature.outputs.items()}
    for key, outputs in EXPOSED.items():
        chosen = {alias: each.format(**tensors) for alias, each in outputs.items()}
        smpatch.derive_signature(
            directory, "serving_default", outputs=chosen, signature=key, options=UNPROVED
        )
    smpatch.derive_signature(
        directory, "silent", outputs={"d": "doubled:0"}, signature="quiet", options=UNPROVED
    )
    (result,) = load(directory).signatures["silent"].outputs.values()
    node, _, _ = result.tensors()[0].name.rpartition(":")
    smpatch.derive_signature(
        directory,
        "silent",
        outputs={"d": "doubled:0", "s": node},
        signature="by node",
        options=UNPROVED,
    )
    smpatch.promote_function(directory, "silent", signature="promoted", options=UNPROVED)
    smpatch.add_predict(
        directory,
        inputs={"x": "serving_default_x:0"},
        outputs={"z": tensors["count"], "a": tensors["sum"]},
        signature="main",
        options=UNPROVED,
    )
    return directory


@pytest.mark.parametrize("loader", ["python", "session"])
@pytest.mark.parametrize("key", [*EXPOSED, "quiet", "by node", "promoted", "main"])
def test_the_counter_counts_one(oracle: Oracle, counting: Path, key: str, loader: str) -> None:
    feeds = {"serving_default": FEED, key: FEED, "read": {}}
    told = oracle.ask(
        "tour", directory=counting, tags=["serve"], feeds=feeds, times=3, loaders=[loader]
    )[loader]
    before = decoded(told["serving_default"]["arrays"]["count"])
    assert before == 3
    assert decoded(told["read"]["arrays"]["calls"]) == 6
    for alias in {"now", "count", "a", "b", "z"} & told[key]["arrays"].keys():
        value = decoded(told[key]["arrays"][alias])
        assert (value == 6).all() or (key == "main" and alias == "a"), alias


def test_the_counter_counts_one_after_it_was_saved_again(
    oracle: Oracle, counting: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert oracle.ask("save_again", directory=counting, tags=["serve"], to=again) == {}
    for key in (*EXPOSED, "quiet", "by node", "promoted", "main"):
        told = oracle.ask("tour", directory=again, tags=["serve"], feeds={key: FEED, "read": {}})[
            "python"
        ]
        assert decoded(told["read"]["arrays"]["calls"]) == 1, key


EXPORT = """
import sys
import tensorflow as tf
VECTOR = tf.TensorSpec([None, 2], tf.float32, "x")
class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0.0)
    @tf.function(input_signature=[VECTOR])
    def serve(self, x):
        now = tf.identity(self.calls.assign_add(1.0), name="now")
        found = tf.sparse.from_dense(x * now)
        return {"i": found.indices, "v": found.values, "d": found.dense_shape,
                "splits": tf.constant([0, 1, 2], tf.int64), "y": now * tf.ones([2])}
    @tf.function(input_signature=[])
    def read(self):
        return {"calls": self.calls.read_value()}
module = Module()
signatures = {"serving_default": module.serve, "read": module.read}
tf.saved_model.save(module, sys.argv[1], signatures)
"""
RUN = """
import json
import sys
import tensorflow.compat.v1 as tf
with tf.Session(graph=tf.Graph()) as session:
    signatures = tf.saved_model.loader.load(session, ["serve"], sys.argv[1]).signature_def
    (calls,) = signatures["read"].outputs.values()
    feeds = {signatures["serving_default"].inputs["x"].name: [[1.0, 2.0]]}
    found = session.run(sys.argv[2:], feeds)
    print(json.dumps([[each.tolist() for each in found], float(session.run(calls.name))]))
"""
IN_C = smpatch.Options(signature_def_only=True, overwrite=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts its calls, with outputs that are the parts of composite tensors."""
    directory = tmp_path_factory.mktemp("parts") / "model"
    programs.run("-c", EXPORT, str(directory))
    return directory


def _ran(directory: Path, key: str) -> tuple[dict[str, object], float]:
    """Run a signature once; return the values of its dense tensors, and the count of the calls."""
    outputs = load(directory).signatures[key].outputs
    names = {
        f"{alias}{place}": each.name
        for alias, spec in outputs.items()
        for place, each in enumerate(spec.tensors())
    }
    values, calls = json.loads(programs.run("-c", RUN, str(directory), *names.values()))
    return dict(zip(names, values, strict=True)), calls


@pytest.mark.parametrize("added", [False, True], ids=["from-signature", "add-output"])
@pytest.mark.parametrize("kind", ["sparse", "ragged"])
def test_a_composite_output_beside_an_inner_tensor_ran_the_function_twice(
    exported: Path, tmp_path: Path, kind: str, *, added: bool
) -> None:
    """The output came from the old call, and the inner tensor from a call of the copy."""
    directory = Path(shutil.copytree(exported, tmp_path / "model"))
    told = load(directory).signatures["serving_default"].outputs
    names = {alias: spec.tensors()[0].name for alias, spec in told.items()}
    whole: smpatch.SparseRef | smpatch.RaggedRef = (
        smpatch.SparseRef(values=names["v"], indices=names["i"], dense_shape=names["d"])
        if kind == "sparse"
        else smpatch.RaggedRef(values=names["y"], row_splits=(names["splits"],))
    )
    outputs = {"whole": whole, "y": names["y"]}
    inputs = {"x": "serving_default_x:0"}
    smpatch.add_predict(directory, inputs=inputs, outputs=outputs, signature="k", options=IN_C)
    expected, _ = _ran(directory, "k")
    if added:
        edit = EditSignature("k", add_outputs={"now": "now:0"})
        smpatch.patch(directory, [edit], options=IN_C)
    else:
        kept = {"whole": "whole", "y": "y", "now": "now:0"}
        smpatch.derive_signature(directory, "k", outputs=kept, signature="k", options=IN_C)
    found, calls = _ran(directory, "k")
    assert calls == 1
    assert found == {**expected, "now0": 1.0}


@pytest.mark.parametrize("key", ["k", "serving_default"])
def test_an_output_behind_a_call_ran_the_function_twice(
    exported: Path, tmp_path: Path, key: str
) -> None:
    """A function after the signature read the old call."""
    directory = Path(shutil.copytree(exported, tmp_path / "model"))
    after = tmp_path / "after.py"
    after.write_text("import tensorflow as tf\ndef twice(y): return {'y': y * 2.0}\n")
    options = smpatch.Options(overwrite=True)
    smpatch.compose_signature(
        directory, "serving_default", after=[f"{after}:twice"], signature=key, options=options
    )
    outputs = {"y": "y", "now": "now:0"}
    smpatch.derive_signature(directory, key, outputs=outputs, signature=key, options=options)
    assert _ran(directory, key) == ({"y0": [2.0, 2.0], "now0": 1.0}, 1)


def test_the_handle_of_a_dense_table_was_an_effect_that_python_lacked(
    oracle: Oracle, tmp_path: Path
) -> None:
    """Its operation has inputs. Python captures the table, and each new signature was refused."""
    oracle.ask("build_objects", name="dense_table", directory=tmp_path / "model")
    key, feed = "serving_default", {"x": encoded(np.array([b"b", b"zz"], object))}
    source = load(tmp_path / "model").signatures[key]
    (alias,), (name,) = source.outputs, (each.name for each in source.inputs["x"].tensors())
    (tensor,) = (each.name for each in source.outputs[alias].tensors())
    for edits in (
        [Copy(key, "new"), EditSignature("new", rename_outputs={alias: "k"})],
        [FromSignature(key, {"k": alias}, "new")],
        [AddPredict({"x": name}, {"k": tensor}, "new")],
    ):
        made = tmp_path / type(edits[-1]).__name__
        smpatch.patch(tmp_path / "model", edits, options=smpatch.Options(save_to=made))
        told = oracle.ask(
            "tour",
            directory=made,
            tags=["serve"],
            feeds={"new": feed, key: feed},
            loaders=["python", "session"],
        )
        for loader in ("python", "session"):
            new, old = told[loader]["new"]["arrays"]["k"], told[loader][key]["arrays"][alias]
            assert decoded(new).tolist() == decoded(old).tolist() == [5.0, -2.0]
