"""What an edit has asked the disk to keep, at the moments at which a power cut would count.

A killed process loses nothing that it has written; a power cut loses what was not synced. A
file that has its name and not its bytes is an empty model, so that bytes come first: whatever
gets a name by a rename is on the disk whole before. When the edit returns, the names are there
too.

No power is cut here. A record of what was synced, and of how it was then, stands in for a disk
that keeps that and nothing else.
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
"""Names change in other directories than that of the model file as well."""

State = tuple[int, bytes | frozenset[tuple[str, int]]]
"""Permissions, and the bytes of a file or the names in a directory and what they name."""


def _state(path: Path) -> State:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_mode, path.read_bytes()
    seen = {each.name: each.lstat().st_ino for each in path.iterdir()}
    # What is removed when all is done need not be gone for good.
    names = {name: file for name, file in seen.items() if not name.startswith(HIDDEN)}
    return status.st_mode, frozenset(names.items())


def _all(path: Path) -> Iterator[Path]:
    """Yield files and directories, from a path on; a link lasts as the name that it is."""
    for each in (path, *sorted(path.rglob("*"))):
        if not each.is_symlink():
            yield each


@dataclass
class Disk:
    """What would be left.

    Attributes:
        top: The directory in which everything happens.
        kept: How each file and directory was when it was last synced.
        told: What got a name without being kept.
        renames: How often something got one.
    """

    top: Path
    kept: dict[int, State] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    renames: int = 0

    def keep(self, number: int) -> None:
        """Note a sync of what has an inode number."""
        for each in _all(self.top):
            if each.lstat().st_ino == number:
                self.kept[number] = _state(each)

    def lost(self, path: Path) -> list[str]:
        """Tell what is not on the disk as it is now, from a path on."""
        return [
            str(each.relative_to(self.top))
            for each in _all(path)
            if self.kept.get(each.lstat().st_ino) != _state(each)
        ]

    def name(self, source: Path) -> None:
        """Note that something gets another name."""
        self.renames += 1
        self.told += [f"{each}, when {source.name} got its name" for each in self.lost(source)]
        if source.name.startswith("saved_model."):
            # What the next edit needs to finish a commit that was cut. The names in there are
            # older than the one that comes, and outlast it no less; bytes have no order.
            files = [each for each in source.parent.iterdir() if each.is_file()]
            beside = [each for each in files if each.stat().st_size]
            self.told += [f"{path}, at the commit" for each in beside for path in self.lost(each)]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that is asked while an edit is done."""
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
    """The one keeps a power cut from leaving half a model, the other from undoing the edit."""
    how = MORE_WAYS[way]
    how.prepare(disk.top)
    disk.renames, disk.told = 0, []
    disk.kept = {each.lstat().st_ino: _state(each) for each in _all(disk.top)}
    how.edit(disk.top, how.result)
    count.add(edits=1)
    assert disk.renames
    assert not disk.told
    assert not disk.lost(disk.top)
