"""Values of a ``TensorProto``, as far as people look at them.

This room makes no arrays and needs no NumPy: it takes the first few elements.

Source: ``tensorflow/core/framework/tensor.proto`` (the typed lists, ``tensor_content`` in
little endian, a list's last value standing for all that follow).
"""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.errors import ModelUnreadableError
from smpatch.signature import Shape, shape_from_proto

__all__ = ["preview"]

_FIRST = 8
"""So many elements are shown."""

_LAYOUT = {
    "float32": ("float_val", "f"),
    "float64": ("double_val", "d"),
    "int32": ("int_val", "i"),
    "int16": ("int_val", "h"),
    "int8": ("int_val", "b"),
    "uint8": ("int_val", "B"),
    "uint16": ("int_val", "H"),
    "uint32": ("uint32_val", "I"),
    "int64": ("int64_val", "q"),
    "uint64": ("uint64_val", "Q"),
    "bool": ("bool_val", "?"),
}
"""Type name to the list that holds its values and its code in ``struct``."""


def preview(tensor: bytes) -> tuple[str, Shape, str]:
    """Return type, shape and the first elements of a serialized ``TensorProto``.

    Returns:
        The type's name; the dimensions; the elements as text, ``...`` where there are more,
        or ``(not shown)`` for types that are not numbers or strings.

    Raises:
        ModelUnreadableError: The bytes are no ``TensorProto``.
    """
    try:
        message = schema.TensorProto.FromString(tensor)
    except DecodeError as error:
        raise ModelUnreadableError(f"a default cannot be decoded: {error}") from error
    dtype = dtypes.name(message.dtype)
    shape = shape_from_proto(message.tensor_shape)
    count = _elements(shape)
    shown = min(count, _FIRST)
    values = _values(message, dtype, shown)
    if values is None:
        return dtype, shape, "(not shown)"
    more = ", ..." if count > shown else ""
    text = ", ".join(str(value) for value in values)
    return dtype, shape, text if shape == () else f"[{text}{more}]"


def _elements(shape: Shape) -> int:
    """Return how many elements there are, or a few more than are shown where there are many.

    A damaged shape may have millions of dimensions, whose product would take hours.
    """
    if shape is None or any(not size for size in shape):
        return 0
    count = 1
    for size in shape:
        count = min(count * (size or 0), _FIRST + 1)
    return count


def _values(message: Any, dtype: str, count: int) -> list[Any] | None:  # noqa: ANN401 - protobuf's classes are made at run time
    if dtype == "string":
        given: list[Any] = list(message.string_val[:count])
        zero: Any = b""
    elif dtype in _LAYOUT:
        field, code = _LAYOUT[dtype]
        if message.tensor_content:
            size = struct.calcsize(code)
            whole = min(count, len(message.tensor_content) // size)
            return list(struct.unpack(f"<{whole}{code}", message.tensor_content[: whole * size]))
        given, zero = list(getattr(message, field)[:count]), 0
    else:
        return None
    last = given[-1] if given else zero
    return given + [last] * (count - len(given))
