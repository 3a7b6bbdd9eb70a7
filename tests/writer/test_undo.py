"""Undo: the kept file returns, the current one is kept, and nothing is lost in between."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch.validator import Validator
from tests.oracle.client import Oracle as TensorFlow
from tests.writer import another_user, faults, models

FILE = "saved_model.pb"
BACKUP = "saved_model.pb.backup"
PRINT = "fingerprint.pb"


def _refused(model: Path) -> smpatch.SmpatchError:
    """Try an undo that is refused; check that nothing changes."""
    before = models.tree(model.parent)
    with pytest.raises(smpatch.SmpatchError) as caught:
        models.undo(model)
    assert models.tree(model.parent) == before
    return caught.value


class TestThereAndBack:
    def test_the_previous_file_is_back(self, model: Path) -> None:
        old = models.tree(model)
        models.add(model, backup=True)
        undone = models.undo(model)
        assert {name: (model / name).read_bytes() for name in (FILE,)} == {FILE: old[FILE]}
        assert undone.changes == (smpatch.Restored(("serve",), "added", "removed"),)
        assert undone.fingerprint == "absent"
        assert undone.backup == model / BACKUP

    @pytest.mark.parametrize("fingerprint", [True, False])
    def test_twice_is_redo(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fingerprint: bool
    ) -> None:
        monkeypatch.setattr(Validator, "fingerprint", models.fake_fingerprint)
        model = models.linear(tmp_path / "model", fingerprint=fingerprint)
        old = models.tree(model)
        models.add(model, backup=True)
        edited = models.tree(model)
        models.undo(model)
        kept = dict.fromkeys((BACKUP, f"{PRINT}.backup", "saved_model.pb.undone"))
        assert {**models.tree(model), **kept} == {**old, **kept}
        undone = models.undo(model)
        assert models.tree(model) == edited
        assert [each.outcome for each in undone.changes] == ["added"]

    def test_an_undone_edit_does_not_come_back_after_an_edit_without_a_backup(
        self, model: Path
    ) -> None:
        models.add(model, "one", backup=True)
        smpatch.undo(model)
        models.add(model, "two")
        before = models.tree(model)
        for redo in (False, True):
            for dry_run in (False, True):
                with pytest.raises(
                    smpatch.RefusedError, match="changed since the undo, without --backup"
                ):
                    smpatch.undo(model, redo=redo, dry_run=dry_run)
        assert models.tree(model) == before
        models.add(model, "three", backup=True)
        smpatch.undo(model)
        assert models.keys(model) == {"scale", "two"}

    def test_an_edit_undone_and_done_anew_is_undone_again(self, model: Path) -> None:
        models.add(model, "one", backup=True)
        smpatch.undo(model)
        models.add(model, "one", backup=True)
        models.add(model, "two", backup=True)  # the record once named the same file
        smpatch.undo(model)
        assert models.keys(model) == {"one", "scale"}

    @pytest.mark.parametrize("undone", [False, True])
    def test_times_that_a_copy_has_not_kept_say_nothing(self, model: Path, *, undone: bool) -> None:
        models.add(model, "one", backup=True)
        if undone:
            smpatch.undo(model)
        for times in ((1, 2), (2, 1), (3, 3)):
            for name, time in zip((FILE, BACKUP), times, strict=True):
                os.utime(model / name, (time, time))
            with pytest.raises(smpatch.RefusedError):
                smpatch.undo(model, redo=not undone)
            told = smpatch.undo(model, redo=undone, dry_run=True)
            assert [each.outcome for each in told.changes] == ["added" if undone else "removed"]

    def test_a_backup_put_there_by_hand_is_not_taken_for_one_that_was_undone(
        self, model: Path, tmp_path: Path
    ) -> None:
        other = shutil.copytree(model, tmp_path / "other")
        models.add(other, "other")
        models.add(model, "one", backup=True)
        smpatch.undo(model)
        shutil.copy(other / FILE, model / BACKUP)
        smpatch.undo(model)
        assert models.keys(model) == {"other", "scale"}

    def test_a_copy_elsewhere_has_no_record_of_an_undo(self, model: Path, tmp_path: Path) -> None:
        models.add(model, "one", backup=True)
        smpatch.undo(model)
        models.add(model, "two", save_to=tmp_path / "saved")
        assert not [name for name in models.tree(tmp_path / "saved") if "undone" in name]

    def test_a_second_undo_is_no_silent_redo(self, model: Path) -> None:
        models.add(model, backup=True)
        edited = models.tree(model)
        with pytest.raises(smpatch.RefusedError, match="no edit is undone"):
            smpatch.undo(model, redo=True)
        smpatch.undo(model)
        undone = models.tree(model)
        for dry_run in (False, True):
            with pytest.raises(smpatch.RefusedError, match=r"undone already .*--redo"):
                smpatch.undo(model, dry_run=dry_run)
        assert models.tree(model) == undone
        smpatch.undo(model, redo=True)
        assert models.tree(model) == edited
        smpatch.undo(model)
        models.add(model, "another", backup=True)
        assert smpatch.undo(model).changes[0].key == "another"

    def test_text_form(self, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(models.FIXTURES / "text_form", model)
        (model / PRINT).write_bytes(b"of a pb that was")
        old = models.tree(model)
        models.add(model, backup=True, validate="runtime")
        edited = models.tree(model)
        assert edited["saved_model.pbtxt.backup"] == old["saved_model.pbtxt"]
        assert edited[PRINT] == b"of a pb that was"
        assert not (model / PRINT).is_symlink()
        assert models.undo(model).form == "text"
        assert models.tree(model).items() >= old.items()
        models.undo(model)
        assert models.tree(model) == edited

    def test_permissions_and_times_are_the_old_ones(self, model: Path) -> None:
        (model / FILE).chmod(0o640)
        before = (model / FILE).stat()
        models.add(model, backup=True)
        (model / FILE).chmod(0o600)
        models.undo(model)
        after = (model / FILE).stat()
        assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
            *(before.st_ino, before.st_mode),
            before.st_mtime_ns,
        )

    def test_paths_are_told_as_they_were_given(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert models.add(Path("model"), backup=True).backup == Path("model", BACKUP)
        assert models.undo(Path("model")).backup == Path("model", BACKUP)
        (model / BACKUP).unlink()
        with pytest.raises(smpatch.RefusedError) as caught:
            models.undo(Path("model"))
        assert caught.value.where == f"model/{BACKUP}"

    def test_edits_that_kept_no_backup_are_taken_back_too(self, model: Path) -> None:
        models.add(model, "one", backup=True)
        models.add(model, "two")
        undone = models.undo(model)
        assert {each.key for each in undone.changes} == {"one", "two"}
        assert models.keys(model) == {"scale"}

    def test_file_and_fingerprint_behind_links(self, printed: Path, tmp_path: Path) -> None:
        store = tmp_path / "store"
        store.mkdir()
        for name in (FILE, PRINT):
            shutil.move(printed / name, store / f"blob of {name}")
            (printed / name).symlink_to(store / f"blob of {name}")
        old = models.tree(store)
        models.add(printed, backup=True)
        models.undo(printed)
        assert (printed / FILE).is_symlink()
        assert (printed / PRINT).is_symlink()
        assert models.tree(store).items() >= old.items()
        assert len(models.tree(store)) == 5  # with the record of the undo

    def test_tensorflow_does_not_see_the_backups(self, model: Path, oracle: TensorFlow) -> None:
        models.add(model, backup=True, validate="runtime")
        (model / "fingerprint.pb.backup").write_bytes(b"no fingerprint")
        told = oracle.ask("parse", directory=model)
        assert told["meta_graphs"][0]["signatures"] == ["added", "scale"]
        # The same check that proves an edit: both of TensorFlow's loaders, on the directory.
        assert models.add(model, overwrite=True, validate="full").loaders

    def test_a_directory_with_nothing_but_a_backup_is_no_model(self, model: Path) -> None:
        models.add(model, backup=True)
        (model / FILE).unlink()
        with pytest.raises(smpatch.ModelUnreadableError):
            smpatch.load(model)
        assert _refused(model).exit_code == 3


class TestFingerprint:
    def test_it_goes_with_its_file(self, printed: Path) -> None:
        models.add(printed, backup=True)
        edited = (printed / PRINT).read_bytes()
        assert (printed / f"{PRINT}.backup").read_bytes() == models.OLD_FINGERPRINT
        assert models.undo(printed).fingerprint == "restored"
        assert (printed / PRINT).read_bytes() == models.OLD_FINGERPRINT
        assert (printed / f"{PRINT}.backup").read_bytes() == edited

    def test_it_is_computed_where_none_was_kept(self, printed: Path) -> None:
        models.add(printed, backup=True)
        (printed / f"{PRINT}.backup").unlink()
        assert models.undo(printed).fingerprint == "refreshed"
        assert (printed / PRINT).read_bytes() == models.fingerprint_of(printed)

    def test_it_is_said_where_none_can_be_had(
        self, printed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        models.add(printed, backup=True)
        (printed / f"{PRINT}.backup").unlink()
        monkeypatch.setattr(Validator, "fingerprint", lambda *_: "no TensorFlow")
        undone = models.undo(printed)
        assert undone.fingerprint == "stale"
        assert [note.code for note in undone.notes] == ["stale-fingerprint"]

    def test_an_older_one_is_not_taken_for_that_of_a_newer_backup(self, printed: Path) -> None:
        models.add(printed, "one", backup=True)
        (printed / PRINT).unlink()
        models.add(printed, "two", backup=True)
        assert not (printed / f"{PRINT}.backup").exists()
        assert models.undo(printed).fingerprint == "absent"
        assert not (printed / PRINT).exists()


class TestRefusals:
    def test_no_backup(self, model: Path) -> None:
        error = _refused(model)
        assert error.exit_code == 4
        assert error.where == str(model / BACKUP)
        assert "--backup" in error.hint

    @pytest.mark.parametrize("content", [b"", b"\x08", b"hello", b"\x08\x01"])
    def test_backup_that_is_no_savedmodel(self, model: Path, content: bytes) -> None:
        (model / BACKUP).write_bytes(content)
        error = _refused(model)
        assert error.exit_code == 4
        assert error.found.startswith("the backup is not a SavedModel: ")

    @pytest.mark.parametrize("damaged", [False, True])
    def test_backup_with_a_signature_that_is_none(self, model: Path, *, damaged: bool) -> None:
        """The check of the backup also runs if the model has nothing to compare it with."""
        data = (model / FILE).read_bytes()
        at = data.index(b"\x0a\x05scale\x12")  # an entry's key, and the tag of its value
        (model / BACKUP).write_bytes(
            data[:at] + b"\x0a\x05\xff\xff\xff\xff\xff\x12" + data[at + 8 :]
        )
        if damaged:
            (model / FILE).write_bytes(b"damaged")
        error = _refused(model)
        assert error.exit_code == 4
        assert error.found.startswith("the backup is not a SavedModel: ")

    @pytest.mark.parametrize("kind", ["directory", "link", "pipe", "the file itself"])
    def test_backup_that_is_something_else(self, model: Path, kind: str) -> None:
        backup = model / BACKUP
        if kind == "directory":
            backup.mkdir()
        elif kind == "link":
            backup.symlink_to(FILE)
        elif kind == "pipe":
            os.mkfifo(backup)
        else:
            backup.hardlink_to(model / FILE)
        with pytest.raises(smpatch.RefusedError):
            models.undo(model)
        with pytest.raises(smpatch.RefusedError):
            models.undo(model, dry_run=True)
        if kind == "directory":
            with pytest.raises(smpatch.RefusedError, match="not a backup"):
                models.add(model, backup=True)

    def test_read_only_file(self, model: Path) -> None:
        models.add(model, backup=True)
        (model / FILE).chmod(0o444)
        assert _refused(model).exit_code == 4

    def test_somebody_edits(self, model: Path) -> None:
        models.add(model, backup=True)
        descriptor = os.open(model, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(smpatch.ConflictError, match="--lock-timeout"):
            models.undo(model, lock_timeout=0)
        models.undo(model, lock_timeout=0, dry_run=True)
        os.close(descriptor)

    @pytest.mark.parametrize("seconds", [-1.0, float("nan")])
    def test_time_that_is_none(self, model: Path, seconds: float) -> None:
        with pytest.raises(smpatch.UsageError):
            models.undo(model, lock_timeout=seconds)


class TestDamage:
    def test_a_model_that_cannot_be_read_is_a_reason_to_undo(self, model: Path) -> None:
        old = (model / FILE).read_bytes()
        models.add(model, backup=True)
        (model / FILE).write_bytes(b"damaged")
        undone = models.undo(model)
        assert (model / FILE).read_bytes() == old
        assert (model / BACKUP).read_bytes() == b"damaged"
        assert [note.code for note in undone.notes] == ["unreadable"]
        assert _refused(model).exit_code == 4

    def test_a_rehearsal_changes_nothing_and_tells_the_same(self, printed: Path) -> None:
        models.add(printed, backup=True)
        before = models.tree(printed)
        told = models.undo(printed, dry_run=True)
        assert models.tree(printed) == before
        assert told.dry_run
        assert told.changes == models.undo(printed).changes


class TestBackupsOfFailedCommits:
    def test_an_older_backup_stays_as_it_was(self, printed: Path) -> None:
        models.add(printed, "one", backup=True)
        before = models.tree(printed)

        def fail(_name: str) -> None:
            raise OSError(5, "the commit fails")

        with faults.at(0, fail) as layer:
            layer.on["replace"] = 1
            with pytest.raises(smpatch.WriteError):
                models.add(printed, "two", backup=True)
        assert models.tree(printed) == before

    def test_a_file_that_could_not_become_the_backup_is_kept_and_becomes_it_later(
        self, printed: Path
    ) -> None:
        previous = models.tree(printed)
        failing = [True]

        def fail(_name: str) -> None:
            if failing[0]:
                raise OSError(5, "the backup fails")

        with faults.at(0, fail) as layer:
            layer.on["replace"] = 2
            receipt = models.add(printed, backup=True)
        assert receipt.backup is None
        assert any("the next edit tries again" in note.text for note in receipt.notes)
        assert not (printed / BACKUP).exists()
        undone = models.undo(printed)
        assert (printed / FILE).read_bytes() == previous[FILE]
        assert undone.backup == printed / BACKUP
        assert not list(printed.glob(".smpatch-*"))

    def test_the_fingerprint_beside_a_text_form_outlasts_a_backup_that_comes_later(
        self, tmp_path: Path
    ) -> None:
        """It is a payload there; the first edit leaves a link to it, and no new fingerprint."""
        model = tmp_path / "model"
        shutil.copytree(models.FIXTURES / "text_form", model)
        (model / PRINT).write_bytes(b"of a pb that was")
        previous = models.tree(model)

        def fail(_name: str) -> None:
            raise OSError(5, "the backup fails")

        with faults.at(0, fail) as layer:
            layer.on["replace"] = 2
            options = smpatch.Options(validate="none", backup=True)
            smpatch.rename_signature(model, "scale", "s", options=options)
        smpatch.rename_signature(model, "s", "t", options=smpatch.Options(validate="none"))
        assert not (model / PRINT).is_symlink()
        assert (model / PRINT).read_bytes() == previous[PRINT]
        backup = model / "saved_model.pbtxt.backup"
        assert backup.read_bytes() == previous["saved_model.pbtxt"]

    def test_what_another_model_in_the_same_store_has_left_is_not_touched(
        self, model: Path, tmp_path: Path
    ) -> None:
        """The files of two models are beside each other behind links; one has a pending backup."""
        other = models.linear(tmp_path / "other")
        store = tmp_path / "store"
        store.mkdir()
        for each in (model, other):
            shutil.move(each / FILE, store / f"{each.name}.pb")
            (each / FILE).symlink_to(store / f"{each.name}.pb")
        previous = (other / FILE).read_bytes()

        def fail(_name: str) -> None:
            raise OSError(5, "the backup fails")

        with faults.at(0, fail) as layer:
            layer.on["replace"] = 2
            models.add(other, backup=True)
        models.add(model)
        models.add(model, "copied", save_to=store / "copy")
        models.undo(other)
        assert (other / FILE).read_bytes() == previous


@pytest.mark.usefixtures("as_root")
def test_a_backup_of_somebody_else_is_kept_by_a_copy_or_a_link(model: Path) -> None:
    another_user.edit(model)  # this opens the directories above
    model.chmod(0o777)
    (model / FILE).chmod(0o666)
    assert another_user.edit(model, backup=True) == "done"
    models.undo(model)
    assert models.keys(model) == {"scale"}


class TestIdentity:
    """``FileIdentity`` has the change time, which no program can set back."""

    def test_a_change_with_its_time_set_back_is_seen(self, printed: Path) -> None:
        def rewrite() -> None:
            status = (printed / FILE).stat()
            data = bytearray((printed / FILE).read_bytes())
            data[-1] ^= 1
            with (printed / FILE).open("r+b") as file:
                file.write(data)
            os.utime(printed / FILE, ns=(status.st_atime_ns, status.st_mtime_ns))

        with pytest.MonkeyPatch.context() as patch:

            def fingerprint(_validator: Validator, directory: Path) -> bytes:
                rewrite()
                return models.fingerprint_of(directory)

            patch.setattr(Validator, "fingerprint", fingerprint)
            with pytest.raises(smpatch.ConflictError, match="its change stays"):
                models.add(printed)

    def test_a_name_more_is_no_change(
        self, printed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fingerprint(_validator: Validator, directory: Path) -> bytes:
            (tmp_path / "somebody's backup").hardlink_to(printed / FILE)
            return models.fingerprint_of(directory)

        monkeypatch.setattr(Validator, "fingerprint", fingerprint)
        models.add(printed)
        assert "added" in models.keys(printed)
