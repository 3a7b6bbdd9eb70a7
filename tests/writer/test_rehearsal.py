"""``--dry-run`` refuses what the edit refuses, and notes paths that the edit could not write."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smpatch
from tests.writer import models

FILE = "saved_model.pb"


def _both_refuse(model: Path, **options: Any) -> smpatch.SmpatchError:  # noqa: ANN401 - the fields of Options
    """Check that the rehearsal and the edit are refused alike; neither leaves anything."""
    before = models.tree(model.parent)
    said = []
    for dry_run in (True, False):
        with pytest.raises(smpatch.SmpatchError) as caught:
            models.add(model, dry_run=dry_run, **options)
        said.append(caught.value)
        assert models.tree(model.parent) == before
    assert said[0].exit_code == said[1].exit_code
    return said[0]


def _noted(model: Path, **options: Any) -> tuple[str, smpatch.SmpatchError]:  # noqa: ANN401 - as above
    """Check that the rehearsal notes the refusal of the edit; neither leaves anything."""
    before = models.tree(model.parent)
    receipt = models.add(model, dry_run=True, **options)
    (note,) = [each for each in receipt.notes if each.code == "not-writable"]
    with pytest.raises(smpatch.SmpatchError) as caught:
        models.add(model, **options)
    assert models.tree(model.parent) == before
    assert note.text == f"the edit itself needs to write, and would be refused: {caught.value}"
    return note.text, caught.value


class TestDestination:
    def test_directory_that_is_not_empty(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
        assert _both_refuse(model, save_to=tmp_path / "out").exit_code == 4

    def test_file(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "out").touch()
        assert _both_refuse(model, save_to=tmp_path / "out").exit_code == 4

    def test_inside_the_model(self, model: Path) -> None:
        assert _both_refuse(model, save_to=model / "variables" / "out").exit_code == 4

    def test_below_a_file(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        error = _both_refuse(model, save_to=tmp_path / "file" / "out")
        assert error.exit_code == 5

    def test_missing_parents_are_not_made(self, model: Path, tmp_path: Path) -> None:
        before = models.tree(tmp_path)
        models.add(model, save_to=tmp_path / "a" / "b" / "out", dry_run=True)
        assert models.tree(tmp_path) == before

    def test_parent_that_cannot_be_written_to(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Root may write everywhere, so a stand-in gives the system's answer to another user.
        monkeypatch.setattr(os, "access", lambda place, _: Path(place) != tmp_path)
        text, error = _noted(model, save_to=tmp_path / "a" / "out")
        assert f"{tmp_path} cannot be written to" in text
        assert error.exit_code == 5


class TestInPlace:
    def test_read_only_file(self, model: Path) -> None:
        (model / FILE).chmod(0o444)
        assert _noted(model)[1].exit_code == 4

    def test_directory_without_permission(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once a model on a read-only share could not be rehearsed."""
        monkeypatch.setattr(os, "access", lambda place, _: Path(place) != model)
        text, error = _noted(model)
        assert f"{model} cannot be written to" in text
        assert error.exit_code == 5

    def test_directory_without_permission_of_another_user(self, model: Path) -> None:
        """Here the system itself refuses to write."""
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere: a read-only mount is tried instead")
        model.chmod(0o555)
        try:
            _noted(model)
        finally:
            model.chmod(0o755)

    def test_links_and_a_backup_are_noted_before_the_edit(self, model: Path) -> None:
        models.add(model, backup=True)
        link = model.with_name("link")
        link.symlink_to(model)
        for dry_run in (True, False):
            receipt = models.add(link, "another", backup=True, dry_run=dry_run)
            codes = [each.code for each in receipt.notes]
            assert codes == ["through-link", "backup-replaced"], dry_run

    def test_what_is_there_already_needs_no_writing(self, model: Path) -> None:
        models.add(model)
        (model / FILE).chmod(0o444)
        assert models.add(model, overwrite=True, dry_run=True).outcome == "unchanged"


@contextlib.contextmanager
def _read_only(place: Path) -> Iterator[None]:
    """Mount a directory over itself, read-only."""
    for options in ("bind", "remount,bind,ro"):
        mounted = subprocess.run(
            ["mount", "-o", options, str(place), str(place)],  # noqa: S607 - root's own
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode:
            pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607 - root's own


@pytest.mark.usefixtures("as_root")
class TestReadOnlyMount:
    def test_model(self, model: Path) -> None:
        with _read_only(model):
            error = _noted(model)[1]
        assert error.exit_code == 5
        assert error.found == "its file system is mounted read-only"
        assert "--save-to" in error.hint

    def test_destination(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        with _read_only(tmp_path / "disk"):
            error = _noted(model, save_to=tmp_path / "disk" / "out")[1]
        assert error.exit_code == 5
        assert "read-only" in error.found

    def test_undo(self, model: Path) -> None:
        models.add(model, backup=True)
        with _read_only(model):
            (note,) = models.undo(model, dry_run=True).notes
            with pytest.raises(smpatch.WriteError, match="mounted read-only") as caught:
                models.undo(model)
        assert note.text.endswith(str(caught.value))
