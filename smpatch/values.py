"""Values of a ``TensorProto``: its first elements as text, and Python values as a ``TensorProto``.

This module makes no arrays and needs no NumPy.

Sources: ``tensorflow/core/framework/tensor.proto`` (the typed lists, ``tensor_content`` in
little endian, the last value of a list, which is repeated for all elements after it),
``tensorflow/python/framework/tensor_util.py`` (``make_tensor_proto``).
"""

from __future__ import annotations

import math
import struct
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.errors import ModelUnreadableError
from smpatch.shapes import MAX_RANK
from smpatch.signature import Shape, shape_from_proto

_FIRST = 8
"""The largest number of elements that are shown."""

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


def finite(text: str) -> float:
    """Return the number in a text, for readers of JSON and TOML.

    Raises:
        OverflowError: It does not fit into 64 bits, so that Python would make it infinite.
    """
    number = float(text)
    if math.isinf(number) and "inf" not in text:
        message = f"{text[:_LONG]} does not fit into float64"
        raise OverflowError(message)
    return number


def preview(tensor: bytes) -> tuple[str, Shape, str]:
    """Return type, shape and the first elements of a serialized ``TensorProto``.

    Returns:
        The type's name; the dimensions; the elements as text, with ``...`` if there are more,
        or ``(not shown)`` for types whose elements this module does not read.

    Raises:
        ModelUnreadableError: The bytes are not a ``TensorProto``.
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


def misfit(tensor: bytes) -> str:
    """Return why TensorFlow does not read a ``TensorProto``; empty if no reason is found.

    Source: ``Tensor::FromProto`` in ``tensorflow/core/framework/tensor.cc``.
    """
    message = schema.TensorProto.FromString(tensor)
    # TensorFlow reads a tensor of unknown rank as a scalar.
    shape = shape_from_proto(message.tensor_shape) or ()
    if None in shape or len(shape) > MAX_RANK:
        return "its shape is not complete, or has too many dimensions"
    layout = _LAYOUT.get(dtypes.name(message.dtype))
    if layout is not None and message.tensor_content:
        there = len(message.tensor_content)
        needed = math.prod(size or 0 for size in shape) * struct.calcsize(f"<{layout[1]}")
        if there != needed:
            return f"it has {there:,} bytes, and its shape needs {needed:,}"
    return ""


def _elements(shape: Shape) -> int:
    """Return the number of elements, but at most one more than are shown.

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
        if message.tensor_content:
            return None
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


_AS_CONTENT = frozenset(_LAYOUT) - {"bool", "uint16"}
"""Types whose elements are written in ``tensor_content`` if there is more than one."""

_LONG = 60
"""The largest number of characters of a value that an error shows."""

_FLOATS = frozenset({"float16", "float32", "float64"})


def tensor_proto(value: object, dtype: str) -> tuple[tuple[int, ...], bytes]:
    """Write a value, or nested lists of values, as TensorFlow's ``make_tensor_proto`` does.

    Returns:
        The shape, and the serialized ``TensorProto``.

    Raises:
        ValueError: The value is not of that type, or its lists are of different lengths.
    """
    shape, elements = _flattened(value)
    message = schema.TensorProto(dtype=dtypes.number(dtype))
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    if dtype == "string":
        message.string_val.extend(_text(each) for each in elements)
    elif dtype == "float16":
        packed = _packed("e", elements, dtype)
        if len(elements) > 1:
            message.tensor_content = packed
        else:
            message.half_val.extend(struct.unpack(f"<{len(elements)}H", packed))
    elif dtype in _LAYOUT:
        field, code = _LAYOUT[dtype]
        packed = _packed(code, elements, dtype)
        if len(elements) > 1 and dtype in _AS_CONTENT:
            message.tensor_content = packed
        else:
            getattr(message, field).extend(struct.unpack(f"<{len(elements)}{code}", packed))
    else:
        message_text = f"values of the type {dtype} are not supported"
        raise ValueError(message_text)
    return shape, bytes(message.SerializeToString(deterministic=True))


def _flattened(value: object, depth: int = 0) -> tuple[tuple[int, ...], list[object]]:
    """Return the shape of nested lists, and their elements in order."""
    if depth > MAX_RANK:
        raise ValueError(f"it has lists in lists, more than {MAX_RANK}")
    if not isinstance(value, (list, tuple)):
        return (), [value]
    parts = [_flattened(each, depth + 1) for each in value]
    if len({shape for shape, _ in parts}) > 1:
        raise ValueError("its lists are of different lengths")
    inner = parts[0][0] if parts else ()
    return (len(parts), *inner), [element for _, elements in parts for element in elements]


def _packed(code: str, elements: list[object], dtype: str) -> bytes:
    """Pack numbers one by one with ``struct``, so that the error names a number that is too big."""
    packed = bytearray()
    for each in elements:
        number = _number(each, dtype)
        try:
            packed += struct.pack(f"<{code}", number)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{_short(number)} does not fit into {dtype}") from error
    return bytes(packed)


def _short(value: object) -> str:
    """Return a value as short text; Python refuses to print very long integers."""
    try:
        text = repr(value)
    except ValueError:
        text = "the number"
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def _number(value: object, dtype: str) -> float:
    if dtype == "bool":
        fits = isinstance(value, bool)
    elif dtype in _FLOATS:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or not isinstance(value, (int, float)):
        raise ValueError(f"{_short(value)} is not of type {dtype}")
    return value


def _text(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            message = f"{_short(value)} contains an unpaired surrogate, which UTF-8 cannot encode"
            raise ValueError(message) from error
    raise ValueError(f"{_short(value)} is not a string")
