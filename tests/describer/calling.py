"""A program with TensorFlow: it runs gRPC programs with a fake server and a real session.

It reads a JSON list of calls from the file that its argument names, and prints a JSON list of
answers: the tensors of each request, and the shapes of the outputs or the error.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np
import tensorflow as tf


class Request:
    """``PredictRequest``, with the fields that the programs use."""

    def __init__(self) -> None:
        """Make an empty request."""
        self.model_spec = SimpleNamespace(name="", signature_name="")
        self.inputs = Inputs()


class Inputs(dict[str, Any]):
    """A map of messages: a missing key gets a new message."""

    def __missing__(self, alias: str) -> Any:  # noqa: ANN401 - a TensorProto
        """Put a new message under the missing key, and return it."""
        self[alias] = tf.make_tensor_proto(0)
        return self[alias]


class Channel:
    def __enter__(self) -> Channel:
        """Return itself, as channels do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close nothing."""


class Stub:
    """The fake server: it answers with a zero, and records requests."""

    requests: list[Request] = []  # noqa: RUF012 - all programs have the one server

    def __init__(self, channel: Channel) -> None:
        """Accept a channel."""
        assert isinstance(channel, Channel)

    def Predict(self, request: Request, timeout: float) -> Any:  # noqa: ANN401, N802 - gRPC's own name
        assert timeout > 0
        self.requests.append(request)
        return SimpleNamespace(outputs={"y": tf.make_tensor_proto(0.0)})


def modules() -> dict[str, ModuleType]:
    grpc, apis = ModuleType("grpc"), ModuleType("tensorflow_serving.apis")
    grpc.insecure_channel = lambda _: Channel()  # type: ignore[attr-defined] # a module of ours
    apis.predict_pb2 = SimpleNamespace(PredictRequest=Request)  # type: ignore[attr-defined] # as above
    apis.prediction_service_pb2_grpc = SimpleNamespace(PredictionServiceStub=Stub)  # type: ignore[attr-defined] # as above
    package = ModuleType("tensorflow_serving")
    return {"grpc": grpc, "tensorflow_serving": package, "tensorflow_serving.apis": apis}


def answer(call: dict[str, Any]) -> dict[str, Any]:
    Stub.requests.clear()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(call["program"], "program", "exec"), {})  # noqa: S102 - this is the test
    (request,) = Stub.requests
    arrays = {alias: tf.make_ndarray(proto) for alias, proto in request.inputs.items()}
    types = {alias: tf.as_dtype(proto.dtype).name for alias, proto in request.inputs.items()}
    zero = {
        alias: all(each in {0, b""} for each in array.ravel().tolist())
        for alias, array in arrays.items()
    }
    told = {
        "model": request.model_spec.name,
        "key": request.model_spec.signature_name,
        "inputs": {
            alias: [types[alias], list(array.shape), zero[alias]] for alias, array in arrays.items()
        },
    }
    return told | (ran(call, arrays) if call.get("directory") else {})


def ran(call: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        try:
            loaded = tf.compat.v1.saved_model.load(session, call["tags"], call["directory"])
            signature = loaded.signature_def[call["key"]]
            feed = {signature.inputs[alias].name: array for alias, array in arrays.items()}
            fetches = {alias: each.name for alias, each in signature.outputs.items()}
            outputs = session.run(fetches, feed)
        except (tf.errors.OpError, OSError, ValueError, KeyError, TypeError) as error:
            return {"error": str(error)}
    return {"outputs": {alias: list(np.shape(value)) for alias, value in outputs.items()}}


if __name__ == "__main__":
    sys.modules.update(modules())
    answers = [answer(call) for call in json.loads(Path(sys.argv[1]).read_text())]
    sys.stdout.write(f"{json.dumps(answers)}\n")
