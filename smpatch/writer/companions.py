"""The files beside the model file that change with it, and are put in place by the same commit.

A new companion is in the staging directory until the model file is renamed; then it takes its
place by a rename of its own. A process that was killed between the two leaves it to the
next edit. Backups of companions go the way of the model file's.

This module has their places; it renames nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smpatch import warmup
from smpatch.savedmodel.directory import FileIdentity
from smpatch.wire import Splice
from smpatch.writer.staging_directory import FINGERPRINT_NAME, PREFIX

__all__ = ["COMPANIONS", "FINGERPRINT", "WARM_UP", "Companion", "Rewrite", "hindrance", "places"]


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that changes with the model file.

    Attributes:
        place: Its place below the model directory.
        staged: The name of a new one in a staging directory.
        previous: The name there of the previous one, until the commit has made it a backup.
        no_previous: The name there of a file that says that an older backup must go.
    """

    place: Path
    staged: str
    previous: str
    no_previous: str

    def path(self, directory: Path) -> Path:
        """Return its place in a model directory, links resolved."""
        return Path(os.path.realpath(directory / self.place))


FINGERPRINT = Companion(
    Path(FINGERPRINT_NAME),
    FINGERPRINT_NAME,
    f"{PREFIX}previous-fingerprint",
    f"{PREFIX}no-fingerprint",
)

WARM_UP = Companion(
    warmup.PLACE,
    f"{PREFIX}warm-up",
    f"{PREFIX}previous-warm-up",
    f"{PREFIX}no-warm-up",
)

COMPANIONS = (WARM_UP, FINGERPRINT)
"""In the order in which they are put in place."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A companion as it is to be.

    Attributes:
        file: The file as it is.
        identity: Which one it was when it was read.
        splices: What changes, in the order of the file.
    """

    file: Path
    identity: FileIdentity
    splices: tuple[Splice, ...]


def hindrance(file: Path, target: Path) -> str:
    """Return why a companion cannot be replaced with the model file; empty where it can.

    Args:
        file: The companion.
        target: The model file, links resolved.

    Raises:
        OSError: It cannot be looked at.
    """
    place = Path(os.path.realpath(file))
    status, above = place.stat(), place.parent
    if not status.st_mode & 0o222:
        return f"the file is read-only (mode {status.st_mode & 0o777:04o})"
    if not os.access(place, os.W_OK):
        return "you have no permission to write the file"
    if os.statvfs(above).f_flag & os.ST_RDONLY or not os.access(above, os.W_OK | os.X_OK):
        return f"{above} cannot be written to"
    if above.stat().st_dev != target.parent.stat().st_dev:
        return "it lies on another file system than the model file"
    return ""


def places(directory: Path) -> Mapping[Companion, Path]:
    """Return the places of the companions of a model, links resolved."""
    return {each: each.path(directory) for each in COMPANIONS}
