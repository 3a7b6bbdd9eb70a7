"""An edit in place: one file changes its content, and everything else stays as it was."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.validator import Validator
from tests.writer import another_user, models

FILE = "saved_model.pb"


def _refused(model: Path, **options: Any) -> smpatch.SmpatchError:  # noqa: ANN401 - the fields of Options
    """Try an edit that is refused; check that it leaves nothing behind."""
    before = models.tree(model.parent)
    with pytest.raises(smpatch.SmpatchError) as caught:
        models.add(model, **options)
    assert models.tree(model.parent) == before
    return caught.value


class TestAttributes:
    @pytest.mark.parametrize("mode", [0o640, 0o600, 0o664, 0o200, 0o6750])
    def test_permissions_stay(self, model: Path, mode: int) -> None:
        """Some of them are bits that a change of the owner clears."""
        (model / FILE).chmod(mode)
        if mode == 0o200 and os.geteuid() != 0:
            pytest.skip("only root reads a file that nobody may read")
        models.add(model)
        assert (model / FILE).stat().st_mode & 0o7777 == mode
        assert "added" in models.keys(model)

    @pytest.mark.usefixtures("as_root")
    def test_owner_and_group_stay(self, printed: Path) -> None:
        for name in (FILE, "fingerprint.pb"):
            os.chown(printed / name, 12345, 54321)
        models.add(printed)
        for name in (FILE, "fingerprint.pb"):
            status = (printed / name).stat()
            assert (status.st_uid, status.st_gid) == (12345, 54321)

    @pytest.mark.usefixtures("as_root")
    def test_group_stays_when_the_owner_cannot(self, model: Path) -> None:
        os.chown(model, another_user.NOBODY, 54321)
        os.chown(model / FILE, 12345, 54321)
        (model / FILE).chmod(0o660)
        assert another_user.edit(model, group=54321) == "done"
        status = (model / FILE).stat()
        assert (status.st_uid, status.st_gid) == (another_user.NOBODY, 54321)
        assert status.st_mode & 0o777 == 0o660

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP])
    def test_an_owner_that_cannot_be_given_is_no_reason_to_fail(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "chown", refuse)
        models.add(model)
        assert "added" in models.keys(model)

    def test_extended_attributes_stay(self, model: Path) -> None:
        try:
            os.setxattr(model / FILE, "user.origin", b"training run 7")
        except (OSError, AttributeError) as error:
            pytest.skip(f"no extended attributes here: {error}")
        models.add(model)
        assert os.getxattr(model / FILE, "user.origin") == b"training run 7"

    def test_time_of_change_is_new(self, model: Path) -> None:
        long_ago = 1_500_000_000
        os.utime(model / FILE, (long_ago, long_ago))
        os.utime(model / "variables", (long_ago, long_ago))
        models.add(model)
        assert (model / FILE).stat().st_mtime > long_ago + 10**8
        assert (model / "variables").stat().st_mtime == long_ago

    def test_only_the_file_changes(self, model: Path) -> None:
        before = models.tree(model)
        models.add(model)
        after = models.tree(model)
        assert {name for name in before | after if before.get(name) != after.get(name)} == {FILE}
        assert before.keys() == after.keys()

    def test_the_chunked_form_beside_it_has_no_part_in_the_fingerprint(
        self, printed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """TensorFlow would read this form in place of the model."""
        (printed / "saved_model.cpb").write_bytes(b"chunks")
        seen: set[str] = set()

        def fingerprint(_validator: Validator, directory: Path) -> bytes:
            seen.update(each.name for each in directory.iterdir())
            return models.fingerprint_of(directory)

        monkeypatch.setattr(Validator, "fingerprint", fingerprint)
        models.add(printed)
        assert seen == {FILE, "variables"}
        assert (printed / "saved_model.cpb").read_bytes() == b"chunks"

    @pytest.mark.parametrize("name", ["committing", "previous", "saved_model.pb.backup"])
    def test_payload_named_like_something_of_ours_stays(self, printed: Path, name: str) -> None:
        (printed / name).write_text("mine")
        models.add(printed)
        assert (printed / name).read_text() == "mine"


class TestLinks:
    def test_model_directory_behind_a_link(self, model: Path, tmp_path: Path) -> None:
        link = tmp_path / "latest"
        link.symlink_to("model")
        models.add(link)
        assert link.is_symlink()
        assert "added" in models.keys(model)

    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.parametrize("name", ["saved_model.pb", "blob-1234"])
    def test_target_of_a_link_is_replaced(
        self, model: Path, tmp_path: Path, *, relative: bool, name: str
    ) -> None:
        store = tmp_path / "store"
        store.mkdir()
        shutil.move(model / FILE, store / name)
        (model / FILE).symlink_to(Path("..", "store", name) if relative else store / name)
        link = (model / FILE).readlink()
        models.add(model, backup=True)
        assert (model / FILE).readlink() == link
        assert "added" in models.keys(model)
        assert not (store / name).is_symlink()
        assert {each.name for each in store.iterdir()} == {name, f"{name}.backup"}
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}

    def test_chain_of_links(self, model: Path, tmp_path: Path) -> None:
        shutil.move(model / FILE, tmp_path / "real.pb")
        (tmp_path / "middle.pb").symlink_to("real.pb")
        (model / FILE).symlink_to("../middle.pb")
        models.add(model)
        assert (tmp_path / "middle.pb").is_symlink()
        assert not (tmp_path / "real.pb").is_symlink()
        assert "added" in models.keys(model)

    def test_fingerprint_behind_a_link(self, printed: Path, tmp_path: Path) -> None:
        shutil.move(printed / "fingerprint.pb", tmp_path / "print")
        (printed / "fingerprint.pb").symlink_to("../print")
        receipt = models.add(printed)
        assert receipt.fingerprint == "refreshed"
        assert (printed / "fingerprint.pb").is_symlink()
        assert (tmp_path / "print").read_bytes() == models.fingerprint_of(printed)

    def test_link_that_leads_nowhere(self, model: Path, tmp_path: Path) -> None:
        (model / FILE).unlink()
        (model / FILE).symlink_to(tmp_path / "gone")
        assert _refused(model).exit_code == 3

    def test_hard_link_is_broken_with_a_note(self, model: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.pb"
        other.hardlink_to(model / FILE)
        old = other.read_bytes()
        receipt = models.add(model)
        assert other.read_bytes() == old
        assert "added" in models.keys(model)
        assert any("hard links" in note.text for note in receipt.notes)

    def test_a_file_of_one_name_has_no_note(self, model: Path) -> None:
        models.add(model, backup=True)
        assert not models.add(model, "again").notes


class TestBackup:
    def test_it_is_the_previous_file(self, model: Path) -> None:
        (model / FILE).chmod(0o640)
        old = (model / FILE).read_bytes()
        receipt = models.add(model, backup=True)
        assert receipt.backup == model / "saved_model.pb.backup"
        assert receipt.backup.read_bytes() == old
        assert receipt.backup.stat().st_mode & 0o777 == 0o640
        assert receipt.backup.stat().st_ino != (model / FILE).stat().st_ino

    def test_the_next_takes_its_place(self, model: Path) -> None:
        models.add(model, "one", backup=True)
        between = (model / FILE).read_bytes()
        models.add(model, "two", backup=True)
        assert (model / "saved_model.pb.backup").read_bytes() == between

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
    def test_it_is_a_copy_where_a_file_has_one_name(
        self, printed: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """This is so on FAT, on some network file systems, and for files of other users."""

        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", refuse)
        (printed / FILE).chmod(0o640)
        old = models.tree(printed)
        models.add(printed, backup=True)
        for name in (FILE, "fingerprint.pb"):
            assert (printed / f"{name}.backup").read_bytes() == old[name]
        assert (printed / f"{FILE}.backup").stat().st_mode & 0o777 == 0o640
        models.undo(printed)
        assert (printed / FILE).read_bytes() == old[FILE]

    def test_its_fingerprint_may_be_on_another_file_system(self, printed: Path) -> None:
        """It cannot be renamed from or to there, which is not a reason to fail."""
        memory = Path("/dev/shm")  # noqa: S108 - a file system that differs, where it is there
        if not memory.is_dir() or memory.stat().st_dev == printed.stat().st_dev:
            pytest.skip("there is no second file system here")
        old = (printed / FILE).read_bytes()
        with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
            (printed / "fingerprint.pb").rename(printed / "print")
            shutil.move(printed / "print", elsewhere)
            (printed / "fingerprint.pb").symlink_to(Path(elsewhere) / "print")
            receipt = models.add(printed, backup=True)
            assert receipt.fingerprint == "stale"
            assert (printed / f"{FILE}.backup").read_bytes() == old
            assert models.undo(printed).fingerprint == "stale"
            assert (printed / FILE).read_bytes() == old

    def test_none_is_kept_of_what_did_not_change(self, model: Path) -> None:
        models.add(model)
        assert models.add(model, overwrite=True, backup=True).outcome == "unchanged"
        assert not (model / "saved_model.pb.backup").exists()


class TestRefusals:
    def test_read_only_file(self, model: Path) -> None:
        (model / FILE).chmod(0o444)
        error = _refused(model)
        assert error.exit_code == 4
        assert "0444" in error.found
        assert "--save-to" in error.hint

    def test_read_only_file_behind_a_link(self, model: Path, tmp_path: Path) -> None:
        shutil.move(model / FILE, tmp_path / "blob")
        (tmp_path / "blob").chmod(0o400)
        (model / FILE).symlink_to(tmp_path / "blob")
        assert _refused(model).exit_code == 4

    @pytest.mark.usefixtures("as_root")
    def test_read_only_directory(self, model: Path) -> None:
        os.chown(model / FILE, another_user.NOBODY, another_user.NOBODY)
        before = models.tree(model)
        said = another_user.edit(model)
        assert said.startswith("5 ")
        assert "--save-to" in said
        assert models.tree(model) == before

    @pytest.mark.usefixtures("as_root")
    def test_file_of_somebody_else_in_a_directory_of_ones_own(self, model: Path) -> None:
        """A rename could replace the file, but its owner has not allowed this."""
        os.chown(model, another_user.NOBODY, another_user.NOBODY)
        before = models.tree(model)
        said = another_user.edit(model)
        assert said.startswith("4 ")
        assert "you have no permission to write" in said
        assert models.tree(model) == before

    @pytest.mark.usefixtures("as_root")
    def test_directory_that_cannot_be_looked_into_is_one_line(self, model: Path) -> None:
        another_user.edit(model)  # this opens the directories above
        model.chmod(0o700)
        assert another_user.edit(model).startswith("3 ")

    @pytest.mark.usefixtures("as_root")
    def test_directory_of_which_only_names_are_known_is_one_line(self, model: Path) -> None:
        another_user.edit(model)
        model.chmod(0o744)
        said = another_user.edit(model)
        assert said.startswith("3 ")
        assert "cannot be read: permission denied" in said

    def test_file_that_changed_its_permissions_only_is_edited(self, model: Path) -> None:
        (model / FILE).chmod(0o444)
        _refused(model)
        (model / FILE).chmod(0o644)
        models.add(model)
        assert (model / FILE).stat().st_mode & 0o777 == 0o644
