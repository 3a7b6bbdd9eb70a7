"""Programs that take a signature: the TFLite converter, a layer of Keras, tf2onnx, OpenVINO.

The last two may not be installed (the dependency group ``consumers``).
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import tensorflow as tf

from tests.oracle.client import Value, decoded, encoded
from tests.oracle.loading import refusal

Answer = dict[str, Any]


def tflite(directory: str, key: str, feed: Mapping[str, Value], tags: Sequence[str]) -> Answer:
    """Convert a signature and run it in the interpreter.

    Returns:
        ``arrays`` by alias, the names of the tensors that are fed and fetched, and whether the
        conversion needed operations of TensorFlow's (``select``); or a refusal.
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
        details = (*interpreter.get_input_details(), *interpreter.get_output_details())
        return {
            "arrays": {alias: encoded(each) for alias, each in results.items()},
            "tensors": [each["name"] for each in details],
        }

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


def tf2onnx(directory: str, key: str, feed: Mapping[str, Value], tags: Sequence[str]) -> Answer:
    """Convert a signature as the command line of tf2onnx does, and run it with ONNX's reference."""

    def convert() -> Answer:
        converter = importlib.import_module("tf2onnx.convert")
        reference = importlib.import_module("onnx.reference")
        with tempfile.TemporaryDirectory() as scratch:
            file = str(Path(scratch, "model.onnx"))
            arguments = ["--saved-model", directory, "--tag", ",".join(tags)]
            arguments += ["--signature_def", key, "--output", file]
            with mock.patch.object(sys, "argv", ["tf2onnx.convert", *arguments]):
                converter.main()
            model = reference.ReferenceEvaluator(file)
        results = model.run(None, {alias: decoded(value) for alias, value in feed.items()})
        named = zip(model.output_names, results, strict=True)
        return {"arrays": {alias: encoded(each) for alias, each in named}}

    return refusal(convert)


def openvino(directory: str, feed: Mapping[str, Value]) -> Answer:
    """Convert ``serving_default``, the only signature that OpenVINO takes, and run it."""

    def convert() -> Answer:
        # Its telemetry runs in a process that outlives this one; OpenVINO works without it.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        module = importlib.import_module("openvino")
        model = module.convert_model(directory)
        compiled = module.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        results = compiled({alias: decoded(value) for alias, value in feed.items()})
        arrays = {}
        for output in compiled.outputs:
            for name in output.names:
                arrays[name] = encoded(results[output])
        return {"arrays": arrays}

    return refusal(convert)


def save_alone(directory: str, tags: Sequence[str], key: str, to: str) -> Answer:
    """Load a model in Python and save one signature of it as ``serving_default``."""

    def work() -> Answer:
        loaded = tf.saved_model.load(directory, tags=list(tags))
        tf.saved_model.save(loaded, to, signatures=loaded.signatures[key])
        return {}

    return refusal(work)
