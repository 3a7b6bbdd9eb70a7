"""The files that an edit has synced, at the moments at which a power cut would count.

A killed process loses nothing that it has written; a power cut loses bytes that were not synced. A
file with its name and without its bytes is an empty model. So bytes come first: each file that gets
a name by a rename is whole on the disk before. When the edit returns, the names are there too.

The tests cut no power. A record of the synced files and directories, with their states at that
time, stands in for a disk that keeps these states and nothing else.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.prove.ledger import Count
from tests.prove.ways import WAYS, without_tensorflow

HIDDEN = ".smpatch-"


def _print_behind_a_link(work: Path) -> None:
    WAYS["in place"].prepare(work)
    (work / "prints").mkdir()
    shutil.move(work / "model" / "fingerprint.pb", work / "prints" / "print")
    (work / "model" / "fingerprint.pb").symlink_to("../prints/print")


def _print_of_an_older_backup(work: Path) -> None:
    WAYS["through a link"].prepare(work)
    (work / "model" / "fingerprint.pb").rename(work / "model" / "fingerprint.pb.backup")


def _requests_behind_a_link(work: Path) -> None:
    WAYS["requests, backup"].prepare(work)
    shutil.move(work / "model" / "assets.extra", work / "extra")
    (work / "model" / "assets.extra").symlink_to("../extra")


MORE_WAYS = {
    **WAYS,
    **{
        f"{way}, below missing directories": replace(WAYS[way], result="a/b/out")
        for way in ("save to", "wrap")
    },
    "fingerprint through a link": replace(WAYS["in place"], prepare=_print_behind_a_link),
    "requests through a link": replace(WAYS["requests, backup"], prepare=_requests_behind_a_link),
    "through a link, backup": replace(WAYS["in place, backup"], prepare=_print_of_an_older_backup),
}
"""In these ways names also change in other directories than that of the model file."""

State = tuple[int, bytes | frozenset[tuple[str, int]]]
"""The permissions, and the bytes of a file or the names in a directory with their inode numbers."""


def _state(path: Path) -> State:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_mode, path.read_bytes()
    seen = {each.name: each.lstat().st_ino for each in path.iterdir()}
    # A hidden directory is removed at the end, and this need not be synced.
    names = {name: file for name, file in seen.items() if not name.startswith(HIDDEN)}
    return status.st_mode, frozenset(names.items())


def _all(path: Path) -> Iterator[Path]:
    """Yield files and directories, from a path on; a link lasts with its name in a directory."""
    for each in (path, *sorted(path.rglob("*"))):
        if not each.is_symlink():
            yield each


@dataclass
class Disk:
    """The files that a power cut would leave.

    Attributes:
        top: The directory of the whole test.
        kept: Inode number to the state of the file or directory at its last sync.
        told: The files that got a name and were not synced.
        renames: The number of renames.
    """

    top: Path
    kept: dict[int, State] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    renames: int = 0

    def keep(self, number: int) -> None:
        """Record a sync of the file or directory with an inode number."""
        for each in _all(self.top):
            if each.lstat().st_ino == number:
                self.kept[number] = _state(each)

    def lost(self, path: Path) -> list[str]:
        """Return the files and directories, from a path on, whose state is not on the disk."""
        return [
            str(each.relative_to(self.top))
            for each in _all(path)
            if self.kept.get(each.lstat().st_ino) != _state(each)
        ]

    def name(self, source: Path) -> None:
        """Record that a file or directory gets another name."""
        self.renames += 1
        self.told += [f"{each}, when {source.name} got its name" for each in self.lost(source)]
        if source.name.startswith("saved_model."):
            # The next edit needs these files to finish a commit that was cut. Their names are older
            # than the new one, and last as long; the order of bytes does not matter.
            files = [each for each in source.parent.iterdir() if each.is_file()]
            beside = [each for each in files if each.stat().st_size]
            self.told += [f"{path}, at the commit" for each in beside for path in self.lost(each)]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that records the syncs and renames of an edit."""
    disk = Disk(tmp_path)
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        fsync(descriptor)
        disk.keep(os.fstat(descriptor).st_ino)

    def named(function: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def call(source: Path, target: Path) -> None:
            disk.name(Path(source))
            function(source, target)

        return call

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", named(os.rename))
    monkeypatch.setattr(os, "replace", named(os.replace))
    with without_tensorflow():
        yield disk


@pytest.mark.proof("power cuts")
@pytest.mark.parametrize("way", MORE_WAYS)
def test_bytes_come_before_names_and_names_before_the_end(
    disk: Disk, way: str, count: Count
) -> None:
    """Bytes first: a power cut leaves no half model. Names last: it does not undo the edit."""
    how = MORE_WAYS[way]
    how.prepare(disk.top)
    disk.renames, disk.told = 0, []
    disk.kept = {each.lstat().st_ino: _state(each) for each in _all(disk.top)}
    how.edit(disk.top, how.result)
    count.add(edits=1)
    assert disk.renames
    assert not disk.told
    assert not disk.lost(disk.top)
