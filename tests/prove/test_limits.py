"""Edits without space or permission: disks full at every size, limits, read-only directories.

Each ends with the old model and an error, or with the new model; nothing in between is left.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import smpatch
from tests.prove import ledger
from tests.prove.ledger import Count
from tests.prove.tracing import Request, Server, renew
from tests.prove.ways import WAYS, without_tensorflow
from tests.writer import another_user, models

FILE = "saved_model.pb"
PAGE = 4096
MOST = 64
"""More pages, or names, than an edit of such a small model takes."""


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with without_tensorflow():
        yield


@contextmanager
def _disk(place: Path, options: str) -> Iterator[Path]:
    """Mount a small disk in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],  # noqa: S607 - root's own
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607 - root's own


def _fill(disk: Path, free: int, *, names: bool) -> None:
    """Fill the disk, except for ``free`` pages or names."""
    status = os.statvfs(disk)
    if names:
        for number in range(status.f_ffree - free):
            (disk / f"ballast {number}").touch()
    else:
        (disk / "ballast").write_bytes(bytes(PAGE * (status.f_bavail - free)))


@pytest.mark.proof("full disks")
@pytest.mark.parametrize("names", [False, True], ids=["pages", "names"])
@pytest.mark.parametrize("way", WAYS)
def test_disk_that_is_full_at_every_size(
    tmp_path: Path, way: str, count: Count, *, names: bool
) -> None:
    refused, how = 0, WAYS[way]
    for free in range(MOST):
        options = "size=1m,nr_inodes=100" if names else "size=512k"
        with _disk(tmp_path / f"disk {free}", options) as disk:
            how.prepare(disk)
            _fill(disk, free, names=names)
            before = models.tree(disk)
            try:
                how.edit(disk, how.result)
            except smpatch.WriteError as error:
                assert os.strerror(errno.ENOSPC).lower() in str(error)  # noqa: PT017 - the loop goes on
                assert models.tree(disk) == before
                refused += 1
                count.add(faults=1)
                continue
            assert models.tree(disk) != before
            assert not [name for name in models.tree(disk) if ".smpatch-" in name]
        break
    else:
        pytest.fail("the edit never completes")
    # A name more is a link to the same file, but a staging directory is not.
    assert refused


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.mark.proof("file size limits")
@pytest.mark.parametrize("way", WAYS)
def test_files_that_may_not_grow(tmp_path: Path, way: str, count: Count, server: Server) -> None:
    """``ulimit -f`` takes lengths up to the length of the new file, in steps."""
    original, work, whole = (tmp_path / name for name in ("original", "work", "whole"))
    original.mkdir()
    how = WAYS[way]
    how.prepare(original)
    renew(whole, original)
    how.edit(whole, how.result)
    longest = max(len(data) for data in models.tree(whole).values() if data is not None)
    refused = 0
    for limit in [*range(0, longest, 97 if ledger.LONG else 1499), longest - 1, longest]:
        renew(work, original)
        before = models.tree(work)
        status = server.run(Request(way, str(work), file_size=limit))[1]
        assert status in {0, 5}
        if status:
            assert models.tree(work) == before
            refused += 1
            count.add(faults=1)
        else:
            assert models.tree(work) == models.tree(whole)
    assert status == 0
    assert refused


@pytest.mark.proof("read-only directories")
@pytest.mark.parametrize("way", ["in place", "backup", "save to"])
def test_directory_that_is_read_only(tmp_path: Path, way: str, count: Count) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    models.linear(tmp_path / "model", fingerprint=True)
    os.chown(tmp_path / "model" / FILE, another_user.NOBODY, another_user.NOBODY)
    (tmp_path / "closed").mkdir()
    before = models.tree(tmp_path)
    save_to = tmp_path / "closed" / "out" if way == "save to" else None
    said = another_user.edit(tmp_path / "model", save_to=save_to, backup=way == "backup")
    assert said.startswith("5 ")
    assert models.tree(tmp_path) == before
    count.add(faults=1)
