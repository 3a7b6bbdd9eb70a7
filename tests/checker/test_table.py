"""The table in docs/evidence.md has a row for each fault that the tests plant.

To measure the table takes minutes (``python -m tests.checker.table``). ``test_seeded`` proves the
column of ``check`` in each run, and compares ``check`` with Python's loader.
"""

from __future__ import annotations

from tests.checker.faults import FAULTS
from tests.checker.table import BEGIN, END, HEAD, Found, row, written
from tests.evidence import EVIDENCE


def _rows() -> list[str]:
    text = EVIDENCE.read_text(encoding="utf-8")
    inside = text.partition(BEGIN)[2].partition(END)[0]
    return [line for line in inside.splitlines() if line]


def test_every_planted_fault_has_its_row_and_is_found_in_all_its_models() -> None:
    rows = _rows()
    assert tuple(rows[:2]) == HEAD
    for fault, line in zip(FAULTS, rows[2:-1], strict=True):
        count = len(fault.models)
        assert line.startswith(row(fault, [Found(True, False, False, False)] * count)[:-9])  # noqa: FBT003 - the programs
        assert f"| {count} of {count} |" in line
    total = sum(len(fault.models) for fault in FAULTS)
    assert rows[-1].startswith(f"| **all {total}** | | {total} |")


def test_writing_it_again_changes_nothing_else() -> None:
    text = EVIDENCE.read_text(encoding="utf-8")
    assert written(text, _rows()) == text
