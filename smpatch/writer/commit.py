"""Put a staged model in place by one rename.

Before the rename the path has the whole old model; after it, the whole new one. A failure after the
rename (of a companion or a sync) is a warning and not an error, because the model has changed. A
Ctrl-C after the rename does not undo it.

Source: rename(2), fsync(2).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smpatch.errors import ConflictError, RefusedError, WriteError
from smpatch.writer.companions import FINGERPRINT, WARM_UP, Companion, places
from smpatch.writer.copying import sync_directory, take_after
from smpatch.writer.finish import announce, finish_backups, finish_companion, keep
from smpatch.writer.stage import Staged
from smpatch.writer.staging_directory import backup_of, backup_shown, to_the_end

_LOG = logging.getLogger(__name__)

_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""The errors of rename(2) if the path of the new directory is in use."""

_TOO_LATE = "the interruption came when the model had changed already"


@dataclass(frozen=True, slots=True)
class Committed:
    """The result of a commit.

    Attributes:
        directory: The directory of the changed model.
        backup: The path of the previous file; None if it was not kept.
        fingerprint_refreshed: Whether ``fingerprint.pb`` was replaced too.
        warm_up_replaced: Whether the warm-up requests were replaced too.
        warnings: The failures after the rename, and remarks on the commit.
    """

    directory: Path
    backup: Path | None
    fingerprint_refreshed: bool
    warm_up_replaced: bool
    warnings: tuple[str, ...]


def commit(staged: Staged, *, backup: bool = False, undo_record: bytes | None = None) -> Committed:
    """Put the staged model in place.

    Args:
        staged: The edited model.
        backup: Whether to keep the previous file beside the new one, as ``NAME.backup``, and the
            previous companions in the same way.
        undo_record: The record of an undo, which needs ``backup``; None for an edit.

    Raises:
        ConflictError: The model changed since it was loaded; nothing was changed.
        RefusedError: The destination is no longer empty, or a directory has the name of the backup;
            nothing was changed.
        WriteError: The file system refused; the model is unchanged.
    """
    if staged.target is None:
        return _make_directory(staged)
    done = _replace_file(staged, staged.target, backup=backup, undo_record=undo_record)
    _LOG.info(
        "commit of %s done, %s", staged.target, "with a backup" if done.backup else "no backup"
    )
    return done


def commit_new(directory: Path, destination: Path) -> tuple[str, ...]:
    """Put a staged directory in place, at a path that is free or an empty directory.

    Args:
        directory: The staged directory, on the file system of the destination.
        destination: The path that the directory gets.

    Returns:
        Warnings about failures after the rename.

    Raises:
        RefusedError: The destination is no longer empty; nothing was changed.
        WriteError: The file system refused; nothing was changed.
    """
    warnings: list[str] = []
    try:
        sync_directory(directory)
        _rename(os.rename, directory, destination, warnings)
    except OSError as error:
        raise _not_made(destination, error) from error
    _sync({destination.parent}, warnings)
    _LOG.info("commit of %s done", destination)
    return tuple(warnings)


def _replace_file(
    staged: Staged, target: Path, *, backup: bool, undo_record: bytes | None
) -> Committed:
    model = staged.model
    warnings: list[str] = []
    try:
        there = places(model.directory)
        replaced = [each for each in there if staged.has(each)]
        kept = backup_shown(model.file) if backup else None
        changed = {target.parent, Path(os.path.realpath(model.directory))}
        if backup or replaced:  # otherwise the rename is the only step
            announce(staged.directory, staged.file, target)
        _check_unchanged(staged, target, warnings)
        if backup:
            keep(staged.directory, target, dict(_renewed(staged, there)), undo_record)
        # From here on, the staging directory may have the only name of the previous file or of new
        # requests.
        staged.own.keep = backup or WARM_UP in replaced
        try:
            _rename(os.replace, staged.file, target, warnings)
        except BaseException:
            staged.own.keep = False
            raise
    except OSError as error:
        found = f"could not replace the file: {_reason(error)}"
        raise WriteError(found, where=str(model.file), hint="the model is unchanged") from error
    unsettled = rewritten = False
    later = f"it stays in {staged.directory}, and the next edit tries again"
    if WARM_UP in replaced:
        words = f"the model has changed, but {WARM_UP.place} could not be replaced; {later}"
        rewritten = _finished(staged, WARM_UP, there[WARM_UP], words, warnings)
        unsettled = not rewritten
        changed.add(there[WARM_UP].parent)
    if kept is not None:
        words = f"the model has changed, but the previous file could not become {kept}; {later}"
        settled = _after_commit(
            lambda: finish_backups(staged.directory, target, there), words, warnings
        )
        unsettled |= not settled
        kept = kept if settled else None
    staged.own.keep = unsettled
    refreshed = FINGERPRINT in replaced
    if refreshed:
        words = f"the model has changed, but {FINGERPRINT.place} could not be refreshed"
        refreshed = _finished(staged, FINGERPRINT, there[FINGERPRINT], words, warnings)
        changed.add(there[FINGERPRINT].parent)
    _sync(changed, warnings)
    return Committed(model.directory, kept, refreshed, rewritten, tuple(warnings))


def _renewed(
    staged: Staged, there: Mapping[Companion, Path]
) -> Iterator[tuple[Companion, Path | None]]:
    """Yield the companions whose backups are renewed, each with its path; None if it is absent."""
    if staged.ages_fingerprint:
        yield FINGERPRINT, there[FINGERPRINT]
    # Also if this edit keeps them: a later edit without a backup may change them.
    if there[WARM_UP].is_file():
        yield WARM_UP, there[WARM_UP]
    elif os.path.lexists(backup_of(there[WARM_UP])):
        yield WARM_UP, None


def _finished(
    staged: Staged, companion: Companion, place: Path, words: str, warnings: list[str]
) -> bool:
    """Put a companion in place, and return whether this succeeded."""
    return _after_commit(
        lambda: finish_companion(staged.directory, companion, place), words, warnings
    )


def _check_unchanged(staged: Staged, target: Path, warnings: list[str]) -> None:
    model = staged.model
    status = os.stat(model.file)
    if not model.identity.is_of(status) or Path(os.path.realpath(model.file)) != target:
        found = "another program changed the model during the edit; its change stays"
        raise ConflictError(found, where=str(model.file), hint="run the edit again")
    if status.st_nlink > 1:
        warnings.append(f"{target} had other hard links; they keep the previous model")
    if staged.rewrite is not None:
        now = os.stat(staged.rewrite.file)
        if not staged.rewrite.identity.is_of(now):
            found = "another program changed the file during the edit; its change stays"
            raise ConflictError(found, where=str(staged.rewrite.file), hint="run the edit again")


def _make_directory(staged: Staged) -> Committed:
    model, destination = staged.model, staged.destination
    if destination is None:
        raise ValueError("a staged model has a target or a destination")
    try:
        refreshed = (staged.directory / FINGERPRINT.place).exists()
        take_after(staged.directory, model.directory, os.stat(model.directory))
        os.utime(staged.directory)
    except OSError as error:
        raise _not_made(destination, error) from error
    warnings = commit_new(staged.directory, destination)
    return Committed(destination, None, refreshed, staged.rewrite is not None, warnings)


def _not_made(destination: Path, error: OSError) -> RefusedError | WriteError:
    if error.errno in _TAKEN:
        found = "another program put something there during the edit"
        return RefusedError(found, where=str(destination))
    found = f"could not put the new model in place: {_reason(error)}"
    return WriteError(found, where=str(destination), hint="nothing was written")


def _rename(
    rename: Callable[[Path, Path], None], staged: Path, place: Path, warnings: list[str]
) -> None:
    """Commit by a rename; an interruption after the rename becomes a warning."""
    _LOG.info("commit: %s is renamed to %s", staged, place)
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

    _after_commit(sync, "the model has changed, but a power cut now may undo it", warnings)


def _after_commit(step: Callable[[], None], words: str, warnings: list[str]) -> bool:
    """Do a step after the commit, and return whether it succeeded."""
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
