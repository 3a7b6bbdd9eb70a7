"""Defaults with another batch size than the inputs: the check reports what a session does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, EditSignature, Feeding, Finding, Options
from smpatch.checker.running import forms
from smpatch.runs.arrays import from_numpy, to_numpy
from smpatch.signature import TensorSpec
from tests.checker.faults import FIXTURES
from tests.oracle.client import Oracle

ONE_ROW, THREE_ROWS = [[2.0]], [[2.0], [2.0], [2.0]]


@pytest.fixture
def model(tmp_path: Path, oracle: Oracle) -> Path:
    """Signatures with two inputs, without defaults."""
    oracle.ask("build", name="two_inputs", directory=tmp_path / "model")
    return tmp_path / "model"


def _with(directory: Path, key: str, value: object) -> list[Finding]:
    edit = EditSignature(key, defaults={"k": value})
    smpatch.patch(directory, [edit], options=Options(validate="none"))
    run = CheckOptions(validate="runtime", run=Feeding("ones", batches=(1, 3)), signatures=[key])
    report = smpatch.check(directory, options=run)
    # If all inputs are fed, it runs for both batches.
    assert report.ran == ((key, (1, 3)),)
    return [each for each in report.findings if each.code.startswith("default")]


def test_a_default_of_one_row_that_is_joined_to_three_fails(model: Path) -> None:
    note, fault = _with(model, "joined", ONE_ROW)
    assert (note.code, note.severity) == ("default-batch", "note")
    assert "its shape is [1, 1]" in note.text
    assert (fault.code, fault.severity) == ("default-fails", "fault")
    assert "batch 3: " in fault.text


def test_a_default_of_one_row_that_is_broadcast_is_no_fault(model: Path) -> None:
    (note,) = _with(model, "scaled", ONE_ROW)
    assert note.code == "default-batch"


def test_a_default_of_three_rows_is_offered_as_one(model: Path) -> None:
    note, *faults = _with(model, "scaled", THREE_ROWS)
    assert "[1, 1]" in note.hint
    # TensorFlow broadcasts one row to three: the output has three rows, and no session fails.
    assert faults == []
    found = _with(model, "joined", THREE_ROWS)
    fault = found[-1]
    assert (fault.code, "batch 1: " in fault.text) == ("default-fails", True)
    assert fault.hint == "the same default of 'k' as [1, 1] works"


def test_a_default_is_offered_as_a_scalar_where_the_graph_takes_one(model: Path) -> None:
    note, fault = _with(model, "any_rank", [[2.0], [2.0]])
    assert "a scalar is broadcast" in note.hint
    assert fault.code == "default-fails"
    assert fault.hint == "the same default of 'k' as [1, 1] works"
    assert _with(model, "any_rank", 2.0) == []


def test_without_an_open_batch_beside_it_a_default_has_the_rows_that_it_has(model: Path) -> None:
    edit = EditSignature("scaled", defaults={"k": ONE_ROW, "x": [[1.0, 2.0]]})
    smpatch.patch(model, [edit], options=Options(validate="none"))
    findings = smpatch.check(model, options=CheckOptions(validate="none")).findings
    assert "default-batch" not in {each.code for each in findings}


def test_a_contract_may_leave_an_input_with_a_default_out(model: Path) -> None:
    contract = "scaled: x:float32[?,2] -> y:float32"
    options = CheckOptions(validate="none", require=[contract])
    assert [each.code for each in smpatch.check(model, options=options).faults] == [
        "required-input"
    ]
    edit = EditSignature("scaled", defaults={"k": ONE_ROW})
    smpatch.patch(model, [edit], options=Options(validate="none"))
    assert smpatch.check(model, options=options).ok


def test_a_file_of_values_may_leave_an_input_with_a_default_out(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(FIXTURES / "defaults", tmp_path / "model"))
    np.savez(tmp_path / "a.npz", x=np.ones(3, "float32"))
    run = CheckOptions(validate="runtime", run=Feeding(file=tmp_path / "a.npz"))
    report = smpatch.check(directory, options=run)
    assert (report.findings, report.ran) == ((), (("serving_default", (3,)),))


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        (np.full((3, 2), 4, "float32"), (None, 2), [(1, 2)]),
        (np.full((3, 2), 4, "float32"), None, [(1, 2), ()]),
        (np.array([[1, 2], [1, 2]], "int64"), None, [(1, 2)]),
        (np.array([1, 2], "int64"), None, []),
        (np.array([b"a", b"a"], object), None, [(1,), ()]),
        (np.array([b"a", b"b"], object), (None,), []),
        (np.zeros((0, 2), "float32"), None, []),
        (np.array(1.0, "float32"), None, []),
    ],
)
def test_only_a_default_of_equal_rows_has_other_forms(
    value: Any,  # noqa: ANN401 - arrays of any type
    shape: tuple[int | None, ...] | None,
    expected: list[tuple[int, ...]],
) -> None:
    dtype = "string" if value.dtype == object else value.dtype.name
    found = list(forms(from_numpy(value, dtype), TensorSpec("k:0", dtype, shape)))
    assert [each.shape for each in found] == expected
    for each in found:
        assert np.array_equal(np.broadcast_to(to_numpy(each), value.shape), value)


def test_a_default_whose_bytes_do_not_fit_its_shape_is_a_fault(tmp_path: Path) -> None:
    """TensorFlow does not read it, so that each request that leaves the input out fails."""
    directory = Path(shutil.copytree(FIXTURES / "defaults", tmp_path / "model"))
    file = directory / "saved_model.pb"
    data, four = file.read_bytes(), b"\x2a\x04\x00\x00\x80\x40"
    assert data.count(four) == 1
    # Two bytes of content, and a field of two bytes that has no meaning here.
    file.write_bytes(data.replace(four, b"\x22\x02\x00\x00\x18\x00"))
    (fault,) = smpatch.check(directory, options=CheckOptions(validate="none")).faults
    assert (fault.code, fault.text) == ("default-shape", "it has 2 bytes, and its shape needs 4")
