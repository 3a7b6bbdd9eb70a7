"""A check reports no fault in a model that TensorFlow exported and every loader runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Feeding
from tests.oracle.client import Oracle


@pytest.mark.parametrize(
    ("name", "alias", "notes"),
    [
        ("numbered_input", "input.1", set()),
        ("distribution", "0/observation", {"unregistered-type"}),
    ],
)
def test_a_name_with_a_dot_or_slash_and_a_foreign_type_are_no_faults(
    name: str, alias: str, notes: set[str], tmp_path: Path, oracle: Oracle
) -> None:
    directory = tmp_path / "model"
    oracle.ask("build", name=name, directory=directory)
    assert list(smpatch.load(directory).signatures["serving_default"].inputs) == [alias]
    report = smpatch.check(directory, options=CheckOptions(run=Feeding(batches=(1, 3))))
    assert report.faults == ()
    assert {each.code for each in report.notes} == notes
    assert report.ran == (("serving_default", (1, 3)),)


def test_the_note_about_a_foreign_type_names_the_package_and_the_loader(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = tmp_path / "model"
    oracle.ask("build", name="distribution", directory=directory)
    report = smpatch.check(directory)
    # Python's TensorFlow has not loaded the model, so the report names the C runtime alone.
    assert report.loaders == ("C runtime",)
    (note,) = report.notes
    assert "'some_package.DistributionSpec'" in note.text
    assert "import some_package" in note.hint
