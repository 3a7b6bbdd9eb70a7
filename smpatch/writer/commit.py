"""Put a staged model in place by one rename.

Before the rename the old model is there, whole; after it the new one. What can still fail
after it (a fingerprint, a sync) is reported and is no failure, for the model has changed;
and Ctrl-C comes too late then.

Source: rename(2), fsync(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smpatch.errors import ConflictError, RefusedError, WriteError
from smpatch.loader import SavedModel
from smpatch.writer.copying import copy_tree_entry, sync_directory, take_after
from smpatch.writer.stage import StagingDirectory
from smpatch.writer.staging_directory import (
    COMMITTING,
    FINGERPRINT_NAME,
    NO_FINGERPRINT,
    PREVIOUS,
    PREVIOUS_FINGERPRINT,
    backup_of,
    backup_shown,
    sweep,
    to_the_end,
)

__all__ = [
    "Committed",
    "announce",
    "commit",
    "commit_new",
    "finish_backups",
    "finish_fingerprint",
    "keep",
    "link",
    "recover",
    "spare",
]

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Answers of FAT, of some network file systems, and about files of other users."""


def announce(staging: Path, new: Path, target: Path) -> None:
    """Record which model file is about to be put where, before the commit.

    It is on the disk when this returns: after a power cut an empty record would tell nothing,
    and the previous file, which has no other name by then, would be removed with it.

    Args:
        staging: The staging directory.
        new: The staged model file.
        target: The file to replace, links resolved.
    """
    with (staging / COMMITTING).open("xb") as record:
        record.write(_record(new) + os.fsencode(target.name))
        record.flush()
        os.fsync(record.fileno())


def keep(staging: Path, target: Path, fingerprint: Path | None) -> None:
    """Give the previous files second names in a staging directory.

    Args:
        staging: The staging directory.
        target: The model file, links resolved.
        fingerprint: Where its fingerprint lies if it has one, links resolved; None where the
            model is of a form without.

    Raises:
        RefusedError: Something else has the name of the backup.
        OSError: The file system refused.
    """
    for kept in (target, *(() if fingerprint is None else (fingerprint,))):
        if os.path.isdir(backup_of(kept)):
            hint = "move it away, or edit without --backup"
            raise RefusedError(
                "it is a directory, and no backup", where=str(backup_of(kept)), hint=hint
            )
    link(target, staging / PREVIOUS)
    if fingerprint is None:
        return
    # Elsewhere it cannot be renamed to; without it an undo computes it anew.
    if fingerprint.is_file() and fingerprint.stat().st_dev == staging.stat().st_dev:
        link(fingerprint, staging / PREVIOUS_FINGERPRINT)
    else:
        (staging / NO_FINGERPRINT).touch()


def link(file: Path, name: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(file, name)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        copy_tree_entry(file, name)


def finish_backups(staging: Path, target: Path, fingerprint: Path) -> None:
    """Let the previous files take the places of older backups; nothing is done twice.

    Args:
        staging: The staging directory.
        target: The model file, links resolved.
        fingerprint: Where its fingerprint lies or would lie, links resolved.

    Raises:
        OSError: The file system refused; what is left can be put in place later.
    """
    # The model file comes last: as long as it is here, the rest is known to be due.
    if _is_there(staging / PREVIOUS):
        if _is_there(staging / NO_FINGERPRINT):
            backup_of(fingerprint).unlink(missing_ok=True)
        if _is_there(staging / PREVIOUS_FINGERPRINT):
            _move(staging / PREVIOUS_FINGERPRINT, backup_of(fingerprint))
        _move(staging / PREVIOUS, backup_of(target))


def finish_fingerprint(staging: Path, fingerprint: Path) -> None:
    """Replace ``fingerprint.pb`` by the staged one, if that is still there.

    Raises:
        OSError: The file system refused.
    """
    staged = staging / FINGERPRINT_NAME
    # A link is one of the payloads, which a text form has it among.
    if _is_there(staged) and not staged.is_symlink():
        _move(staged, fingerprint)


def _is_there(path: Path) -> bool:
    """As ``os.path.lexists``, which takes every error for an answer."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _move(file: Path, place: Path) -> None:
    os.replace(file, place)
    with contextlib.suppress(OSError):
        os.unlink(file)  # still there where both are names of one file: rename(2) does nothing then


def recover(model: SavedModel) -> None:
    """Remove what killed edits in place left behind, and finish the one that was committed.

    A commit that was cut after its rename left the fingerprint of the previous model, and may
    have left the previous model itself, which is to be the backup. To be called under the lock
    of the model; what cannot be removed stays.
    """
    target = Path(os.path.realpath(model.file))
    fingerprint = Path(os.path.realpath(model.directory / FINGERPRINT_NAME))

    def finish(left_behind: Path) -> bool:
        name = _committed(left_behind)
        if name is None:
            return True
        if name != target.name:
            return False  # the business of whoever edits that one
        # An error leaves it for another time.
        finish_backups(left_behind, target, fingerprint)
        finish_fingerprint(left_behind, fingerprint)
        return True

    sweep(target.parent, finish)


def spare(left_behind: Path) -> bool:
    """Tell whether a directory left behind holds nothing that a model still needs."""
    return _committed(left_behind) is None


def _committed(left_behind: Path) -> str | None:
    """Return the name of the file that a commit put beside it, if nobody has changed it since."""
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


def _record(file: Path) -> bytes:
    # Not the time of the status change, which a rename changes on most file systems.
    status = file.stat()
    return b"%d %d %d %d\n" % (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""What rename(2) answers where a directory is to be made and something is."""

_TOO_LATE = "the interruption came when the model had changed already"


@dataclass(frozen=True, slots=True)
class Committed:
    """A change that is in place.

    Attributes:
        directory: The model that has it.
        backup: The previous file, when it was kept.
        fingerprint_refreshed: Whether ``fingerprint.pb`` was replaced too.
        warnings: What failed after the change was in place, or is worth knowing about it.
    """

    directory: Path
    backup: Path | None
    fingerprint_refreshed: bool
    warnings: tuple[str, ...]


def commit(staged: StagingDirectory, *, backup: bool = False) -> Committed:
    """Put the staged model in place.

    Args:
        staged: The edited model.
        backup: Keep the previous file beside the new one, as ``NAME.backup``, and its
            fingerprint likewise.

    Returns:
        What was done.

    Raises:
        ConflictError: The model changed since it was loaded; nothing was done.
        RefusedError: The destination is no longer empty; nothing was done.
        WriteError: The file system refused; the model is unchanged.
    """
    if staged.target is None:
        return _make_directory(staged)
    return _replace_file(staged, staged.target, backup=backup)


def commit_new(directory: Path, destination: Path) -> tuple[str, ...]:
    """Put a directory that was made staging in place, where none was or an empty one.

    Args:
        directory: The directory, on the file system of the destination.
        destination: The name that it gets.

    Returns:
        What failed after it was in place.

    Raises:
        RefusedError: The destination is no longer empty; nothing was done.
        WriteError: The file system refused; nothing was done.
    """
    warnings: list[str] = []
    try:
        sync_directory(directory)
        _rename(os.rename, directory, destination, warnings)
    except OSError as error:
        raise _not_made(destination, error) from error
    _sync({destination.parent}, warnings)
    return tuple(warnings)


def _replace_file(staged: StagingDirectory, target: Path, *, backup: bool) -> Committed:
    model = staged.model
    warnings: list[str] = []
    try:
        refreshed = staged.has_fingerprint
        place = Path(os.path.realpath(model.directory / FINGERPRINT_NAME))
        kept = backup_shown(model.file) if backup else None
        changed = {target.parent, Path(os.path.realpath(model.directory))}
        if backup or refreshed:  # else the commit is all there is to do
            announce(staged.directory, staged.file, target)
        _check_unchanged(staged, target, warnings)
        if backup:
            keep(staged.directory, target, place if staged.ages_fingerprint else None)
        staged.own.keep = backup  # from now on the previous file may have no other name
        try:
            _rename(os.replace, staged.file, target, warnings)
        except BaseException:
            staged.own.keep = False
            raise
    except OSError as error:
        found = f"could not replace the file: {_reason(error)}"
        raise WriteError(found, where=str(model.file), hint="the model is unchanged") from error
    if kept is not None:
        words = (
            f"the model has changed, but the previous file could not become {kept}; "
            f"it stays in {staged.directory}, and the next edit tries again"
        )
        settled = _whatever_comes(
            lambda: finish_backups(staged.directory, target, place), words, warnings
        )
        staged.own.keep = not settled
        kept = kept if settled else None
    if refreshed:
        words = f"the model has changed, but {FINGERPRINT_NAME} could not be refreshed"
        refreshed = _whatever_comes(
            lambda: finish_fingerprint(staged.directory, place), words, warnings
        )
        changed.add(place.parent)
    _sync(changed, warnings)
    return Committed(model.directory, kept, refreshed, tuple(warnings))


def _check_unchanged(staged: StagingDirectory, target: Path, warnings: list[str]) -> None:
    model = staged.model
    status = os.stat(model.file)
    if not model.identity.is_of(status) or Path(os.path.realpath(model.file)) != target:
        found = "somebody changed the model while it was being edited; their change stays"
        raise ConflictError(found, where=str(model.file), hint="run the edit again")
    if status.st_nlink > 1:
        warnings.append(f"{target} had other hard links; they keep the previous model")


def _make_directory(staged: StagingDirectory) -> Committed:
    model, destination = staged.model, staged.destination
    if destination is None:
        message = "a staged model has a target or a destination"
        raise ValueError(message)
    try:
        refreshed = (staged.directory / FINGERPRINT_NAME).exists()
        take_after(staged.directory, model.directory, os.stat(model.directory))
        os.utime(staged.directory)
    except OSError as error:
        raise _not_made(destination, error) from error
    return Committed(destination, None, refreshed, commit_new(staged.directory, destination))


def _not_made(destination: Path, error: OSError) -> RefusedError | WriteError:
    if error.errno in _TAKEN:
        found = "somebody else put something there meanwhile"
        return RefusedError(found, where=str(destination))
    found = f"could not put the new model in place: {_reason(error)}"
    return WriteError(found, where=str(destination), hint="nothing was written")


def _rename(
    rename: Callable[[Path, Path], None], staged: Path, place: Path, warnings: list[str]
) -> None:
    """Commit; an interruption counts only when it came before."""
    try:
        rename(staged, place)
    except BaseException as stop:
        if isinstance(stop, Exception) or os.path.lexists(staged):
            raise
        warnings.append(_TOO_LATE)


def _sync(directories: set[Path], warnings: list[str]) -> None:
    def sync() -> None:
        for directory in directories:
            sync_directory(directory)

    _whatever_comes(sync, "the model has changed, but a power cut now may undo it", warnings)


def _whatever_comes(step: Callable[[], None], words: str, warnings: list[str]) -> bool:
    """Take a step after the commit; return whether it succeeded."""
    try:
        cut = to_the_end(step)
    except OSError as error:
        warnings.append(f"{words}: {_reason(error)}")
        return False
    if cut and _TOO_LATE not in warnings:
        warnings.append(_TOO_LATE)
    return True


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
