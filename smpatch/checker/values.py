"""Values to feed: made up by a rule, in the type and shape that a signature says.

A dimension of unknown size is the batch when it is the first one, and 1 otherwise. Sparse
and ragged tensors are fed without any value: whatever they could hold is not known here.

No NumPy is needed: an array is a type, a shape and the bytes of its elements.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from smpatch import dtypes
from smpatch.runtime.answers import Array
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec

__all__ = ["ITEMS", "Filling", "UnmakeableError", "feeds", "has_batch"]

Filling = Literal["zeros", "ones", "random"]

ITEMS: Mapping[str, tuple[str, int]] = {
    "float16": ("e", 1),
    "float32": ("f", 1),
    "float64": ("d", 1),
    "int8": ("b", 1),
    "int16": ("h", 1),
    "int32": ("i", 1),
    "int64": ("q", 1),
    "uint8": ("B", 1),
    "uint16": ("H", 1),
    "uint32": ("I", 1),
    "uint64": ("Q", 1),
    "bool": ("?", 1),
    "complex64": ("f", 2),
    "complex128": ("d", 2),
    "qint8": ("b", 1),
    "quint8": ("B", 1),
    "qint16": ("h", 1),
    "quint16": ("H", 1),
    "qint32": ("i", 1),
}
"""Type name to the code of its numbers in ``struct``, and how many of them an element is."""

_FRACTIONS = frozenset("efd")

_HALF_OF_FLOAT = "bfloat16"
"""The upper half of a float32, for which ``struct`` has no code."""

_MOST = 1 << 28
"""More elements are not made up: a shape that says so is no request that anybody sends."""


class UnmakeableError(Exception):
    """No value can be made up; says why."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How values are made up: by which filling, for which batch, from which seed."""

    filling: Filling
    batch: int
    seed: int

    def numbers(self, name: str, count: int, *, fractions: bool) -> Iterator[float]:
        if self.filling != "random":
            return iter([float(self.filling == "ones")] * count)
        # Of each tensor its own, so that values do not hang on the order of inputs.
        source = random.Random(f"{self.seed} {name}")  # noqa: S311 - no secrets, but repeatable values
        if fractions:
            return (source.random() for _ in range(count))
        return (float(source.getrandbits(1)) for _ in range(count))


def feeds(
    inputs: Mapping[str, Spec], filling: Filling, *, batch: int = 1, seed: int = 0
) -> dict[str, Array]:
    """Make up values for all inputs of a signature.

    Args:
        inputs: Alias to spec.
        filling: ``zeros`` and ``ones`` as they say (empty strings and ``1``); ``random``
            numbers from 0 to 1, whole ones 0 or 1, that any table of embeddings has.
        batch: Size of the first dimension where it is unknown.
        seed: Of the random numbers.

    Returns:
        Tensor name to value.

    Raises:
        UnmakeableError: Of a type or shape nothing can be made up.
    """
    rule = _Rule(filling, batch, seed)
    made: dict[str, Array] = {}
    for spec in inputs.values():
        made |= _made(spec, rule)
    return made


def has_batch(inputs: Mapping[str, Spec]) -> bool:
    """Tell whether some input has a first dimension of unknown size."""
    return any(
        not isinstance(spec, TensorSpec) or spec.shape is None or spec.shape[:1] == (None,)
        for spec in inputs.values()
    )


def _made(spec: Spec, rule: _Rule) -> dict[str, Array]:
    if isinstance(spec, CompositeTensorSpec):
        return _ragged(spec, rule)
    if isinstance(spec, SparseTensorSpec):
        rank = 2 if spec.shape is None else len(spec.shape)
        sizes = _sizes((None,) * rank if spec.shape is None else spec.shape, rule.batch)
        return {
            spec.values: _array(spec.dtype, (0,), []),
            spec.indices: _array("int64", (0, rank), []),
            spec.dense_shape: _array("int64", (rank,), [float(each) for each in sizes]),
        }
    return {spec.name: _dense(spec, rule)}


def _ragged(spec: CompositeTensorSpec, rule: _Rule) -> dict[str, Array]:
    if spec.type_name != "RaggedTensorSpec" or len(spec.tensors()) == 1:
        message = f"a {spec.type_name} is nothing that can be made up"
        raise UnmakeableError(message)
    values, *splits = spec.tensors()
    sizes = (0, *_sizes((values.shape or (None,))[1:], 1, first=1))
    made = {values.name: _array(values.dtype, sizes, [])}
    for number, each in enumerate(splits):
        count = rule.batch + 1 if number == 0 else 1
        made[each.name] = _array(each.dtype, (count,), [0.0] * count)
    return made


def _dense(spec: TensorSpec, rule: _Rule) -> Array:
    # Of an unknown rank a row of numbers is as good as anything.
    sizes = _sizes((None,) if spec.shape is None else spec.shape, rule.batch)
    count = math.prod(sizes)
    if count > _MOST:
        message = f"{spec.name} of shape {list(sizes)} is too large to be made up"
        raise UnmakeableError(message)
    code, items = ITEMS.get(dtypes.base(spec.dtype), ("", 1))
    fractions = code in _FRACTIONS or spec.dtype == _HALF_OF_FLOAT
    return _array(
        spec.dtype, sizes, list(rule.numbers(spec.name, count * items, fractions=fractions))
    )


def _sizes(shape: tuple[int | None, ...], batch: int, first: int = 0) -> tuple[int, ...]:
    return tuple(
        (batch if place + first == 0 else 1) if size is None else size
        for place, size in enumerate(shape)
    )


def _array(dtype: str, sizes: tuple[int, ...], numbers: list[float]) -> Array:
    name = dtypes.base(dtype)
    number = dtypes.number(name)
    if name == "string":
        return Array(number, sizes, strings=tuple(b"1" if each else b"" for each in numbers))
    if name == _HALF_OF_FLOAT:
        whole = struct.pack(f"<{len(numbers)}f", *numbers)
        halves = b"".join(whole[at + 2 : at + 4] for at in range(0, len(whole), 4))
        return Array(number, sizes, data=halves)
    if name not in ITEMS:
        message = f"of type {name} nothing can be made up"
        raise UnmakeableError(message)
    return Array(number, sizes, data=_packed(ITEMS[name][0], numbers))


def _packed(code: str, numbers: list[float]) -> bytes:
    """Return numbers as the bytes of their type."""
    if code in _FRACTIONS:
        return struct.pack(f"<{len(numbers)}{code}", *numbers)
    return struct.pack(f"<{len(numbers)}{code}", *map(int, numbers))
