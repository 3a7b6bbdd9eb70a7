"""The models of the benchmarks have the content that they should have; no test is timed.

A contest on a model that TensorFlow does not load, or whose graph is not a chain,
would measure nothing. TensorFlow runs once, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import store_upload

ROOT = Path(__file__).resolve().parents[1]
RIVALS = ROOT / "tests" / "benchmarks" / "rivals"
# 24 matrices of 80 x 80: the side is even, so that the two numbers that are fed fill a row.
TOTAL_BYTES = 614_400
LENGTH = 300

_ASK = """
import json, sys
from pathlib import Path
from tests.benchmarks import generate
root = Path(sys.argv[1])
generate.constants(root / "constants", int(sys.argv[2]))
generate.chain(root / "chain", int(sys.argv[3]))

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

def op(definition):
    arguments = [(a.name, a.type_attr) for a in definition.input_arg]
    results = [(a.name, a.type_attr) for a in definition.output_arg]
    attrs = sorted((a.name, a.type, str(a.default_value)) for a in definition.attr)
    return [arguments, results, attrs]

facts = {}
for name, fed in (("constants", [[0.0, 1.0]]), ("chain", [[[[-1.0, 2.0]]]])):
    data = (root / name / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
    nodes = meta_graph.graph_def.node
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(root / name))
        x = session.graph.get_tensor_by_name("x:0")
        value = np.tile(np.float32(fed), [1] * (len(x.shape) - 1) + [x.shape[-1] // 2])
        y = session.run("y:0", {x: value})
        inferred = [session.graph.get_tensor_by_name(n.name + ":0").shape for n in nodes]
    listed = [n.attr["_output_shapes"].list.shape for n in nodes]
    facts[name] = {
        "size": len(data),
        "edges": [[n.name, n.op, list(n.input)] for n in nodes],
        "tags": list(meta_graph.meta_info_def.tags),
        "signatures": list(meta_graph.signature_def),
        "ops": {o.name: op(o) for o in meta_graph.meta_info_def.stripped_op_list.op},
        "true_ops": {n.op: op(op_def_registry.get(n.op)) for n in nodes},
        "wrong_shapes": [
            n.name for n, shapes, true in zip(nodes, listed, inferred)
            if shapes and tf.TensorShape(shapes[0]).as_list() != true.as_list()
        ],
        "shapes_listed": sum(map(len, listed)),
        "y": np.unique(y.round(3)).tolist(),
    }
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory in which the subprocess makes the models."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def facts(made: Path) -> dict[str, Any]:
    """Return the facts from TensorFlow about one small model of each kind."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, str(made), str(TOTAL_BYTES), str(LENGTH)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", ["constants", "chain"])
def test_a_model_is_one_plain_meta_graph(facts: dict[str, Any], name: str) -> None:
    """It has the tag serve, no signature, and an op list and shapes that agree with TensorFlow."""
    model = facts[name]
    assert model["tags"] == ["serve"]
    assert model["signatures"] == []
    assert model["ops"] == model["true_ops"]
    assert model["wrong_shapes"] == []


def test_the_constants_fill_the_file_and_all_reach_y(facts: dict[str, Any]) -> None:
    """The file has the requested size; y is the mean of x, so each weight is used."""
    model = facts["constants"]
    assert model["size"] == pytest.approx(TOTAL_BYTES, rel=0.05)
    kinds = [op for _, op, _ in model["edges"]]
    assert (kinds.count("Const"), kinds.count("MatMul"), len(kinds)) == (24, 24, 50)
    assert model["y"] == [0.5]


def test_the_chain_visits_every_node(facts: dict[str, Any]) -> None:
    """The only input of each node is the node before it, from x to y; a node has 120-150 bytes."""
    model = facts["chain"]
    names = [name for name, _, _ in model["edges"]]
    assert names == ["x", *(f"n{index}" for index in range(LENGTH)), "y"]
    assert [inputs for _, _, inputs in model["edges"]] == [[], *([name] for name in names[:-1])]
    assert model["shapes_listed"] == LENGTH + 1
    assert 120 * LENGTH < model["size"] < 150 * LENGTH
    assert model["y"] == [0.0, 2.0]


def test_the_message_class_rival_does_the_whole_edit(facts: dict[str, Any], made: Path) -> None:
    """A rival that omits work, or does too much, would make the contest unfair."""
    assert facts
    new = made / "rival.pb"
    done = subprocess.run(
        [sys.executable, str(RIVALS / "full_parse.py"), str(made / "chain"), str(new)],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    assert set(measured) == {"seconds", "processor_seconds", "peak_bytes"}
    written, old = new.read_bytes(), (made / "chain" / "saved_model.pb").read_bytes()
    assert len(written) > len(old) + len(b"serving_default x:0 y:0 tensorflow/serving/predict")
    assert b"tensorflow/serving/predict" in written


def test_a_put_that_fails_ends_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, _: object) -> None:
            pass

        def put(self, key: str, _: Path) -> None:
            if key == "m/1/x":
                raise OSError(key)

    monkeypatch.setattr(store_upload, "Store", Full)
    (tmp_path / "x").write_bytes(b"")
    store_upload.main(str(tmp_path), "s3://bucket/m", "1")
    with pytest.raises(OSError, match="m/1/x"):
        store_upload.main(str(tmp_path), "s3://bucket/m", "2")
