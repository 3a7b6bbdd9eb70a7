"""Put a staged model in place by one rename.

Before the rename the old model is there, whole; after it the new one. What can still fail
after it (a fingerprint, a sync) is reported and is no failure, for the model has changed.

Source: rename(2), fsync(2).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from smpatch.errors import ConflictError, RefusedError, WriteError
from smpatch.loader import FileIdentity
from smpatch.writer.copying import sync_directory
from smpatch.writer.stage import FINGERPRINT_NAME, PREFIX, Staged

__all__ = ["BACKUP_SUFFIX", "Committed", "commit"]

BACKUP_SUFFIX = ".backup"


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
    try:
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
            kept = _keep(target)
        os.replace(staged.file, target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        found = f"could not replace the file: {reason}"
        raise WriteError(found, where=str(model.file), hint="the model is unchanged") from error
    refreshed = False
    fingerprint = staged.directory / FINGERPRINT_NAME
    try:
        if fingerprint.exists():
            _put_fingerprint(fingerprint, model.directory / FINGERPRINT_NAME)
            refreshed = True
    except OSError as error:
        warnings.append(
            f"the model has changed, but {FINGERPRINT_NAME} could not be refreshed: "
            f"{error.strerror}; the next edit does it"
        )
    try:
        sync_directory(target.parent)
        if model.directory.resolve() != target.parent:
            sync_directory(model.directory)
    except OSError as error:
        warnings.append(f"the model has changed, but a power cut now may undo it: {error.strerror}")
    return Committed(model.directory, kept, refreshed, tuple(warnings))


def _keep(target: Path) -> Path:
    """Hard-link the file under its backup name, in the place of an older backup."""
    kept = target.with_name(target.name + BACKUP_SUFFIX)
    fresh = target.with_name(f"{PREFIX}{os.getpid()}{BACKUP_SUFFIX}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    os.link(target, fresh)
    os.replace(fresh, kept)
    return kept


def _put_fingerprint(staged: Path, place: Path) -> None:
    """Replace ``fingerprint.pb`` where it lies, also behind a link."""
    os.replace(staged, os.path.realpath(place))


def _make_directory(staged: Staged) -> Committed:
    model, destination = staged.plan.model, staged.destination
    if destination is None:
        message = "a staged model has a target or a destination"
        raise ValueError(message)
    refreshed = (staged.directory / FINGERPRINT_NAME).exists()
    try:
        os.chmod(staged.directory, os.stat(model.directory).st_mode & 0o7777)
        sync_directory(staged.directory)
        os.rename(staged.directory, destination)
    except OSError as error:
        if destination.exists() and any(destination.iterdir()):
            found = "somebody else put something there meanwhile"
            raise RefusedError(found, where=str(destination)) from error
        reason = (error.strerror or str(error)).lower()
        found = f"could not put the new model in place: {reason}"
        raise WriteError(found, where=str(destination), hint="nothing was written") from error
    warnings: list[str] = []
    try:
        sync_directory(destination.parent)
    except OSError as error:
        warnings.append(f"the model is written, but a power cut now may undo it: {error.strerror}")
    return Committed(destination, None, refreshed, tuple(warnings))
