"""Programs in which TensorFlow answers questions of the tests, and a function to ask them.

TensorFlow takes seconds to load and must stay out of the tests' own process. Each program here runs
at most once per test session, for all workers together, and prints its answers as one line of JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpatch.runtime import installation
from tests.oracle import programs

if TYPE_CHECKING:
    import pytest

__all__ = ["OLDEST", "ask"]

_WHEEL = installation.find()

OLDEST = _WHEEL is not None and (_WHEEL.version or "").startswith("2.16.")
"""Whether TensorFlow is the oldest that smpatch runs with; the expected values are the newest's."""

_ROOT = Path(__file__).resolve().parents[2]


def ask(program: str, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - JSON
    """Return the answers of a program of this package.

    Args:
        program: The module's name.
        tmp_path_factory: Pytest's; its directory is shared by all workers of a session.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = shared / f"tensorflow_says_{program}"
    directory.mkdir(exist_ok=True)
    answer = directory / "answer.json"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            said = programs.run("-m", f"{__name__}.{program}")
            answer.write_text(said.splitlines()[-1])
    return json.loads(answer.read_text())
