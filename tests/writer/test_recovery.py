"""Killed edits leave the old model or the new one, and the next edit removes their other files."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.warmup import PLACE
from smpatch.writer.stage import PREFIX
from tests.oracle import programs
from tests.prove.ledger import Count
from tests.writer import faults, killer, models

FILE = "saved_model.pb"
HIDDEN = f"{PREFIX}left"


class TestKilledAtEveryCall:
    @pytest.mark.proof("calls of Python")
    @pytest.mark.parametrize("way", ["in-place", "backup", "undo"])
    def test_in_place(self, tmp_path: Path, way: str, count: Count) -> None:
        told = killer.everywhere(tmp_path / "work", way)
        count.add(kills=len(told))
        states = [each.model for each in told]
        assert set(states) == {"old", "new"}
        # Before the commit it is the old one, after it the new one, with one change between them.
        assert states == sorted(states, reverse=True)
        assert {each.next for each in told} == {""}
        for each in told:
            hidden = [name for name in each.left if PREFIX in name]
            assert len(hidden) <= 1
            backups = {f"model/{name}.backup" for name in (FILE, "fingerprint.pb", str(PLACE))}
            backups.add(f"model/{FILE}.undone")
            assert set(each.left) - set(hidden) <= backups

    @pytest.mark.proof("calls of Python")
    def test_save_to(self, tmp_path: Path, count: Count) -> None:
        told = killer.everywhere(tmp_path / "work", "save-to")
        count.add(kills=len(told))
        assert {each.model for each in told} == {"old"}
        assert {each.copy for each in told} == {"absent", "new"}
        assert {each.next for each in told} == {""}
        for each in told:
            hidden = [name for name in each.left if name.startswith(PREFIX)]
            assert len(hidden) <= 1
            if each.copy == "absent":
                assert each.left == hidden

    def test_old_and_new_are_what_tensorflow_takes_them_for(self, tmp_path: Path) -> None:
        files = [models.linear(tmp_path / name) / FILE for name in ("old", "new")]
        models.add(tmp_path / "new", "killed")
        assert programs.run("-c", _DIFFERENCE, *files).split() == ["killed", "True"]


_DIFFERENCE = """
import sys
from tensorflow.core.protobuf import saved_model_pb2
old, new = (saved_model_pb2.SavedModel.FromString(open(f, "rb").read()) for f in sys.argv[1:])
signatures = new.meta_graphs[0].signature_def
print(*(key for key in signatures if key not in old.meta_graphs[0].signature_def))
del signatures["killed"]
print(new == old)
"""


@pytest.fixture
def cut(printed: Path) -> Path:
    """A model whose edit was killed between its two renames."""
    killer.cut_between_the_renames(printed)
    assert "killed" in models.keys(printed)
    assert (printed / "fingerprint.pb").read_bytes() == models.OLD_FINGERPRINT
    return printed


def _is_repaired(model: Path) -> bool:
    left = [each for each in model.iterdir() if each.name.startswith(PREFIX)]
    return not left and (model / "fingerprint.pb").read_bytes() == models.fingerprint_of(model)


class TestCutBetweenTheRenames:
    def test_another_edit_repairs(self, cut: Path) -> None:
        models.add(cut, "another")
        assert _is_repaired(cut)

    def test_the_same_edit_repairs_though_nothing_is_to_do(self, cut: Path) -> None:
        assert models.add(cut, "killed", overwrite=True).outcome == "unchanged"
        assert _is_repaired(cut)

    def test_an_edit_that_is_refused_repairs(self, cut: Path) -> None:
        with pytest.raises(smpatch.SignatureExistsError):
            models.add(cut, "killed")
        assert _is_repaired(cut)

    def test_a_rehearsal_repairs_nothing(self, cut: Path) -> None:
        before = models.tree(cut)
        models.add(cut, "another", dry_run=True)
        assert models.tree(cut) == before

    def test_a_fingerprint_of_a_file_that_has_changed_since_is_not_taken(self, cut: Path) -> None:
        with (cut / FILE).open("ab") as file:
            file.write(b"\x08\x01")
        models.add(cut, "killed", overwrite=True)
        assert (cut / "fingerprint.pb").read_bytes() == models.OLD_FINGERPRINT
        assert {each.name for each in cut.iterdir()} == {FILE, "fingerprint.pb", "variables"}

    @pytest.mark.parametrize("name", ["blob", FILE])
    def test_file_and_fingerprint_behind_links(
        self, printed: Path, tmp_path: Path, name: str
    ) -> None:
        store, prints = tmp_path / "store", tmp_path / "prints"
        store.mkdir()
        prints.mkdir()
        shutil.move(printed / FILE, store / name)
        shutil.move(printed / "fingerprint.pb", prints / "print")
        (printed / FILE).symlink_to(store / name)
        (printed / "fingerprint.pb").symlink_to(prints / "print")
        killer.cut_between_the_renames(printed)
        models.add(printed, "killed", overwrite=True)
        assert (printed / "fingerprint.pb").is_symlink()
        assert _is_repaired(printed)
        assert [each.name for each in store.iterdir()] == [name]
        assert [each.name for each in prints.iterdir()] == ["print"]


class TestCutBeforeTheRequests:
    """The model has changed and its warm-up requests have not: the next edit repairs this."""

    @pytest.fixture
    def cut(self, tmp_path: Path) -> Path:
        model = models.linear(tmp_path / "model", requests=True)
        killer.cut_between_the_renames(model)
        assert not models.requests_fit(model)
        return model

    def _check(self, model: Path) -> None:
        assert models.requests_fit(model)
        assert not list(model.glob(f"{PREFIX}*"))

    def test_another_edit(self, cut: Path) -> None:
        models.add(cut, "another")
        self._check(cut)

    def test_an_edit_that_is_refused(self, cut: Path) -> None:
        with pytest.raises(smpatch.SignatureExistsError):
            models.add(cut, "killed")
        self._check(cut)

    def test_new_requests_are_not_overwritten_by_what_was_left(self, cut: Path) -> None:
        """The requests of a killed edit are written before the new ones, and never again."""
        smpatch.write_warmup(cut, "scale", random=1, append=True)
        assert len(smpatch.warmup_requests(cut)) == 2
        assert {tuple(each.inputs) for each in smpatch.warmup_requests(cut)} == {("killed_x",)}
        models.add(cut, "next")
        assert {tuple(each.inputs) for each in smpatch.warmup_requests(cut)} == {("next_x",)}

    def test_a_rehearsal_mends_nothing(self, cut: Path) -> None:
        before = models.tree(cut)
        models.add(cut, "another", dry_run=True)
        assert models.tree(cut) == before

    def test_an_edit_that_cannot_put_them_in_place_leaves_them_to_the_next(
        self, tmp_path: Path
    ) -> None:
        model = models.linear(tmp_path / "model", requests=True)

        def fail(_name: str) -> None:
            raise OSError(5, "the second rename fails")

        with faults.at(0, fail) as layer:
            layer.on["replace"] = 2
            receipt = models.add(model, "one", backup=True)
        assert receipt.warm_up == "stale"
        assert any("the next edit tries again" in note.text for note in receipt.notes)
        assert not models.requests_fit(model)
        undone = models.undo(model)
        assert undone.warm_up == "restored"
        self._check(model)


class TestSweep:
    def test_what_nobody_holds_is_removed(self, model: Path, tmp_path: Path) -> None:
        (model / HIDDEN / "variables").mkdir(parents=True)
        models.add(model)
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}
        (tmp_path / HIDDEN / "variables").mkdir(parents=True)
        models.add(model, "copied", save_to=tmp_path / "out")
        assert {each.name for each in tmp_path.iterdir()} == {"model", "out"}

    def test_what_a_living_process_holds_stays(self, model: Path, tmp_path: Path) -> None:
        for place in (model, tmp_path):
            (place / HIDDEN).mkdir()
            descriptor = os.open(place / HIDDEN, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                models.add(
                    model, f"to {place.name}", save_to=None if place == model else tmp_path / "out"
                )
                assert (place / HIDDEN).is_dir()
            finally:
                os.close(descriptor)

    def test_without_locks_nothing_is_taken_for_left_behind(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without locks, nothing shows whether another process still works in the directory."""

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
        for place, save_to in ((model, None), (tmp_path, tmp_path / "out")):
            (place / HIDDEN).mkdir()
            models.add(model, f"to {place.name}", save_to=save_to)
            assert (place / HIDDEN).is_dir()

    def test_links_are_not_followed_out(self, model: Path, tmp_path: Path) -> None:
        for place in ("directory", "file"):
            (tmp_path / place).mkdir()
        (tmp_path / "directory" / "mine").write_text("mine")
        (tmp_path / "file" / "mine").write_text("mine")
        (model / HIDDEN).mkdir()
        (model / HIDDEN / "in").symlink_to(tmp_path / "directory")
        (model / f"{PREFIX}link").symlink_to(tmp_path / "directory")
        (model / f"{PREFIX}file").symlink_to(tmp_path / "file" / "mine")
        models.add(model)
        assert (tmp_path / "directory" / "mine").read_text() == "mine"
        assert (tmp_path / "file" / "mine").read_text() == "mine"
        assert not (model / HIDDEN).exists()

    def test_nothing_but_a_directory_is_ours(self, model: Path) -> None:
        (model / f"{PREFIX}notes").write_text("mine")
        os.mkfifo(model / f"{PREFIX}pipe")  # a program that opens it waits for ever
        models.add(model)
        assert (model / f"{PREFIX}notes").read_text() == "mine"
        assert (model / f"{PREFIX}pipe").is_fifo()

    @pytest.mark.parametrize("moment", ["open", "flock"])
    def test_a_sweep_that_comes_before_the_lock_takes_nothing_from_its_owner(
        self, model: Path, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place: Any = {"open": os, "flock": fcntl}[moment]
        true = getattr(place, moment)
        times = iter(range(3))

        def late(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function it replaces
            fresh = [each for each in model.iterdir() if each.name.startswith(PREFIX)]
            if fresh and next(times, None) is not None:
                shutil.rmtree(fresh[0])
            return true(*arguments, **named)

        monkeypatch.setattr(place, moment, late)
        models.add(model)
        assert "added" in models.keys(model)
        assert {each.name for each in model.iterdir()} == {FILE, "variables"}

    def test_a_sweep_that_is_under_way_takes_nothing_from_its_owner(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held: list[int] = []
        mkdtemp = tempfile.mkdtemp

        def seen_at_once(**named: Any) -> str:  # noqa: ANN401 - as the function it replaces
            made: str = mkdtemp(**named)
            if not held:
                held.append(os.open(made, os.O_RDONLY))
                fcntl.flock(held[0], fcntl.LOCK_EX)
                threading.Timer(0.1, shutil.rmtree, [made, True]).start()
            return made

        monkeypatch.setattr(tempfile, "mkdtemp", seen_at_once)
        models.add(model)
        os.close(held[0])
        assert "added" in models.keys(model)

    def test_many_copies_to_one_parent_at_once(self, model: Path, tmp_path: Path) -> None:
        failed: list[BaseException] = []

        def copy(number: int) -> None:
            try:
                for turn in range(6):
                    models.add(model, save_to=tmp_path / "out" / f"{number}-{turn}")
            except smpatch.SmpatchError as error:
                failed.append(error)

        threads = [threading.Thread(target=copy, args=[number]) for number in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not failed
        assert len(list((tmp_path / "out").iterdir())) == 36
