"""Print what the proofs have counted: ``python -m tests.prove.table DIRECTORY``.

A row for each proof, with what it lost in the last column. Below it stands what could not be
proved here, and why. With ``--write`` the table goes into docs/evidence.md as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.evidence import EVIDENCE, between

__all__ = ["BEGIN", "COLUMNS", "END", "Proof", "render", "summary"]

BEGIN = "<!-- proofs: make prove ARGS=--write -->"
END = "<!-- end of the proofs -->"

COLUMNS = (
    *("faults", "kills", "interruptions", "writers", "reads", "executions", "models", "edits"),
    "losses",
)


@dataclass
class Proof:
    """The counts of all tests of one proof.

    Attributes:
        numbers: Column to number; ``losses`` is one of the columns.
        tests: The number of tests that ran.
        skipped: The reasons why others did not run, with the number of tests for each.
    """

    numbers: Counter[str] = field(default_factory=Counter)
    tests: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def summary(lines: Iterable[str]) -> dict[str, Proof]:
    """Add up the lines of a ledger, by proof, in the order of their names."""
    proofs: dict[str, Proof] = {}
    for line in lines:
        told = json.loads(line)
        proof = proofs.setdefault(told["proof"], Proof())
        if told["skipped"] is None or told["losses"]:
            proof.tests += 1
            proof.numbers.update(told["numbers"])
            proof.numbers["losses"] += told["losses"]
        else:
            proof.skipped[told["skipped"]] += 1
    return dict(sorted(proofs.items()))


def render(proofs: dict[str, Proof]) -> str:
    """Return the table as Markdown; a count without a column in ``COLUMNS`` gets a new column."""
    ran = {name: proof.numbers for name, proof in proofs.items() if proof.tests}
    total: Counter[str] = Counter()
    for numbers in ran.values():
        total.update(numbers)
    total["losses"] += 0
    known = [name for name in COLUMNS[:-1] if name in total]
    columns = [*known, *sorted(total.keys() - set(COLUMNS)), COLUMNS[-1]]
    rows = [
        ("proof", *columns),
        *((name, *_cells(numbers, columns)) for name, numbers in ran.items()),
        ("all", *_cells(total, columns)),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    # In Markdown a line directly below a table is a row of it.
    unproved = [line for told in _unproved(proofs) for line in ("", told)]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:], *unproved])


def _unproved(proofs: dict[str, Proof]) -> list[str]:
    """Return a line for each reason why tests of a proof did not run."""
    return [
        f"{'in part' if proof.tests else 'not proved here'}: {name}, "
        f"{count} test{'s' * (count > 1)}: {reason}"
        for name, proof in proofs.items()
        for reason, count in proof.skipped.most_common()
    ]


def _cells(counts: Counter[str], columns: Sequence[str]) -> list[str]:
    return [f"{counts[name]:,}" if name in counts else "" for name in columns]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "| " + " | ".join([first, *rest]) + " |"


def main() -> int:
    """Print the table; return 1 if nothing was counted or something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--write", action="store_true", help="into docs/evidence.md as well")
    given = parser.parse_args()
    ledgers = sorted(given.directory.glob("*.jsonl"))
    proofs = summary(line for file in ledgers for line in file.read_text().splitlines())
    if not any(proof.tests for proof in proofs.values()):
        print("nothing was counted", file=sys.stderr)  # noqa: T201 - a program
        return 1
    table = render(proofs)
    print(table)  # noqa: T201 - a program
    if given.write:
        text = EVIDENCE.read_text(encoding="utf-8")
        EVIDENCE.write_text(between(BEGIN, END, text, table.splitlines()), encoding="utf-8")
    return 1 if any(proof.numbers["losses"] for proof in proofs.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
