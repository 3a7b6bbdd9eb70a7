"""Names of element types against TensorFlow's, and numbers that no release has yet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch import dtypes, schema
from tests.tensorflow_says import OLDEST, ask


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The name ``tf.DType(number).name`` of each number."""
    said: dict[str, Any] = ask("descriptors", tmp_path_factory)
    return {int(number): name for number, name in said["names"].items()}


def test_names_are_tensorflows(theirs: dict[int, str]) -> None:
    assert len(theirs) == (54 if OLDEST else 66)
    assert {number: dtypes.name(number) for number in theirs} == theirs


def test_no_number_is_left_out(theirs: dict[int, str]) -> None:
    own = set(schema.DataType.values())
    assert own >= {0, *theirs}
    assert OLDEST or own == {0, *theirs}


@given(st.sampled_from(sorted(schema.DataType.values())) | st.integers(-(2**31), 2**31 - 1))
def test_a_number_comes_back_from_its_name(number: int) -> None:
    assert dtypes.number(dtypes.name(number)) == number


def test_the_reference_to_no_type_comes_back_too() -> None:
    """A flipped byte makes such a number; its name was unknown, which ended in a traceback."""
    assert dtypes.name(100) == dtypes.ref(dtypes.INVALID)
    assert dtypes.number(dtypes.ref(dtypes.INVALID)) == 100


def test_a_newer_writers_number_keeps_a_name() -> None:
    assert dtypes.name(77) == "DT_77"
    assert dtypes.number("DT_77") == 77


def test_a_reference_to_a_newer_writers_type_comes_back_too() -> None:
    assert dtypes.ref("DT_77") == dtypes.name(177) == "DT_77_ref"
    assert dtypes.number("DT_77_ref") == 177
    assert dtypes.base("DT_77_ref") == "DT_77"


@pytest.mark.parametrize(
    "name", ["", "float", "FLOAT32", "DT_FLOAT", "DT_", "DT_x", "77", "DT_-", "DT_7_"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no TensorFlow type is called"):
        dtypes.number(name)


def test_zero_is_invalid() -> None:
    assert dtypes.name(0) == dtypes.INVALID == "invalid"


@pytest.mark.parametrize("number", [n for n in schema.DataType.values() if 0 < n < 100])
def test_a_reference_is_a_hundred_more(number: int) -> None:
    plain, reference = dtypes.name(number), dtypes.name(number + 100)
    assert dtypes.ref(plain) == dtypes.ref(reference) == reference
    assert dtypes.base(reference) == dtypes.base(plain) == plain
    assert dtypes.is_ref(reference)
    assert not dtypes.is_ref(plain)


def test_handles_are_unservable() -> None:
    handles = {schema.DataType["DT_RESOURCE"], schema.DataType["DT_VARIANT"]}
    assert {dtypes.number(name) for name in dtypes.UNSERVABLE} == handles
