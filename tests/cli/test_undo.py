"""``smpatch undo`` as users type it: its text, its JSON and its exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import QUICK, XY, Run, content
from tests.cli.schemas import validator

BACKUP = "saved_model.pb.backup"


def _edited(call: Run, model: Callable[[str], Path]) -> Path:
    place = model("linear")
    assert call("add-predict", place, *XY, *QUICK, "--backup", "--quiet").code == 0
    return place


def test_there_and_back_and_there_again(call: Run, model: Callable[[str], Path]) -> None:
    place = _edited(call, model)
    edited = content(place)
    said = call("undo", place)
    assert said.code == 0
    assert said.err == ""
    assert said.out.splitlines() == [
        f"the backup of {place}/saved_model.pb put back",
        "  serving_default  is removed (MetaGraph serve)",
        "saved_model.pb: 7,301 -> 7,194 bytes",
        f"the replaced file is kept as {place / BACKUP}; smpatch undo {place} --redo restores it",
    ]
    undone = content(place)
    refused = call("undo", place)
    assert refused.code == 4
    assert f"undone already (smpatch undo {place} --redo does the edit again)" in refused.line
    assert content(place) == undone
    again = call("undo", place, "--redo")
    assert again.out.splitlines()[-1].endswith(f"; smpatch undo {place} restores it")
    assert "serving_default  is there again" in again.out
    assert content(place) == edited
    refused = call("undo", place, "--redo")
    assert refused.code == 4
    assert f"no edit is undone (smpatch undo {place} undoes one)" in refused.line


def test_rehearsal(call: Run, model: Callable[[str], Path]) -> None:
    place = _edited(call, model)
    before = content(place)
    said = call("undo", place, "--dry-run")
    assert said.code == 0
    assert "serving_default  would be removed" in said.out
    assert content(place) == before


def test_quiet(call: Run, model: Callable[[str], Path]) -> None:
    place = _edited(call, model)
    said = call("undo", place, "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_no_backup_is_refused(call: Run, model: Callable[[str], Path]) -> None:
    place = model("linear")
    said = call("undo", place, "--json")
    assert said.code == 4
    assert said.line == (
        f"smpatch: {place / BACKUP}: there is no backup "
        "(an edit keeps the previous file with --backup)"
    )
    assert said.document["error"]["kind"] == "RefusedError"


def test_json(call: Run, model: Callable[[str], Path]) -> None:
    place = _edited(call, model)
    for dry_run in (True, False):
        said = call("undo", place, "--json", *(["--dry-run"] if dry_run else []))
        assert said.code == 0
        validator("undo").validate(said.document)
        undone = said.document["undo"]
        assert undone["dry_run"] is dry_run
        assert undone["changes"] == [
            {"tag_set": ["serve"], "key": "serving_default", "outcome": "removed"}
        ]
        assert undone["backup"] == (None if dry_run else str(place / BACKUP))
        assert not validator("undo").is_valid({**said.document, "undo": {**undone, "surplus": 1}})


def test_an_empty_name_is_not_the_current_directory(
    call: Run, model: Callable[[str], Path]
) -> None:
    place = _edited(call, model)
    for arguments in (("undo", ""), ("add-predict", place, *XY, "--save-to", ""), ("show", "")):
        said = call(*arguments)
        assert said.code == 2
        assert "it is empty, and names no directory" in said.line


def test_diff_with_the_backup(call: Run, model: Callable[[str], Path]) -> None:
    place = model("linear")
    assert call("diff", place, "--backup").code == 4
    call("add-predict", place, *XY, *QUICK, "--backup", "--quiet")
    said = call("diff", place, "--backup")
    assert said.code == 1
    assert "+ serving_default" in said.out
    call("undo", place)
    assert "- serving_default" in call("diff", place, "--backup").out
    assert call("diff", place).code == 2
    assert call("diff", place, place, place).code == 2


def test_a_link_and_a_replaced_backup_are_noted(
    call: Run, model: Callable[[str], Path], tmp_path: Path
) -> None:
    place = model("linear")
    link = tmp_path / "link"
    link.symlink_to(place, target_is_directory=True)
    said = call("add-predict", link, *XY, *QUICK, "--backup")
    assert said.err == f"smpatch: note: {link} is a symbolic link; {place} is edited\n"
    said = call("add-predict", place, *XY, "--signature", "b", *QUICK, "--backup")
    assert said.err == f"smpatch: note: {place / BACKUP} of an earlier edit is replaced\n"
    assert f"{link} is a symbolic link" in call("undo", link).err
