"""A check finds names that servers and Python pair differently, and no other names.

Values prove this: the two halves give different results if the check reports a fault.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions
from smpatch.edits import Copy
from tests.checker.faults import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

QUICK = CheckOptions(validate="none")
FEED = {
    "left": np.array([[1.0, 2.0]], "float32"),
    "right": np.array([[3.0, 5.0]], "float32"),
}


def _answers(directory: Path, oracle: Oracle) -> tuple[dict[str, Any], dict[str, Any]]:
    feeds = {"serve": {alias: encoded(array) for alias, array in FEED.items()}}
    loaders = ["python", "session"]
    said = oracle.ask("tour", directory=directory, tags=["serve"], feeds=feeds, loaders=loaders)
    in_python, in_session = (
        {alias: decoded(array) for alias, array in said[each]["serve"]["arrays"].items()}
        for each in loaders
    )
    return in_python, in_session


@pytest.mark.parametrize(
    ("exchanged", "words"),
    [
        ("inputs", "servers feed 'right', and Python feeds 'left'"),
        ("outputs", "for 'both' servers return the tensor that Python calls 'score'"),
    ],
)
def test_names_that_servers_pair_with_other_places_are_found(
    exchanged: str, words: str, tmp_path: Path, oracle: Oracle
) -> None:
    directory = Path(shutil.copytree(FIXTURES / "keras_functional", tmp_path / "model"))
    oracle.ask("plant", directory=directory, fault=f"exchanged_{exchanged}")
    in_python, in_session = _answers(directory, oracle)
    assert any(not np.array_equal(in_python[each], in_session[each]) for each in in_python)
    faults = smpatch.check(directory, options=QUICK).faults
    assert (words, "signature 'serve'") in {(each.text, each.where) for each in faults}


@pytest.mark.parametrize("name", ["keras_functional", "unsorted_keys", "keras_export_archive"])
def test_names_that_both_pair_alike_are_not(name: str) -> None:
    assert smpatch.check(FIXTURES / name, options=QUICK).faults == ()


EXPORTED = sorted(each for each in (FIXTURES.parent / "exporters").iterdir() if each.is_dir())


@pytest.mark.parametrize("directory", EXPORTED, ids=lambda each: each.name)
def test_no_exporter_writes_two_halves_that_differ(directory: Path) -> None:
    """TF-Agents has an input ``0/reward``, which Python's half also has as ``arg_0_reward``."""
    found = {each.code for each in smpatch.check(directory, options=QUICK).faults}
    assert not found & {"computations-differ", "halves-disagree"}


def test_the_findings_of_two_checks_have_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys were in the order of a set, which is another one in each process."""
    directory = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    edits = [Copy("serving_default", f"copy{number}") for number in range(7)]
    smpatch.patch(directory, edits, options=smpatch.Options(validate="none"))
    monkeypatch.setattr("smpatch.checker.object_graph._are_equal", lambda *_: False)
    found = smpatch.check(directory, options=QUICK).findings
    places = [each.where for each in found if each.code == "computations-differ"]
    assert len(places) > 7
    assert places == sorted(places)
