"""Count the work and the losses of a proof, for the table at the end of ``make prove``.

A test that is part of a proof has the marker ``proof``, with the name of the proof, and counts with
the fixture ``count``. Every outcome of a test is recorded: a failed test counts as a loss, and for
a test that could not run the table has the reason.

Each test is a line of JSON in a directory. Tests of several processes write at the same time, each
process to a file of its own. If no directory is named, nothing is written.
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
"""Whether the proofs run whole."""

MARKER = "proof"

_SHOWN = 5
"""The number of losses that a failure describes."""


class Count:
    """The counts of one test of a proof.

    Attributes:
        numbers: Column of the table to number; columns are ``faults``, ``kills``,
            ``interruptions``, ``writers``, ``reads`` and others.
        lost: The losses, a line for each case.
    """

    def __init__(self) -> None:
        """Start with no counts."""
        self.numbers: Counter[str] = Counter()
        self.lost: list[str] = []
        self.skipped: str | None = None

    def add(self, **numbers: int) -> None:
        """Add numbers to the counts."""
        self.numbers.update(numbers)

    @contextmanager
    def case(self, place: str) -> Iterator[None]:
        """Check one case of many: a loss is recorded, and the other cases are checked too."""
        try:
            yield
        except AssertionError as error:
            self.lost.append(f"{place}: {error}")

    def settle(self) -> None:
        """Fail if a case was lost."""
        if self.lost:
            more = f"\nand {len(self.lost) - _SHOWN} more" if len(self.lost) > _SHOWN else ""
            pytest.fail(f"{len(self.lost)} lost:\n" + "\n".join(self.lost[:_SHOWN]) + more)


_COUNT = pytest.StashKey[Count]()


def count_of(item: pytest.Item) -> Count:
    """Return the counts of a test."""
    return item.stash.setdefault(_COUNT, Count())


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Record the result of one phase of a test (its set-up, the test itself, its end)."""
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
    """Record the counts of a proof.

    Args:
        proof: The name of the proof, a row of the table.
        losses: The number of losses.
        skipped: The reason why it was not tried; None if it was tried.
        numbers: Column to number.
    """
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return
    line = {"proof": proof, "numbers": numbers, "losses": losses, "skipped": skipped}
    Path(directory).mkdir(parents=True, exist_ok=True)
    with (Path(directory) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
