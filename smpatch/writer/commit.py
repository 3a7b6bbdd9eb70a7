"""Put a staged model in place by one rename.

Before the rename the old model is there, whole; after it the new one. What can still fail
after it (a fingerprint, a sync) is reported and is no failure, for the model has changed;
and Ctrl-C comes too late then.

Source: rename(2), fsync(2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smpatch.errors import ConflictError, RefusedError, WriteError
from smpatch.loader import FileIdentity
from smpatch.writer.copying import copy_tree_entry, sync_directory, take_after
from smpatch.writer.stage import FINGERPRINT_NAME, PREFIX, Staged, to_the_end

__all__ = ["BACKUP_SUFFIX", "Committed", "commit"]

BACKUP_SUFFIX = ".backup"

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


def commit(staged: Staged, *, backup: bool = False) -> Committed:
    """Put the staged model in place.

    Args:
        staged: The edited model.
        backup: Keep the previous file beside the new one, as ``NAME.backup``.

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


def _replace_file(staged: Staged, target: Path, *, backup: bool) -> Committed:
    model = staged.plan.model
    warnings: list[str] = []
    kept = None
    fingerprint = staged.directory / FINGERPRINT_NAME
    try:
        refreshed = fingerprint.exists()
        place = Path(os.path.realpath(model.directory / FINGERPRINT_NAME))
        changed = {target.parent, Path(os.path.realpath(model.directory))}
        staged.announce()
        status = os.stat(model.file)
        if (
            FileIdentity.of(status) != model.identity
            or Path(os.path.realpath(model.file)) != target
        ):
            found = "somebody changed the model while it was being edited; their change stays"
            raise ConflictError(found, where=str(model.file), hint="run the edit again")
        if status.st_nlink > 1:
            warnings.append(f"{target} had other hard links; they keep the previous model")
        if backup:
            kept = _keep(target, staged.directory)
        _rename(os.replace, staged.file, target, warnings)
    except OSError as error:
        found = f"could not replace the file: {_reason(error)}"
        raise WriteError(found, where=str(model.file), hint="the model is unchanged") from error
    if refreshed:
        refreshed = _whatever_comes(
            lambda: _put_fingerprint(fingerprint, place),
            f"the model has changed, but {FINGERPRINT_NAME} could not be refreshed",
            warnings,
        )
        changed.add(place.parent)
    _sync(changed, warnings)
    return Committed(model.directory, kept, refreshed, tuple(warnings))


def _keep(target: Path, aside: Path) -> Path:
    """Keep the file under its backup name, in the place of an older backup."""
    kept = target.with_name(target.name + BACKUP_SUFFIX)
    fresh = aside / f"{PREFIX}previous"  # payloads are staged under all other names
    try:
        os.link(target, fresh)
    except OSError as error:
        # FAT and some network file systems have no hard links; a copy serves as well.
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        copy_tree_entry(target, fresh)
    os.replace(fresh, kept)
    return kept


def _put_fingerprint(staged: Path, place: Path) -> None:
    """Replace ``fingerprint.pb`` where it lies, once."""
    if staged.exists():
        os.replace(staged, place)


def _make_directory(staged: Staged) -> Committed:
    model, destination = staged.plan.model, staged.destination
    if destination is None:
        message = "a staged model has a target or a destination"
        raise ValueError(message)
    warnings: list[str] = []
    try:
        refreshed = (staged.directory / FINGERPRINT_NAME).exists()
        take_after(staged.directory, model.directory, os.stat(model.directory))
        os.utime(staged.directory)
        sync_directory(staged.directory)
        _rename(os.rename, staged.directory, destination, warnings)
    except OSError as error:
        if error.errno in _TAKEN:
            found = "somebody else put something there meanwhile"
            raise RefusedError(found, where=str(destination)) from error
        found = f"could not put the new model in place: {_reason(error)}"
        raise WriteError(found, where=str(destination), hint="nothing was written") from error
    _sync({destination.parent}, warnings)
    return Committed(destination, None, refreshed, tuple(warnings))


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
