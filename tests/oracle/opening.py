"""Models whose clients want to feed a tensor after a parser or a decoder."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.oracle.client import encoded

__all__ = ["build_opening"]

v1 = tf.compat.v1
Answer = dict[str, Any]

FEATURES = {
    "fare": tf.io.FixedLenFeature([1], tf.float32),
    "kind": tf.io.FixedLenFeature([], tf.string),
    "miles": tf.io.FixedLenFeature([1], tf.float32),
}


class _Parsed(tf.Module):
    """A module with a parser, a table after it, and functions within functions."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[2.0], [3.0]])
        self.before = tf.Variable(0.0)
        self.behind = tf.Variable(0.0)
        keys = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.5, 2.5])
        self.table = tf.lookup.StaticHashTable(keys, 0.5)

    @tf.function
    def twice(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        return tf.identity(x * 2.0, name="doubled") + 1.0

    @tf.function
    def score(self, fare: Any, miles: Any) -> Any:  # noqa: ANN401 - as above
        both = tf.concat([self.twice(fare), self.twice(miles)], 1, name="both")
        return tf.matmul(both, self.weights, name="score")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="examples"),
            tf.TensorSpec([], tf.float32, name="scale"),
        ]
    )
    def serve(self, examples: Any, scale: Any) -> Any:  # noqa: ANN401 - as above
        count = self.before.assign_add(tf.cast(tf.size(examples), tf.float32))
        with tf.control_dependencies([count]):
            found = tf.io.parse_example(tf.identity(examples), FEATURES)
        kind = self.table.lookup(found["kind"], name="looked_up")
        score = self.score(found["fare"], found["miles"])
        self.behind.assign_add(tf.reduce_sum(score))
        return {"tip": score * scale + kind[:, None], "half": found["fare"] / 2.0}

    @tf.function(input_signature=[])
    def nothing(self) -> Any:  # noqa: ANN401 - as above
        return {"weights": tf.identity(self.weights)}


class _Decoded(tf.Module):
    """A module with a decoder before the computation on pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[0.5, 1.0], [0.25, 3.0], [2.0, 0.125]])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes: Any) -> Any:  # noqa: ANN401 - as above
        def decode(data: Any) -> Any:  # noqa: ANN401 - as above
            return tf.image.resize(tf.io.decode_jpeg(data, channels=3), [4, 5])

        pixels = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
        pixels = tf.multiply(pixels, 1 / 255, name="pixels")
        return {"logits": tf.matmul(tf.reduce_mean(pixels, [1, 2]), self.weights)}


def build_opening(directory: str, kind: str) -> Answer:
    """Export a model.

    Args:
        directory: The directory to write.
        kind: ``parsed``, ``decoded``, or ``session_parsed`` for a graph of TensorFlow 1.

    Returns:
        ``feed``: values for the inputs of its signature.
    """
    if kind == "parsed":
        module: Any = _Parsed()
        signatures = {"serving_default": module.serve, "nothing": module.nothing}
        tf.saved_model.save(module, directory, signatures=signatures)
    elif kind == "decoded":
        module = _Decoded()
        tf.saved_model.save(module, directory, signatures={"serving_default": module.serve})
        pictures = [tf.io.encode_jpeg(_picture(size)).numpy() for size in (6, 9, 11)]
        return {"feed": {"image_bytes": encoded(np.array(pictures, object))}}
    else:
        _in_tensorflow_1(directory)
    rows = [_example(0.25, 2.0, b"a"), _example(1.5, 8.0, b"b"), _example(0.125, 3.5, b"c")]
    scale = np.array(0.75, np.float32)
    return {"feed": {"examples": encoded(np.array(rows, object)), "scale": encoded(scale)}}


def _picture(size: int) -> Any:  # noqa: ANN401 - an array
    return np.random.default_rng(size).integers(0, 256, (size, size + 2, 3), np.uint8)


def _example(fare: float, miles: float, kind: bytes) -> bytes:
    example = tf.train.Example()
    example.features.feature["fare"].float_list.value.append(fare)
    example.features.feature["miles"].float_list.value.append(miles)
    example.features.feature["kind"].bytes_list.value.append(kind)
    return bytes(example.SerializeToString())


def _in_tensorflow_1(directory: str) -> None:
    with v1.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="examples")
        scale = v1.placeholder(tf.float32, [], name="scale")
        weights = v1.get_variable("w", initializer=[[2.0], [3.0]], use_resource=False)
        found = v1.io.parse_example(examples, FEATURES, name="parser")
        keys = v1.lookup.KeyValueTensorInitializer(["a", "b"], [1.5, 2.5])
        kind = v1.lookup.StaticHashTable(keys, 0.5).lookup(found["kind"], name="looked_up")
        score = tf.matmul(tf.concat([found["fare"], found["miles"]], 1, name="both"), weights)
        outputs = {"tip": score * scale + kind[:, None], "half": found["fare"] / 2.0}
        constant = {"weights": tf.identity(weights)}
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(Path(directory)))
        make = v1.saved_model.predict_signature_def
        nothing = make({"x": scale}, constant)
        nothing.inputs.clear()
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": make({"examples": examples, "scale": scale}, outputs),
                "nothing": nothing,
            },
            main_op=v1.tables_initializer(),
        )
        builder.save()
