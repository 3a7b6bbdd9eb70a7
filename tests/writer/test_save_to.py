"""``--save-to``: a new directory, whole from its first moment, that shares nothing with the old."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.validator import Validator
from tests.writer import another_user, faults, models
from tests.writer.models import Tree

FILE = "saved_model.pb"


def _refused(model: Path, save_to: Path | str) -> smpatch.SmpatchError:
    """Try a copy that is refused; check that it leaves nothing behind."""
    before = models.tree(model.parent)
    with pytest.raises(smpatch.SmpatchError) as caught:
        models.add(model, save_to=save_to)
    assert models.tree(model.parent) == before
    return caught.value


def _is_copy(copy: Path, old: Tree) -> bool:
    new = models.tree(copy)
    return new.keys() == old.keys() and {name for name in new if new[name] != old[name]} == {FILE}


class TestDestination:
    def test_absent(self, model: Path, tmp_path: Path) -> None:
        old = models.tree(model)
        receipt = models.add(model, save_to=tmp_path / "out")
        assert receipt.directory == tmp_path / "out"
        assert _is_copy(tmp_path / "out", old)
        assert models.tree(model) == old
        assert models.keys(tmp_path / "out") == {"added", "scale"}

    def test_empty_directory(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        models.add(model, save_to=tmp_path / "out")
        assert _is_copy(tmp_path / "out", models.tree(model))

    def test_directory_with_something_in_it(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / ".hidden").touch()
        assert _refused(model, tmp_path / "out").exit_code == 4

    def test_file(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        assert _refused(model, tmp_path / "out").exit_code == 4

    @pytest.mark.parametrize("leads_to", ["empty", "nowhere"])
    def test_link(self, model: Path, tmp_path: Path, leads_to: str) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "out").symlink_to(leads_to)
        assert _refused(model, tmp_path / "out").exit_code == 4

    @pytest.mark.parametrize("name", ["", "inside", "inside/deep", "variables/copy"])
    def test_model_itself_or_inside_it(self, model: Path, name: str) -> None:
        assert _refused(model, model / name).exit_code == 4

    def test_inside_the_model_behind_a_link(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("model")
        assert _refused(model, tmp_path / "link" / "copy").exit_code == 4

    def test_missing_parents_are_made(self, model: Path, tmp_path: Path) -> None:
        models.add(model, save_to=tmp_path / "a" / "b" / "out")
        assert _is_copy(tmp_path / "a" / "b" / "out", models.tree(model))
        assert [each.name for each in (tmp_path / "a" / "b").iterdir()] == ["out"]

    def test_parents_that_were_made_are_removed_after_a_failure(
        self, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "a").mkdir()
        os.mkfifo(model / "pipe")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(smpatch.WriteError, match="neither a file nor a directory"):
            models.add(model, save_to=tmp_path / "a" / "b" / "c" / "out")
        assert sorted(tmp_path.rglob("*")) == before

    def test_parent_is_a_file(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert _refused(model, tmp_path / "file" / "out").exit_code == 5

    def test_somebody_makes_the_parents_meanwhile(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mkdir = os.mkdir

        def slow(path: Path, *rest: int) -> None:
            if Path(path).name in {"a", "b"}:
                mkdir(path)
            mkdir(path, *rest)

        monkeypatch.setattr(os, "mkdir", slow)
        models.add(model, save_to=tmp_path / "a" / "b" / "out")
        assert _is_copy(tmp_path / "a" / "b" / "out", models.tree(model))

    def test_trailing_slash(self, model: Path, tmp_path: Path) -> None:
        models.add(model, save_to=f"{tmp_path}/out/")
        assert _is_copy(tmp_path / "out", models.tree(model))

    def test_relative_path(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        models.add(Path("model"), save_to="out")
        models.add(Path("model"), save_to=Path("one/two"))
        assert _is_copy(tmp_path / "out", models.tree(model))
        assert _is_copy(tmp_path / "one" / "two", models.tree(model))

    @pytest.mark.parametrize("name", [".", "../out"])
    def test_working_directory(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")
        error = _refused(model, name)
        assert error.exit_code == 4
        assert "working directory" in error.found

    def test_empty_name_is_not_the_working_directory(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")
        assert _refused(model, "").exit_code == 2

    def test_working_directory_that_is_gone(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        models.add(model, save_to=tmp_path / "out")
        assert _is_copy(tmp_path / "out", models.tree(model))
        error = _refused(model, "out")
        assert error.exit_code == 5
        assert error.found == "the working directory is gone"
        models.add(model)
        monkeypatch.chdir(tmp_path)

    @pytest.mark.usefixtures("as_root")
    def test_parent_is_read_only(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir(mode=0o755)
        said = another_user.edit(model, save_to=tmp_path / "closed" / "out")
        assert said.startswith("5 ")
        assert not list((tmp_path / "closed").iterdir())

    @pytest.mark.usefixtures("as_root")
    def test_parents_are_made_where_one_may_write_and_not_look(
        self, model: Path, tmp_path: Path
    ) -> None:
        """Such a directory cannot be synced either."""
        (tmp_path / "letterbox").mkdir()
        (tmp_path / "letterbox").chmod(0o733)
        save_to = tmp_path / "letterbox" / "a" / "out"
        assert another_user.edit(model, save_to=save_to) == "done"
        assert _is_copy(save_to, models.tree(model))

    @pytest.mark.parametrize("kind", ["file", "full directory", "link"])
    def test_somebody_takes_the_name_meanwhile(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        out = tmp_path / "out"
        rename = os.rename

        def too_late(source: Path, target: Path) -> None:
            if kind == "file":
                out.write_text("theirs")
            elif kind == "link":
                out.symlink_to("model")
            else:
                (out / "theirs").mkdir(parents=True)
            rename(source, target)

        monkeypatch.setattr(os, "rename", too_late)
        with pytest.raises(smpatch.RefusedError, match="another program put something there"):
            models.add(model, save_to=out)
        assert {each.name for each in tmp_path.iterdir()} == {"model", "out"}
        assert not (out / FILE).exists() or kind == "link"


class TestCopy:
    def test_it_shares_no_file(self, model: Path, tmp_path: Path) -> None:
        models.add(model, save_to=tmp_path / "out")
        inodes = [
            {each.stat().st_ino for each in top.rglob("*")} for top in (model, tmp_path / "out")
        ]
        assert not inodes[0] & inodes[1]

    def test_links_are_followed(self, model: Path, tmp_path: Path) -> None:
        shutil.move(model / "variables", tmp_path / "elsewhere")
        (model / "variables").symlink_to("../elsewhere")
        (model / "assets.extra").mkdir()
        (model / "assets.extra" / "index").symlink_to("../variables/variables.index")
        models.add(model, save_to=tmp_path / "out")
        assert not [each for each in (tmp_path / "out").rglob("*") if each.is_symlink()]
        assert models.tree(tmp_path / "out" / "variables") == models.tree(tmp_path / "elsewhere")
        index = (tmp_path / "elsewhere" / "variables.index").read_bytes()
        assert (tmp_path / "out" / "assets.extra" / "index").read_bytes() == index

    def test_link_that_leads_nowhere_stays_one(self, model: Path, tmp_path: Path) -> None:
        (model / "variables" / "old").symlink_to("gone")
        models.add(model, save_to=tmp_path / "out")
        assert (tmp_path / "out" / "variables" / "old").readlink() == Path("gone")

    @pytest.mark.parametrize("target", [".", "..", "../variables"])
    def test_links_in_a_circle_are_refused(self, model: Path, tmp_path: Path, target: str) -> None:
        (model / "variables" / "self").symlink_to(target)
        error = _refused(model, tmp_path / "out")
        assert error.exit_code == 5
        assert "leads back" in error.found

    @pytest.mark.parametrize("target", ["parent", "parent/inner", "/"])
    def test_link_to_a_directory_above_the_copy_is_refused(
        self, model: Path, tmp_path: Path, target: str
    ) -> None:
        (tmp_path / "parent" / "inner").mkdir(parents=True)
        (model / "variables" / "all").symlink_to(tmp_path / target)
        error = _refused(model, tmp_path / "parent" / "inner" / "out")
        assert error.exit_code == 5
        assert "above the copy" in error.found

    def test_backups_stay_with_the_model_they_are_of(self, printed: Path, tmp_path: Path) -> None:
        models.add(printed, backup=True)
        assert (printed / "fingerprint.pb.backup").exists()
        models.add(printed, "more", save_to=tmp_path / "out")
        assert {each.name for each in (tmp_path / "out").iterdir()} == {
            *(FILE, "fingerprint.pb", "variables")
        }

    def test_link_of_the_file_is_followed(self, model: Path, tmp_path: Path) -> None:
        shutil.move(model / FILE, tmp_path / "blob")
        (model / FILE).symlink_to("../blob")
        models.add(model, save_to=tmp_path / "out")
        assert not (tmp_path / "out" / FILE).is_symlink()
        assert "added" in models.keys(tmp_path / "out")
        assert "added" not in models.keys(model)

    def test_read_only_model_can_be_copied(self, model: Path, tmp_path: Path) -> None:
        (model / FILE).chmod(0o444)
        models.add(model, save_to=tmp_path / "out")
        assert "added" in models.keys(tmp_path / "out")
        assert (tmp_path / "out" / FILE).stat().st_mode & 0o777 == 0o444

    def test_permissions_and_times_are_kept(self, model: Path, tmp_path: Path) -> None:
        long_ago = 1_500_000_000_123_456_789
        index = model / "variables" / "variables.index"
        index.chmod(0o604)
        (model / "variables").chmod(0o711)
        os.utime(index, ns=(long_ago, long_ago))
        os.utime(model / "variables", ns=(long_ago, long_ago))
        model.chmod(0o2750)
        models.add(model, save_to=tmp_path / "out")
        copied = tmp_path / "out" / "variables" / "variables.index"
        assert copied.stat().st_mode & 0o7777 == 0o604
        assert copied.stat().st_mtime_ns == copied.parent.stat().st_mtime_ns == long_ago
        assert copied.parent.stat().st_mode & 0o7777 == 0o711
        assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o2750

    def test_the_directory_itself_is_as_new_as_it_is(self, model: Path, tmp_path: Path) -> None:
        """The permissions are the old ones; the time is new, and shows the last version."""
        long_ago = 1_500_000_000
        model.chmod(0o751)
        os.utime(model, (long_ago, long_ago))
        models.add(model, save_to=tmp_path / "out")
        status = (tmp_path / "out").stat()
        assert status.st_mode & 0o7777 == 0o751
        assert status.st_mtime > long_ago + 10**8

    @pytest.mark.usefixtures("as_root")
    def test_owners_are_kept(self, printed: Path, tmp_path: Path) -> None:
        for number, each in enumerate((printed, *sorted(printed.rglob("*"))), start=1000):
            os.chown(each, number, number)
        models.add(printed, save_to=tmp_path / "out")

        def owners(top: Path) -> dict[str, tuple[int, int]]:
            every = (top, *top.rglob("*"))
            return {
                str(each.relative_to(top)): (each.stat().st_uid, each.stat().st_gid)
                for each in every
            }

        assert owners(tmp_path / "out") == owners(printed)

    @pytest.mark.usefixtures("as_root")
    def test_read_only_directories_do_not_keep_the_copy_from_being_removed(
        self, model: Path, tmp_path: Path
    ) -> None:
        (model / "variables").chmod(0o555)
        os.mkfifo(model / "zzz")
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        said = another_user.edit(model, save_to=tmp_path / "open" / "out")
        assert said.startswith("5 ")
        assert not list((tmp_path / "open").iterdir())

    def test_unchanged_model_is_copied_as_it_is(self, printed: Path, tmp_path: Path) -> None:
        models.add(printed)
        receipt = models.add(printed, overwrite=True, save_to=tmp_path / "out")
        assert receipt.outcome == "unchanged"
        assert receipt.fingerprint == "kept"
        assert models.tree(tmp_path / "out") == models.tree(printed)

    def test_fingerprint_that_cannot_be_taken_is_left_out(
        self, printed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Validator, "fingerprint", lambda *_: "no")
        receipt = models.add(printed, save_to=tmp_path / "out")
        assert receipt.fingerprint == "absent"
        assert [note.text for note in receipt.notes] == ["the new model has no fingerprint.pb: no"]
        assert not (tmp_path / "out" / "fingerprint.pb").exists()

    def test_fingerprint_beside_a_text_form_is_carried_along(self, tmp_path: Path) -> None:
        shutil.copytree(models.FIXTURES / "text_form", tmp_path / "model")
        (tmp_path / "model" / "fingerprint.pb").write_bytes(b"of a pb that was")
        # The fixture has no list of its operations.
        receipt = models.add(tmp_path / "model", save_to=tmp_path / "out", validate="runtime")
        assert receipt.fingerprint == "kept"
        assert (tmp_path / "out" / "fingerprint.pb").read_bytes() == b"of a pb that was"

    def test_what_was_left_behind_in_the_model_is_not_copied(
        self, model: Path, tmp_path: Path
    ) -> None:
        (model / ".smpatch-killed").mkdir()
        models.add(model, save_to=tmp_path / "out")
        assert {each.name for each in (tmp_path / "out").iterdir()} == {FILE, "variables"}


class TestWatchers:
    def test_version_appears_whole(self, model: Path, tmp_path: Path) -> None:
        with (model / "variables" / "weights").open("wb") as file:
            file.truncate(1 << 24)
        versions = tmp_path / "versions"
        versions.mkdir()
        seen: list[tuple[str, ...]] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                seen.extend(
                    tuple(sorted(each.name for each in version.rglob("*")))
                    for version in versions.glob("[0-9]*")
                )

        watcher = threading.Thread(target=watch)
        watcher.start()
        for version in range(5):
            models.add(model, save_to=versions / str(version))
        time.sleep(0.05)
        stop.set()
        watcher.join()
        assert seen
        assert set(seen) == {tuple(sorted(each.name for each in model.rglob("*")))}

    def test_nothing_but_the_version_and_a_hidden_name_is_ever_there(
        self, model: Path, tmp_path: Path
    ) -> None:
        versions = tmp_path / "versions"
        versions.mkdir()
        names: set[str] = set()

        def look(_name: str) -> None:
            names.update(each.name for each in versions.iterdir())

        with faults.at(0, look) as layer:
            layer.on.update(dict.fromkeys(("write", "fsync", "chmod", "rename", "mkdir"), 1))
            models.add(model, save_to=versions / "7")
        names.update(each.name for each in versions.iterdir())
        assert {name for name in names if not name.startswith(".smpatch-")} == {"7"}
        assert len(names) == 2


class TestOtherFileSystems:
    def test_to_another_file_system(self, model: Path) -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a file system that differs, where it is there
        if not memory.is_dir() or memory.stat().st_dev == model.stat().st_dev:
            pytest.skip("no second file system here")
        place = memory / f"smpatch-test-{os.getpid()}"
        try:
            models.add(model, save_to=place / "out")
            assert _is_copy(place / "out", models.tree(model))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @pytest.mark.usefixtures("as_root")
    @pytest.mark.parametrize("way", ["in place", "save to"])
    def test_full_disk(self, model: Path, tmp_path: Path, way: str) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],  # noqa: S607 - root's own
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode:
            pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
        try:
            options: dict[str, Any] = {}
            if way == "in place":
                shutil.copytree(model, disk / "model")
                model = disk / "model"
            else:
                options["save_to"] = disk / "a" / "out"
            _fill(disk)
            before = models.tree(disk)
            with pytest.raises(smpatch.WriteError, match=os.strerror(errno.ENOSPC).lower()):
                models.add(model, **options)
            assert models.tree(disk) == before
        finally:
            subprocess.run(["umount", str(disk)], check=True)  # noqa: S607 - root's own


def _fill(disk: Path) -> None:
    """Fill the disk: names still fit on it, but no byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - the loop's only way out


def test_programs_find_the_model_by_a_path_with_any_bytes(model: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems want file names in Unicode")
    place = tmp_path / os.fsdecode(b"model-\xff \n")
    model.rename(place)
    models.add(place)
    models.add(place, "again", save_to=tmp_path / os.fsdecode(b"out-\xfe"))
    assert models.keys(tmp_path / os.fsdecode(b"out-\xfe")) == {"added", "again", "scale"}
