"""The warm-up requests that TensorFlow Serving replays when it loads a model, and whom they call.

They lie in ``assets.extra/tf_serving_warmup_requests`` and name signatures, inputs and
outputs. A server does not load a version whose warm-up fails, so an edit that takes one of
those names away, or an export that never had it, keeps the model from being served.

This module reads: it compares nothing with the model, decodes no value, and answers no
request. The responses that may be recorded beside the requests are passed over.

Sources: ``tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc`` and
``tensorflow_serving/apis/prediction_log.proto``; the framing of TFRecord files in
``tensorflow/core/lib/io/record_writer.h``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from google.protobuf.message import DecodeError

from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel.directory import open_regular
from smpatch.signature import DEFAULT_KEY

__all__ = ["PLACE", "Kind", "WarmUp", "records", "requests"]

PLACE = Path("assets.extra", "tf_serving_warmup_requests")
"""The place of the file below the model's directory (``saved_model_warmup_util.h``)."""

Kind = Literal[
    "predict", "predict_streamed", "classify", "regress", "multi_inference", "session_run"
]

_HEAD = struct.Struct("<QI")
_CHECKSUM_BYTES = 4
_LONGEST = 1 << 31
"""No protobuf message is longer, in bytes."""

_CHECKED = 1 << 16
"""Records of up to so many bytes have their checksum verified; it takes Python 10 ms for each."""

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
                replace(call, record=number)
                for number, log in enumerate(_logs(opened), start=1)
                for call in _calls(log)
            )
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelUnreadableError(f"cannot be read: {reason}", where=str(file)) from error
    except _RecordError as error:
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
            return tuple(_records(opened))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelUnreadableError(f"cannot be read: {reason}", where=where) from error
    except _RecordError as error:
        raise ModelUnreadableError(str(error), where=where) from error


class _RecordError(Exception):
    """A fault of a record."""


def _logs(file: BinaryIO) -> Iterator[Any]:
    for number, record in enumerate(_records(file), start=1):
        yield _decoded(number, record)


def _decoded(number: int, record: bytes) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    try:
        return schema.PredictionLog.FromString(record)
    except DecodeError as error:
        message = f"record {number} is not a PredictionLog"
        raise _RecordError(message) from error


def _records(file: BinaryIO) -> Iterator[bytes]:
    number = 0
    while head := file.read(_HEAD.size):
        number += 1
        if len(head) < _HEAD.size:
            message = f"the file ends within the head of record {number}"
            raise _RecordError(message)
        length, checksum = _HEAD.unpack(head)
        if _masked_checksum(head[:8]) != checksum or length >= _LONGEST:
            message = f"record {number} does not begin like one of a TFRecord file"
            raise _RecordError(message)
        record, tail = file.read(length), file.read(_CHECKSUM_BYTES)
        if len(record) < length or len(tail) < _CHECKSUM_BYTES:
            message = f"the file ends within record {number}"
            raise _RecordError(message)
        if length <= _CHECKED and _masked_checksum(record) != int.from_bytes(tail, "little"):
            message = f"record {number} is damaged: its checksum does not match"
            raise _RecordError(message)
        yield record


def _calls(log: Any) -> Iterator[WarmUp]:  # noqa: ANN401 - as above
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


def _masked_checksum(data: bytes) -> int:
    """Return the masked CRC-32C of a TFRecord (``crc32c.h``)."""
    table = _table()
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    """Return CRC-32C of each byte; its polynomial is 0x1EDC6F41, here with its bits reversed."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)
