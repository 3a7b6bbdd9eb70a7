"""Count what a proof did and what it lost, for the table at the end of ``make prove``.

A test that is part of a proof carries the marker ``proof``, which names it, and counts with
the fixture ``count``. What became of the test is written down whatever that was: when it has
failed it has lost something, and when it could not run the table says so and why.

Each test is a line of JSON in a directory; tests of several processes write at once, each to
a file of its own. Without the directory nothing is written.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["DIRECTORY", "LONG", "MARKER", "Count", "count_of", "note", "record"]

DIRECTORY = "SMPATCH_PROVE_LEDGER"
"""The environment variable that names the directory."""

LONG = bool(os.environ.get("SMPATCH_PROVE"))
"""Whether the proofs are run whole."""

MARKER = "proof"

_SHOWN = 5
"""So many of the lost cases are told in words."""


class Count:
    """What one test of a proof does: numbers by the column in which they stand.

    Attributes:
        numbers: Such as ``faults``, ``kills``, ``interruptions``, ``writers``, ``reads``.
        lost: What went wrong, a line for each case.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.numbers: Counter[str] = Counter()
        self.lost: list[str] = []
        self.skipped: str | None = None

    def add(self, **numbers: int) -> None:
        """Count so many more of each."""
        self.numbers.update(numbers)

    @contextmanager
    def case(self, place: str) -> Iterator[None]:
        """Check one case of many: a loss is remembered, and the other cases are checked too."""
        try:
            yield
        except AssertionError as error:
            self.lost.append(f"{place}: {error}")

    def settle(self) -> None:
        """Fail where a case was lost."""
        if self.lost:
            more = f"\nand {len(self.lost) - _SHOWN} more" if len(self.lost) > _SHOWN else ""
            pytest.fail(f"{len(self.lost)} lost:\n" + "\n".join(self.lost[:_SHOWN]) + more)


_COUNT = pytest.StashKey[Count]()


def count_of(item: pytest.Item) -> Count:
    """Return what a test counts with."""
    return item.stash.setdefault(_COUNT, Count())


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Take one phase of a test (its set-up, itself, its end) to the ledger."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return
    count = count_of(item)
    if report.failed:
        count.lost = count.lost or [report.nodeid]
    if report.skipped:
        count.skipped = _reason(report)
    if report.when == "teardown":
        proof, losses = str(marker.args[0]), len(count.lost)
        record(proof, losses=losses, skipped=count.skipped, **count.numbers)


def _reason(report: pytest.TestReport) -> str:
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words.removeprefix("Skipped: ")


def record(proof: str, *, losses: int = 0, skipped: str | None = None, **numbers: int) -> None:
    """Write down what was counted outside of tests.

    Args:
        proof: What was proved, a row of the table.
        losses: What went wrong.
        skipped: Why it was not tried; None where it was.
        numbers: The columns.
    """
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return
    line = {"proof": proof, "numbers": numbers, "losses": losses, "skipped": skipped}
    Path(directory).mkdir(parents=True, exist_ok=True)
    with (Path(directory) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
