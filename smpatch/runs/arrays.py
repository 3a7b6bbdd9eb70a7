"""Arrays of the C runtime as arrays of NumPy and as ``TensorProto`` messages, and back.

The small types of TensorFlow that NumPy lacks (``bfloat16``, ``float8_e5m2``, ``int4``) come
from ml_dtypes, which TensorFlow installs.

Source: ``tensorflow/core/framework/tensor.cc`` (``Tensor::FromProto``: the typed lists, whose
last value also replaces all values after it, and ``tensor_content`` in little endian).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.message import DecodeError

from smpatch import dtypes, schema, wire
from smpatch.errors import ModelUnreadableError
from smpatch.runtime.questions import Array
from smpatch.signature import shape_from_proto

_MOST = 1 << 28
"""The most elements of a tensor that is decoded: a damaged shape may have any size."""

_HALVES = frozenset({"float16", "bfloat16"})

_LISTS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "uint64": "uint64_val",
    "uint32": "uint32_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}
"""Type name to the list that holds its values; ``int_val`` holds the other whole numbers."""

_STRING = "string"


class UnmakeableError(Exception):
    """The reason why no value can be made up, or no tensor can be decoded."""


def numpy_type(name: str) -> np.dtype[Any] | None:
    """Return NumPy's type for a TensorFlow type; None if the type has no numbers.

    Args:
        name: The ``tf.DType.name`` of the type. A quantized type (``qint8``) has the type of its
            numbers.
    """
    plain = name[1:] if name.startswith(("qint", "quint")) else name
    found = getattr(ml_dtypes, plain, None)
    if found is None and plain in np.sctypeDict and plain != "str":
        found = plain
    return None if found is None else np.dtype(found)


def to_numpy(array: Array) -> Any:  # noqa: ANN401 - an array of any type
    """Return a NumPy array, with strings as objects; None for a type without numbers."""
    name = dtypes.name(array.dtype)
    if name == _STRING:
        made = np.empty(len(array.strings), object)
        made[:] = array.strings
        return made.reshape(array.shape)
    found = numpy_type(name)
    return None if found is None else np.frombuffer(array.data, found).reshape(array.shape)


def from_numpy(array: Any, dtype: str) -> Array:  # noqa: ANN401 - an array of any type
    """Return an array in the form of the runtime.

    Args:
        array: Numbers or, for strings, ``bytes``; any order of bytes and of axes.
        dtype: The name of its type in TensorFlow.
    """
    number = dtypes.number(dtype)
    if dtype == _STRING:
        return Array(number, array.shape, strings=tuple(array.ravel().tolist()))
    native = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return Array(number, array.shape, data=native.tobytes())


def array_of(tensor: bytes) -> Array:
    """Return the array that a serialized ``TensorProto`` holds.

    Raises:
        UnmakeableError: The bytes are not a ``TensorProto``, its shape is not complete or is too
            large, its content does not fit its shape, or its type has no numbers.
    """
    try:
        message = schema.TensorProto.FromString(tensor)
    except DecodeError as error:
        raise UnmakeableError(f"a tensor cannot be decoded: {error}") from error
    name = dtypes.name(message.dtype)
    shape = shape_from_proto(message.tensor_shape)
    if shape is None or any(size is None for size in shape):
        raise UnmakeableError("a tensor has no complete shape")
    sizes = tuple(size or 0 for size in shape)
    count = math.prod(sizes)
    if count > _MOST:
        raise UnmakeableError(f"a tensor has {count} elements, which are too many")
    try:
        np.broadcast_to(np.uint8(0), sizes)
    except ValueError as error:
        raise UnmakeableError(f"a tensor has a shape that NumPy does not have: {error}") from error
    if name == "string":
        strings = (
            _strings(message.tensor_content, count)
            if message.tensor_content
            else _filled([*message.string_val], count, b"")
        )
        return Array(message.dtype, sizes, strings=tuple(strings))
    kind = numpy_type(name)
    if kind is None:
        raise UnmakeableError(f"a tensor has the type {name}, which is not fed")
    if message.tensor_content:
        there, needed = len(message.tensor_content), count * kind.itemsize
        if there != needed:
            raise UnmakeableError(f"a tensor has {there} bytes, but its shape needs {needed}")
        return Array(message.dtype, sizes, data=bytes(message.tensor_content))
    return from_numpy(_numbers(message, name, kind, count).reshape(sizes), name)


def _numbers(message: Any, name: str, kind: Any, count: int) -> Any:  # noqa: ANN401 - a TensorProto, a dtype, an array
    if name in _HALVES:
        halves = np.array(_filled([*message.half_val], count, 0), np.int64)
        return halves.astype(np.uint16).view(kind)
    if name.startswith(("float8", "float4")):
        return np.array(_filled([*message.float8_val], count, 0), np.uint8).view(kind)
    values = [*getattr(message, _LISTS.get(name, "int_val"))]
    if name.startswith("complex"):
        pairs = zip(values[::2], values[1::2], strict=False)
        values = [complex(real, imaginary) for real, imaginary in pairs]
    # NumPy makes a float64 of a list that has both large and small numbers of uint64.
    read = np.uint64 if name == "uint64" else None
    return np.array(_filled(values, count, 0), read).astype(kind)


def _strings(content: bytes, count: int) -> list[bytes]:
    """Return the strings of a ``tensor_content``: first all lengths, then all strings.

    Raises:
        UnmakeableError: It does not have this number of strings.
    """
    lengths, at = [], 0
    try:
        for _ in range(count):
            length, at = wire.read_varint(content, at, len(content))
            lengths.append(length)
    except ModelUnreadableError as error:
        raise UnmakeableError(f"strings of a tensor cannot be decoded: {error}") from error
    if at + sum(lengths) != len(content):
        raise UnmakeableError(f"a tensor has {len(content)} bytes, and its strings need others")
    ends = itertools.accumulate(lengths, initial=at)
    return [content[start:end] for start, end in itertools.pairwise(ends)]


def _filled(values: list[Any], count: int, zero: Any) -> list[Any]:  # noqa: ANN401 - elements
    """Return this count of values; the last one is repeated for those that are missing."""
    last = values[-1] if values else zero
    return values[:count] + [last] * (count - len(values))


def tensor_of(array: Array) -> bytes:
    """Return an array as a serialized ``TensorProto``."""
    message = schema.TensorProto(dtype=array.dtype)
    message.tensor_shape.SetInParent()  # of a scalar, whose shape has no dimensions
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    if array.dtype == dtypes.number("string"):
        message.string_val.extend(array.strings)
    else:
        message.tensor_content = array.data
    return bytes(message.SerializeToString(deterministic=True))
