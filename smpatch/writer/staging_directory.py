"""Staging directories: their names, their locks, and the removal of old ones.

The name of such a directory begins with ``.smpatch-``; no loader and no server reads such a name
as a version. The directory is locked while its process runs. A directory without a lock was left by
a killed process.

This module does not read the files in these directories.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smpatch.savedmodel.directory import BINARY_NAME, TEXT_NAME
from smpatch.writer.lock import try_lock

_LOG = logging.getLogger(__name__)

PREFIX = ".smpatch-"
"""The prefix of staging directories, and of files in them that do not belong to the model."""

FINGERPRINT_NAME = "fingerprint.pb"

BACKUP_SUFFIX = ".backup"

UNDO_RECORD_SUFFIX = ".undone"

BACKUPS = frozenset(
    {f"{name}{BACKUP_SUFFIX}" for name in (BINARY_NAME, TEXT_NAME, FINGERPRINT_NAME)}
    | {f"{name}{UNDO_RECORD_SUFFIX}" for name in (BINARY_NAME, TEXT_NAME)}
)
"""The names of files that belong to the history of one directory, and not to its model."""

COMMITTING = f"{PREFIX}committing"
"""The name of a file with the identity of the new model file, written when a commit starts."""

PREVIOUS = f"{PREFIX}previous"
"""The name of the previous model file, until the commit makes it the backup."""


def backup_of(file: Path) -> Path:
    """Return the path of the backup of a file: beside the file, links resolved."""
    place = os.path.realpath(file)
    return Path(f"{place}{BACKUP_SUFFIX}")


def undo_record_of(file: Path) -> Path:
    """Return the path of the record of an undo: the file put back, and the new backup."""
    return Path(f"{os.path.realpath(file)}{UNDO_RECORD_SUFFIX}")


def backup_shown(file: Path) -> Path:
    """Return the path of the backup for messages: links are resolved only if the file is a link."""
    return backup_of(file) if file.is_symlink() else Path(f"{file}{BACKUP_SUFFIX}")


@dataclass(slots=True)
class OwnDirectory:
    """A staging directory of this process.

    Attributes:
        path: The path of the directory.
        keep: Whether the directory stays at the end, because it has the only name of a file.
    """

    path: Path
    keep: bool = False


@contextlib.contextmanager
def own_directory(home: Path) -> Iterator[OwnDirectory]:
    """Make a staging directory, which is locked until the end of the context."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
        try:
            descriptor = _lock_new(directory)
        except BaseException:
            discard(directory)
            raise
        if descriptor is not None:
            break
    own = OwnDirectory(directory)
    try:
        _LOG.info("staging directory %s made", directory)
        yield own
    finally:
        if not own.keep:
            discard(directory)
        with contextlib.suppress(OSError):  # a commit may be done, and the lock is released anyway
            os.close(descriptor)


def _lock_new(directory: Path) -> int | None:
    """Lock a new directory; return None if the sweep of another process has locked it before."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if try_lock(descriptor) is not False and directory.exists():
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def discard(directory: Path) -> None:
    """Remove a staging directory as far as the file system allows it."""

    def remove() -> None:
        # `ignore_errors` is not enough: rmtree still raises some errors.
        with contextlib.suppress(OSError):
            shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            # The remaining entries are copies of read-only directories.
            for _, _, _, descriptor in os.fwalk(directory):
                os.fchmod(descriptor, 0o700)
            shutil.rmtree(directory, ignore_errors=True)

    to_the_end(remove)


def to_the_end(step: Callable[[], object]) -> bool:
    """Do a step to its end: do it again if Ctrl-C interrupts it.

    The exception of the signal is not raised: the commit is done already, or another exception is
    being raised.

    Returns:
        Whether the step was interrupted.
    """
    try:
        step()
    except BaseException as stop:
        if isinstance(stop, Exception):
            raise
        to_the_end(step)
        return True
    return False


def sweep(home: Path, finish: Callable[[Path], bool]) -> None:
    """Remove the staging directories that killed processes left in a directory.

    Args:
        home: The directory.
        finish: A function that finishes the commit of a staging directory, and returns whether
            the staging directory may be removed.
    """
    entries: list[Path] = []
    with contextlib.suppress(OSError):
        entries = sorted(home.glob(f"{PREFIX}*"))
    for entry in entries:
        with contextlib.suppress(OSError):
            # Only directories, and no links to them: smpatch makes nothing else with such a name.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(entry, flags)
            try:
                if try_lock(descriptor) is True and finish(entry):
                    discard(entry)
            finally:
                os.close(descriptor)
