"""The steps of a commit before and after its rename: the backups and the companions.

Before the rename, the previous files get second names in the staging directory. After it, they
replace older backups, and new companions replace the previous ones. So a failed commit has changed
no backup, and the next edit finishes a killed commit from the same staging directory.

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

_UNDO_RECORD = f"{PREFIX}undo-record"

_NO_UNDO_RECORD = f"{PREFIX}no-undo-record"
"""The name of a file that marks an older record for removal: the new backup is that of an edit."""

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""The errors of link(2) on FAT and some network file systems, and for files of other users."""


def announce(staging: Path, new: Path, target: Path) -> None:
    """Record, before the commit, the identity of the new model file and the name that it gets.

    The record is on the disk when this function returns. If a power cut left an empty record, the
    next edit would remove the staging directory, and with it the only name of the previous file.

    Args:
        staging: The staging directory.
        new: The path of the staged model file.
        target: The path of the file to replace, links resolved.
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
        target: The path of the model file, links resolved.
        companions: The companions whose backups are renewed, each with its path, links resolved;
            None if the companion is absent, so that its old backup is removed.
        undo_record: The record of an undo; None for an edit.

    Raises:
        RefusedError: A directory has the name of a backup or of the undo record.
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
        # A rename cannot move it to another file system; an undo then computes a new fingerprint.
        if place and place.is_file() and place.stat().st_dev == staging.stat().st_dev:
            link(place, staging / companion.previous)
        else:
            (staging / companion.no_previous).touch()


def link(file: Path, name: Path) -> None:
    """Give a file a second name, or copy it if the file system has no hard links."""
    try:
        os.link(file, name)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        copy_tree_entry(file, name)


def finish_backups(staging: Path, target: Path, companions: Mapping[Companion, Path]) -> None:
    """Replace older backups by the previous files; a second call does only the missing steps.

    Args:
        staging: The staging directory.
        target: The path of the model file, links resolved.
        companions: The path of each companion, links resolved.

    Raises:
        OSError: The file system refused; a later call can do the remaining steps.
    """
    # The model file is moved last: as long as it is in ``staging``, steps remain to be done.
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
    """Replace a companion by the staged one, if the staged one is still there.

    Raises:
        OSError: The file system refused.
    """
    staged = staging / companion.staged
    # A link leads to a file that the edit keeps, such as the fingerprint of a text form.
    if _is_there(staged) and not staged.is_symlink():
        _move(staged, place)


def _is_there(path: Path) -> bool:
    """Return whether a path exists; unlike ``os.path.lexists``, raise other errors."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _move(file: Path, place: Path) -> None:
    os.replace(file, place)
    with contextlib.suppress(OSError):
        os.unlink(file)  # if both are names of one file, rename(2) does nothing


def recover(model: SavedModel) -> None:
    """Remove the staging directories of killed edits in place, and finish a committed edit.

    A commit that was killed after its rename left the companions of the previous model in place,
    and the staging directory may have the previous model file, which becomes the backup. Call this
    function under the lock of the model. Files that cannot be removed stay.
    """
    target = Path(os.path.realpath(model.file))
    companions = places(model.directory)

    def finish(left_behind: Path) -> bool:
        name = _committed(left_behind)
        if name is None:
            return True
        if name != target.name:
            return False  # the next edit of that file finishes it
        # After an error, the next edit tries again.
        finish_backups(left_behind, target, companions)
        for companion, place in companions.items():
            finish_companion(left_behind, companion, place)
        return True

    sweep(target.parent, finish)


def spare(left_behind: Path) -> bool:
    """Return whether no model needs a file of a staging directory that was left over."""
    return _committed(left_behind) is None


def _committed(left_behind: Path) -> str | None:
    """Return the name of the model file that a commit replaced; None if that has changed since.

    The result is also None if the commit was not recorded or its rename was not reached.
    """
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
    # The time of the status change is left out: most file systems change it by a rename.
    status = file.stat()
    return b"%d %d %d %d\n" % (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
