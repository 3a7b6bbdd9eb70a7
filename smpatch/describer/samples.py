"""Sample values for requests: zeros and empty strings, in the shape that a signature has.

An open first dimension has the size of the batch, any other open dimension has size 1, and a
tensor of unknown rank becomes a row. This module needs no NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from smpatch import dtypes
from smpatch.describer.subject import Subject, refuse
from smpatch.signature import TensorSpec

__all__ = ["Sample", "nested", "sample", "samples"]

_HIGHEST_RANK = 254
"""TensorFlow has no tensor of more dimensions (``TensorShape::MaxDimensions``)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value for a dense input: all its elements are the same.

    Attributes:
        alias: The name of the input.
        dtype: The type, without ``_ref``.
        shape: The sizes of the dimensions.
        element: 0.0, 0, False or ``b""``.
    """

    alias: str
    dtype: str
    shape: tuple[int, ...]
    element: object

    @property
    def lists(self) -> int:
        """The number of elements, or of lists where a size is 0."""
        return math.prod(max(size, 1) for size in self.shape)


def samples(subject: Subject, batch: int) -> list[Sample]:
    """Return a sample for each input of a signature, all of which are dense.

    Raises:
        RefusedError: A shape is none that a tensor can have.
    """
    made = []
    for alias, spec in subject.signature.inputs.items():
        if isinstance(spec, TensorSpec):
            if spec.shape is not None and len(spec.shape) > _HIGHEST_RANK:
                found = f"it has {len(spec.shape)} dimensions, and a tensor has at most 254"
                refuse(subject, f"input {alias!r}", found)
            made.append(sample(alias, spec, batch))
    return made


def sample(alias: str, spec: TensorSpec, batch: int) -> Sample:
    """Return a sample for an input.

    Args:
        alias: The name of the input.
        spec: Its tensor.
        batch: The size of the first dimension if it is open.

    Example:
        >>> sample("x", TensorSpec("x:0", "int64", (None, 2, None)), 3).shape
        (3, 2, 1)
    """
    shape = (None,) if spec.shape is None else spec.shape
    sizes = tuple(
        (1 if place else batch) if size is None else size for place, size in enumerate(shape)
    )
    dtype = dtypes.base(spec.dtype)
    return Sample(alias, dtype, sizes, _zero(dtype))


def nested(shape: tuple[int, ...], element: object, leaf: Callable[[object], object]) -> object:
    """Return nested lists of a shape.

    Example:
        >>> nested((2, 1), 0, lambda each: each)
        [[0], [0]]
    """
    if not shape:
        return leaf(element)
    return [nested(shape[1:], element, leaf) for _ in range(shape[0])]


def _zero(dtype: str) -> object:
    if dtype == "string":
        return b""
    if dtype == "bool":
        return False
    return 0.0 if "float" in dtype else 0
