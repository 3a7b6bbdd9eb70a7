"""A Python program that calls a signature with ``tensorflow-serving-api``.

The text is ASCII, whatever the names are: Python has escapes for all characters.

Sources: TF Serving's ``apis/predict.proto`` and ``apis/prediction_service.proto``;
``tensorflow/python/framework/tensor_util.py`` (``make_tensor_proto`` takes one value for all
elements).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.describer.predict import check_method, remarks
from smpatch.describer.samples import Sample, nested, samples
from smpatch.describer.subject import Subject, refuse, refuse_composites
from smpatch.signature import shape_text

__all__ = ["grpc_program"]

_TYPES = frozenset(
    {"bool", "string", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""Types that a value of Python is easily made of."""

_WRITTEN = 64
"""So many elements are written one by one."""


def grpc_program(subject: Subject) -> str:
    """Return the program.

    Raises:
        RefusedError: A request cannot express the inputs, or TF Serving refuses them.
    """
    check_method(subject)
    refuse_composites(subject, "TF Serving")
    lines = [
        *remarks(subject, "gRPC"),
        "# It needs: pip install tensorflow-serving-api",
        "import grpc",
        "import tensorflow as tf",
        "from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
        "",
        "request = predict_pb2.PredictRequest()",
        f"request.model_spec.name = {subject.model!a}",
        f"request.model_spec.signature_name = {subject.key!a}",
    ]
    for each in samples(subject, 1 if subject.batch is None else subject.batch):
        lines += _input(subject, each)
    lines += [
        "",
        'with grpc.insecure_channel("localhost:8500") as channel:',
        "    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)",
        "    response = stub.Predict(request, timeout=60)",
        "for alias, value in response.outputs.items():",
        "    print(alias, tf.make_ndarray(value))",
    ]
    return "\n".join(lines) + "\n"


def _input(subject: Subject, each: Sample) -> Iterator[str]:
    if each.dtype not in _TYPES:
        found = f"no value of the type {each.dtype} can be written in Python"
        refuse(subject, f"input {each.alias!r}", found)
    spec = subject.signature.inputs[each.alias].tensors()[0]
    few = each.lists <= _WRITTEN
    value = nested(each.shape, each.element, lambda leaf: leaf) if few else each.element
    yield f"# {each.alias!a}: {each.dtype} {shape_text(spec.shape)}"
    yield f"request.inputs[{each.alias!a}].CopyFrom("
    yield f"    tf.make_tensor_proto({value!a}, dtype=tf.{each.dtype}, shape={list(each.shape)})"
    yield ")"
