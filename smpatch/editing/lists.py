"""Edits as callers give them: one, or several."""

from __future__ import annotations

from collections.abc import Iterable

from smpatch.editing.edit import Edit
from smpatch.editing.sequence import check_alone
from smpatch.errors import UsageError

__all__ = ["edit_list"]


def edit_list(edits: object) -> tuple[Edit, ...]:
    """Return one or several edits as a tuple.

    Raises:
        UsageError: Something else is among them, or they cannot stand in one list.
    """
    given = tuple(edits) if isinstance(edits, Iterable) and not isinstance(edits, str) else (edits,)
    several = tuple(each for each in given if isinstance(each, Edit))
    for each in given:
        if not isinstance(each, Edit):
            found = f"{each!r} ({type(each).__name__}) is given"
            raise UsageError(found, where="edits", hint="such as smpatch.edits.Rename('a', 'b')")
    check_alone(several)
    return several
