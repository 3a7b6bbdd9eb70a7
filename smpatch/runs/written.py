"""Values to feed out of a JSON file, as TF Serving's REST API writes them.

    {"x": [[1.0, 2.0]], "KEY/image": [{"b64": "/9j/4AAQ"}]}

A number, a truth value or a text is an element; ``{"b64": ...}`` holds bytes. The type is that
of the input.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping

from smpatch.errors import UsageError
from smpatch.runs.protos import array_of
from smpatch.runtime.questions import Array
from smpatch.savedmodel.directory import open_regular
from smpatch.values import tensor_proto

__all__ = ["array_from", "read_json"]

_BYTES = "b64"


def read_json(file: str | os.PathLike[str]) -> Mapping[str, object]:
    """Read the values of a JSON file, by name.

    Raises:
        UsageError: It cannot be read, or is no object with values.
    """
    where = os.fspath(file)
    try:
        with open_regular(file) as opened:
            found = json.load(opened)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot be read: {reason}", where=where) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is not JSON: {error}", where=where) from error
    if not isinstance(found, dict):
        hint = 'write {"INPUT": VALUES}'
        raise UsageError("it is not a JSON object", where=where, hint=hint)
    return {name: _decoded(value, f"{where}: {name}") for name, value in found.items()}


def _decoded(value: object, where: str) -> object:
    """Return a value with bytes in place of ``{"b64": ...}``."""
    if isinstance(value, list):
        return [_decoded(each, where) for each in value]
    if isinstance(value, dict):
        text = value.get(_BYTES)
        if set(value) != {_BYTES} or not isinstance(text, str):
            hint = 'bytes are written {"b64": "..."}'
            raise UsageError("an element is a JSON object", where=where, hint=hint)
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise UsageError(f"an element is not base64: {error}", where=where) from error
    return value


def array_from(value: object, dtype: str, where: str) -> Array:
    """Return a value of ``read_json`` as an array.

    Args:
        value: The value.
        dtype: The type of the input.
        where: What errors name.

    Raises:
        UsageError: The value is not of the type.
    """
    try:
        return array_of(tensor_proto(value, dtype)[1])
    except ValueError as error:
        raise UsageError(str(error), where=where) from error
