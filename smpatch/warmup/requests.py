"""The requests of a warm-up file, and the reasons why a signature does not answer a request.

This module runs nothing, and reads only the signature of the model. It ignores the responses that
are recorded beside the requests.

Sources: ``saved_model_warmup_util.cc``, ``predict_util.cc``, ``classifier.cc`` and
``regressor.cc`` in ``tensorflow_serving/servables/tensorflow``;
``tensorflow_serving/apis/prediction_log.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel.directory import open_regular
from smpatch.signature import (
    CLASSIFY,
    DEFAULT_KEY,
    EXAMPLES,
    REGRESS,
    Shape,
    SignatureDef,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.values import preview
from smpatch.warmup import tfrecord
from smpatch.warmup.tfrecord import LongRecordError, RecordError

PLACE = Path("assets.extra", "tf_serving_warmup_requests")
"""The place of the file below the model's directory (``saved_model_warmup_util.h``)."""

MOST = 1000
"""The most records that a server replays (``WarmupConsts::kMaxNumRecords``)."""

LONGEST = 1 << 27
"""A record of this many bytes or more is refused; no request is so large."""

Kind = Literal[
    "predict", "predict_streamed", "classify", "regress", "multi_inference", "session_run"
]

_METHODS = {"classify": (CLASSIFY,), "regress": (REGRESS,), "multi_inference": (CLASSIFY, REGRESS)}


@dataclass(frozen=True, slots=True)
class WarmUp:
    """One call of one signature.

    Attributes:
        signature: The key of the signature; empty for a ``session_run`` that calls no signature.
        inputs: The aliases of the fed inputs, sorted; names of tensors if no signature is called.
        kind: The method of the call.
        outputs: The aliases of the requested outputs, empty for all; names of tensors and
            operations if no signature is called.
        values: The values of the inputs, in the order of ``inputs``, each a serialized
            ``TensorProto``; empty except for ``predict`` and ``predict_streamed``.
        record: The number of the record that makes the call, from 1.
        examples: The number of fed examples; None for the kinds that feed no examples.
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

    Returns:
        The calls in the order of the file; empty if there is no such file.

    Raises:
        ModelUnreadableError: The file exists but cannot be read, or is not a TFRecord file of
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
    """Open a model's warm-up file and yield its records; no records if there is no such file.

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
            if isinstance(error, LongRecordError):
                hint = f"smpatch reads no record of {LONGEST:,} bytes or more; TF Serving may"
            raise ModelUnreadableError(str(error), where=str(file), hint=hint) from error


def _unreadable(file: str | os.PathLike[str], error: OSError) -> ModelUnreadableError:
    reason = (error.strerror or str(error)).lower()
    return ModelUnreadableError(f"cannot be read: {reason}", where=os.fspath(file))


def records(file: str | os.PathLike[str]) -> tuple[bytes, ...]:
    """Return the records of a TFRecord file.

    Raises:
        ModelUnreadableError: The file cannot be read, or is not a TFRecord file.
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
    """Return the calls that a record makes; empty if its kind is unknown.

    Raises:
        RecordError: The record is not a ``PredictionLog``.
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
    return WarmUp(_key(named), (EXAMPLES,), kind, examples=count)


def _key(request: Any) -> str:  # noqa: ANN401 - as above
    return str(request.model_spec.signature_name) or DEFAULT_KEY


class Misfit(NamedTuple):
    """One reason why a request fails.

    Attributes:
        code: The kind of the reason.
        text: The reason in words.
        hint: The names or the method that the signature has instead; may be empty.
    """

    code: str
    text: str
    hint: str = ""


def misfits(call: WarmUp, signature: SignatureDef) -> Iterator[Misfit]:
    """Yield the reasons why a signature does not answer a request."""
    methods = _METHODS.get(call.kind)
    if methods is not None:
        yield from _misfits_of_examples(call, signature, methods)
        return
    key = call.signature
    fed, known = set(call.inputs), set(signature.inputs)
    for alias in sorted(fed - known):
        text = f"a request feeds the input {alias!r}, which {key!r} does not have"
        yield Misfit("warm-up-input", text, f"it has {', '.join(sorted(known))}")
    for alias in sorted(known - fed - set(signature.defaults)) if call.kind == "predict" else ():
        yield Misfit("warm-up-input", f"a request to {key!r} leaves the input {alias!r} out")
    for alias, value in zip(call.inputs, call.values, strict=False):
        spec = signature.inputs.get(alias)
        if isinstance(spec, TensorSpec):
            yield from _tensor(f"a request to {key!r} feeds {alias!r}", value, spec)
    for alias in sorted(set(call.outputs) - set(signature.outputs)):
        text = f"a request asks for the output {alias!r}, which {key!r} does not have"
        yield Misfit("warm-up-output", text, f"it has {', '.join(signature.outputs)}")
    for alias in sorted({each for each in call.outputs if call.outputs.count(each) > 1}):
        text = f"a request asks {key!r} more than once for the output {alias!r}"
        yield Misfit("warm-up-output", text, "TF Serving refuses that")


def _misfits_of_examples(
    call: WarmUp, signature: SignatureDef, methods: Sequence[str]
) -> Iterator[Misfit]:
    """Yield the reasons why a signature of one of these methods does not answer a request."""
    key = call.signature
    if signature.method_name not in methods:
        text = f"a {call.kind} request calls {key!r}, whose method is different"
        yield Misfit("warm-up-method", text, signature.method_name)
    if EXAMPLES not in signature.inputs:
        text = f"a {call.kind} request feeds {EXAMPLES!r}, which {key!r} does not take"
        yield Misfit("warm-up-input", text)
    elif not call.examples:
        text = f"a {call.kind} request to {key!r} feeds no examples, which TF Serving refuses"
        yield Misfit("warm-up-input", text)


def _tensor(words: str, value: bytes, spec: TensorSpec) -> Iterator[Misfit]:
    """Compare a tensor of a request with the input that it feeds."""
    found = described(value)
    if found is None:
        yield Misfit("warm-up-type", f"{words} without a tensor that can be read")
        return
    dtype, shape = found
    if dtype != dtypes.base(spec.dtype):
        yield Misfit("warm-up-type", f"{words} as {dtype}, and the input is {spec.dtype}")
    elif not compatible(shape, spec.shape):
        text = f"{words} as {shape_text(shape)}, and the input is {shape_text(spec.shape)}"
        yield Misfit("warm-up-shape", text)


def described(tensor: bytes) -> tuple[str, Shape] | None:
    """Return the type and the shape of a serialized tensor; None if it cannot be read."""
    try:
        dtype, shape, _ = preview(tensor)
    except ModelUnreadableError:
        return None
    return (dtype, shape) if dtype != dtypes.INVALID else None
