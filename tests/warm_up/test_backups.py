"""Undo restores the requests; links, copies and files that cannot be replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch.edits import Copy, Rename
from smpatch.warmup import PLACE
from tests.oracle.client import Oracle
from tests.warm_up.test_following import ABC, CASES, KEY, edit, prepared, ran, warm_up_notes


@pytest.mark.parametrize("name", ["a key", "all at once", "one of two tasks"])
def test_undo_takes_the_requests_back_and_redo_does_it_again(
    tmp_path: Path, oracle: Oracle, name: str
) -> None:
    case = CASES[name]
    model = prepared(tmp_path, case.model, case.requests, oracle)
    old = (model / PLACE).read_bytes()
    smpatch.patch(model, case.edits, options=smpatch.Options(validate="none", backup=True))
    new = (model / PLACE).read_bytes()
    assert new != old
    assert smpatch.undo(model, dry_run=True).warm_up == "restored"
    assert smpatch.undo(model).warm_up == "restored"
    assert (model / PLACE).read_bytes() == old
    ran(model, oracle)
    assert smpatch.undo(model, redo=True).warm_up == "restored"
    assert (model / PLACE).read_bytes() == new
    ran(model, oracle)


def test_links_stay_and_what_they_lead_to_follows(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    (tmp_path / "store").mkdir()
    shutil.move(model / PLACE, tmp_path / "store" / "requests")
    (model / PLACE).symlink_to("../../store/requests")
    receipt = edit(model, Rename(KEY, "other"), backup=True)
    assert (model / PLACE).readlink() == Path("../../store/requests")
    assert "through-link" in {note.code for note in receipt.notes}
    assert len(ran(model, oracle)) == 5
    assert sorted(each.name for each in (tmp_path / "store").iterdir()) == [
        "requests",
        "requests.backup",
    ]
    smpatch.undo(model)
    assert len(ran(model, oracle)) == 5
    assert (model / PLACE).readlink() == Path("../../store/requests")


def test_a_copy_of_the_model_has_no_backup_of_the_requests(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    edit(model, Rename(KEY, "one"), backup=True)
    assert (model / f"{PLACE}.backup").exists()
    edit(model, Rename("one", "two"), save_to=tmp_path / "out")
    assert [each.name for each in (tmp_path / "out" / "assets.extra").iterdir()] == [PLACE.name]


def test_an_older_backup_is_not_taken_for_that_of_a_newer_edit(
    tmp_path: Path, oracle: Oracle
) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    edit(model, Rename(KEY, "one"), backup=True)
    edit(model, Copy("one", "more"), backup=True)
    now = (model / PLACE).read_bytes()
    assert smpatch.undo(model).warm_up == "kept"
    assert (model / PLACE).read_bytes() == now
    ran(model, oracle)
    (model / PLACE).unlink()
    edit(model, Copy("one", "another"), backup=True)
    assert not (model / f"{PLACE}.backup").exists()


def test_edits_that_kept_no_backup_are_taken_back_too(tmp_path: Path, oracle: Oracle) -> None:
    """The edit with the backup left the requests as they are; the other one changed them."""
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    before = (model / PLACE).read_bytes()
    edit(model, Copy(KEY, "more"), backup=True)
    edit(model, Rename(KEY, "other"))
    assert (model / PLACE).read_bytes() != before
    assert smpatch.undo(model).warm_up == "restored"
    assert (model / PLACE).read_bytes() == before
    ran(model, oracle)
    smpatch.undo(model, redo=True)
    ran(model, oracle)


def test_a_file_that_cannot_be_replaced_is_left(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    before = (model / PLACE).read_bytes()
    (model / PLACE).chmod(0o444)
    receipt = edit(model, Rename(KEY, "one"), backup=True)
    assert (model / PLACE).read_bytes() == before
    assert "the file is read-only (mode 0444)" in warm_up_notes(receipt)["warm-up"]
    assert receipt.warm_up == "kept"


def test_a_directory_in_the_place_of_the_backup_is_refused(tmp_path: Path, oracle: Oracle) -> None:
    model = prepared(tmp_path, "unsorted_keys", ABC, oracle)
    (model / f"{PLACE}.backup").mkdir()
    with pytest.raises(smpatch.RefusedError, match="it is a directory, not a backup"):
        edit(model, Rename(KEY, "one"), backup=True)
    ran(model, oracle)
