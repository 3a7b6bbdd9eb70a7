"""Notes on the place of a model, and the user's path in the place of a staging directory's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from smpatch.loader import SavedModel
from smpatch.rules import Note
from smpatch.writer.staging_directory import backup_of, backup_shown

__all__ = ["place_notes", "shown"]


def shown(notes: Iterable[Note], staging: Path, place: Path) -> tuple[Note, ...]:
    """Return notes that quote TensorFlow on a staged model, with a path that stays.

    Args:
        notes: The notes; those on the commit name the staging directory itself.
        staging: The staging directory.
        place: What the user calls the model.
    """
    return tuple(
        each
        if each.code == "after-commit"
        else replace(each, text=each.text.replace(str(staging), str(place)))
        for each in notes
    )


def place_notes(model: SavedModel, *, backup: bool) -> Iterator[Note]:
    """Yield a note for each symbolic link that the edit follows, and for a backup that it replaces.

    Args:
        model: The model, before the edit.
        backup: Whether the edit keeps the previous file.
    """
    for place in (model.directory, model.file):
        if os.path.islink(place):
            text = f"{place} is a symbolic link; {os.path.realpath(place)} is edited"
            yield Note("through-link", text)
    if backup and os.path.lexists(backup_of(model.file)):
        text = f"{backup_shown(model.file)} of an earlier edit is replaced"
        yield Note("backup-replaced", text)
