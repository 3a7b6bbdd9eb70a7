"""Fixtures and hooks that all tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from smpatch.runtime.process import Child
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of ``make quick``."""
    parser.addoption(
        "--quick", action="store_true", help="skip each test that starts a TensorFlow process"
    )


def pytest_configure(config: pytest.Config) -> None:
    """With ``--quick``, skip a test as soon as it starts a process that loads TensorFlow."""
    if config.getoption("--quick"):

        def skip(*_: object, **__: object) -> NoReturn:
            pytest.skip("it starts TensorFlow: make test runs it")

        class Popen(subprocess.Popen[bytes]):
            def __init__(self, args: Any, *more: Any, **named: Any) -> None:  # noqa: ANN401 - as its base
                command = [args] if isinstance(args, str | os.PathLike) else args
                if any("tensorflow" in os.fsdecode(each) for each in command):
                    skip()
                super().__init__(args, *more, **named)

        patched = pytest.MonkeyPatch()
        patched.setattr(Child, "start", skip)
        patched.setattr(Oracle, "__init__", skip)
        patched.setattr(subprocess, "Popen", Popen)
        settings.register_profile("quick", settings.get_profile("patient"), max_examples=20)
        settings.load_profile("quick")


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
