"""Requests to TF Serving: ``curl`` lines for its REST API, and a Python program for gRPC.

The values are zeros and empty strings in the shape that the signature has: an open first
dimension has the size of the batch, any other open dimension has size 1, and a tensor of unknown
rank becomes a row. The texts are ASCII, whatever the names are. This module needs no NumPy.

Sources: TF Serving's ``g3doc/api_rest.md`` (row and column format, binary values),
``util/json_tensor.cc`` (types with a JSON form, shapes of nested lists, rows of a response),
``model_servers/http_rest_api_handler.cc`` (the URL), ``apis/predict.proto``,
``apis/prediction_service.proto``, ``servables/tensorflow/predict_util.cc`` (``VerifySignature``,
``VerifyRequestInputsSize``); ``tensorflow/python/framework/tensor_util.py``
(``make_tensor_proto`` takes one value for all elements).
"""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from smpatch import dtypes
from smpatch.describer.subject import METHODS, Subject, refuse, refuse_composites
from smpatch.signature import CLASSIFY, PREDICT, REGRESS, TensorSpec, shape_text

_REQUESTS = {CLASSIFY: "Classify", REGRESS: "Regress"}


def check_method(subject: Subject) -> None:
    """Refuse a method that TF Serving does not run, and a key that means another signature.

    Raises:
        RefusedError: The method is none of ``METHODS``, or the key is empty; the hint has the
            command that sets another.
    """
    if not subject.key:
        line = subject.command("rename", "--from", "", "--to", "NEW")
        found = "TF Serving reads an empty key as 'serving_default'"
        refuse(subject, "", found, f"{line} gives it another")
    method = subject.signature.method_name
    if method not in METHODS:
        line = subject.command("edit", "--signature", subject.key, "--method", PREDICT)
        refuse(subject, "", f"TF Serving does not run the method {method!r}", line)


def _remarks(subject: Subject, interface: str) -> Iterator[str]:
    """Yield the comments at the top of a request, for the shell and for Python.

    Args:
        subject: The signature.
        interface: ``REST`` or ``gRPC``.
    """
    signature = subject.signature
    where = f"for the {interface} API of TF Serving"
    yield f"# The signature {subject.key!a} of {subject.model!a}, {where}."
    yield "# Numbers are zeros and strings are empty; replace them by your values."
    unknown = [
        alias
        for alias, spec in signature.inputs.items()
        if isinstance(spec, TensorSpec) and spec.shape is None
    ]
    if unknown:
        yield f"# Of unknown rank, and written as a row: {', '.join(map(ascii, unknown))}."
    request = _REQUESTS.get(signature.method_name)
    if request is not None:
        yield "# Each string is a serialized tf.train.Example."
        yield f"# The {request} API takes features by name; a signature does not have their names."
    if signature.defaults:
        names = ", ".join(map(ascii, signature.defaults))
        yield f"# These inputs have defaults, which only gRPC may leave out: {names}."


_HIGHEST_RANK = 254
"""The most dimensions of a tensor in TensorFlow (``TensorShape::MaxDimensions``)."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A value for a dense input: all its elements are the same.

    Attributes:
        alias: The name of the input.
        dtype: The type, without ``_ref``.
        shape: The sizes of the dimensions.
        element: 0.0, 0, False or ``b""``.
    """

    alias: str
    dtype: str
    shape: tuple[int, ...]
    element: object

    @property
    def lists(self) -> int:
        """The number of elements; a dimension of size 0 counts as 1: it is an empty list."""
        return math.prod(max(size, 1) for size in self.shape)


def _samples(subject: Subject, batch: int) -> list[_Sample]:
    """Return a sample for each dense input of a signature.

    Raises:
        RefusedError: A shape has more dimensions than a tensor can have.
    """
    made = []
    for alias, spec in subject.signature.inputs.items():
        if isinstance(spec, TensorSpec):
            if spec.shape is not None and len(spec.shape) > _HIGHEST_RANK:
                found = f"it has {len(spec.shape)} dimensions, and a tensor has at most 254"
                refuse(subject, f"input {alias!r}", found)
            made.append(_sample(alias, spec, batch))
    return made


def _sample(alias: str, spec: TensorSpec, batch: int) -> _Sample:
    shape = (None,) if spec.shape is None else spec.shape
    sizes = tuple(
        (1 if place else batch) if size is None else size for place, size in enumerate(shape)
    )
    dtype = dtypes.base(spec.dtype)
    return _Sample(alias, dtype, sizes, _zero(dtype))


def _nested(shape: tuple[int, ...], element: object) -> object:
    """Return nested lists of a shape, with the same value for all elements."""
    if not shape:
        return element
    return [_nested(shape[1:], element) for _ in range(shape[0])]


def _zero(dtype: str) -> object:
    if dtype == "string":
        return b""
    if dtype == "bool":
        return False
    return 0.0 if "float" in dtype else 0


_JSON_TYPES = frozenset(
    {"bool", "string", "float32", "float64", "int8", "int16", "int32", "int64"}
    | {"uint8", "uint32", "uint64"}
)
"""The types that ``AddValueToTensor`` reads and ``AddSingleValueAndAdvance`` writes."""

_MOST = 1 << 20
"""The most elements of a JSON request."""

_LONGEST = 100_000
"""The longest ``curl`` line with its body; an argument of a Linux program has at most 128 KiB."""

_BYTES = "_bytes"
"""The ending of the names of inputs and outputs whose strings are bytes for TF Serving."""

_SERIALIZED = frozenset({CLASSIFY, REGRESS})
"""Methods whose input is a serialized ``tf.train.Example``."""

_END = "END_OF_BODY"
"""The line after a long body; no line of JSON is equal to it."""


def rest_request(subject: Subject) -> str:
    """Return a script with a request in row format, if there is one, and in column format.

    Raises:
        RefusedError: JSON cannot express the inputs or outputs, or TF Serving refuses them.
    """
    _check(subject)
    rows, reason = _rows(subject)
    size = rows if rows is not None else _batch(subject)
    values = _samples(subject, size)
    _check_values(subject, values)
    url = f"http://localhost:8501/v1/models/{quote(subject.model, safe='')}:predict"
    lines = [
        *_remarks(subject, "REST"),
        f"# POST {url}",
        "",
    ]
    if rows is None:
        lines += [f"# Row format is not possible: {reason}."]
    else:
        lines += ["# Row format: a list of instances."]
        lines += _call(subject, url, "instances", _instances(subject, values, rows))
    lines += ["", "# Column format: each input as a whole."]
    lines += _call(subject, url, "inputs", _columns(subject, values))
    return "\n".join(lines) + "\n"


def _batch(subject: Subject) -> int:
    return 1 if subject.batch is None else subject.batch


def _in_grpc(subject: Subject) -> str:
    """Return the command for gRPC as a hint; empty if a program cannot write the inputs either."""
    inputs = subject.signature.inputs.values()
    if not all(
        dtypes.base(each.dtype) in _PYTHON_TYPES for spec in inputs for each in spec.tensors()
    ):
        return ""
    line = subject.command("describe", "--signature", subject.key, "--as", "grpc")
    return f"{line} has a request for gRPC"


def _check(subject: Subject) -> None:
    check_method(subject)
    refuse_composites(subject, "TF Serving")
    other = _in_grpc(subject)
    for kind, specs in (
        ("inputs", subject.signature.inputs),
        ("outputs", subject.signature.outputs),
    ):
        if not specs:
            refuse(subject, "", f"it has no {kind}, and the REST API refuses such a request", other)
    for kind, alias, spec in subject.tensors():
        if isinstance(spec, TensorSpec) and dtypes.base(spec.dtype) not in _JSON_TYPES:
            found = f"the REST API has no JSON form for the type {spec.dtype}"
            refuse(subject, f"{kind} {alias!r}", found, other)
        if "\0" in alias:
            found = "the REST API cuts a name at a zero byte"
            hint = f"smpatch.edit_signature with rename_{kind}s gives it another"
            refuse(subject, f"{kind} {alias!r}", found, hint)


def _check_values(subject: Subject, values: Sequence[_Sample]) -> None:
    other = _in_grpc(subject)
    for each in values:
        if 0 in each.shape[:-1]:
            found = "JSON has no form for a list of size 0 that holds lists"
            refuse(subject, f"input {each.alias!r}", found, other)
    count = sum(each.lists for each in values)
    if count > _MOST:
        found = f"a request has {count:,} elements; more than {_MOST:,} are not written as JSON"
        refuse(subject, "", found, other)


def _rows(subject: Subject) -> tuple[int | None, str]:
    """Return the number of rows, or None and the reason for which row format is not possible.

    TF Serving joins the rows of a request along the first dimension, and splits a response along
    the same dimension. A tensor of unknown rank may have that dimension.
    """
    fixed: dict[int, str] = {}
    for kind, alias, spec in subject.tensors():
        if not isinstance(spec, TensorSpec) or spec.shape is None:
            continue
        if not spec.shape:
            return None, f"{kind} {alias!a} is a scalar and has no dimension for the rows"
        if spec.shape[0] is not None:
            fixed.setdefault(spec.shape[0], f"{kind} {alias!a}")
    if len(fixed) > 1:
        sizes = ", ".join(f"{size} of {name}" for size, name in fixed.items())
        return None, f"the first dimensions differ ({sizes})"
    if 0 in fixed:
        return None, f"the first dimension of {fixed[0]} has size 0"
    return next(iter(fixed), _batch(subject)), ""


def _instances(subject: Subject, values: Sequence[_Sample], rows: int) -> list[object]:
    """Return the rows: plain values if there is one input, objects if there are several."""
    if len(values) == 1:
        whole = _json(subject, values[0])
        return whole if isinstance(whole, list) else [whole]
    row = {each.alias: _nested(each.shape[1:], _element(subject, each)) for each in values}
    return [row] * rows


def _columns(subject: Subject, values: Sequence[_Sample]) -> object:
    """Return the columns: a plain value if there is one input, an object if there are several."""
    if len(values) == 1:
        return _json(subject, values[0])
    return {each.alias: _json(subject, each) for each in values}


def _json(subject: Subject, each: _Sample) -> object:
    return _nested(each.shape, _element(subject, each))


def _element(subject: Subject, each: _Sample) -> object:
    """Return an element for JSON: bytes are in an object with the key ``b64``."""
    value = each.element
    if not isinstance(value, bytes):
        return value
    if each.alias.endswith(_BYTES) or subject.signature.method_name in _SERIALIZED:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode()


def _call(subject: Subject, url: str, form: str, values: object) -> Iterator[str]:
    body = json.dumps({"signature_name": subject.key, form: values})
    line = shlex.join(["curl", "--data", body, url])
    if len(line) <= _LONGEST:
        yield f"# {body}"
        yield line
    else:
        yield f"{shlex.join(['curl', '--data', '@-', url])} <<'{_END}'"
        yield body
        yield _END


_PYTHON_TYPES = frozenset(
    {"bool", "string", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""The types for which the program can write a value in Python."""

_WRITTEN = 64
"""The most elements that are written one by one."""


def grpc_program(subject: Subject) -> str:
    """Return a Python program that sends a request.

    Raises:
        RefusedError: A request cannot express the inputs, or TF Serving refuses them.
    """
    check_method(subject)
    refuse_composites(subject, "TF Serving")
    lines = [
        *_remarks(subject, "gRPC"),
        "# It needs: pip install tensorflow-serving-api",
        "import grpc",
        "import tensorflow as tf",
        "from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
        "",
        "request = predict_pb2.PredictRequest()",
        f"request.model_spec.name = {subject.model!a}",
        f"request.model_spec.signature_name = {subject.key!a}",
    ]
    for each in _samples(subject, _batch(subject)):
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


def _input(subject: Subject, each: _Sample) -> Iterator[str]:
    if each.dtype not in _PYTHON_TYPES:
        found = f"no value of the type {each.dtype} can be written in Python"
        refuse(subject, f"input {each.alias!r}", found)
    spec = subject.signature.inputs[each.alias].tensors()[0]
    few = each.lists <= _WRITTEN
    value = _nested(each.shape, each.element) if few else each.element
    yield f"# {each.alias!a}: {each.dtype} {shape_text(spec.shape)}"
    yield f"request.inputs[{each.alias!a}].CopyFrom("
    yield f"    tf.make_tensor_proto({value!a}, dtype=tf.{each.dtype}, shape={list(each.shape)})"
    yield ")"
