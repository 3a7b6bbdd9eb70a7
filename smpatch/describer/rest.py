"""Requests for the REST API of TF Serving, as a shell script with ``curl``.

The text is ASCII, whatever the names are: JSON has escapes for all characters, and the URL
and the words of the shell are quoted.

Sources: TF Serving's ``g3doc/api_rest.md`` (row and column format, binary values),
``util/json_tensor.cc`` (types with a JSON form, shapes of nested lists, rows of a response),
``model_servers/http_rest_api_handler.cc`` (the URL).
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from smpatch import dtypes
from smpatch.describer.predict import check_method, remarks
from smpatch.describer.samples import Sample, nested, samples
from smpatch.describer.subject import Subject, command, refuse, refuse_composites
from smpatch.signature import CLASSIFY, REGRESS, TensorSpec

__all__ = ["rest_request"]

_TYPES = frozenset(
    {"bool", "string", "float32", "float64", "int8", "int16", "int32", "int64"}
    | {"uint8", "uint32", "uint64"}
)
"""The types that ``AddValueToTensor`` reads and ``AddSingleValueAndAdvance`` writes."""

_MOST = 1 << 20
"""More elements are not written."""

_LONGEST = 100_000
"""A longer body does not fit into an argument of a Linux program (128 KiB) with certainty."""

_BYTES = "_bytes"
"""The ending of names whose strings TF Serving takes for bytes."""

_SERIALIZED = frozenset({CLASSIFY, REGRESS})
"""Methods whose input is a serialized ``tf.train.Example``."""

_END = "END_OF_BODY"
"""The line behind a long body; no JSON text is such a line."""


def rest_request(subject: Subject) -> str:
    """Return a script with a request in row format, if there is one, and in column format.

    Raises:
        RefusedError: JSON cannot express the inputs or outputs, or TF Serving refuses them.
    """
    _check(subject)
    rows, reason = _rows(subject)
    size = rows if rows is not None else _batch(subject)
    values = samples(subject, size)
    _check_values(subject, values)
    url = f"http://localhost:8501/v1/models/{quote(subject.model, safe='')}:predict"
    lines = [
        *remarks(subject, "REST"),
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
    line = command("describe", subject.directory, "--signature", subject.key, "--as", "grpc")
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
        if isinstance(spec, TensorSpec) and dtypes.base(spec.dtype) not in _TYPES:
            found = f"the REST API has no JSON form for the type {spec.dtype}"
            refuse(subject, f"{kind} {alias!r}", found, other)
        if "\0" in alias:
            found = "the REST API cuts a name at a zero byte"
            line = command("edit", subject.directory, "--signature", subject.key)
            hint = f"{line} --rename-{kind} gives it another"
            refuse(subject, f"{kind} {alias!r}", found, hint)


def _check_values(subject: Subject, values: Sequence[Sample]) -> None:
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
    """Return the number of rows, or None and why row format is not possible.

    TF Serving puts the rows of a request together along the first dimension, and it takes a
    response apart along the same dimension. An unknown rank may have that dimension.
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


def _instances(subject: Subject, values: Sequence[Sample], rows: int) -> list[object]:
    """Return the rows: plain values of an only input, objects of several."""
    if len(values) == 1:
        whole = _json(subject, values[0])
        return whole if isinstance(whole, list) else [whole]
    row = {
        each.alias: nested(each.shape[1:], _element(subject, each), lambda leaf: leaf)
        for each in values
    }
    return [row] * rows


def _columns(subject: Subject, values: Sequence[Sample]) -> object:
    """Return the columns: the plain value of an only input, an object of several."""
    if len(values) == 1:
        return _json(subject, values[0])
    return {each.alias: _json(subject, each) for each in values}


def _json(subject: Subject, each: Sample) -> object:
    return nested(each.shape, _element(subject, each), lambda leaf: leaf)


def _element(subject: Subject, each: Sample) -> object:
    """Return an element as JSON has it: bytes go into an object with the key ``b64``."""
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
