"""The page of measurements; only programs write its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["EVIDENCE", "between"]

EVIDENCE = Path(__file__).resolve().parents[1] / "docs" / "evidence.md"


def between(begin: str, end: str, text: str, lines: Sequence[str]) -> str:
    """Return a text in which other lines are between two marks, with a blank line at each mark.

    Args:
        begin: The first mark, which stays.
        end: The second mark, which stays.
        text: The text that contains both marks, in this order.
        lines: The lines that replace the text between the marks.

    Raises:
        ValueError: A mark is missing.
    """
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"there is no {end if found else begin}")
    return "\n".join((before + begin, "", *lines, "", end + after))
