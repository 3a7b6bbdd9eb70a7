"""TF Serving's messages, made from their field numbers, if its package is not installed.

Tensors and examples are messages of the caller, or stay bytes.

Sources: ``prediction_log.proto``, ``predict.proto``, ``classification.proto``,
``regression.proto``, ``inference.proto``, ``input.proto`` and ``model.proto`` in
``tensorflow_serving/apis``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, message_factory

__all__ = ["prediction_log"]

_PACKAGE = "tensorflow.serving"
_MESSAGES: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "ModelSpec": [("name", 1, "string"), ("signature_name", 3, "string")],
    "PredictRequest": [
        ("model_spec", 1, "ModelSpec"),
        ("inputs", 2, "map TENSOR"),
        ("output_filter", 3, "repeated string"),
    ],
    "ExampleList": [("examples", 1, "repeated EXAMPLE")],
    "Input": [("example_list", 1, "ExampleList")],
    "ClassificationRequest": [("model_spec", 1, "ModelSpec"), ("input", 2, "Input")],
    "RegressionRequest": [("model_spec", 1, "ModelSpec"), ("input", 2, "Input")],
    "InferenceTask": [("model_spec", 1, "ModelSpec"), ("method_name", 2, "string")],
    "MultiInferenceRequest": [("tasks", 1, "repeated InferenceTask"), ("input", 2, "Input")],
    "PredictLog": [("request", 1, "PredictRequest")],
    "PredictStreamedLog": [("request", 1, "repeated PredictRequest")],
    "ClassifyLog": [("request", 1, "ClassificationRequest")],
    "RegressLog": [("request", 1, "RegressionRequest")],
    "MultiInferenceLog": [("request", 1, "MultiInferenceRequest")],
    "PredictionLog": [
        ("classify_log", 2, "one ClassifyLog"),
        ("regress_log", 3, "one RegressLog"),
        ("multi_inference_log", 4, "one MultiInferenceLog"),
        ("predict_log", 6, "one PredictLog"),
        ("predict_streamed_log", 7, "one PredictStreamedLog"),
    ],
}


def prediction_log(pool: Any, tensor: Any = None, example: Any = None) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    """Return the class of ``PredictionLog``.

    Args:
        pool: The descriptor pool to which the messages are added.
        tensor: The descriptor of ``TensorProto`` in it; None for bytes.
        example: The descriptor of ``Example`` in it; None for bytes.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/prediction_log.proto", package=_PACKAGE, syntax="proto3"
    )
    parts = {"TENSOR": tensor, "EXAMPLE": example}
    file.dependency.extend(each.file.name for each in parts.values() if each is not None)
    for name, fields in _MESSAGES.items():
        _describe(file.message_type.add(name=name), fields, parts)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))


def _describe(
    message: Any,  # noqa: ANN401 - as above
    fields: Sequence[tuple[str, int, str]],
    parts: Mapping[str, Any],
) -> None:
    field = descriptor_pb2.FieldDescriptorProto
    for name, number, words in fields:
        *how, kind = words.split()
        made = message.field.add(name=name, number=number, label=field.LABEL_OPTIONAL)
        if how in (["repeated"], ["map"]):
            made.label = field.LABEL_REPEATED
        if how == ["one"]:
            if not message.oneof_decl:
                message.oneof_decl.add(name="log_type")
            made.oneof_index = 0
        if how == ["map"]:
            entry = message.nested_type.add(name=f"{name.title()}Entry")
            entry.options.map_entry = True
            _describe(entry, [("key", 1, "string"), ("value", 2, kind)], parts)
            kind = f".{_PACKAGE}.{message.name}.{entry.name}"
        if kind in parts:
            part = parts[kind]
            kind = "bytes" if part is None else f".{part.full_name}"
        if kind in {"string", "bytes"}:
            made.type = field.TYPE_STRING if kind == "string" else field.TYPE_BYTES
        else:
            made.type = field.TYPE_MESSAGE
            made.type_name = kind if kind[0] == "." else f".{_PACKAGE}.{kind}"
