"""Edits of one list that cannot stand beside each other, found before any model is opened."""

from __future__ import annotations

from collections.abc import Sequence

from smpatch.editing import Edit
from smpatch.editing.tracking import Conflict, Tracker

__all__ = ["Conflict", "conflicts"]


def conflicts(edits: Sequence[Edit], places: Sequence[int] = ()) -> tuple[Conflict, ...]:
    """Return the conflicts in a list of edits, in its order.

    Args:
        edits: The edits.
        places: The place of each, as conflicts name it; that in the list by default.
    """
    tracker = Tracker()
    excluded: list[Conflict] = []
    numbers = places or range(len(edits))
    for tracker.place, edit in zip(numbers, edits, strict=True):
        reasons = ((place, each.excludes(edit)) for place, each in zip(numbers, edits, strict=True))
        reason = next((f"edit[{place}] {why}" for place, why in reasons if why), "")
        if reason:
            hint = "put it into a patch file of its own"
            excluded.append(Conflict(tracker.place, reason, hint))
        else:
            edit.track(tracker)
    return tuple(sorted((*excluded, *tracker.conflicts()), key=lambda each: each.edit))
