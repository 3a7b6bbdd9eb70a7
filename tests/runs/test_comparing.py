"""Comparisons of values; the tolerances are those of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smpatch.runs.arrays import from_numpy, numpy_type
from smpatch.runs.comparing import EXACT, Comparison, Tolerance, compare, worst
from smpatch.runtime.questions import Array

NAN, INF = float("nan"), float("inf")


def _made(values: Any, dtype: str = "float32") -> Array:  # noqa: ANN401 - numbers or lists
    if dtype == "string":
        return from_numpy(np.array(values, object), dtype)
    return from_numpy(np.array(values).astype(numpy_type(dtype)), dtype)


def _compared(
    one: Any,  # noqa: ANN401 - numbers or lists
    other: Any,  # noqa: ANN401 - as above
    dtype: str = "float32",
    near: Tolerance = EXACT,
) -> Comparison:
    return compare([_made(one, dtype)], [_made(other, dtype)], near)


NUMBERS = ("float16", "bfloat16", "float32", "float64", "float8_e5m2", "int4", "int8", "int64")


@pytest.mark.parametrize("dtype", [*NUMBERS, "uint64", "bool", "complex64", "string"])
def test_the_same_is_the_same_in_every_type(dtype: str) -> None:
    values = [b"", b"a\0"] if dtype == "string" else [0, 1]
    found = _compared(values, values, dtype)
    assert (found.same, found.elements, found.different) == (True, 2, 0)
    assert not _compared(values, values[::-1], dtype).same


@pytest.mark.parametrize("dtype", NUMBERS)
def test_the_largest_differences_are_told(dtype: str) -> None:
    found = _compared([1, 4, 0], [1, 2, 1], dtype)
    assert found == Comparison(
        same=False, elements=3, different=2, absolute=2.0, relative=1.0, found=""
    )
    assert str(found) == "2 of 3 elements differ, by 2 at most (relative: 1)"


def test_a_nan_is_the_same_as_that_nan() -> None:
    assert _compared([NAN, INF, -INF], [NAN, INF, -INF]).same
    assert _compared([NAN, INF, -INF], [NAN, INF, -INF], near=Tolerance(0, 1e-3)).same


@pytest.mark.parametrize("pair", [(NAN, 1), (1, NAN), (INF, 1), (INF, -INF), (1, INF)])
@pytest.mark.parametrize("near", [EXACT, Tolerance(0, 1e30), Tolerance(1e30)])
def test_what_is_no_number_is_near_to_no_other(pair: tuple[float, float], near: Tolerance) -> None:
    found = _compared([pair[0]], [pair[1]], near=near)
    assert (found.same, found.different, found.absolute) == (False, 1, INF)


def test_bits_that_differ_in_equal_numbers_are_a_difference_without_a_tolerance() -> None:
    found = _compared([0.0, 1.0], [-0.0, 1.0])
    assert (found.same, found.different, found.absolute) == (False, 1, 0.0)
    assert "zeros of two signs" in str(found)
    assert _compared([0.0], [-0.0], near=Tolerance(0, 1e-30)).same
    other_nan = Array(1, (1,), bytes.fromhex("0100c07f"))
    assert not compare([other_nan], [_made([NAN])]).same


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ([1.0, 100.0], [1.0, 101.0], Tolerance(0.01)),
        ([1.0, 100.0], [1.0, 101.5], Tolerance(0.01)),
        ([1.0, 0.0], [1.001, 0.0], Tolerance(0, 0.01)),
        ([1.0, 0.0], [1.02, 0.0], Tolerance(0, 0.01)),
        ([0.1], [0.0], Tolerance(9)),
        ([0.1], [0.0], Tolerance(9, 0.1)),
    ],
)
def test_tolerances_are_those_of_numpy(
    one: list[float], other: list[float], near: Tolerance
) -> None:
    expected = np.allclose(one, other, rtol=near.relative, atol=near.absolute, equal_nan=True)
    assert _compared(one, other, "float64", near).same == expected


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_no_tolerance_is_given_to_whole_numbers(dtype: str) -> None:
    assert not _compared([0], [1], dtype, Tolerance(5, 5)).same


def test_large_whole_numbers_that_differ_by_one() -> None:
    found = _compared([2**63 - 1], [2**63 - 2], "int64")
    assert (found.different, found.absolute) == (1, 1.0)


def test_shapes_and_types_are_compared_first() -> None:
    assert str(_compared([[1]], [1])) == "the shape is [1, 1], not [1]"
    found = compare([_made(1)], [_made(1, "int32")])
    assert str(found) == "the type is float32, not int32"
    assert str(compare([_made(1)], [_made(1)] * 3)) == "1 tensors, not 3"


@pytest.mark.parametrize("dtype", ["float32", "string", "int4"])
def test_nothing_is_the_same_as_nothing(dtype: str) -> None:
    empty = np.zeros((0, 2), object if dtype == "string" else numpy_type(dtype))
    found = compare([from_numpy(empty, dtype)], [from_numpy(empty, dtype)])
    assert (found.same, found.elements) == (True, 0)


def test_several_comparisons_are_as_bad_as_the_worst() -> None:
    near, far = _compared([1], [1.5]), _compared([1, 1], [4, 4])
    found = worst([near, far])
    assert (found.different, found.elements, found.absolute, found.same) == (3, 3, 3.0, False)
    assert worst([]).same
