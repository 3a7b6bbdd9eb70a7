"""Exports in which a wrong removal or a wrong identity changes numbers or breaks the load.

Each maker saves one model and returns the feeds of its signatures.
"""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.oracle.client import encoded
from tests.oracle.factories.exhibit import Tensor

__all__ = ["build_objects"]

v1 = tf.compat.v1
Feeds = dict[str, dict[str, Any]]
_X = np.array([1.0, 2.0], np.float32)


def build_objects(name: str, directory: str) -> dict[str, Any]:
    """Save a model.

    Returns:
        ``feeds``: signature key to its feed, by alias.
    """
    feeds = _MAKERS[name](directory)
    return {
        "feeds": {
            key: {alias: encoded(np.asarray(value)) for alias, value in feed.items()}
            for key, feed in feeds.items()
        }
    }


def traces(directory: str) -> Feeds:
    """Two traces of one function, with nodes of the same names and without inputs."""

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
    """The same in TensorFlow 1's style: the calls of both traces have one placeholder as input."""

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
    """A call of an exported function with another variable than the object graph has."""

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


def calls_within_calls(directory: str) -> Feeds:
    """A function that is called four times, so that the names of its tensors need the calls."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable([1.0, 2.0])

        @tf.function
        def half(self, x: Tensor) -> Tensor:
            return tf.multiply(x, self.w, name="t") + 0.5

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def serve(self, x: Tensor) -> Mapping[str, Tensor]:
            return {"y": tf.add_n([self.half(x + each) for each in (0.0, 10.0, 100.0, 1000.0)])}

    module = Module()
    tf.saved_model.save(module, directory, module.serve)
    return {"serving_default": {"x": _X}}


def two_calls_in_one(directory: str) -> Feeds:
    """A signature in TensorFlow 1's style with the outputs of two calls of the same input."""

    @tf.function
    def scaled(x: Tensor, k: float) -> Tensor:
        return tf.identity(tf.multiply(x, float(k), name="inner"), name="o")

    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        for k in (3, 50):
            scaled(x, k)
        one, two = (each for each in session.graph.get_operations() if each.type.endswith("Call"))
        builder = v1.saved_model.Builder(directory)
        outputs = {"one": one.outputs[0], "two": two.outputs[0]}
        signature = v1.saved_model.predict_signature_def({"x": x}, outputs)
        builder.add_meta_graph_and_variables(session, ["serve"], {"both": signature})
        builder.save()
    return {"both": {"x": _X}}


_TEXT = np.array([b"b", b"zz"], object)


def mutable_table(directory: str) -> Feeds:
    """A table whose ``save_fn`` and ``restore_fn`` are named only in ``saveable_objects``."""
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
    table.insert(tf.constant(["a", "b"]), tf.constant([1.5, 2.5]))
    return _with_table(table, directory)


def dense_table(directory: str) -> Feeds:
    """A table of another class, in the same way."""
    table = tf.lookup.experimental.DenseHashTable(
        tf.string, tf.float32, -1.0, empty_key="", deleted_key="-"
    )
    table.insert(tf.constant(["a", "b"]), tf.constant([1.5, 2.5]))
    return _with_table(table, directory)


def _with_table(table: Any, directory: str) -> Feeds:  # noqa: ANN401 - TensorFlow ships no types
    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "x")])
        def serve(self, x: Tensor) -> Mapping[str, Tensor]:
            return {"y": self.table.lookup(x) * 2.0}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "x")])
        def length(self, x: Tensor) -> Tensor:
            return tf.strings.length(x)

    module = Module()
    tf.saved_model.save(module, directory, module.serve)
    return {"serving_default": {"x": _TEXT}}


def keras_text(directory: str) -> Feeds:
    """Adapted layers, saved by ``export``; two functions are signatures."""
    model = _text_model()
    model.export(directory, verbose=False)
    feed = {"text": _TEXT, "number": np.array([7, 1], np.int64)}
    return {"serve": feed, "serving_default": feed}


def keras_text_saved(directory: str) -> Feeds:
    """The same layers, saved by ``tf.saved_model.save``."""
    model = _text_model()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "text"),
            tf.TensorSpec([None], tf.int64, "number"),
        ]
    )
    def serve(text: Tensor, number: Tensor) -> Tensor:
        return model({"text": text, "number": number})

    tf.saved_model.save(model, directory, serve)
    feed = {"text": _TEXT, "number": np.array([7, 1], np.int64)}
    return {"serving_default": feed}


def _text_model() -> Any:  # noqa: ANN401 - as above
    layers = tf.keras.layers
    vectorized = layers.TextVectorization(max_tokens=20, output_sequence_length=2)
    vectorized.adapt(["a b c", "a zz"])
    looked_up = layers.StringLookup(mask_token=None)
    looked_up.adapt(np.array(["a", "b", "zz"]))
    counted = layers.IntegerLookup(num_oov_indices=2)
    counted.adapt(np.array([7, 8]))
    text = tf.keras.Input((), dtype="string", name="text")
    number = tf.keras.Input((), dtype="int64", name="number")
    outputs = {
        "ids": vectorized(text),
        "place": looked_up(text),
        "bucket": counted(number),
    }
    return tf.keras.Model({"text": text, "number": number}, outputs)


def feature_space(directory: str) -> Feeds:
    """Keras' preprocessing of named columns."""
    space = tf.keras.utils.FeatureSpace(
        {
            "kind": tf.keras.utils.FeatureSpace.string_categorical(num_oov_indices=1),
            "size": tf.keras.utils.FeatureSpace.float_normalized(),
        },
        output_mode="concat",
    )
    rows = {"kind": ["a", "b", "zz"], "size": [1.0, 2.0, 6.0]}
    space.adapt(tf.data.Dataset.from_tensor_slices(rows))
    inputs = space.get_inputs()
    model = tf.keras.Model(inputs, space.get_encoded_features())
    model.export(directory, verbose=False)
    feed = {"kind": _TEXT.reshape(2, 1), "size": np.array([[1.0], [9.0]], np.float32)}
    return {"serving_default": feed}


_MAKERS: Mapping[str, Callable[[str], Feeds]] = {
    maker.__name__: maker
    for maker in (
        calls_within_calls,
        dense_table,
        exchanged_captures,
        feature_space,
        keras_text,
        keras_text_saved,
        mutable_table,
        traces,
        traces_on_one_placeholder,
        two_calls_in_one,
    )
}
