"""The table at the end of ``make prove``: sums, columns, and an exit code that tells of losses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.prove import ledger, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of this test's own."""
    monkeypatch.setenv(ledger.DIRECTORY, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _table(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.prove.table", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def test_counts_add_up(book: Path) -> None:
    ledger.record("system calls", faults=1000, losses=0)
    ledger.record("system calls", faults=234, kills=5, losses=0)
    ledger.record("fuzzing", executions=7, losses=0)
    done = _table(book)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "| proof        | faults | kills | interruptions | writers | reads | executions | losses |",
        "| ------------ | -----: | ----: | ------------: | ------: | ----: | ---------: | -----: |",
        "| fuzzing      |        |       |               |         |       |          7 |      0 |",
        "| system calls |  1,234 |     5 |               |         |       |            |      0 |",
        "| all          |  1,234 |     5 |               |         |       |          7 |      0 |",
    ]


def test_a_loss_fails(book: Path) -> None:
    ledger.record("anything", losses=1)
    assert _table(book).returncode == 1


def test_nothing_counted_fails(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ledger.DIRECTORY, raising=False)
    ledger.record("anything", losses=0)
    done = _table(book)
    assert done.returncode == 1
    assert done.stderr == "nothing was counted\n"


def test_no_column_is_lost() -> None:
    assert table.COLUMNS[-1] == "losses"
    lines = ['{"proof": "a", "models": 3, "losses": 0}']
    assert " models " in table.render(table.summary(lines))
