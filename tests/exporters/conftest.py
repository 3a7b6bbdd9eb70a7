"""Models with their numbers; the fixtures have session scope, so each model is measured once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smpatch import validator
from smpatch.runtime import installation
from smpatch.runtime.process import Child, Program
from tests.contract.models import Case
from tests.exporters.doing import Copy
from tests.exporters.numbers import Runner
from tests.exporters.subjects import Subject, measured, subjects
from tests.oracle.client import Oracle
from tests.prove.ledger import LONG

LIMIT = 300.0

SAMPLE = {
    "flow_in_functions",
    "functions_in_session",
    "hub_module",
    "jax_native",
    "keras_text",
    "mutable_table",
    "parsed_examples",
    "random_numbers",
    "shared_function",
    "traces_as_signatures",
}
"""The models that the tests edit by default."""

CASES = [each for each in subjects() if LONG or each.name in SAMPLE]

collect_ignore = ["test_sample.py"] if LONG else ["test_edits.py", "test_orders.py"]
"""The files with all edits run in ``make prove``, the file with a few edits otherwise."""


@pytest.fixture(scope="session")
def runner(oracle: Oracle) -> Iterator[Runner]:
    """TensorFlow's Python and its C runtime."""
    found = installation.find()
    assert found is not None
    with Child.start(Program.CAPI, found) as child:
        yield Runner(oracle, child)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def subject(request: pytest.FixtureRequest, runner: Runner) -> Subject:
    """A model with its numbers before any edit."""
    case: Case = request.param
    found = measured(case, runner)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def unproved() -> Iterator[validator.Validator]:
    """A validator that does not ask TensorFlow: the tests ask it after the edits."""
    with validator.Validator("none", (), LIMIT) as opened:
        yield opened


@pytest.fixture(scope="session")
def proved() -> Iterator[validator.Validator]:
    """A validator that asks TensorFlow as for an edit of a user."""
    with validator.Validator("auto", (), LIMIT) as opened:
        yield opened


@pytest.fixture
def copied(subject: Subject, unproved: validator.Validator, tmp_path: Path) -> Copy:
    """A copy of the model to edit, without proof."""
    return Copy(subject, tmp_path / "model", unproved)


@pytest.fixture
def proved_copy(subject: Subject, proved: validator.Validator, tmp_path: Path) -> Copy:
    """A copy of the model to edit as a user does."""
    return Copy(subject, tmp_path / "model", proved)
