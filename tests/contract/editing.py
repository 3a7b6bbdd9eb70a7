"""Edit a copy of a model, and remember what was there before and after."""

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
    """What is at one path."""

    kind: int
    mode: int
    modified: int
    content: bytes


Snapshot = Mapping[str, Entry]


def snapshot(directory: Path) -> Snapshot:
    """Return everything in a directory, times of files included."""
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
        directory: The copy.
        before: What it held.
        after: What it held when the edit was done.
        receipt: What the edit said.
        options: How it was asked for.
    """

    directory: Path
    before: Snapshot
    after: Snapshot
    receipt: Receipt
    options: Options


def copy(model: Path, directory: Path) -> None:
    """Copy a model; a corpus may be read-only, and smpatch refuses to replace such a file."""
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
