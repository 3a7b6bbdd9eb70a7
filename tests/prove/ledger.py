"""Count what a proof did, for the table at the end of ``make prove``.

Each count is a line of JSON in a directory; tests of several processes write at once, each to
a file of its own. Without the directory nothing is counted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["DIRECTORY", "LONG", "record"]

DIRECTORY = "SMPATCH_PROVE_LEDGER"
"""The environment variable that names the directory."""

LONG = bool(os.environ.get("SMPATCH_PROVE"))
"""Whether the proofs are run whole."""


def record(proof: str, **counts: int) -> None:
    """Count for a proof; counts of the same name add up.

    Args:
        proof: What was proved, a row of the table.
        counts: ``faults``, ``kills``, ``interruptions``, ``writers``, ``reads``, ``losses``:
            the columns.
    """
    directory = os.environ.get(DIRECTORY)
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with (Path(directory) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"proof": proof, **counts}) + "\n")
