"""Signatures that Python's TensorFlow calls, and graphs that run as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from smpatch import CheckOptions, Feeding, check
from smpatch.runs.arrays import from_numpy, numpy_type, to_numpy
from smpatch.runtime import questions
from smpatch.runtime.process import Child
from smpatch.runtime.python_questions import call
from smpatch.runtime.questions import Array

LIMIT = 120.0
STRING, INT64 = 7, 9


@pytest.fixture(scope="module")
def kept(python: Child, models: Path) -> Child:
    """A child that has kept the model of many types."""
    found = questions.python_signatures(python, models / "types", None, LIMIT, keep=True)
    assert found.ok, found.message
    return python


def _values(name: str) -> Any:  # noqa: ANN401 - numpy's arrays of any type
    if name == "string":
        return np.array([b"", b"a\0", b"\xff" * 30], object)
    return np.array([0, 1, 3]).astype(numpy_type(name))


TYPES = ("float16", "bfloat16", "float64", "int8", "uint16", "int64", "bool", "complex64", "string")


def test_arrays_of_every_type_come_back_as_they_went(kept: Child) -> None:
    fed = {name: from_numpy(_values(name), name) for name in TYPES}
    said = call(kept, "same", fed, LIMIT)
    assert said.ok, said.message
    assert said.arrays == {f"{name}_out": array for name, array in fed.items()}
    for name, array in fed.items():
        assert np.array_equal(to_numpy(array), _values(name))


def test_the_dense_results_beside_a_sparse_one_come_back(kept: Child) -> None:
    text = Array(STRING, (2,), strings=(b"a b", b"c"))
    said = call(kept, "words", {"text": text}, LIMIT)
    assert said.ok, said.message
    assert {name: to_numpy(each).tolist() for name, each in said.arrays.items()} == {
        "dense": [2, 1]
    }


def test_a_sparse_result_is_no_fault_of_the_model(models: Path) -> None:
    """The check said that the model does not run in Python."""
    report = check(models / "types", options=CheckOptions(run=Feeding(), signatures="words"))
    assert not report.faults


def test_bfloat16_is_that_of_ml_dtypes() -> None:
    array = to_numpy(Array(14, (2,), bytes.fromhex("803f0040")))
    assert array.dtype == ml_dtypes.bfloat16
    assert array.tolist() == [1.0, 2.0]


def test_types_without_numbers_have_none() -> None:
    assert to_numpy(Array(21, ())) is None
    assert [numpy_type(name) for name in ("variant", "resource", "str", "DT_77")] == [None] * 4


def _in_steps() -> tuple[Array, bytes]:
    x = np.linspace(0.001, 1, 1000, dtype="float32")
    return from_numpy(x, "float32"), (x * np.float32(0.1) * np.float32(0.3)).tobytes()


def test_python_runs_a_kept_model_as_it_is_written(kept: Child) -> None:
    x, expected = _in_steps()
    assert call(kept, "steps", {"x": x}, LIMIT).arrays["y"].data == expected


@pytest.mark.parametrize("plain", [True, False])
def test_a_plain_session_runs_the_graph_as_it_is_written(
    capi: Child,
    models: Path,
    plain: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    said = questions.describe(capi, models / "types", ["serve"], [], LIMIT, keep=True, plain=plain)
    assert said.ok, said.message
    x, expected = _in_steps()
    done = questions.run(capi, {"steps_x:0": x}, ["PartitionedCall_1:0"], LIMIT)
    assert done.ok, done.message
    assert (done.arrays["PartitionedCall_1:0"].data == expected) == plain


@pytest.mark.parametrize(
    ("key", "fed", "word"),
    [
        ("gone", {}, "gone"),
        ("steps", {}, "x"),
        ("steps", {"x": Array(INT64, (2,), bytes(16))}, "float"),
    ],
)
def test_what_cannot_be_called_is_refused_in_words(
    kept: Child, key: str, fed: dict[str, Array], word: str
) -> None:
    said = call(kept, key, fed, LIMIT)
    assert not said.ok
    assert word in said.message


def test_nothing_is_left_to_call_once_another_model_was_loaded(python: Child, models: Path) -> None:
    assert questions.python_signatures(python, models / "module", None, LIMIT).ok
    assert not call(python, "steps", {"x": _in_steps()[0]}, LIMIT).ok
