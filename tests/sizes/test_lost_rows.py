"""Faults that ``check --run`` finds: lost rows, sizes that do not run, calls into Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Feeding

Model = Callable[[str], Path]

RUN = CheckOptions(validate="runtime", run=Feeding("ones"))


def _faults(directory: Path, feeding: Feeding | None = None) -> set[tuple[str, str]]:
    options = CheckOptions(validate="runtime", run=feeding)
    report = smpatch.check(directory, options=options)
    return {(each.code, each.where.split("'")[1]) for each in report.faults}


def test_a_row_that_is_dropped_in_silence_is_a_fault(model: Model) -> None:
    directory = model("lossy")
    assert _faults(directory) == set()
    assert _faults(directory, Feeding("random", batches=(1,))) == set()
    assert ("run-batch", "first") in _faults(directory, Feeding("random", batches=(1, 2)))


def test_strings_that_run_at_one_size_alone_are_a_fault(model: Model) -> None:
    found = _faults(model("lossy"), Feeding("ones", batches=(1, 2)))
    assert ("run-fails", "one") in found


def test_a_call_into_python_is_a_fault_without_a_run(model: Model) -> None:
    found = _faults(model("python"))
    assert found == {("python-function", "strings"), ("python-function", "branch")}


def test_a_call_into_python_is_no_matter_of_the_values(model: Model) -> None:
    directory = model("python")
    report = smpatch.check(directory, options=RUN)
    assert {key for key, _ in report.ran} == {"plain"}
    assert "not-run" not in {each.code for each in report.findings}


@pytest.mark.own_children
def test_a_call_into_python_is_the_same_fault_behind_another_model(model: Model) -> None:
    """The runtime may then have a kernel for the operation, which finds no Python to call."""
    directory = model("python")
    with smpatch.Session(check_options=RUN) as session:
        session.check(model("lossy"))
        for report in (session.check(directory), smpatch.check(directory, options=RUN)):
            faults = {(each.code, each.where) for each in report.faults}
            assert ("run-fails", "signature 'strings'") in faults
            assert "not-run" not in {each.code for each in report.findings}
