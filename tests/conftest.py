"""Fixtures and hooks that all tests share."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

import smpatch
from smpatch.runtime.process import Child
from smpatch.validator import Mode, Validator, reload
from smpatch.validator.lending import Lender, lending
from tests.oracle import programs
from tests.oracle.children import ForkedChild
from tests.oracle.client import Oracle
from tests.prove import ledger

# A busy machine is not a defect of the code under test, so an example may take any time. The
# fixture ``count`` counts on from one example to the next. CI judges a change, so its examples
# are the same each time; everywhere else the examples are new, to find new defects.
settings.register_profile(
    "patient",
    max_examples=100 if ledger.LONG else 40,
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
    if not ledger.LONG and _is_large(_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)  # pytest's, for ``tmp_path``
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
        patched.setattr(programs, "run", skip)
        patched.setattr(subprocess, "Popen", Popen)
        settings.register_profile("quick", settings.get_profile("patient"), max_examples=20)
        settings.load_profile("quick")


_MEMORY = "/dev/shm"  # noqa: S108 - pytest makes a directory of its own in it
"""A file system in memory: edits wait for a disk, and only ``make prove`` needs one."""

_ENOUGH = 8 << 30
"""The free bytes that the file system must have; the tests use one or two GB."""


def _is_large(place: str) -> bool:
    """Return whether a file system has room for the tests and lets programs start from it."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize > _ENOUGH and not found.f_flag & os.ST_NOEXEC


ALONE = {"tests/docs/test_sessions.py", "tests/test_bad_input.py", "tests/writer/test_faults.py"}
"""Modules with long tests that share nothing, so that each test may go to another worker."""

_LOANS = 500
"""The number of loans after which a worker replaces its children, between two tests."""


class _Warm:
    """The child processes of smpatch that a worker keeps from one test to the next."""

    def __init__(self) -> None:
        self.session = smpatch.Session()
        self.loans = 0

    def lender(self) -> Lender:
        """Return the function that lends the children to the next test."""
        if self.loans >= _LOANS:
            self.session.close()
            self.session = smpatch.Session()
            self.loans = 0
        for validator in self.session._validators.values():  # noqa: SLF001 - a test may patch it
            assert type(validator) is Validator, "mark the last tests own_children: they patch it"
            validator._wheel = None  # noqa: SLF001 - each test searches again
        return self._lend

    def _lend(
        self, mode: Mode, op_libraries: Sequence[Path], time_limit: float, *, calls: bool
    ) -> Validator:
        self.loans += 1
        lend = self.session._lend  # noqa: SLF001 - as its own methods do
        return lend(mode, op_libraries, time_limit, calls=calls)


class _Scopes(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Give all tests of one model, or else of one module, to the same worker.

    The fixtures then prepare a model, and ask TensorFlow about it, only once.
    """

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        folder = str(PurePosixPath(module).parent)
        if folder in {"tests/contract", "tests/object_graph", "tests/exporters"} and "[" in test:
            return f"{folder}[{test.partition('[')[2].rstrip(']').partition('-')[0]}"
        return nodeid if module in ALONE else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scopes | None:
    """Return the scheduler that gives the tests to the workers."""
    return _Scopes(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the modules and the collected tests, which stay, out of all garbage collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def _warm(request: pytest.FixtureRequest) -> Iterator[_Warm]:
    with pytest.MonkeyPatch.context() as patched:
        if not ledger.LONG and not request.config.getoption("--quick"):
            patched.setattr(reload, "Child", ForkedChild)
        warm = _Warm()
        yield warm
        warm.session.close()


@pytest.fixture(scope="session")
def lend(_warm: _Warm) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which the library uses these children, for fixtures of the session."""
    return lambda: lending(_warm.lender())


@pytest.fixture(autouse=True)
def _warm_children(_warm: _Warm, request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the library use children that already run, as in a session.

    The start of TensorFlow takes a hundred times as long as the requests of most tests. A test
    of the start or the end of a child has the marker ``own_children``; the children of the
    other tests may be forks of a process that has loaded TensorFlow.
    """
    if request.node.get_closest_marker("own_children"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reload, "Child", Child)
            yield
        return
    with lending(_warm.lender()):
        yield


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """TensorFlow, in one process for all tests of a worker."""
    with Oracle() as opened:
        yield opened


@pytest.fixture
def count(request: pytest.FixtureRequest) -> ledger.Count:
    """The counter of this test, for the table of ``make prove``."""
    assert request.node.get_closest_marker(ledger.MARKER), "a test that counts names its proof"
    return ledger.count_of(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report of each test to the ledger."""
    report = yield
    ledger.note(item, report)
    return report
