"""Staging directories: their names, their locks, and the removal of those that are left over.

The name of such a directory begins with ``.smpatch-``, which no loader and no server takes
for a version. It is locked while its owner lives; one that is not locked was left by a killed
process.

This module does not read the content.
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

__all__ = [
    "BACKUPS",
    "BACKUP_SUFFIX",
    "COMMITTING",
    "FINGERPRINT_NAME",
    "PREFIX",
    "PREVIOUS",
    "OwnDirectory",
    "backup_of",
    "backup_shown",
    "discard",
    "own_directory",
    "sweep",
    "to_the_end",
    "undo_record_of",
]

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
"""Names that belong to the history of one directory, and not to its model."""

COMMITTING = f"{PREFIX}committing"
"""The identity of the new model file, from when a commit starts."""

PREVIOUS = f"{PREFIX}previous"
"""The previous model file, until the commit has made it the backup."""


def backup_of(file: Path) -> Path:
    """Return where the previous content of a file is kept: beside it, links resolved."""
    place = os.path.realpath(file)
    return Path(f"{place}{BACKUP_SUFFIX}")


def undo_record_of(file: Path) -> Path:
    """Return where an undo records which file it put back, and which one it made the backup."""
    return Path(f"{os.path.realpath(file)}{UNDO_RECORD_SUFFIX}")


def backup_shown(file: Path) -> Path:
    """Return the same, with the file's own directory where the file is not a link."""
    return backup_of(file) if file.is_symlink() else Path(f"{file}{BACKUP_SUFFIX}")


@dataclass(slots=True)
class OwnDirectory:
    """A directory to write in.

    Attributes:
        path: Where it is.
        keep: Whether it stays in the end, because it holds the only name of a file.
    """

    path: Path
    keep: bool = False


@contextlib.contextmanager
def own_directory(home: Path) -> Iterator[OwnDirectory]:
    """Make a staging directory, locked as long as it is ours."""
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
        with contextlib.suppress(OSError):  # it may come after a commit, and the lock is gone
            os.close(descriptor)


def _lock_new(directory: Path) -> int | None:
    """Lock a directory just made; None when another process that sweeps has locked it first."""
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
    """Remove a staging directory as far as it can be removed."""

    def remove() -> None:
        # Not only by `ignore_errors`: rmtree lets some errors through.
        with contextlib.suppress(OSError):
            shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            # What is left are copies of directories that are read-only.
            for _, _, _, descriptor in os.fwalk(directory):
                os.fchmod(descriptor, 0o700)
            shutil.rmtree(directory, ignore_errors=True)

    to_the_end(remove)


def to_the_end(step: Callable[[], object]) -> bool:
    """Take a step that must not be left half done, again when Ctrl-C cuts it.

    Whatever a signal raises is swallowed: it came after the commit, or another exception is
    on its way already.

    Returns:
        Whether it was cut.
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
    """Remove what killed processes left behind in a directory.

    Args:
        home: The directory.
        finish: Finishes what was begun there, and returns whether the rest may be removed.
    """
    entries: list[Path] = []
    with contextlib.suppress(OSError):
        entries = sorted(home.glob(f"{PREFIX}*"))
    for entry in entries:
        with contextlib.suppress(OSError):
            # Directories only, and no links to them: nothing else is ours.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(entry, flags)
            try:
                if try_lock(descriptor) is True and finish(entry):
                    discard(entry)
            finally:
                os.close(descriptor)
