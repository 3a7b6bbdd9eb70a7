"""Change the names of signatures, inputs and outputs in a recorded request.

Only the names change. All other bytes stay in their order, also those of unknown fields and of
recorded responses. The new record is decoded and compared with the expected one.

Sources: ``tensorflow_serving/apis/prediction_log.proto``, ``predict.proto``, ``model.proto``,
``inference.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from smpatch import wire
from smpatch.errors import ModelUnreadableError
from smpatch.signature import DEFAULT_KEY
from smpatch.warmup.requests import WarmUp, calls_of
from smpatch.warmup.tfrecord import Record, RecordError, respliced
from smpatch.wire import Field, Splice

_CLASSIFY, _REGRESS, _MULTI, _SESSION_RUN, _PREDICT, _STREAMED = 2, 3, 4, 5, 6, 7
"""The fields of ``PredictionLog``, one for each kind of request."""

_REQUEST = 1
_TASKS = 1
_SPEC, _INPUTS, _FILTER, _STREAM_OPTIONS = 1, 2, 3, 5
_SIGNATURE_NAME = 3
_KEY = 1

_WITH_ALIASES = frozenset({"predict", "predict_streamed"})

_Edit = tuple[Splice, Sequence[Field]]


class NotRewrittenError(Exception):
    """A record cannot be rewritten; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Fate:
    """The effect of edits on the names of a signature, its inputs and its outputs.

    Attributes:
        key: The new key; None if the signature is removed.
        inputs: Alias to new alias, for each changed input; None if the input is removed.
        outputs: Alias to new alias, for each changed output; None if the output is removed.
    """

    key: str | None
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    outputs: Mapping[str, str | None] = field(default_factory=dict)


def followed(call: WarmUp, fates: Mapping[str, Fate]) -> WarmUp | None:
    """Return a call with its new names; None if its signature is removed."""
    fate = fates.get(call.signature)
    if fate is None or fate.key is None:
        return call if fate is None else None
    inputs, values = call.inputs, call.values
    if call.kind in _WITH_ALIASES:
        pairs = zip(inputs, values, strict=True)
        named = {fate.inputs.get(alias, alias): value for alias, value in pairs}
        inputs = tuple(sorted(alias for alias in named if alias is not None))
        values = tuple(named[alias] for alias in inputs)
    outputs = (fate.outputs.get(alias, alias) for alias in call.outputs)
    kept = tuple(alias for alias in outputs if alias is not None)
    return replace(call, signature=fate.key, inputs=inputs, outputs=kept, values=values)


def rewritten(record: Record, fates: Mapping[str, Fate]) -> tuple[Splice, ...]:
    """Return the splices that give the requests of a record the new names.

    ``fates`` has the effects of the edits, by the current keys of the changed signatures.

    Returns:
        The splices of the file; if no request is left, one splice that removes the record.

    Raises:
        NotRewrittenError: This module does not rewrite records of this kind or encoding.
    """
    data = record.data
    wanted = [followed(each, fates) for each in calls_of(record)]
    try:
        edits = list(_edits(data, fates))
    except ModelUnreadableError as error:
        raise NotRewrittenError(error.found) from error
    if not any(wanted):
        return (Splice(record.start, record.end, b""),)
    splices = wire.enclose(data, edits)
    new = wire.apply(data, splices)
    try:
        found = calls_of(record._replace(data=new))
    except RecordError as error:
        raise NotRewrittenError(str(error)) from error
    expected = [each for each in wanted if each is not None]
    if [(each, each.values) for each in found] != [(each, each.values) for each in expected]:
        raise NotRewrittenError("smpatch cannot rewrite this encoding of the record")
    return respliced(record, splices, new)


def _edits(data: bytes, fates: Mapping[str, Fate]) -> Iterator[_Edit]:
    log = _only([each for each in wire.fields(data) if _CLASSIFY <= each.number <= _STREAMED])
    if log.number == _SESSION_RUN:
        raise NotRewrittenError("TF Serving answers no session_run requests")
    requests = _within(data, log, _REQUEST)
    if log.number != _STREAMED:
        requests = [_only(requests)]
    path: tuple[Field, ...] = (log,)
    if log.number == _MULTI:
        path = (log, requests[0])
        requests = _within(data, requests[0], _TASKS)
    for request in requests:
        spec, name = _naming(data, request)
        key = (name.bytes(data).decode() if name else "") or DEFAULT_KEY
        fate = fates.get(key)
        if fate is None:
            continue
        if fate.key is None:
            yield Splice(request.start, request.end, b""), path
            continue
        inside = (*path, request)
        if fate.key != key:
            yield _renamed(fate.key, inside, spec, name)
        if log.number in {_PREDICT, _STREAMED}:
            yield from _aliases(data, fate, inside)


def _naming(data: bytes, request: Field) -> tuple[Field | None, Field | None]:
    """Return the ``ModelSpec`` of a request and the name of the signature in it."""
    specs = _within(data, request, _SPEC)
    spec = _only(specs) if specs else None
    names = _within(data, spec, _SIGNATURE_NAME) if spec else []
    return spec, _only(names) if names else None


def _renamed(key: str, inside: Sequence[Field], spec: Field | None, name: Field | None) -> _Edit:
    new = key.encode()
    if spec is None:
        at = inside[-1].value
        return Splice(at, at, wire.delimited(_SPEC, wire.delimited(_SIGNATURE_NAME, new))), inside
    if name is None:
        named = wire.delimited(_SIGNATURE_NAME, new)
        return Splice(spec.end, spec.end, named), (*inside, spec)
    return Splice(name.value, name.end, new), (*inside, spec, name)


def _aliases(data: bytes, fate: Fate, inside: Sequence[Field]) -> Iterator[_Edit]:
    request = inside[-1]
    if fate.inputs and _within(data, request, _STREAM_OPTIONS):
        raise NotRewrittenError("its options for streams may name inputs")
    for entry in _within(data, request, _INPUTS):
        name = _only(_within(data, entry, _KEY))
        alias = name.bytes(data).decode()
        if alias in fate.inputs:
            yield _replaced(entry, name, fate.inputs[alias], (*inside, entry))
    for name in _within(data, request, _FILTER):
        alias = name.bytes(data).decode()
        if alias in fate.outputs:
            yield _replaced(name, name, fate.outputs[alias], inside)


def _replaced(whole: Field, name: Field, new: str | None, inside: Sequence[Field]) -> _Edit:
    """Replace a name, or remove the whole field that has the name if ``new`` is None."""
    if new is not None:
        return Splice(name.value, name.end, new.encode()), (*inside, name)
    around = [each for each in inside if each is not whole]
    return Splice(whole.start, whole.end, b""), around


def _within(data: bytes, message: Field, number: int) -> list[Field]:
    fields = wire.fields(data, message.value, message.end)
    return [each for each in fields if each.number == number and each.wire_type == wire.BYTES]


def _only(fields: Sequence[Field]) -> Field:
    """Return the only field of a list.

    Raises:
        NotRewrittenError: There is none, or the field is in several parts.
    """
    if len(fields) != 1 or fields[0].wire_type != wire.BYTES:
        raise NotRewrittenError("smpatch cannot rewrite this encoding of the record")
    return fields[0]
