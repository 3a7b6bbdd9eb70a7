"""The names that an edit uses in and around a model directory.

This room touches no disk, but to follow a link.

Source: ``tensorflow/python/saved_model/constants.py`` (names in a SavedModel directory). No
loader and no server looks at a name that begins with a dot or ends with ``.backup``.
"""

from __future__ import annotations

import os
from pathlib import Path

from smpatch.directory import BINARY_NAME, TEXT_NAME

__all__ = [
    "BACKUPS",
    "BACKUP_SUFFIX",
    "COMMITTING",
    "FINGERPRINT_NAME",
    "NO_FINGERPRINT",
    "PREFIX",
    "PREVIOUS",
    "PREVIOUS_FINGERPRINT",
    "backup_of",
    "backup_shown",
]

PREFIX = ".smpatch-"
"""Of a staging directory, and in it of everything that is no part of the staged model."""

FINGERPRINT_NAME = "fingerprint.pb"

BACKUP_SUFFIX = ".backup"

BACKUPS = frozenset(f"{name}{BACKUP_SUFFIX}" for name in (BINARY_NAME, TEXT_NAME, FINGERPRINT_NAME))
"""What belongs to the history of one directory, and not to its model."""

COMMITTING = f"{PREFIX}committing"
"""The identity of the new model file, from when a commit starts."""

PREVIOUS = f"{PREFIX}previous"
"""The previous model file, until the commit has made it the backup."""

PREVIOUS_FINGERPRINT = f"{PREFIX}previous-fingerprint"
"""The fingerprint of the previous model file, likewise."""

NO_FINGERPRINT = f"{PREFIX}no-fingerprint"
"""There where the previous model file has no fingerprint, so that an older one must go."""


def backup_of(file: Path) -> Path:
    """Return where the previous content of a file is kept: beside it, links resolved."""
    place = os.path.realpath(file)
    return Path(f"{place}{BACKUP_SUFFIX}")


def backup_shown(file: Path) -> Path:
    """Return the same, beginning as the file's own path does where it is no link."""
    return backup_of(file) if file.is_symlink() else Path(f"{file}{BACKUP_SUFFIX}")
