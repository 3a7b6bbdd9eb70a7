"""Programs that take a signature by its key: the TFLite converter, a layer of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tests.judge.client import Value, decoded, encoded
from tests.judge.loading import refusal

Answer = dict[str, Any]


def tflite(directory: str, key: str, feed: Mapping[str, Value], tags: Sequence[str]) -> Answer:
    """Convert a signature and run it by the interpreter.

    Returns:
        ``arrays`` by alias, and whether it took operations of TensorFlow's (``select``); or a
        refusal.
    """

    def convert(*, select: bool) -> Answer:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            directory, signature_keys=[key], tags=set(tags)
        )
        operations = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.target_spec.supported_ops = [
            *operations,
            *([tf.lite.OpsSet.SELECT_TF_OPS] if select else []),
        ]
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
        runner = interpreter.get_signature_runner(key)
        results = runner(**{alias: decoded(value) for alias, value in feed.items()})
        return {"arrays": {alias: encoded(each) for alias, each in results.items()}}

    plain = refusal(lambda: convert(select=False))
    if "refused" not in plain:
        return {**plain, "select": False}
    return {**refusal(lambda: convert(select=True)), "select": True}


def keras_layer(directory: str, key: str, value: Value) -> Answer:
    """Call a signature of one input as a layer."""

    def call() -> Answer:
        layer = tf.keras.layers.TFSMLayer(directory, call_endpoint=key)
        results = layer(tf.constant(decoded(value)))
        return {"arrays": {alias: encoded(each.numpy()) for alias, each in results.items()}}

    return refusal(call)
