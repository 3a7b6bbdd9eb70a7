"""The commands of smpatch that more than one benchmark runs.

They start with ``python -m smpatch``, so they use the interpreter of this program and need no
script on the path.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.measure import Measured, run

__all__ = ["ADD_X_TO_Y", "BARE_IMPORTS", "SMPATCH", "X_TO_Y", "add_predict", "bytes_label", "show"]

SMPATCH = (sys.executable, "-m", "smpatch")
X_TO_Y = ("--inputs", "x:0", "--outputs", "y:0")
BARE_IMPORTS = (sys.executable, "-c", "import typer, google.protobuf.message")
ADD_X_TO_Y = """
version = 1
[[edit]]
add-predict = "bench"
inputs = "x:0"
outputs = "y:0"
"""


def show(model: Path) -> Measured:
    """Show a model."""
    return run([*SMPATCH, "show", str(model)])


def add_predict(model: Path, key: str) -> Measured:
    """Edit a model in place, without a reload."""
    return run(
        [*SMPATCH, "add-predict", str(model), *X_TO_Y, "--signature", key, "--validate", "none"]
    )


def bytes_label(count: int) -> str:
    """Return a file size as text for people."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
