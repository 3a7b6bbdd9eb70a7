"""Runs of signatures: values that smpatch makes up, values that users give, and the findings."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Report, UsageError
from smpatch.runs.values import Filling
from tests.checker.faults import FIXTURES
from tests.oracle.client import Oracle


def _run(directory: Path, feeding: Feeding) -> Report:
    options = CheckOptions(validate="runtime", run=feeding)
    return smpatch.check(directory, options=options)


def test_all_signatures_run_for_each_batch() -> None:
    report = _run(FIXTURES / "keras_functional", Feeding("random", 7, (1, 3)))
    assert report.ok
    assert report.ran == (("serve", (1, 3)), ("serving_default", (1, 3)))


def test_without_a_batch_there_is_one_run() -> None:
    report = _run(FIXTURES / "scalar", Feeding(batches=(1, 3)))
    assert report.ran == (("double", (1,)),)


@pytest.mark.parametrize("name", ["sparse", "ragged", "ragged_sparse_inputs", "strings"])
def test_what_holds_several_tensors_is_not_blamed_for_what_was_made_up(name: str) -> None:
    assert _run(FIXTURES / name, Feeding("ones")).ok


def test_a_signature_with_a_fault_is_not_run_and_the_others_are() -> None:
    report = _run(FIXTURES / "wrong_tensor_info", Feeding())
    assert report.ran == (("serving_default", (1,)),)
    assert {each.code for each in report.faults} == {"dtype", "missing-tensor"}


@pytest.mark.parametrize("filling", ["zeros", "ones", "random"])
def test_examples_are_made_up_as_the_model_parses_them(filling: Filling) -> None:
    report = _run(FIXTURES / "classify_regress", Feeding(filling, batches=(1, 3)))
    assert report.ok
    assert report.findings == ()
    signatures = smpatch.load(FIXTURES / "classify_regress").signatures
    assert report.ran == tuple((key, (1, 3)) for key in signatures)


def test_a_full_disk_is_an_error_of_one_model_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run makes a temporary directory; the error was Python's, and ended ``check_all``."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    options = CheckOptions(validate="runtime", run=Feeding())
    for each in smpatch.check_all([FIXTURES / "linear", FIXTURES / "scalar"], options=options):
        assert isinstance(each.error, smpatch.WriteError)
        assert "cannot be checked: no such file or directory" in str(each.error)


@pytest.mark.own_children
def test_a_loader_that_gave_no_answer_has_not_loaded() -> None:
    report = smpatch.check(FIXTURES / "linear", options=CheckOptions(time_limit=0.01))
    assert {each.code for each in report.faults} == {"loader-hangs"}
    assert report.loaders == ()


def test_given_values_are_fed_and_their_failure_is_the_models(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez(good, x=np.ones((4, 2), "float32"))
    np.savez(bad, x=np.ones((4, 3), "float32"))
    report = _run(FIXTURES / "module", Feeding(file=good))
    assert report.ok
    assert report.ran == (("serving_default", (4,)),)
    (fault,) = _run(FIXTURES / "module", Feeding(file=bad)).faults
    assert fault.code == "run-fails"
    assert "with the values given" in fault.text


def test_a_file_that_names_no_input_is_a_slip(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", z=np.ones(1))
    with pytest.raises(UsageError, match="names no input of any signature: z"):
        _run(FIXTURES / "module", Feeding(file=tmp_path / "a.npz"))


def test_a_file_that_feeds_a_part_of_a_signature_is_a_fault(tmp_path: Path) -> None:
    inputs = smpatch.load(FIXTURES / "unsorted_keys").signatures["serving_default"].inputs
    named: dict[str, Any] = {f"serving_default/{next(iter(inputs))}": np.ones(1, "float32")}
    np.savez(tmp_path / "a.npz", **named)
    report = _run(FIXTURES / "unsorted_keys", Feeding(file=tmp_path / "a.npz"))
    (fault,) = report.faults
    assert (fault.code, report.ran) == ("run-fails", ())
    assert "lacks" in fault.text or "no value" in fault.text, fault.text


def test_a_shape_that_the_run_belies_is_found(tmp_path: Path, oracle: Oracle) -> None:
    # The graph records no shape for the output, and the signature has a wrong shape.
    directory = Path(shutil.copytree(FIXTURES / "unknown_rank", tmp_path / "model"))
    oracle.ask("plant", directory=directory, fault="contradicting_shape_output")
    report = _run(directory, Feeding())
    assert {each.code for each in report.faults} == {"run-shape"}


def test_sizes_and_runs_that_make_no_sense_are_refused() -> None:
    model = FIXTURES / "module"
    for options, words in (
        (CheckOptions(validate="none", run=Feeding()), "nothing can be run"),
        (CheckOptions(run=Feeding(batches=())), "a batch has a size"),
        (CheckOptions(time_limit=float("nan")), "not a number of seconds"),
        (CheckOptions(validate="auto"), "not a way to validate"),  # type: ignore[arg-type]
        (CheckOptions(consumers=("torch",)), "not a consumer"),  # type: ignore[arg-type]
        (CheckOptions(op_libraries=("gone.so",)), "no such file"),
    ):
        with pytest.raises(UsageError, match=words):
            smpatch.check(model, options=options)
