"""The steps of a commit around its rename: the backups and the companions.

Before the rename the previous files get second names in the staging directory; after it they
take the places of older backups, and new companions take their places. So a commit that
fails has touched no backup, and one that was killed in the middle is finished by the next
edit, from the same directory.

This module does not rename the model file.

Source: link(2), rename(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from smpatch.errors import RefusedError
from smpatch.loader import SavedModel
from smpatch.writer.companions import Companion, places
from smpatch.writer.copying import copy_tree_entry
from smpatch.writer.staging_directory import (
    COMMITTING,
    PREFIX,
    PREVIOUS,
    backup_of,
    sweep,
    undo_record_of,
)

__all__ = ["announce", "finish_backups", "finish_companion", "keep", "link", "recover", "spare"]

_UNDO_RECORD = f"{PREFIX}undo-record"

_NO_UNDO_RECORD = f"{PREFIX}no-undo-record"
"""The name of a file: where it is there, an older record must go, as the backup is of an edit."""

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Answers of FAT, of some network file systems, and about files of other users."""


def announce(staging: Path, new: Path, target: Path) -> None:
    """Record which model file is about to be put where, before the commit.

    It is on the disk when this returns: after a power cut an empty record would say nothing,
    and the previous file, which has no other name by then, would be removed with it.

    Args:
        staging: The staging directory.
        new: The staged model file.
        target: The file to replace, links resolved.
    """
    _write(staging / COMMITTING, _record(new) + os.fsencode(target.name))


def keep(
    staging: Path,
    target: Path,
    companions: Mapping[Companion, Path | None],
    undo_record: bytes | None = None,
) -> None:
    """Give the previous files second names in a staging directory.

    Args:
        staging: The staging directory.
        target: The model file, links resolved.
        companions: Those whose backups are renewed: the place of each, links resolved; None
            where it has no backup any more.
        undo_record: What is recorded of an undo; None for an edit.

    Raises:
        RefusedError: Something else has the name of the backup.
        OSError: The file system refused.
    """
    backups = map(backup_of, (target, *filter(None, companions.values())))
    for kept in (*backups, undo_record_of(target)):
        if os.path.isdir(kept):
            hint = "move it away, or edit without --backup"
            raise RefusedError("it is a directory, not a backup", where=str(kept), hint=hint)
    if undo_record is not None:
        _write(staging / _UNDO_RECORD, undo_record)
    elif _is_there(undo_record_of(target)):
        (staging / _NO_UNDO_RECORD).touch()
    link(target, staging / PREVIOUS)
    for companion, place in companions.items():
        # Elsewhere it cannot be renamed to; without it an undo computes a fingerprint anew.
        if place and place.is_file() and place.stat().st_dev == staging.stat().st_dev:
            link(place, staging / companion.previous)
        else:
            (staging / companion.no_previous).touch()


def link(file: Path, name: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(file, name)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        copy_tree_entry(file, name)


def finish_backups(staging: Path, target: Path, companions: Mapping[Companion, Path]) -> None:
    """Move the previous files to the places of older backups; nothing is done twice.

    Args:
        staging: The staging directory.
        target: The model file, links resolved.
        companions: The place of each companion, links resolved.

    Raises:
        OSError: The file system refused; what is left can be put in place later.
    """
    # The model file comes last: as long as it is here, the rest is due.
    if _is_there(staging / PREVIOUS):
        for companion, place in companions.items():
            if _is_there(staging / companion.no_previous) and _is_there(backup_of(place)):
                backup_of(place).unlink()
            if _is_there(staging / companion.previous):
                _move(staging / companion.previous, backup_of(place))
        if _is_there(staging / _NO_UNDO_RECORD) and _is_there(undo_record_of(target)):
            undo_record_of(target).unlink()
        if _is_there(staging / _UNDO_RECORD):
            _move(staging / _UNDO_RECORD, undo_record_of(target))
        _move(staging / PREVIOUS, backup_of(target))


def finish_companion(staging: Path, companion: Companion, place: Path) -> None:
    """Replace a companion by the staged one, if that is still there.

    Raises:
        OSError: The file system refused.
    """
    staged = staging / companion.staged
    # A link is one of the payloads, which a text form has its fingerprint among.
    if _is_there(staged) and not staged.is_symlink():
        _move(staged, place)


def _is_there(path: Path) -> bool:
    """As ``os.path.lexists``, which takes every error for an answer."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _move(file: Path, place: Path) -> None:
    os.replace(file, place)
    with contextlib.suppress(OSError):
        os.unlink(file)  # still there where both are names of one file: rename(2) does nothing then


def recover(model: SavedModel) -> None:
    """Remove what killed edits in place left behind, and finish the one that was committed.

    A commit that was cut after its rename left the companions of the previous model, and may
    have left the previous model itself, which is to be the backup. To be called under the lock
    of the model; what cannot be removed stays.
    """
    target = Path(os.path.realpath(model.file))
    companions = places(model.directory)

    def finish(left_behind: Path) -> bool:
        name = _committed(left_behind)
        if name is None:
            return True
        if name != target.name:
            return False  # the next edit of that file finishes it
        # An error leaves it for another time.
        finish_backups(left_behind, target, companions)
        for companion, place in companions.items():
            finish_companion(left_behind, companion, place)
        return True

    sweep(target.parent, finish)


def spare(left_behind: Path) -> bool:
    """Return whether a directory left behind holds nothing that a model still needs."""
    return _committed(left_behind) is None


def _committed(left_behind: Path) -> str | None:
    """Return the name of the file that a commit put beside it, if it has not changed since."""
    try:
        record = (left_behind / COMMITTING).read_bytes()
    except OSError:
        return None
    identity, newline, name = record.partition(b"\n")
    target = left_behind.parent / os.fsdecode(name)
    try:
        is_there = bool(name) and _record(target) == identity + newline
    except OSError:
        is_there = False
    return target.name if is_there else None


def _write(file: Path, data: bytes) -> None:
    with file.open("xb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _record(file: Path) -> bytes:
    # Not the time of the status change, which a rename changes on most file systems.
    status = file.stat()
    return b"%d %d %d %d\n" % (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
