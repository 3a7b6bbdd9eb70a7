"""Warm-up requests, written and replayed by the rules of TF Serving, with TensorFlow's code.

If the package of ``tensorflow_serving/apis`` is installed, its messages are used; else those of
``serving_protos``. Tensors and examples are TensorFlow's.

Sources: ``saved_model_warmup_util.cc``, ``predict_util.cc``, ``classifier.cc`` and
``regressor.cc`` in ``tensorflow_serving/servables/tensorflow``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import descriptor_pool
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2

from tests.oracle.client import decoded, encoded
from tests.oracle.loading import opened_session, refusal
from tests.oracle.serving_protos import prediction_log

Answer = dict[str, Any]
Request = Mapping[str, Any]

_PREFIX = "tensorflow/serving/"


@cache
def _prediction_log() -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    try:
        from tensorflow_serving.apis import prediction_log_pb2  # noqa: PLC0415 - it may not be installed
    except ImportError:
        parts = (tensor_pb2.TensorProto.DESCRIPTOR, example_pb2.Example.DESCRIPTOR)
        return prediction_log(descriptor_pool.Default(), *parts)
    return prediction_log_pb2.PredictionLog


def write_requests(file: str, requests: Sequence[Request]) -> Answer:
    """Write a warm-up file with TensorFlow's own writer of records.

    Args:
        file: The file.
        requests: Each a ``kind`` (``predict``, ``predict_streamed``, ``classify``, ``regress``,
            ``multi_inference``); for ``predict`` the ``signature`` (may be absent), ``inputs``
            and ``filter``; for the next two ``examples``; for ``multi_inference`` ``tasks`` and
            ``examples``; ``extra`` appends these bytes to the record and to the request.
    """
    Path(file).parent.mkdir(exist_ok=True, parents=True)
    with tf.io.TFRecordWriter(file) as writer:
        for request in requests:
            writer.write(_log(request))
    return {}


def _log(given: Request) -> bytes:
    log = _prediction_log()()
    kind, extra = given["kind"], bytes.fromhex(given.get("extra", ""))
    if kind in {"predict", "predict_streamed"}:
        several = given.get("requests", [given])
        for each in several:
            held = getattr(log, f"{kind}_log").request
            request = held if kind == "predict" else held.add()
            _name(request, each)
            for alias, value in each.get("inputs", {}).items():
                request.inputs[alias].CopyFrom(tf.make_tensor_proto(decoded(value)))
            request.output_filter.extend(each.get("filter", []))
            request.MergeFromString(extra)
    else:
        request = getattr(log, f"{kind}_log").request
        for task in given.get("tasks", []):
            _name(request.tasks.add(), {"signature": task})
        if kind != "multi_inference":
            _name(request, given)
        for value in given.get("examples", []):
            features = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[value]))}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            request.input.example_list.examples.append(example)
        request.MergeFromString(extra)
    log.MergeFromString(extra)
    return bytes(log.SerializeToString(deterministic=True))


def _name(message: Any, given: Request) -> None:  # noqa: ANN401 - as above
    if given.get("signature") is not None:
        message.model_spec.name = "model"
        message.model_spec.signature_name = given["signature"]


def read_requests(file: str) -> Answer:
    """Read a warm-up file with TensorFlow's own reader; return the records in hexadecimal."""
    records = [each.numpy() for each in tf.data.TFRecordDataset([file])]
    return {
        "records": [each.hex() for each in records],
        "logs": [str(_prediction_log().FromString(each)) for each in records],
    }


def replay(directory: str, tags: Sequence[str] = ("serve",)) -> Answer:
    """Replay the warm-up of a model, as TF Serving does when it loads it.

    Returns:
        ``ran``: for each request its kind, the key, and its outputs by alias; or a refusal.
    """

    def work() -> Answer:
        file = Path(directory, "assets.extra", "tf_serving_warmup_requests")
        ran: list[Answer] = []
        # Outside of the session's graph, because a dataset cannot be iterated in it.
        records = [each.numpy() for each in tf.data.TFRecordDataset([str(file)])]
        with opened_session(directory, tags) as (opened, _, meta_graph):
            for record in records:
                log = _prediction_log().FromString(record)
                for kind, key, feeds, fetches in _calls(log, meta_graph.signature_def):
                    names = list(fetches.values())
                    values = opened.run(names, feeds)
                    arrays = dict(zip(fetches, values, strict=True))
                    _check_results(kind, arrays, feeds)
                    outputs = {alias: encoded(array) for alias, array in arrays.items()}
                    ran.append({"kind": kind, "signature": key, "outputs": outputs})
        if len(records) > 1000:
            raise ValueError("more than 1000 records")
        return {"ran": ran}

    return refusal(work)


_Call = tuple[str, str, dict[str, Any], dict[str, str]]


def _calls(log: Any, signatures: Any) -> Iterator[_Call]:  # noqa: ANN401 - as above
    kind = log.WhichOneof("log_type")
    if kind in {"predict_log", "predict_streamed_log"}:
        # A server ignores streamed requests; the tests replay them as well.
        held = getattr(log, kind).request
        for request in [held] if kind == "predict_log" else held:
            yield _predict(request, signatures)
    elif kind in {"classify_log", "regress_log"}:
        method = kind.removesuffix("_log")
        request = getattr(log, kind).request
        yield _of_examples(method, request.model_spec, request.input, signatures)
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in request.tasks:
            key = task.model_spec.signature_name or "serving_default"
            method = signatures[key].method_name.removeprefix(_PREFIX)
            yield _of_examples(method, task.model_spec, request.input, signatures)


def _predict(request: Any, signatures: Any) -> _Call:  # noqa: ANN401 - as above
    key = request.model_spec.signature_name or "serving_default"
    if key not in signatures:
        raise ValueError(f"serving signature key {key} not found")
    signature = signatures[key]
    given = {alias: tf.make_ndarray(value) for alias, value in request.inputs.items()}
    if extra := given.keys() - signature.inputs.keys():
        raise ValueError(f"sent extra: {extra}")
    if missing := signature.inputs.keys() - given.keys() - signature.defaults.keys():
        raise ValueError(f"missing but required: {missing}")
    for alias, value in signature.defaults.items():
        given.setdefault(alias, tf.make_ndarray(value))
    feeds = {signature.inputs[alias].name: value for alias, value in given.items()}
    asked = list(request.output_filter) or sorted(signature.outputs)
    if len(set(asked)) < len(asked):
        raise ValueError(f"duplicate output tensor alias: {asked}")
    return "predict", key, feeds, {alias: _output(signature, alias) for alias in asked}


def _output(signature: Any, alias: str) -> str:  # noqa: ANN401 - as above
    if alias not in signature.outputs:
        raise ValueError(f"output tensor alias not found: {alias}")
    return str(signature.outputs[alias].name)


def _of_examples(method: str, spec: Any, given: Any, signatures: Any) -> _Call:  # noqa: ANN401 - as above
    key = spec.signature_name or "serving_default"
    if key not in signatures or signatures[key].method_name != _PREFIX + method:
        raise ValueError(f"{key} is no {method} signature")
    examples = [each.SerializeToString() for each in given.example_list.examples]
    if not examples:
        raise ValueError("Input is empty")
    signature = signatures[key]
    outputs = {alias: info.name for alias, info in signature.outputs.items()}
    return method, key, {signature.inputs["inputs"].name: examples}, outputs


def _check_results(kind: str, arrays: Mapping[str, Any], feeds: Mapping[str, Any]) -> None:
    if kind == "predict":
        return
    (examples,) = feeds.values()
    ranks = {"classify": (2,), "regress": (1, 2)}[kind]
    for alias, array in arrays.items():
        if array.ndim not in ranks or array.shape[0] != len(examples):
            raise ValueError(f"{alias}: {array.shape} for {len(examples)} examples")
        if kind == "regress" and array.ndim == 2 and array.shape[1] != 1:
            raise ValueError(f"{alias}: {array.shape}")
