"""Edits of one list that cannot stand beside each other, found before any model is opened."""

from __future__ import annotations

from collections.abc import Sequence

from smpatch.editing import Edit, Tracker
from smpatch.editing.tracking import Conflict

__all__ = ["Conflict", "conflicts"]


def conflicts(edits: Sequence[Edit]) -> tuple[Conflict, ...]:
    """Return the conflicts in a list of edits, in its order."""
    tracker = Tracker()
    excluded: list[Conflict] = []
    for tracker.place, edit in enumerate(edits):
        reasons = ((place, each.excludes(edit)) for place, each in enumerate(edits))
        reason = next((f"edit[{place}] {why}" for place, why in reasons if why), "")
        if reason:
            hint = "put it into a patch file of its own"
            excluded.append(Conflict(tracker.place, reason, hint))
        else:
            edit.track(tracker)
    return tuple(sorted((*excluded, *tracker.conflicts()), key=lambda each: each.edit))
