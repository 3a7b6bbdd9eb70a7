"""How much is tried, and what was: the table of ``make prove`` adds it up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.prove.ledger import LONG, record

if TYPE_CHECKING:
    import pytest

__all__ = ["EXAMPLES", "Counter", "counted"]

EXAMPLES = int(os.environ.get("SMPATCH_FUZZ") or (500 if LONG else 0))
"""How many inputs each target gets; 0 for the few of every day."""


class Counter:
    """How many inputs a target was given."""

    def __init__(self) -> None:
        """Start at none."""
        self.executions = 0

    def another(self) -> None:
        """Count one more."""
        self.executions += 1


@contextmanager
def counted(proof: str, session: pytest.Session) -> Iterator[Counter]:
    """Count what is tried inside, and write it down where no test failed meanwhile."""
    counter, failed = Counter(), session.testsfailed
    yield counter
    if session.testsfailed == failed:
        record(proof, executions=counter.executions, losses=0)
