"""Models that were traced for one size of their input, and one that needs Python."""

# mypy: disable-error-code="misc, untyped-decorator"
# TensorFlow ships no types for the base classes and decorators used here.

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

Answer = dict[str, Any]

_WEIGHTS = [[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0], [2.0, 1.0]]


class _Dense(tf.Module):
    """Functions with a fixed size of an input; only some are right for other sizes as well."""

    def __init__(self) -> None:
        super().__init__(name="dense")
        self.w = tf.Variable(_WEIGHTS, name="w")

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
    def free(self, x: Any) -> Any:  # noqa: ANN401 - symbolic tensors
        return {"y": tf.matmul(x, self.w)}

    @tf.function(input_signature=[tf.TensorSpec([2, 4], tf.float32, name="x")])
    def pairs(self, x: Any) -> Any:  # noqa: ANN401 - as above
        return {"y": tf.matmul(x, self.w)}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
    def reshaped(self, x: Any) -> Any:  # noqa: ANN401 - as above
        return {"y": tf.reshape(tf.matmul(x, self.w), [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([1, None, 4], tf.float32, name="x")])
    def detector(self, x: Any) -> Any:  # noqa: ANN401 - as above
        rows = tf.map_fn(lambda row: tf.matmul(row, self.w), x)
        return {"y": tf.reduce_sum(rows, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
    def normed(self, x: Any) -> Any:  # noqa: ANN401 - as above
        return {"y": x - tf.reduce_mean(x)}

    @tf.function(input_signature=[tf.TensorSpec([1], tf.string, name="text")])
    def words(self, text: Any) -> Any:  # noqa: ANN401 - as above
        return {"length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3, 4], tf.float32, name="x")])
    def windows(self, x: Any) -> Any:  # noqa: ANN401 - as above
        found = tf.nn.conv1d(x, tf.ones([3, 4, 1]), 1, "VALID")
        return {"y": tf.reduce_sum(found, axis=[1, 2])}


class _Python(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def strings(self, text: Any) -> Any:  # noqa: ANN401 - as above
        found = tf.numpy_function(lambda value: value, [text], tf.string)
        found.set_shape([None])
        return {"text": found}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def branch(self, x: Any) -> Any:  # noqa: ANN401 - as above
        def called() -> Any:  # noqa: ANN401 - as above
            found = tf.py_function(lambda value: value, [x], tf.float32)
            found.set_shape([None])
            return found

        return {"y": tf.cond(tf.reduce_sum(x) > 0.0, called, lambda: x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def plain(self, x: Any) -> Any:  # noqa: ANN401 - as above
        return {"y": x + 1.0}


class _Lossy(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def first(self, x: Any) -> Any:  # noqa: ANN401 - as above
        return {"y": tf.ensure_shape(x[:1], [None, 3])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def one(self, text: Any) -> Any:  # noqa: ANN401 - as above
        return {"text": tf.reshape(text, [1])}


def _dense(directory: str) -> None:
    module = _Dense()
    names = ("free", "pairs", "reshaped", "detector", "normed", "words", "windows")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, directory, signatures=signatures)


def _session(directory: str) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [1, 4], name="x")
        weights = v1.get_variable("w", initializer=_WEIGHTS, use_resource=True)
        y = tf.matmul(x, weights, name="y")
        fixed = tf.reshape(y, [1, 2], name="fixed")
        cut = x[:, : tf.reduce_sum(tf.cast(x[0] > 0.5, tf.int32))]  # about one half
        one = tf.cast(tf.math.ceil(tf.sigmoid(x[0, 0])), tf.int32)
        squeezed = tf.squeeze(y[:, :one])  # of unknown rank
        none = v1.placeholder(tf.float32, [2, 0], name="none")
        total = tf.reduce_sum(none, axis=1)
        session.run(v1.global_variables_initializer())
        made = v1.saved_model.predict_signature_def
        builder = v1.saved_model.Builder(directory)
        signatures = {
            "free": made({"x": x}, {"y": y}),
            "reshaped": made({"x": x}, {"y": fixed}),
            "cut": made({"x": x}, {"y": cut}),
            "squeezed": made({"x": x}, {"y": squeezed}),
            "empty": made({"none": none}, {"total": total}),
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def _text(directory: str) -> None:
    _session(directory)
    binary, text = Path(directory, "saved_model.pb"), Path(directory, "saved_model.pbtxt")
    message = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    text.write_text(text_format.MessageToString(message))
    binary.unlink()


def _python(directory: str) -> None:
    module = _Python()
    signatures = {name: getattr(module, name) for name in ("strings", "branch", "plain")}
    tf.saved_model.save(module, directory, signatures=signatures)


def _lossy(directory: str) -> None:
    module = _Lossy()
    tf.saved_model.save(module, directory, signatures={"first": module.first, "one": module.one})


_KINDS: dict[str, Callable[[str], None]] = {
    "dense": _dense,
    "session": _session,
    "text": _text,
    "python": _python,
    "lossy": _lossy,
}


def build_sizes(directory: str, kind: str) -> Answer:
    """Write one of these models."""
    _KINDS[kind](directory)
    return {}
