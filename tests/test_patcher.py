"""The whole way of an edit: the files after a dry run, and the content of the receipt."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.edits import Rename, Retag
from smpatch.runtime import installation
from tests.writer import models

FILE = "saved_model.pb"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.linear(tmp_path / "model")


def _add(model: Path, **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    return models.add(model, **{"validate": "runtime", **options})


def _listing(top: Path) -> dict[str, tuple[object, ...]]:
    """Return the status of a directory and of all its files, without the times of reading."""
    listing: dict[str, tuple[object, ...]] = {}
    for each in (top, *top.rglob("*")):
        status = each.lstat()
        listing[str(each)] = (
            *(status.st_ino, status.st_mode, status.st_nlink, status.st_size),
            *(status.st_mtime_ns, status.st_ctime_ns),
        )
    return listing


class TestRehearsal:
    @pytest.mark.parametrize("name", ["linear", "no_op_list", "text_form"])
    def test_it_writes_nothing_and_says_the_same(self, tmp_path: Path, name: str) -> None:
        model = Path(shutil.copytree(models.FIXTURES / name, tmp_path / "model"))
        before = _listing(tmp_path)
        rehearsed = _add(model, dry_run=True)
        assert _listing(tmp_path) == before
        done = _add(model)
        assert rehearsed.dry_run
        assert not done.dry_run
        # A dry run loads at most the unedited model, which proves nothing.
        assert rehearsed.loaders == ()
        told = dataclasses.replace(rehearsed, dry_run=False, loaders=done.loaders)
        assert dataclasses.replace(told, variables_read=done.variables_read) == done

    @pytest.mark.parametrize("validate", ["none", "auto"])
    def test_it_makes_no_directory(self, model: Path, tmp_path: Path, validate: str) -> None:
        before = _listing(tmp_path)
        receipt = _add(model, dry_run=True, validate=validate, save_to=tmp_path / "a" / "out")
        assert receipt.dry_run
        assert _listing(tmp_path) == before

    def test_it_keeps_no_backup(self, model: Path) -> None:
        before = _listing(model)
        assert _add(model, dry_run=True, backup=True, validate="none").backup is None
        assert _listing(model) == before

    def test_it_is_refused_like_the_edit(self, model: Path) -> None:
        models.add(model)
        for dry_run in (True, False):
            with pytest.raises(smpatch.SignatureExistsError):
                _add(model, dry_run=dry_run)

    def test_a_note_says_that_a_read_only_model_would_be_refused(
        self, model: Path, tmp_path: Path
    ) -> None:
        (model / FILE).chmod(0o444)
        (note,) = _add(model, dry_run=True, validate="none").notes
        assert note.code == "not-writable"
        with pytest.raises(smpatch.RefusedError, match="read-only") as raised:
            _add(model, validate="none")
        assert str(raised.value) in note.text
        save_to = tmp_path / "new"
        assert _add(model, dry_run=True, validate="none", save_to=save_to).outcome == "added"

    def test_it_names_the_directory_that_would_be_made(self, model: Path, tmp_path: Path) -> None:
        save_to = tmp_path / "new"
        assert _add(model, dry_run=True, validate="none", save_to=save_to).directory == save_to


class TestReceipt:
    def test_of_an_addition(self, model: Path) -> None:
        before = (model / FILE).stat().st_size
        receipt = _add(model)
        assert receipt == smpatch.Receipt(
            directory=model,
            form="binary",
            tag_set=("serve",),
            changes=(smpatch.Change("added", "added", smpatch.load(model).signatures["added"]),),
            dry_run=False,
            size_before=before,
            size_after=(model / FILE).stat().st_size,
            loaders=("C runtime",),
            fingerprint="absent",
            backup=None,
            notes=(),
            variables_read=False,
        )

    def test_of_a_replacement(self, model: Path) -> None:
        receipt = _add(model, key="scale", overwrite=True)
        assert receipt.outcome == "replaced"
        assert receipt.signature == smpatch.load(model).signatures["scale"]
        assert receipt.size_after == (model / FILE).stat().st_size

    def test_of_what_was_there_already(self, model: Path) -> None:
        models.add(model)
        before = _listing(model)
        receipt = _add(model, overwrite=True)
        assert receipt.outcome == "unchanged"
        assert receipt.loaders == ("C runtime",)
        assert receipt.size_before == receipt.size_after
        assert _listing(model) == before

    def test_of_a_copy(self, model: Path, tmp_path: Path) -> None:
        receipt = _add(model, save_to=tmp_path / "out", validate="none")
        assert receipt.directory == tmp_path / "out"
        assert receipt.size_before == (model / FILE).stat().st_size
        assert receipt.size_after == (tmp_path / "out" / FILE).stat().st_size
        assert receipt.loaders == ()

    def test_of_a_model_with_a_fingerprint(self, tmp_path: Path) -> None:
        model = models.linear(tmp_path / "model", fingerprint=True)
        assert _add(model, dry_run=True, validate="none").fingerprint == "kept"
        assert _add(model, validate="none").fingerprint == "refreshed"
        assert (model / "fingerprint.pb").read_bytes() != models.OLD_FINGERPRINT
        assert _add(model, overwrite=True, validate="none").fingerprint == "kept"

    def test_of_several_tag_sets(self, tmp_path: Path) -> None:
        model = Path(shutil.copytree(models.FIXTURES / "several_tag_sets", tmp_path / "model"))
        receipt = smpatch.add_predict(
            model,
            inputs={"x": "x:0"},
            outputs={"plus": "plus:0"},
            signature="added",
            options=smpatch.Options(tag_set=["gpu", "serve"], validate="none"),
        )
        assert set(receipt.tag_set) == {"serve", "gpu"}
        loaded = smpatch.load(model)
        keys = {each.tags: set(each.signatures) for each in loaded.meta_graphs}
        assert [tags for tags in keys if "added" in keys[tags]] == [receipt.tag_set]

    @pytest.mark.parametrize(
        ("name", "codes"), [("old_producer", ["unknown-shape"]), ("stripped_default_attrs", [])]
    )
    def test_of_a_shape_that_nobody_was_asked_for(
        self, tmp_path: Path, name: str, codes: list[str]
    ) -> None:
        model = Path(shutil.copytree(models.FIXTURES / name, tmp_path / "model"))
        receipt = _add(model, validate="none")
        # The first model does not record the shape; the second records it as unknown.
        assert [note.code for note in receipt.notes] == codes
        assert receipt.signature.outputs["y"] == smpatch.TensorSpec("y:0", "float32", None)

    def test_of_a_rank_that_tensorflow_does_not_know_either(self, tmp_path: Path) -> None:
        model = Path(shutil.copytree(models.FIXTURES / "unknown_rank", tmp_path / "model"))
        for dry_run in (True, False):
            receipt = _add(model, dry_run=dry_run)
            assert receipt.signature.outputs["y"] == smpatch.TensorSpec("y:0", "float32", None)
            assert "unknown-shape" not in {note.code for note in receipt.notes}


class TestOptions:
    def test_backup_and_copy_contradict_each_other(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(smpatch.UsageError, match="do not go together"):
            _add(model, backup=True, save_to=tmp_path / "out")
        assert [each.name for each in tmp_path.iterdir()] == ["model"]

    def test_unknown_way_to_validate(self, model: Path) -> None:
        with pytest.raises(smpatch.UsageError, match="'quick' is not a mode of --validate"):
            _add(model, validate="quick")

    def test_library_that_is_not_there(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(smpatch.UsageError, match="no such file"):
            _add(model, op_libraries=[tmp_path / "gone.so"])

    @pytest.mark.parametrize("name", ["inputs", "outputs"])
    def test_nothing_to_feed_or_fetch(self, model: Path, name: str) -> None:
        tensors: dict[str, Any] = {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}, name: {}}
        with pytest.raises(smpatch.UsageError, match=f"no {name}"):
            smpatch.add_predict(model, **tensors)


class TestSurroundings:
    @pytest.mark.usefixtures("model")
    def test_working_directory_and_environment_do_not_matter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "tensorflow").mkdir(parents=True)
        (elsewhere / "tensorflow" / "__init__.py").write_text("raise SystemExit('not this one')")
        (elsewhere / "json.py").write_text("raise SystemExit('not this one')")
        monkeypatch.chdir(elsewhere)
        monkeypatch.setenv("PYTHONPATH", str(elsewhere))
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
        receipt = _add(Path("../model"))
        assert receipt.loaders == ("C runtime",)
        assert installation.find() is not None

    def test_nothing_is_said(self, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
        _add(model)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.own_children  # a child that stays keeps its pipes open
    def test_no_descriptor_stays_open(self, model: Path, tmp_path: Path) -> None:
        if not Path("/proc/self/fd").is_dir():
            pytest.skip("this system does not list open files")
        models.add(model, "first")

        def descriptors() -> list[str]:
            return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - pathlib opens one more

        before = descriptors()
        _add(model)
        models.add(model, "copied", save_to=tmp_path / "out")
        with pytest.raises(smpatch.SignatureExistsError):
            _add(model)
        with pytest.raises(smpatch.RefusedError):
            models.add(model, "again", save_to=tmp_path / "out")
        assert descriptors() == before


class TestLists:
    def test_tags_of_one_meta_graph_and_signatures_of_another_change_in_one_commit(
        self, tmp_path: Path
    ) -> None:
        model = tmp_path / "tags"
        shutil.copytree(FIXTURES / "several_tag_sets", model)
        receipt = smpatch.patch(
            model,
            [Retag(("train",), ("t",)), Rename("serving_default", "a"), Retag(1, ("g",))],
            options=smpatch.Options(tag_set=("serve",)),
        )
        assert [(each.outcome, each.key) for each in receipt.changes] == [
            ("retagged", "t"),
            ("renamed", "a"),
            ("retagged", "g"),
        ]
        assert receipt.tag_set == ("serve",)
        found = [(each.tags, list(each.signatures)) for each in smpatch.load(model).meta_graphs]
        assert found == [(("serve",), ["a"]), (("g",), []), (("t",), ["train"])]
