"""Exports of which a wrong removal, or a wrong identity, changes numbers or ends loading.

Each maker saves one model and returns what its signatures are fed.
"""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for what is subclassed and decorated here.

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.judge.client import encoded
from tests.judge.zoo.exhibit import Tensor

__all__ = ["build_objects"]

v1 = tf.compat.v1
Feeds = dict[str, dict[str, Any]]
_X = np.array([1.0, 2.0], np.float32)


def build_objects(name: str, directory: str) -> dict[str, Any]:
    """Save a model.

    Returns:
        ``feeds``: signature key to what is fed, by alias.
    """
    feeds = _MAKERS[name](directory)
    return {
        "feeds": {
            key: {alias: encoded(np.asarray(value)) for alias, value in feed.items()}
            for key, feed in feeds.items()
        }
    }


def traces(directory: str) -> Feeds:
    """Two traces of one function, with nodes of the same names, that take nothing."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable([1.0, 2.0])

        @tf.function
        def scaled(self, k: float) -> Mapping[str, Tensor]:
            return {"y": tf.identity(tf.multiply(self.w, float(k), name="inner"), name="o")}

    module = Module()
    signatures = {
        key: module.scaled.get_concrete_function(k) for key, k in (("first", 3), ("second", 50))
    }
    tf.saved_model.save(module, directory, signatures)
    return {"first": {}, "second": {}}


def traces_on_one_placeholder(directory: str) -> Feeds:
    """The same in TensorFlow 1's style: both traces are called on one placeholder."""

    @tf.function
    def scaled(x: Tensor, k: float) -> Tensor:
        return tf.identity(tf.multiply(x, float(k), name="inner"), name="o")

    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        for k in (3, 50):
            scaled(x, k)
        calls = [each for each in session.graph.get_operations() if each.type.endswith("Call")]
        builder = v1.saved_model.Builder(directory)
        signatures = {
            key: v1.saved_model.predict_signature_def({"x": x}, {"y": call.outputs[0]})
            for key, call in zip(("first", "second"), calls, strict=True)
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return {"first": {"x": _X}, "second": {"x": _X}}


def exchanged_captures(directory: str) -> Feeds:
    """A call of an exported function that is given another variable than the object graph has."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = tf.Variable([1.0, 2.0]), tf.Variable([10.0, 20.0])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def by_one(self, x: Tensor) -> Tensor:
            return {"y": x * self.one}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def by_two(self, x: Tensor) -> Tensor:
            return {"y": x * self.two}

    module = Module()
    tf.saved_model.save(module, directory, {"one": module.by_one, "two": module.by_two})
    file = Path(directory) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = {each.name: each for each in graph.node}
    one, two = (
        nodes[model.meta_graphs[0].signature_def[key].outputs["y"].name.partition(":")[0]]
        for key in ("one", "two")
    )
    graph.node.add().CopyFrom(one)
    graph.node[-1].name = "again"
    graph.node[-1].input[1] = two.input[1]
    file.write_bytes(model.SerializeToString())
    return {"one": {"x": _X}, "two": {"x": _X}}


_MAKERS: Mapping[str, Callable[[str], Feeds]] = {
    maker.__name__: maker for maker in (exchanged_captures, traces, traces_on_one_placeholder)
}
