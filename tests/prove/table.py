"""Print what the proofs have counted: ``python -m tests.prove.table DIRECTORY``.

A proof counts its losses when it has passed, so that a table with a row for each proof and
zeros in the last column is the claim that ``make prove`` makes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["COLUMNS", "render", "summary"]

COLUMNS = ("faults", "kills", "interruptions", "writers", "reads", "losses")


def summary(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """Add up the lines of a ledger, by proof, in the order of their names."""
    proofs: dict[str, Counter[str]] = {}
    for line in lines:
        counts = json.loads(line)
        proofs.setdefault(counts.pop("proof"), Counter()).update(counts)
    return dict(sorted(proofs.items()))


def render(proofs: dict[str, Counter[str]]) -> str:
    """Return the table as Markdown; a column of its own for any count that has no place yet."""
    further = {name for counts in proofs.values() for name in counts} - set(COLUMNS)
    columns = (*COLUMNS[:-1], *sorted(further), COLUMNS[-1])
    total: Counter[str] = Counter()
    for counts in proofs.values():
        total.update(counts)
    rows = [
        ("proof", *columns),
        *((name, *_cells(counts, columns)) for name, counts in proofs.items()),
        ("all", *_cells(total, columns)),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]])


def _cells(counts: Counter[str], columns: Sequence[str]) -> list[str]:
    return [f"{counts[name]:,}" if name in counts else "" for name in columns]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "| " + " | ".join([first, *rest]) + " |"


def main() -> int:
    """Print the table; fail where nothing was counted or something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    ledgers = sorted(parser.parse_args().directory.glob("*.jsonl"))
    proofs = summary(line for file in ledgers for line in file.read_text().splitlines())
    if not proofs:
        print("nothing was counted", file=sys.stderr)  # noqa: T201 - a program
        return 1
    print(render(proofs))  # noqa: T201 - a program
    return 1 if any(counts["losses"] for counts in proofs.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
