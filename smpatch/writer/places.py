"""Notes on the place of a model before it is edited there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from smpatch.loader import SavedModel
from smpatch.rules import Note
from smpatch.writer.staging_directory import backup_of, backup_shown

__all__ = ["place_notes"]


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
