"""Two halves of a TensorFlow 2 export that compute different numbers: ``check --run``."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Report
from tests.oracle import client


def _run(model: Path, feeding: Feeding | None = None) -> Report:
    return smpatch.check(model, options=CheckOptions(run=feeding or Feeding()))


@pytest.mark.parametrize("fault", ["exchange_bound_inputs", "exchange_captures"])
@pytest.mark.parametrize("batch", [(1,), (1, 3)])
def test_two_variables_that_one_half_has_exchanged(
    twins: Path, oracle: client.Oracle, fault: str, batch: tuple[int, ...]
) -> None:
    oracle.ask("mutate", directory=twins, fault=fault, key="one")
    faults = [each for each in _run(twins, Feeding(batches=batch)).faults if "numbers" in each.code]
    assert {each.where for each in faults} == {
        "signature 'one', output 'a'",
        "signature 'one', output 'b'",
    }
    for each in faults:
        assert each.code == "numbers-disagree"
        assert "tf.saved_model.load computes other numbers than the C runtime" in each.text


@pytest.mark.parametrize("fault", ["call_another_in_python", "call_another"])
def test_another_function_in_one_half(twins: Path, oracle: client.Oracle, fault: str) -> None:
    oracle.ask("mutate", directory=twins, fault=fault, key="two")
    told = {each.where for each in _run(twins).faults if each.code == "numbers-disagree"}
    assert told == {"signature 'two', output 'a'", "signature 'two', output 'b'"}


def test_a_healthy_model_has_no_such_fault(twins: Path) -> None:
    assert _run(twins).ok
    assert _run(twins, Feeding("random", 5, (2,))).ok


def test_what_is_random_or_has_a_state_is_no_fault(fickle: Path) -> None:
    report = _run(fickle, Feeding("random"))
    assert report.ok, report.faults
    told = {each.where for each in report.notes if each.code == "numbers-unstable"}
    assert told == {
        "signature 'noise', output 'random'",
        "signature 'counter', output 'count'",
        "signature 'reader', output 'read'",
    }
