"""The parts of a model before its signatures are still there, unchanged and in order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.wire_form import grown_from
from tests.object_graph.conftest import Trial
from tests.oracle.client import Oracle

DEEPEST = 4
"""The depth at which lengths change: SavedModel, MetaGraph, its object graph, an object."""

Answer = Mapping[str, Any]


@pytest.fixture(scope="session")
def appended(trial: Trial, oracle: Oracle) -> Answer:
    """The difference between the models, as TensorFlow's classes parse them."""
    return oracle.ask("appended", before=trial.original, after=trial.directory)


def test_every_field_is_still_there_in_its_order(trial: Trial) -> None:
    old, new = (each / "saved_model.pb" for each in (trial.original, trial.directory))
    assert grown_from(old.read_bytes(), new.read_bytes(), DEEPEST)
    # A part that occurs twice would hide the loss of one of the two.
    assert not grown_from(new.read_bytes(), old.read_bytes(), DEEPEST)


def test_what_was_there_is_equal_as_tensorflow_reads_it(appended: Answer) -> None:
    assert appended["changed"] == []


def test_only_what_the_signatures_need_is_new(trial: Trial, appended: Answer) -> None:
    keys = sorted(trial.new)
    assert appended["signatures"] == sorted(appended["children"]) == keys
    assert appended["objects"] == ["bare_concrete_function"] * len(keys)
    assert len(appended["concrete_functions"]) == len(keys)
    if all(key.startswith("main_") for key in keys):
        assert appended["nodes"] == []


def test_no_name_is_given_twice(appended: Answer) -> None:
    assert appended["doubles"] == []


def test_new_functions_end_in_numbers_of_their_own(trial: Trial, appended: Answer) -> None:
    numbers = Counter(name.rpartition("_")[2] for name in trial.meta_graph.functions)
    new = [re.fullmatch(r".*_(\d+)", name) for name in appended["functions"]]
    assert [each[1] for each in new if each and numbers[each[1]] > 1] == []
    assert all(new)


def test_fingerprint_is_what_tensorflow_computes(trial: Trial, oracle: Oracle) -> None:
    if not (trial.original / "fingerprint.pb").exists():
        assert not (trial.directory / "fingerprint.pb").exists()
        return
    told = oracle.ask("fingerprint", directory=trial.directory)
    assert told["stored"] == told["computed"]
    before = oracle.ask("fingerprint", directory=trial.original)
    assert (told["computed"] == before["computed"]) == (not trial.new)
