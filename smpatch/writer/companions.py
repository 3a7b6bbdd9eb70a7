"""The files beside the model file that change with it, and that the same commit puts in place.

A new companion is in the staging directory until the model file is renamed. Then a second rename
puts the companion in place. If the process is killed between the two renames, the next edit does
the second one. Backups of companions are made in the same way as that of the model file.

This module has the paths of the companions; it renames nothing.
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


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that changes with the model file.

    Attributes:
        place: The path below the model directory.
        staged: The name of the new companion in a staging directory.
        previous: The name of the previous companion in a staging directory, until the commit makes
            it a backup.
        no_previous: The name of a file in a staging directory that marks an older backup for
            removal.
    """

    place: Path
    staged: str
    previous: str
    no_previous: str

    def path(self, directory: Path) -> Path:
        """Return the path of the companion in a model directory, links resolved."""
        return Path(os.path.realpath(directory / self.place))


FINGERPRINT = Companion(
    Path(FINGERPRINT_NAME),
    FINGERPRINT_NAME,
    f"{PREFIX}previous-fingerprint",
    f"{PREFIX}no-fingerprint",
)

WARM_UP = Companion(
    warmup.PLACE, f"{PREFIX}warm-up", f"{PREFIX}previous-warm-up", f"{PREFIX}no-warm-up"
)

COMPANIONS = (WARM_UP, FINGERPRINT)
"""The companions, in the order in which they are put in place."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The planned changes of a companion.

    Attributes:
        file: The path of the companion.
        identity: The identity of the file when it was read.
        splices: The splices, in the order of the file.
    """

    file: Path
    identity: FileIdentity
    splices: tuple[Splice, ...]


def hindrance(file: Path, target: Path) -> str:
    """Return why a companion cannot be replaced with the model file; empty if it can.

    Args:
        file: The path of the companion.
        target: The path of the model file, links resolved.

    Raises:
        OSError: The status of the companion or of its directory cannot be read.
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
    """Return the paths of the companions of a model, links resolved."""
    return {each: each.path(directory) for each in COMPANIONS}
