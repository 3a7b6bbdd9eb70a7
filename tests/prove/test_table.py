"""The table at the end of ``make prove``: sums, losses, and the proofs that did not run.

The input is whole runs of pytest, over tests that fail, skip and pass.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prove import ledger

ROOT = Path(__file__).resolve().parents[2]

PROOFS = """
import pytest

@pytest.mark.proof("kept")
@pytest.mark.parametrize("faults", [1000, 234])
def test_kept(count, faults):
    count.add(faults=faults, kills=1)

@pytest.mark.proof("lost")
def test_of_many_cases_two_are_lost(count):
    for number in range(5):
        count.add(kills=1)
        with count.case(f"number {number}"):
            assert number % 3
    count.settle()

@pytest.mark.proof("lost")
def test_ends_at_its_loss(count):
    count.add(oddities=7)
    raise ValueError("whatever it is")

@pytest.mark.proof("broken before it began")
def test_without_its_fixture(no_such_fixture, count):
    pass

@pytest.mark.proof("elsewhere")
def test_is_not_for_this_machine(count):
    pytest.skip("there is no such program")

@pytest.mark.skip(reason="the table has to name it")
@pytest.mark.proof("kept")
def test_is_not_run():
    pass
"""


def _table(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.prove.table", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def _run(place: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests as the project's own tests run, and print the table of their ledger."""
    (place / "test_proofs.py").write_text(tests)
    (place / "conftest.py").write_text("from tests.conftest import *\n")
    (place / "pytest.ini").write_text("[pytest]\nmarkers = proof(name)\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(place)],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env={
            **os.environ,
            ledger.DIRECTORY: str(place / "ledger"),
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "",
        },
        timeout=120,
    )
    assert "passed" in done.stdout, done.stdout + done.stderr
    return _table(place / "ledger")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_losses_and_what_did_not_run_are_told(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = _run(tmp_path, PROOFS, *options)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "| proof                  | faults | kills | oddities | losses |",
        "| ---------------------- | -----: | ----: | -------: | -----: |",
        "| broken before it began |        |       |          |      1 |",
        "| kept                   |  1,234 |     2 |          |      0 |",
        "| lost                   |        |     5 |        7 |      3 |",
        "| all                    |  1,234 |     7 |        7 |      4 |",
        "",
        "not proved here: elsewhere, 1 test: there is no such program",
        "",
        "in part: kept, 1 test: the table has to name it",
    ]


def test_no_loss_is_no_failure(tmp_path: Path) -> None:
    kept = PROOFS.partition('@pytest.mark.proof("lost")')[0]
    done = _run(tmp_path, kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("|      0 |")


def test_nothing_counted_fails(tmp_path: Path) -> None:
    done = _table(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "nothing was counted\n"


def test_a_test_that_counts_has_to_name_its_proof(tmp_path: Path) -> None:
    done = _run(tmp_path, "def test_a(): pass\ndef test_b(count): count.add(faults=1)\n")
    assert done.returncode == 1
    assert done.stderr == "nothing was counted\n"
