"""What tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.oracle.client import Oracle
from tests.prove import ledger

# A busy machine is no defect of what is tested; and a count of a test is meant to go on from
# one example to the next. Where a change is judged, the examples are the same each time; who
# looks for what nobody has seen yet is everybody else.
settings.register_profile(
    "patient",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """TensorFlow, in one process for all tests of a worker."""
    with Oracle() as opened:
        yield opened


@pytest.fixture
def count(request: pytest.FixtureRequest) -> ledger.Count:
    """What this test counts with, for the table of ``make prove``."""
    assert request.node.get_closest_marker(ledger.MARKER), "a test that counts names its proof"
    return ledger.count_of(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the ledger see what becomes of every test."""
    report = yield
    ledger.note(item, report)
    return report
