"""TensorFlow's answers to signatures and requests that smpatch's builder refuses or notes.

Prints ``{"loaded": {case: the error when tf.saved_model.load reads the signature, and calls it,
or ""}, "ran": {case: the error of a raw TF_SessionRun, or ""}}``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fixtures.make.control_flow import dataflow_control
from fixtures.make.exporting import export, predict, session, v1


def small_graph() -> dict[str, Any]:
    """Build ``y = x * w + z`` in the default graph, and a tensor of each unusual kind."""
    x = v1.placeholder(tf.float32, [None], "x")
    z = v1.placeholder(tf.float32, [None], "z")
    held = v1.get_variable("held", [], use_resource=True)
    referred = v1.get_variable("referred", [], use_resource=False)
    with v1.control_dependencies([tf.no_op("first")]):
        waiting = v1.placeholder(tf.float32, [None], "waiting")
    assert waiting.op.control_inputs
    with dataflow_control():
        flag = v1.placeholder(tf.bool, [], "flag")
        v1.cond(flag, lambda: tf.identity(x + 1.0, "branch"), lambda: x, name="choose")
        v1.while_loop(lambda at: at < 3.0, lambda at: tf.add(at, 1.0, "step"), [0.0], name="loop")
    return {
        "x": x,
        "z": z,
        "waiting": waiting,
        "flag": flag,
        "handle": held.handle,
        "referred": v1.get_default_graph().get_tensor_by_name("referred:0"),
        "branch": v1.get_default_graph().get_tensor_by_name("choose/branch:0"),
        "step": v1.get_default_graph().get_tensor_by_name("loop/step:0"),
        "y": tf.add(x * held, 1.0, "y"),
        "sum": tf.add(x, z, "sum"),
        "after_waiting": tf.multiply(waiting, 2.0, "after_waiting"),
        "by_reference": tf.add(referred, x, "by_reference"),
    }


def loaded(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """Save a model with this signature, load it in Python, call it; return the error."""
    with tempfile.TemporaryDirectory() as top:
        target = Path(top) / "model"
        with session() as opened:
            graph = small_graph()
            given = {alias: graph[name] for alias, name in inputs.items()}
            wanted = {alias: graph[name] for alias, name in outputs.items()}
            export(target, opened, {"s": predict(given, wanted)})
        try:
            signature = tf.saved_model.load(str(target)).signatures["s"]
        except Exception as error:  # noqa: BLE001 - any error is the answer
            return f"load: {type(error).__name__}: {error}"
        try:
            signature(**{alias: tf.constant([1.0]) for alias in inputs})
        except Exception as error:  # noqa: BLE001 - as above
            return f"call: {type(error).__name__}: {error}"
    return ""


def ran(feeds: Mapping[str, Any], fetches: list[str]) -> str:
    """Run through the C API, without the code of Python's session around it; return the error."""
    with session() as opened:
        graph = small_graph()
        opened.run(v1.global_variables_initializer())
        try:
            opened._call_tf_sessionrun(  # noqa: SLF001 - the C API itself
                None,
                {graph[name]._as_tf_output(): value for name, value in feeds.items()},  # noqa: SLF001 - as above
                [graph[name]._as_tf_output() for name in fetches],  # noqa: SLF001 - as above
                [],
                None,
            )
        except Exception as error:  # noqa: BLE001 - any error is the answer
            return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Print the answer."""
    one = np.array([1.0], np.float32)
    yes, no = np.array(1, dtype=bool), np.array(0, dtype=bool)
    said = {
        "loaded": {
            "good": loaded({"x": "x"}, {"y": "y"}),
            "empty alias": loaded({"": "x"}, {"y": "y"}),
            "keyword": loaded({"class": "x"}, {"y": "y"}),
            "self": loaded({"self": "x"}, {"y": "y"}),
            "aliases that Python writes alike": loaded({"a-b": "x", "a_b": "z"}, {"y": "sum"}),
            "aliases that begin alike": loaded({"1": "x", "arg_1": "z"}, {"y": "sum"}),
            "keyword as output": loaded({"x": "x"}, {"class": "y"}),
            "one tensor twice": loaded({"a": "x", "b": "x"}, {"y": "y"}),
            "unfed placeholder": loaded({"x": "x"}, {"y": "sum"}),
            "unused input": loaded({"x": "x", "z": "z"}, {"y": "y"}),
            "reference": loaded({"x": "x"}, {"y": "referred"}),
            "input as output": loaded({"x": "x"}, {"y": "x"}),
        },
        "ran": {
            "good": ran({"x": one}, ["y"]),
            "fed and fetched": ran({"x": one}, ["x", "y"]),
            "unfed placeholder": ran({"x": one}, ["sum"]),
            "unfed placeholder that waits": ran({}, ["after_waiting"]),
            "fetched handle": ran({}, ["handle"]),
            "fed handle": ran({"handle": one, "x": one}, ["y"]),
            "in a loop": ran({}, ["step"]),
            "branch taken": ran({"x": one, "flag": yes}, ["branch"]),
            "branch not taken": ran({"x": one, "flag": no}, ["branch"]),
            "reference": ran({"x": one}, ["referred", "by_reference"]),
            "unused input": ran({"x": one, "z": one}, ["y"]),
        },
    }
    sys.stdout.write("\n" + json.dumps(said))


main()
