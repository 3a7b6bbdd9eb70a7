"""The refusals of a trace, and how types and shapes are written in them.

Standard library only: this file runs in a child process.
"""

from __future__ import annotations

from typing import Any


class UntraceableError(Exception):
    """A function cannot be put before or behind a signature.

    Attributes:
        found: What was found.
        where: The place in the user's file; empty where the request says it.
        hint: What would work; empty where nothing would.
    """

    def __init__(self, found: str, *, where: str = "", hint: str = "") -> None:
        """Keep the three parts apart."""
        super().__init__(found)
        self.found = found
        self.where = where
        self.hint = hint


def described(spec: Any) -> str:
    """Return a type and a shape as smpatch writes them."""
    if spec.shape.rank is None:
        return f"{spec.dtype.name} unknown rank"
    sizes = ", ".join("?" if size is None else str(size) for size in spec.shape.as_list())
    return f"{spec.dtype.name} [{sizes}]"
