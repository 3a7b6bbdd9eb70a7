"""The requests of a warm-up file, and what they call.

This module reads: it compares nothing with the model, decodes no value, and answers no
request. The responses that may be recorded beside the requests are passed over.

Sources: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc`` and
``tensorflow_serving/apis/prediction_log.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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

__all__ = ["LONGEST", "MOST", "PLACE", "Kind", "WarmUp", "calls_of", "count", "records", "requests"]

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
        examples: How many examples are fed, by the kinds that feed those.
    """

    signature: str
    inputs: tuple[str, ...]
    kind: Kind
    outputs: tuple[str, ...] = ()
    values: tuple[bytes, ...] = field(default=(), compare=False, repr=False)
    record: int = field(default=0, compare=False)
    examples: int | None = field(default=None, compare=False)


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
    with _opened(directory) as there:
        return tuple(
            replace(call, record=record.number) for record in there for call in calls_of(record)
        )


def count(directory: str | os.PathLike[str]) -> int:
    """Return how many records a model's warm-up file has.

    Raises:
        ModelUnreadableError: As ``requests``.
    """
    with _opened(directory) as there:
        return sum(1 for record in there if calls_of(record) is not None)


@contextmanager
def _opened(directory: str | os.PathLike[str]) -> Iterator[Iterator[tfrecord.Record]]:
    """Give the records of a model's warm-up file, none where there is no such file.

    Raises:
        ModelUnreadableError: As ``requests``.
    """
    file = Path(directory) / PLACE
    try:
        opened = open_regular(file)
    except (FileNotFoundError, NotADirectoryError):
        yield iter(())
        return
    except OSError as error:
        raise _unreadable(file, error) from error
    with opened:
        try:
            yield tfrecord.read(opened, longest=LONGEST)
        except OSError as error:
            raise _unreadable(file, error) from error
        except RecordError as error:
            hint = "TF Serving does not load a model whose warm-up it cannot read"
            raise ModelUnreadableError(str(error), where=str(file), hint=hint) from error


def _unreadable(file: str | os.PathLike[str], error: OSError) -> ModelUnreadableError:
    reason = (error.strerror or str(error)).lower()
    return ModelUnreadableError(f"cannot be read: {reason}", where=os.fspath(file))


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
        raise _unreadable(where, error) from error
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
        yield _examples(log.classify_log.request, "classify", log.classify_log.request)
    elif kind == "regress_log":
        yield _examples(log.regress_log.request, "regress", log.regress_log.request)
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in request.tasks:
            yield _examples(task, "multi_inference", request)
    elif kind == "session_run_log":
        request = log.session_run_log.request
        fed = tuple(sorted(each.name for each in request.feed))
        key = _key(request) if request.tensor_name_is_alias else ""
        yield WarmUp(key, fed, "session_run", (*request.fetch, *request.target))


def _predict(request: Any, kind: Kind) -> WarmUp:  # noqa: ANN401 - as above
    fed, outputs = tuple(sorted(request.inputs)), tuple(request.output_filter)
    values = tuple(request.inputs[alias].SerializeToString() for alias in fed)
    return WarmUp(_key(request), fed, kind, outputs, values)


def _examples(named: Any, kind: Kind, request: Any) -> WarmUp:  # noqa: ANN401 - as above
    form = request.input.WhichOneof("kind")
    count = len(getattr(request.input, form).examples) if form else 0
    return WarmUp(_key(named), (_EXAMPLES,), kind, examples=count)


def _key(request: Any) -> str:  # noqa: ANN401 - as above
    return str(request.model_spec.signature_name) or DEFAULT_KEY
