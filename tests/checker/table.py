"""Measure which programs find the planted faults, and write the table into docs/evidence.md.

    python -m tests.checker.table          print it
    python -m tests.checker.table write    put it between its marks in docs/evidence.md

A cell has the number of models in which a program finds the fault. smpatch finds a fault if it
reports the code of the fault. Another program finds it if it ends with an error and does not load
or show the model.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import smpatch
from smpatch import CheckOptions
from tests.checker.faults import EITHER, FAULTS, FIXTURES, Case, Fault, planted
from tests.evidence import EVIDENCE, between
from tests.oracle.client import Oracle

BEGIN = "<!-- planted faults: python -m tests.checker.table write -->"
END = "<!-- end of the planted faults -->"

HEAD = (
    "| planted fault | `smpatch check` says | found | C loader | Python loader | `show` |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Found:
    """Which programs found a fault in one model."""

    check: bool
    c_loader: bool
    python: bool
    show: bool


def measured(case: Case, oracle: Oracle) -> Found:
    """Plant a fault into a copy of a model, and run each program on it."""
    place = Path(tempfile.mkdtemp())
    try:
        directory = planted(case, place / "model", oracle)
        report = smpatch.check(directory, options=CheckOptions(validate="runtime"))
        tags = list(smpatch.load(directory).meta_graphs[0].tags)
        told = oracle.ask("load", directory=directory, tags=tags, loaders=["v2"])
        shown = oracle.ask("show", directory=directory)
        return Found(
            check=any(each.code == case.fault.code for each in report.findings),
            c_loader="C runtime" not in report.loaders,
            python=bool(told["v2"]),
            show="refused" in shown,
        )
    finally:
        shutil.rmtree(place)


def row(fault: Fault, found: Sequence[Found]) -> str:
    """Return the row of a fault."""
    kind = " (a note)" if fault.severity == "note" else ""
    counts = (
        f"{sum(each)} of {len(found)}" if any(each) else ""
        for each in zip(
            *((one.check, one.c_loader, one.python, one.show) for one in found), strict=True
        )
    )
    return f"| {fault.words} | `{fault.code}`{kind} | {' | '.join(counts)} |"


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield from HEAD
    total = [0, 0, 0, 0]
    models = 0
    with Oracle() as oracle:
        for model in EITHER:  # if a sound model fails, a failure proves nothing
            assert oracle.ask("show", directory=FIXTURES / model)["lines"]
        for fault in FAULTS:
            found = [measured(Case(fault, model), oracle) for model in fault.models]
            models += len(found)
            for one in found:
                marks = (one.check, one.c_loader, one.python, one.show)
                total = [count + mark for count, mark in zip(total, marks, strict=True)]
            yield row(fault, found)
    yield f"| **all {models}** | | {' | '.join(map(str, total))} |"


def written(page: str, lines: Sequence[str]) -> str:
    """Return the page with other lines between the marks."""
    return between(BEGIN, END, page, lines)


def main() -> None:
    """Measure, and print or write."""
    lines = list(table())
    if sys.argv[1:] == ["write"]:
        EVIDENCE.write_text(written(EVIDENCE.read_text(encoding="utf-8"), lines), encoding="utf-8")
    else:
        sys.stdout.write("\n".join((*lines, "")))


if __name__ == "__main__":
    main()
