"""Edits for which there is no room, or no leave: disks full at every size, limits, directories.

Each ends with the old model and an error, or with the new one; nothing is left in between.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.validator import Judge
from tests.prove import ledger
from tests.prove.ledger import Count
from tests.prove.tracing import Request, Server, renew
from tests.writer import another_user, models

FILE = "saved_model.pb"
PAGE = 4096
MOST = 64
"""More pages, or names, than an edit of so small a model takes."""

WAYS = ("in place", "backup", "undo", "save to")


@pytest.fixture(autouse=True)
def _fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(_judge: Judge, directory: Path) -> bytes | str:
        try:
            return models.fingerprint_of(directory)
        except OSError as error:
            return str(error)

    monkeypatch.setattr(Judge, "fingerprint", computed)


@contextmanager
def _disk(place: Path, options: str) -> Iterator[Path]:
    """Mount a small disk that lies in memory."""
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


def _prepare(model: Path, way: str) -> None:
    models.linear(model, fingerprint=True)
    if way in {"backup", "undo"}:
        models.add(model, "older", backup=True)


def _edit(model: Path, way: str) -> None:
    if way == "undo":
        models.undo(model)
    else:
        options: dict[str, Any] = {"backup": True} if way == "backup" else {}
        if way == "save to":
            options["save_to"] = model.parent / "out"
        models.add(model, **options)


def _fill(disk: Path, free: int, *, names: bool) -> None:
    """Leave so many pages, or so many names."""
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
    refused = 0
    for free in range(MOST):
        options = "size=1m,nr_inodes=100" if names else "size=512k"
        with _disk(tmp_path / f"disk {free}", options) as disk:
            _prepare(disk / "model", way)
            _fill(disk, free, names=names)
            before = models.tree(disk)
            try:
                _edit(disk / "model", way)
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


@pytest.mark.proof("file size limits")
@pytest.mark.parametrize("way", WAYS)
def test_files_that_may_not_grow(tmp_path: Path, way: str, count: Count) -> None:
    """``ulimit -f``, at every length up to that of the new file, in steps."""
    _prepare(tmp_path / "original" / "model", way)
    whole = tmp_path / "whole"
    renew(whole, tmp_path / "original")
    _edit(whole / "model", way)
    longest = max(len(data) for data in models.tree(whole).values() if data is not None)
    options: dict[str, Any] = {"backup": True} if way == "backup" else {}
    work = tmp_path / "work"
    if way == "save to":
        options["save_to"] = str(work / "out")
    refused = 0
    with Server(tmp_path) as server:
        for limit in [*range(0, longest, 97 if ledger.LONG else 1499), longest - 1, longest]:
            renew(work, tmp_path / "original")
            before = models.tree(work)
            request = Request(str(work / "model"), way == "undo", options=options, file_size=limit)
            status = server.run(request)[1]
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
    _prepare(tmp_path / "model", "in place")
    os.chown(tmp_path / "model" / FILE, another_user.NOBODY, another_user.NOBODY)
    (tmp_path / "closed").mkdir()
    before = models.tree(tmp_path)
    save_to = tmp_path / "closed" / "out" if way == "save to" else None
    said = another_user.edit(tmp_path / "model", save_to=save_to, backup=way == "backup")
    assert said.startswith("5 ")
    assert models.tree(tmp_path) == before
    count.add(faults=1)
