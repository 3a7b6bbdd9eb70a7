"""Values to feed: made up by a rule, in the type and shape that a signature says.

A dimension of unknown size is the batch when it is the first one, and 1 otherwise. Sparse
and ragged tensors are fed without any value: whatever they could hold is not known here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smpatch import dtypes
from smpatch.runs.arrays import from_numpy, numpy_type
from smpatch.runs.examples import Feature, example
from smpatch.runs.feeding import Filling
from smpatch.runtime.answers import Array
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec

__all__ = ["UnmakeableError", "has_batch", "made_up"]

_MOST = 1 << 28
"""More elements are not made up: a shape that says so is no request that anybody sends."""


class UnmakeableError(Exception):
    """No value can be made up; says why."""


def made_up(
    inputs: Mapping[str, Spec],
    filling: Filling,
    *,
    batch: int = 1,
    seed: int = 0,
    wanted: Mapping[bytes, Feature] | None = None,
) -> dict[str, tuple[Array, ...]]:
    """Make up values for all inputs of a signature.

    Args:
        inputs: Alias to spec.
        filling: ``zeros`` and ``ones`` as they say (empty strings and ``1``); ``random``
            numbers from 0 to 1, whole ones 0 or 1, that any table of embeddings has.
        batch: Size of the first dimension where it is unknown.
        seed: Of the random numbers.
        wanted: Features; strings are serialized examples that have them.

    Returns:
        Alias to the values of the tensors that the spec names, in the order of its
        ``tensors()``. Each alias has its own random numbers, whatever other inputs there are.

    Raises:
        UnmakeableError: Of a type or shape nothing can be made up.
    """
    return {
        alias: _Rule(filling, batch, seed, alias, wanted or {}).made(spec)
        for alias, spec in inputs.items()
    }


def has_batch(inputs: Mapping[str, Spec]) -> bool:
    """Tell whether some input has a first dimension of unknown size."""
    return any(
        not isinstance(spec, TensorSpec) or spec.shape is None or spec.shape[:1] == (None,)
        for spec in inputs.values()
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    """How the values of one input are made up."""

    filling: Filling
    batch: int
    seed: int
    alias: str
    wanted: Mapping[bytes, Feature]

    def made(self, spec: Spec) -> tuple[Array, ...]:
        if isinstance(spec, CompositeTensorSpec):
            return self._ragged(spec)
        if isinstance(spec, SparseTensorSpec):
            shape = (None, None) if spec.shape is None else spec.shape
            sizes = self._sizes(shape)
            return (
                _array(spec.dtype, np.zeros(0)),
                _array("int64", np.zeros((0, len(sizes)))),
                _array("int64", np.array(sizes)),
            )
        return (self._dense(spec),)

    def _ragged(self, spec: CompositeTensorSpec) -> tuple[Array, ...]:
        if spec.type_name != "RaggedTensorSpec" or len(spec.tensors()) == 1:
            message = f"a {spec.type_name} is nothing that can be made up"
            raise UnmakeableError(message)
        values, *splits = spec.tensors()
        sizes = (0, *(1 if size is None else size for size in (values.shape or (None,))[1:]))
        rows = (self.batch + 1, *(1 for _ in splits[1:]))
        return (
            _array(values.dtype, np.zeros(sizes)),
            *(
                _array(each.dtype, np.zeros(count))
                for each, count in zip(splits, rows, strict=True)
            ),
        )

    def _dense(self, spec: TensorSpec) -> Array:
        # Of an unknown rank a row of numbers is as good as anything.
        sizes = self._sizes((None,) if spec.shape is None else spec.shape)
        if math.prod(sizes) > _MOST:
            message = f"{spec.name} of shape {list(sizes)} is too large to be made up"
            raise UnmakeableError(message)
        if self.wanted and dtypes.base(spec.dtype) == "string":
            return self._examples(sizes)
        return _array(spec.dtype, self._numbers(spec.dtype, sizes))

    def _examples(self, sizes: tuple[int, ...]) -> Array:
        made = [example(self.wanted, self.filling, self.seed + n) for n in range(math.prod(sizes))]
        return Array(dtypes.number("string"), sizes, strings=tuple(made))

    def _numbers(self, dtype: str, sizes: tuple[int, ...]) -> Any:  # noqa: ANN401 - an array of any type
        if self.filling != "random":
            return np.full(sizes, float(self.filling == "ones"))
        source = np.random.default_rng([self.seed, zlib.crc32(self.alias.encode())])
        name = dtypes.base(dtype)
        if name.startswith("complex"):
            return source.random(sizes) + 1j * source.random(sizes)
        return source.random(sizes) if "float" in name else source.integers(0, 2, sizes)

    def _sizes(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return tuple(
            (1 if place else self.batch) if size is None else size
            for place, size in enumerate(shape)
        )


def _array(dtype: str, numbers: Any) -> Array:  # noqa: ANN401 - an array of any type
    name = dtypes.base(dtype)
    if name == "string":
        return from_numpy(np.where(numbers != 0, b"1", b""), name)
    wanted = numpy_type(name)
    if wanted is None:
        message = f"of type {name} nothing can be made up"
        raise UnmakeableError(message)
    return from_numpy(numbers.astype(wanted), name)
