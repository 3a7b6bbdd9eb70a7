"""Edit a copy of a model, and keep its content before and after the edit."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import smpatch
from smpatch import Options, Receipt
from tests.contract.models import KEY, Candidate, refs

__all__ = ["Edit", "Entry", "Snapshot", "add", "copy", "snapshot"]


@dataclass(frozen=True)
class Entry:
    """The file, link or directory at one path."""

    kind: int
    mode: int
    modified: int
    content: bytes


Snapshot = Mapping[str, Entry]


def snapshot(directory: Path) -> Snapshot:
    """Return all entries of a directory by path, with the times of files."""
    return dict(_entries(directory))


def _entries(directory: Path) -> Iterator[tuple[str, Entry]]:
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        if path.is_symlink():
            content, modified = os.fsencode(path.readlink()), status.st_mtime_ns
        elif path.is_file():
            content, modified = path.read_bytes(), status.st_mtime_ns
        else:
            content, modified = b"", 0
        yield str(path.relative_to(directory)), Entry(kind, mode, modified, content)


@dataclass(frozen=True)
class Edit:
    """A copy of a model to which the candidate was added.

    Attributes:
        directory: The directory of the copy.
        before: Its entries before the edit.
        after: Its entries after the edit.
        receipt: The receipt of the edit.
        options: The options of the edit.
    """

    directory: Path
    before: Snapshot
    after: Snapshot
    receipt: Receipt
    options: Options


def copy(model: Path, directory: Path) -> None:
    """Copy a model, and make it writable: a corpus may be read-only, which smpatch refuses."""
    shutil.copytree(model, directory, symlinks=True)
    for path in (directory, *directory.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def add(directory: Path, candidate: Candidate, options: Options) -> Receipt:
    """Add a candidate to its MetaGraph."""
    return smpatch.add_predict(
        directory,
        inputs=refs(candidate.inputs),
        outputs=refs(candidate.outputs),
        signature=KEY,
        options=replace(options, tag_set=candidate.tags),
    )
