"""Edits of models in stores: one conditional put, and the work after it."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.edits import AddPredict, Copy, Rename
from smpatch.stores.access import Store
from smpatch.urls import ModelUrl
from smpatch.warmup import PLACE
from tests.cli.conftest import Run
from tests.stores.conftest import keys, linear, put, tree
from tests.writer import models

UNPROVED = smpatch.Options(validate="none")
KEPT = smpatch.Options(validate="none", backup=True)

ADDED = AddPredict({"x": "x:0"}, {"y": "y:0"}, "added")


def _files(directory: Path) -> dict[str, bytes]:
    return {name: data for name, data in models.tree(directory).items() if data is not None}


def test_an_edit_puts_the_bytes_that_it_would_write(bucket: str, tmp_path: Path) -> None:
    url, local = linear(f"{bucket}/1"), models.linear(tmp_path / "1")
    before = tree(url)
    receipt = smpatch.patch(url, ADDED, options=UNPROVED)
    smpatch.patch(local, ADDED, options=UNPROVED)
    assert str(receipt.directory) == url
    expected = {**before, "saved_model.pb": (local / "saved_model.pb").read_bytes()}
    assert tree(url) == expected
    assert expected != before


def test_tensorflow_proves_it_and_the_fingerprint_follows(s3: str, tmp_path: Path) -> None:
    url = put(models.FIXTURES / "keras_functional", f"{s3}/1")
    receipt = smpatch.copy_signature(url, "serving_default", "again")
    assert receipt.loaders[0] == "C runtime"
    assert receipt.fingerprint == "refreshed"
    assert receipt.variables_read is False
    for name, data in tree(url).items():
        file = tmp_path / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    report = smpatch.check(tmp_path / "model")
    assert report.ok, report
    assert not [each for each in report.findings if "fingerprint" in each.code]


def test_without_a_proof_no_variables_are_read(s3: str, caplog: pytest.LogCaptureFixture) -> None:
    url = linear(f"{s3}/1")
    caplog.set_level(logging.INFO, "smpatch.stores.access")
    smpatch.patch(url, ADDED, options=UNPROVED)
    assert ".data-" not in caplog.text
    before = tree(url)
    assert [each for each in before if ".data-" in each]


def test_an_edit_that_asks_for_nothing_new_puts_nothing(
    s3: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = linear(f"{s3}/1")
    smpatch.patch(url, ADDED, options=UNPROVED)
    caplog.set_level(logging.INFO, "smpatch.stores.access")
    assert smpatch.patch(url, ADDED, options=UNPROVED, once=True).outcome == "unchanged"
    smpatch.patch(url, Copy("added", "b"), options=smpatch.Options(dry_run=True, validate="none"))
    assert " put " not in f" {caplog.text}".replace(":", " ")
    assert keys(url) == {"added", "scale"}


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Return a function that runs an action before the first put of an object of a name."""
    original = Store.put

    def install(name: str, step: Callable[[], object]) -> None:
        waiting = [step]

        def changed(self: Store, key: str, *given: Any, **named: Any) -> object:  # noqa: ANN401 - as the method it replaces
            if key.endswith(name) and waiting:
                waiting.pop()()
            return original(self, key, *given, **named)

        monkeypatch.setattr(Store, "put", changed)

    return install


def test_a_change_in_between_is_a_conflict_and_stays(
    bucket: str, meanwhile: Callable[[str, Callable[[], object]], None]
) -> None:
    url = linear(f"{bucket}/1")
    smpatch.patch(url, Copy("scale", "kept"), options=KEPT)
    backup = tree(url)["saved_model.pb.backup"]
    meanwhile(
        "/saved_model.pb", lambda: smpatch.patch(url, Rename("kept", "other"), options=UNPROVED)
    )
    with pytest.raises(smpatch.ConflictError) as caught:
        smpatch.patch(url, ADDED, options=KEPT)
    assert caught.value.exit_code == 5
    assert keys(url) == {"other", "scale"}
    after = tree(url)
    assert after["saved_model.pb.backup"] == backup
    assert not [name for name in after if ".smpatch-" in name]


def test_the_fingerprint_is_that_of_the_last_commit(
    s3: str, meanwhile: Callable[[str, Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from smpatch.validator import Validator  # noqa: PLC0415

    def fingerprint(self: Validator, directory: Path) -> bytes:
        del self
        return b"of " + ",".join(sorted(models.keys(directory))).encode()

    monkeypatch.setattr(Validator, "fingerprint", fingerprint)
    url = linear(f"{s3}/1", fingerprint=True)
    meanwhile(
        "/fingerprint.pb", lambda: smpatch.patch(url, Copy("scale", "late"), options=UNPROVED)
    )
    smpatch.patch(url, ADDED, options=UNPROVED)
    assert keys(url) == {"added", "late", "scale"}
    assert tree(url)["fingerprint.pb"] == b"of added,late,scale"


def test_undo_and_redo(bucket: str) -> None:
    url = linear(f"{bucket}/1")
    before = tree(url)
    receipt = smpatch.patch(url, ADDED, options=KEPT)
    assert str(receipt.backup) == f"{url}/saved_model.pb.backup"
    edited = tree(url)
    assert edited["saved_model.pb.backup"] == before["saved_model.pb"]
    assert smpatch.undo(url, dry_run=True).dry_run
    assert tree(url) == edited
    with pytest.raises(smpatch.RefusedError, match="no edit is undone"):
        smpatch.undo(url, redo=True)
    undone = smpatch.undo(url)
    assert [each.key for each in undone.changes] == ["added"]
    assert str(undone.directory) == url
    after = tree(url)
    assert after["saved_model.pb"] == before["saved_model.pb"]
    assert after["saved_model.pb.backup"] == edited["saved_model.pb"]
    with pytest.raises(smpatch.RefusedError, match="undone already"):
        smpatch.undo(url)
    smpatch.undo(url, redo=True)
    assert tree(url) == edited
    smpatch.undo(url)
    smpatch.patch(url, Copy("scale", "new"), options=KEPT)
    assert "saved_model.pb.undone" not in tree(url)
    smpatch.undo(url)
    assert tree(url)["saved_model.pb"] == before["saved_model.pb"]


def test_an_undone_edit_does_not_come_back_after_an_edit_without_a_backup(bucket: str) -> None:
    url = linear(f"{bucket}/1")
    smpatch.patch(url, ADDED, options=KEPT)
    smpatch.undo(url)
    smpatch.patch(url, Copy("scale", "new"), options=UNPROVED)
    there = tree(url)
    for redo in (False, True):
        with pytest.raises(
            smpatch.RefusedError, match="has changed since the undo, without --backup"
        ):
            smpatch.undo(url, redo=redo)
    assert tree(url) == there


def test_an_asset_whose_name_ends_like_that_of_a_backup_is_copied(
    bucket: str, tmp_path: Path
) -> None:
    url = linear(f"{bucket}/1")
    Store(ModelUrl(url)).put(f"{ModelUrl(url).key}/assets/words.backup", b"an asset")
    options = smpatch.Options(validate="none", save_to=tmp_path / "saved")
    smpatch.patch(url, ADDED, options=options)
    assert (tmp_path / "saved" / "assets" / "words.backup").read_bytes() == b"an asset"


def test_warm_up_requests_follow_as_in_a_directory(bucket: str, tmp_path: Path) -> None:
    """The rewritten requests once stayed on the machine that edited the model."""
    fixture = models.FIXTURES / "assets_extra_warmup"
    url, local = put(fixture, f"{bucket}/1"), tmp_path / "1"
    shutil.copytree(fixture, local)
    before = tree(url)
    edit = Rename("scale", "serving_default")
    for place in (url, local):
        assert smpatch.patch(place, edit, options=KEPT).warm_up == "rewritten"
    edited = tree(url)
    assert edited == _files(local)
    assert edited[str(PLACE)] != before[str(PLACE)]
    for place in (url, local):
        smpatch.undo(place)
    assert tree(url) == _files(local)
    assert tree(url)[str(PLACE)] == before[str(PLACE)]
    smpatch.patch(url, edit, options=replace(UNPROVED, save_to=f"{bucket}/2"))
    assert tree(f"{bucket}/2")[str(PLACE)] == edited[str(PLACE)]


def test_requests_that_somebody_else_wrote_meanwhile_stay(
    s3: str, meanwhile: Callable[[str, Callable[[], object]], None]
) -> None:
    url = put(models.FIXTURES / "assets_extra_warmup", f"{s3}/1")
    key = ModelUrl(f"{url}/{PLACE}").key
    meanwhile("/saved_model.pb", lambda: Store(ModelUrl(url)).put(key, b"theirs"))
    receipt = smpatch.patch(url, Rename("scale", "serving_default"), options=UNPROVED)
    assert tree(url)[str(PLACE)] == b"theirs"
    (text,) = (each.text for each in receipt.notes if each.code == "after-commit")
    assert "was not rewritten, so that TF Serving may not load the model" in text


def test_the_backup_has_the_name_that_it_has_in_a_directory(s3: str, tmp_path: Path) -> None:
    url, local = (
        linear(f"{s3}/1", fingerprint=True),
        models.linear(tmp_path / "1", fingerprint=True),
    )
    each: str | Path
    for each in (url, local):
        smpatch.patch(each, ADDED, options=KEPT)
    assert tree(url).keys() == {
        name for name, data in models.tree(local).items() if data is not None
    }


@pytest.fixture
def ignoring(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a store whose puts ignore their conditions."""
    original = Store.put

    def put(
        self: Store,
        key: str,
        data: bytes | Path,
        condition: object = None,
    ) -> object:
        del condition
        return original(self, key, data, None)

    monkeypatch.setattr(Store, "put", put)
    return s3


@pytest.mark.parametrize("kind", ["ignoring", "s3rver", "radosgw"])
def test_a_store_that_ignores_conditions_is_refused(
    kind: str, request: pytest.FixtureRequest
) -> None:
    place: str = request.getfixturevalue(kind)
    url = linear(f"{place}/1")
    before = tree(url)
    with pytest.raises(smpatch.RefusedError, match="does not honour conditional puts") as caught:
        smpatch.patch(url, ADDED, options=KEPT)
    assert "--unconditional" in caught.value.hint
    with pytest.raises(smpatch.RefusedError, match="conditional"):
        smpatch.patch(url, ADDED, options=smpatch.Options(validate="none", save_to=f"{place}/2"))
    assert tree(url) == before
    options = smpatch.Options(validate="none", unconditional=True, backup=True)
    receipt = smpatch.patch(url, ADDED, options=options)
    assert "unconditional" in [each.code for each in receipt.notes]
    assert keys(url) == {"added", "scale"}
    smpatch.undo(url, unconditional=True)
    assert keys(url) == {"scale"}


def test_the_probe_leaves_nothing(s3: str) -> None:
    url = linear(f"{s3}/1")
    names = tree(url).keys()
    smpatch.patch(url, ADDED, options=UNPROVED)
    assert tree(url).keys() == names


def test_a_new_model_in_a_store(bucket: str, tmp_path: Path) -> None:
    local = models.linear(tmp_path / "1")
    source = linear(f"{bucket}/1")
    expected = _files(local)
    origins: tuple[str | Path, ...] = (local, source)
    for number, origin in enumerate(origins):
        place = f"{bucket}/new/{number}"
        options = smpatch.Options(validate="none", save_to=place)
        receipt = smpatch.patch(origin, ADDED, options=options)
        assert str(receipt.directory) == place
        made = tree(place)
        assert {**made, "saved_model.pb": expected["saved_model.pb"]} == expected
        assert keys(place) == {"added", "scale"}
        with pytest.raises(smpatch.RefusedError, match="there already"):
            smpatch.patch(origin, ADDED, options=options)
        assert tree(place) == made
    assert keys(source) == {"scale"}


def test_variables_are_copied_inside_the_bucket(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = linear(f"{bucket}/1")
    source = tree(url)
    caplog.set_level(logging.INFO, "smpatch.stores.access")
    options = smpatch.Options(validate="none", save_to=f"{bucket}/2")
    smpatch.patch(url, Copy("scale", "again"), options=options)
    lines = [each.getMessage() for each in caplog.records if ".data-" in each.getMessage()]
    made = tree(f"{bucket}/2")
    assert made.pop("saved_model.pb") != source.pop("saved_model.pb")
    assert made == source
    assert lines
    assert all(line.startswith("copied ") for line in lines)


def test_a_new_directory_of_a_model_in_a_store(s3: str, tmp_path: Path) -> None:
    url = linear(f"{s3}/1")
    options = smpatch.Options(validate="none", save_to=tmp_path / "new")
    receipt = smpatch.patch(url, ADDED, options=options)
    assert receipt.directory == tmp_path / "new"
    made = _files(tmp_path / "new")
    source = tree(url)
    assert {**made, "saved_model.pb": source["saved_model.pb"]} == source


def test_an_upload_that_was_interrupted_is_done_again(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, place = models.linear(tmp_path / "1"), f"{s3}/new"
    options = smpatch.Options(validate="none", save_to=place)
    original = Store.put

    def fail(self: Store, key: str, *given: Any, **named: Any) -> object:  # noqa: ANN401 - as the method it replaces
        if key.endswith("/saved_model.pb"):
            raise smpatch.WriteError("the store denies permission")
        return original(self, key, *given, **named)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "put", fail)
        with pytest.raises(smpatch.WriteError):
            smpatch.patch(local, ADDED, options=options)
    left = tree(place)
    assert left
    assert "saved_model.pb" not in left
    smpatch.patch(local, ADDED, options=options)
    made = tree(place)
    assert made.keys() == _files(local).keys()


@pytest.fixture
def fleet(s3: str) -> str:
    """Versions of two models, and objects that a pattern must not take for versions."""
    for name in ("a/1", "a/2", "b/7", "b/draft", "b/7/nested/1"):
        linear(f"{s3}/models/{name}")
    place = ModelUrl(f"{s3}/models/b/8/notes.txt")
    Store(place).put(place.key, b"")
    return f"{s3}/models"


def test_apply_takes_a_pattern(fleet: str, call: Run, tmp_path: Path) -> None:
    patch = tmp_path / "patch.toml"
    patch.write_text('version = 1\n[[edit]]\nrename = "scale"\nto = "predict"\n')
    pattern = f"{fleet}/*/[0-9]*"
    said = call("apply", patch, pattern, "--validate", "none", "--backup")
    assert said.code == 0, said.err
    assert "3 models: 3 edited" in said.out
    assert [keys(f"{fleet}/{name}") for name in ("a/1", "a/2", "b/7")] == [{"predict"}] * 3
    assert keys(f"{fleet}/b/draft") == keys(f"{fleet}/b/7/nested/1") == {"scale"}
    said = call("apply", patch, pattern, "--validate", "none", "--json")
    assert '"unchanged": 3' in said.out
    said = call("undo", *(f"{fleet}/{name}" for name in ("a/1", "a/2")))
    assert said.code == 0
    assert keys(f"{fleet}/a/1") == {"scale"}
    said = call("apply", patch, f"{fleet}/*/x*")
    assert said.code == 3
    assert "no model matches" in said.line


def test_apply_yields_an_outcome_for_each_model(fleet: str) -> None:
    place = ModelUrl(f"{fleet}/a/2/saved_model.pb")
    Store(place).put(place.key, b"no model")
    found = list(smpatch.apply(f"{fleet}/a/*", ADDED, options=UNPROVED, jobs=2))
    assert sorted((str(each.model), each.exit_code) for each in found) == [
        (f"{fleet}/a/1", 0),
        (f"{fleet}/a/2", 3),
    ]
    with pytest.raises(smpatch.UsageError, match="is named twice"):
        smpatch.apply([f"{fleet}/a/1", f"{fleet}/a/*"], ADDED, options=UNPROVED)


def test_apply_saves_a_fleet_to_a_store(fleet: str, s3: str) -> None:
    options = smpatch.Options(validate="none", save_to=f"{s3}/new")
    found = list(smpatch.apply(f"{fleet}/*/[0-9]", ADDED, options=options, jobs=2))
    assert {each.exit_code for each in found} == {0}
    for name in ("1", "2", "7"):
        assert keys(f"{s3}/new/{name}") == {"added", "scale"}
    assert keys(f"{fleet}/a/1") == {"scale"}


def test_a_session_edits_in_a_store(s3: str) -> None:
    url = linear(f"{s3}/1")
    with smpatch.Session(smpatch.Options(validate="runtime")) as session:
        assert session.patch(url, ADDED).loaders == ("C runtime",)
        report = session.check(url, options=smpatch.CheckOptions(validate="runtime"))
    assert report.loaders == ("C runtime",)


def test_the_command_tells_of_the_store(s3: str, call: Run) -> None:
    url = linear(f"{s3}/1")
    said = call("copy", url, "--from", "scale", "--to", "b", "--backup", "--validate", "none")
    assert said.code == 0
    assert f"scale copied to b in {url}/saved_model.pb" in said.out
    assert f"{url}/saved_model.pb.backup" in said.out
    assert not re.search(r"/smpatch-\w+", said.out + said.err)
