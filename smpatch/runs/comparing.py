"""The comparison of two values of one output: are they the same, and by how much do they differ?

Without a tolerance, they are the same if their bits are the same, so that a NaN equals a NaN with
the same bits. With a tolerance, numbers with a fraction may differ as in ``numpy.allclose`` with
``equal_nan``; whole numbers, truth values and strings may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smpatch import dtypes
from smpatch.runs.arrays import to_numpy
from smpatch.runtime.questions import Array


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The allowed difference of numbers with a fraction: ``absolute + relative * |reference|``.

    Attributes:
        relative: Share of the reference's absolute value.
        absolute: A number that is added to it; if both are 0, all bits must be the same.
    """

    relative: float = 0.0
    absolute: float = 0.0


EXACT = Tolerance()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison of two values of one output.

    Attributes:
        same: Whether they are the same, within the tolerance.
        elements: The number of compared elements.
        different: The number of them that differ by more than the tolerance.
        absolute: The largest absolute difference, infinite if one of two is not a number;
            None for strings, and if types or shapes differ.
        relative: The largest difference relative to the reference's absolute value,
            infinite if that is 0 and the other is not; None as above.
        found: The difference of types or shapes, as text; empty if they are equal.
    """

    same: bool
    elements: int = 0
    different: int = 0
    absolute: float | None = None
    relative: float | None = None
    found: str = ""

    def __str__(self) -> str:
        """Return the difference as text."""
        if self.found:
            return self.found
        if self.same:
            by = f", to {self.absolute:g} (relative: {self.relative:g})" if self.absolute else ""
            return f"all elements agree ({self.elements:,}){by}"
        text = f"{self.different:,} of {self.elements:,} elements differ"
        if self.absolute is None:
            return text
        if self.absolute == 0:
            return f"{text} in their bits, and not as numbers (zeros of two signs, or two NaNs)"
        return f"{text}, by {self.absolute:g} at most (relative: {self.relative:g})"


def compare(
    value: Sequence[Array], reference: Sequence[Array], tolerance: Tolerance = EXACT
) -> Comparison:
    """Compare the tensors of an output with those that they should equal, in the same order."""
    if len(value) != len(reference):
        return Comparison(same=False, found=f"{len(value)} tensors, not {len(reference)}")
    return worst(_compare(*pair, tolerance) for pair in zip(value, reference, strict=True))


def worst(comparisons: Iterable[Comparison]) -> Comparison:
    """Join several comparisons: return the sum of elements and the largest differences."""
    each = list(comparisons)
    return Comparison(
        same=all(one.same for one in each),
        elements=sum(one.elements for one in each),
        different=sum(one.different for one in each),
        absolute=max((one.absolute for one in each if one.absolute is not None), default=None),
        relative=max((one.relative for one in each if one.relative is not None), default=None),
        found=next((one.found for one in each if one.found), ""),
    )


def _compare(value: Array, reference: Array, tolerance: Tolerance) -> Comparison:
    if value.dtype != reference.dtype:
        names = dtypes.name(value.dtype), dtypes.name(reference.dtype)
        return Comparison(same=False, found=f"the type is {names[0]}, not {names[1]}")
    if value.shape != reference.shape:
        found = f"the shape is {list(value.shape)}, not {list(reference.shape)}"
        return Comparison(same=False, found=found)
    name = dtypes.name(value.dtype)
    if name == "string":
        pairs = zip(value.strings, reference.strings, strict=True)
        different = sum(one != other for one, other in pairs)
        return Comparison(not different, len(value.strings), different)
    ours, theirs = to_numpy(value), to_numpy(reference)
    if ours is None:
        same = value.data == reference.data
        return Comparison(same, 1, int(not same))
    has_fractions = "float" in name or "complex" in name
    near = _same_bits(ours, theirs)
    with np.errstate(all="ignore"):
        ours, theirs = _wide(ours), _wide(theirs)
        equal = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        size = np.abs(theirs)
        absolute = _difference(np.abs(ours - theirs), equal)
        relative = _difference(absolute / size, equal)
        if has_fractions and tolerance != EXACT:
            allowed = tolerance.absolute + tolerance.relative * size
            near = equal | (np.isfinite(absolute) & (absolute <= allowed))
    return Comparison(
        same=bool(near.all()),
        elements=near.size,
        different=int(near.size - near.sum()),
        absolute=float(absolute.max(initial=0)),
        relative=float(relative.max(initial=0)),
    )


def _same_bits(one: Any, other: Any) -> Any:  # noqa: ANN401 - arrays of any type
    raw = (each.reshape(-1, 1).view(np.uint8) for each in (one, other))
    return np.equal(*raw).all(axis=1)


def _difference(found: Any, equal: Any) -> Any:  # noqa: ANN401 - arrays of any type
    """Return differences: 0 for equal numbers, and infinite if one of two is not a number."""
    return np.where(equal, 0, np.where(np.isnan(found), np.inf, found))


def _wide(array: Any) -> Any:  # noqa: ANN401 - an array of any type
    """Return a row of numbers in a type in which a difference of any two of them is exact."""
    return array.ravel().astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)
