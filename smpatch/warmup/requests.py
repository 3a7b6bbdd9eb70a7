"""The requests of a warm-up file, and what they call.

This module reads: it compares nothing with the model, decodes no value, and answers no
request. The responses that may be recorded beside the requests are passed over.

Sources: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc`` and
``tensorflow_serving/apis/prediction_log.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from google.protobuf.message import DecodeError

from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel.directory import open_regular
from smpatch.signature import DEFAULT_KEY
from smpatch.warmup import tfrecord
from smpatch.warmup.tfrecord import RecordError

__all__ = ["LONGEST", "MOST", "PLACE", "Kind", "WarmUp", "calls_of", "records", "requests"]

PLACE = Path("assets.extra", "tf_serving_warmup_requests")
"""The place of the file below the model's directory (``saved_model_warmup_util.h``)."""

MOST = 1000
"""So many records a server replays (``WarmupConsts::kMaxNumRecords``)."""

LONGEST = 1 << 27
"""A record of so many bytes is read by nobody here: no request is so large."""

Kind = Literal[
    "predict", "predict_streamed", "classify", "regress", "multi_inference", "session_run"
]

_EXAMPLES = "inputs"
"""The one input of signatures that take examples (``signature_constants.py``)."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """One call of one signature.

    Attributes:
        signature: The key that is called; empty for a ``session_run`` that calls none.
        inputs: The inputs that are fed, sorted; where no signature is called names of tensors.
        kind: The method that is called.
        outputs: The outputs that are asked for, where not all are; where no signature is
            called names of tensors and operations.
        values: What is fed to the inputs, in their order, each a serialized ``TensorProto``;
            none but for ``predict`` and ``predict_streamed``.
        record: The number of the record that makes the call, from 1.
    """

    signature: str
    inputs: tuple[str, ...]
    kind: Kind
    outputs: tuple[str, ...] = ()
    values: tuple[bytes, ...] = field(default=(), compare=False, repr=False)
    record: int = field(default=0, compare=False)


def requests(directory: str | os.PathLike[str]) -> tuple[WarmUp, ...]:
    """Return the calls that a model's warm-up makes.

    Args:
        directory: The SavedModel directory.

    Returns:
        The calls in the order of the file; none where there is no such file.

    Raises:
        ModelUnreadableError: The file is there and cannot be read, or is no TFRecord of
            ``PredictionLog`` messages.
    """
    file = Path(directory) / PLACE
    try:
        with open_regular(file) as opened:
            return tuple(
                replace(call, record=record.number)
                for record in tfrecord.read(opened, longest=LONGEST)
                for call in calls_of(record)
            )
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelUnreadableError(f"cannot be read: {reason}", where=str(file)) from error
    except RecordError as error:
        hint = "TF Serving does not load a model whose warm-up it cannot read"
        raise ModelUnreadableError(str(error), where=str(file), hint=hint) from error


def records(file: str | os.PathLike[str]) -> tuple[bytes, ...]:
    """Return the records of a TFRecord file.

    Raises:
        ModelUnreadableError: It cannot be read, or is no TFRecord file.
    """
    where = os.fspath(file)
    try:
        with open_regular(file) as opened:
            return tuple(each.data for each in tfrecord.read(opened))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelUnreadableError(f"cannot be read: {reason}", where=where) from error
    except RecordError as error:
        raise ModelUnreadableError(str(error), where=where) from error


def calls_of(record: tfrecord.Record) -> tuple[WarmUp, ...]:
    """Return the calls that a record makes; none where it is of an unknown kind.

    Raises:
        RecordError: It is no ``PredictionLog``.
    """
    try:
        log = schema.PredictionLog.FromString(record.data)
    except DecodeError as error:
        raise RecordError(f"record {record.number} is not a PredictionLog") from error
    return tuple(_calls(log))


def _calls(log: Any) -> Iterator[WarmUp]:  # noqa: ANN401 - protobuf's classes are made at run time
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        yield _predict(log.predict_log.request, "predict")
    elif kind == "predict_streamed_log":
        for request in log.predict_streamed_log.request:
            yield _predict(request, "predict_streamed")
    elif kind == "classify_log":
        yield WarmUp(_key(log.classify_log.request), (_EXAMPLES,), "classify")
    elif kind == "regress_log":
        yield WarmUp(_key(log.regress_log.request), (_EXAMPLES,), "regress")
    elif kind == "multi_inference_log":
        for task in log.multi_inference_log.request.tasks:
            yield WarmUp(_key(task), (_EXAMPLES,), "multi_inference")
    elif kind == "session_run_log":
        request = log.session_run_log.request
        fed = tuple(sorted(each.name for each in request.feed))
        key = _key(request) if request.tensor_name_is_alias else ""
        yield WarmUp(key, fed, "session_run", (*request.fetch, *request.target))


def _predict(request: Any, kind: Kind) -> WarmUp:  # noqa: ANN401 - as above
    fed, outputs = tuple(sorted(request.inputs)), tuple(request.output_filter)
    values = tuple(request.inputs[alias].SerializeToString() for alias in fed)
    return WarmUp(_key(request), fed, kind, outputs, values)


def _key(request: Any) -> str:  # noqa: ANN401 - as above
    return str(request.model_spec.signature_name) or DEFAULT_KEY
