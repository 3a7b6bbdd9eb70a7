"""The page of measurements, whose tables are written by programs and never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["EVIDENCE", "between"]

EVIDENCE = Path(__file__).resolve().parents[1] / "docs" / "evidence.md"


def between(begin: str, end: str, text: str, lines: Sequence[str]) -> str:
    """Return a text with other lines between two marks, one blank line away from each.

    Args:
        begin: The mark before, which stays.
        end: The mark after, which stays.
        text: What contains both, in this order.
        lines: What comes between them instead of what is there.

    Raises:
        ValueError: A mark is not there.
    """
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"there is no {end if found else begin}")
    return "\n".join((before + begin, "", *lines, "", end + after))
