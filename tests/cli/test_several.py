"""Commands on several models: each line names its model; a failure does not stop the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FIXTURES, QUICK, XY, Run, content
from tests.cli.schemas import validator

MODELS = FIXTURES / "models"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two models."""
    for name in ("linear", "wrong_dtype"):
        shutil.copytree(MODELS / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_line_of_show_names_its_model(call: Run, place: Path) -> None:
    said = call("show", "wrong_dtype", "nowhere", "linear")
    assert said.code == 3
    assert said.line == "smpatch: nowhere: no such directory"
    lines = said.out.splitlines()
    names = [line.partition(":")[0].partition("/")[0] for line in lines]
    assert names == sorted(names, reverse=True)
    assert set(names) == {"linear", "wrong_dtype"}
    alone = call("show", "linear").out.splitlines()
    assert [line.removeprefix("linear: ") for line in lines if line.startswith("linear")] == [
        line for line in alone if line
    ]
    assert place.exists()


def test_a_model_whose_name_begins_a_line_is_named_all_the_same(call: Run, place: Path) -> None:
    # The line "MetaGraph serve" begins with the name of the first model.
    shutil.copytree(place / "linear", place / "Meta")
    said = call("show", "Meta", "linear")
    assert "Meta: MetaGraph serve  (TensorFlow 2.21.0, without an object graph)" in said.out


def test_check_has_the_order_of_the_command_line_and_the_highest_exit_code(
    call: Run, place: Path
) -> None:
    models = ("wrong_dtype", "linear", "wrong_dtype")
    said = call("check", "--validate", "none", *models, "--jobs", "2")
    assert said.code == 1
    lines = said.out.splitlines()
    assert [line.partition(" ")[0].rstrip(":") for line in lines] == [
        *("wrong_dtype", "wrong_dtype", "linear", "linear", "wrong_dtype", "wrong_dtype"),
    ]
    alone = call("check", "--validate", "none", "wrong_dtype").out.splitlines()
    assert [line.removeprefix("wrong_dtype: ") for line in lines[:2]] == alone
    assert call("check", "--validate", "none", "linear", "nowhere").code == 3
    assert call("check", "--validate", "none", "linear", "linear").code == 0
    assert place.exists()


def test_quiet_names_each_model_that_fails(call: Run, place: Path) -> None:
    said = call("check", "-q", "--validate", "none", "linear", "wrong_dtype", "nowhere")
    assert said.out == ""
    assert said.err.splitlines() == [
        "smpatch: wrong_dtype: 1 fault",
        "smpatch: nowhere: no such directory",
    ]
    one = call("check", "-q", "--validate", "none", "wrong_dtype")
    assert (one.code, one.line) == (1, "smpatch: wrong_dtype: 1 fault")
    assert place.exists()


@pytest.mark.parametrize("command", ["show", "check", "undo", "diff"])
def test_json_is_one_document(command: str, call: Run, place: Path) -> None:
    for name in ("linear", "wrong_dtype"):
        shutil.copy(place / name / "saved_model.pb", f"{name}/saved_model.pb.backup")
    options = {"check": ["--validate", "none"], "diff": ["--backup"], "undo": ["--dry-run"]}
    given = options.get(command, [])
    several = call(command, "linear", "nowhere", "wrong_dtype", "--json", *given)
    assert several.code == 3
    validator("models").validate(several.document)
    assert several.document["models"]["command"] == command
    models = several.document["models"]["models"]
    assert [each["model"] for each in models] == ["linear", "nowhere", "wrong_dtype"]
    for each in (models[0], models[2]):
        alone = call(command, each["model"], "--json", *given)
        assert each["result"] == alone.document[command]
        assert each["exit_code"] == alone.code
    assert models[1]["result"] is None
    assert models[1]["error"]["exit_code"] == models[1]["exit_code"] == 3


def test_several_edits_are_undone_and_one_without_a_backup_is_named(
    call: Run, model: Callable[[str], Path]
) -> None:
    edited, bare = model("linear"), model("wrong_dtype")
    before = content(edited)
    assert call("add-predict", edited, *XY, *QUICK, "--backup", "--quiet").code == 0
    said = call("undo", bare, edited)
    assert said.code == 4
    assert said.line.startswith(f"smpatch: {bare}/saved_model.pb.backup: there is no backup")
    assert all(line.startswith((f"{edited}: ", f"{edited}/")) for line in said.out.splitlines())
    now = content(edited)
    assert now["saved_model.pb"] == before["saved_model.pb"]


def test_diff_takes_several_models_with_backup_alone(call: Run, place: Path) -> None:
    said = call("diff", "linear", "wrong_dtype", "linear")
    assert said.code == 2
    assert said.line.endswith("(name two, or compare each with its backup: --backup)")
    shutil.copy(MODELS / "scalar" / "saved_model.pb", place / "linear" / "saved_model.pb.backup")
    both = call("diff", "--backup", "linear", "wrong_dtype")
    assert both.code == 4
    assert "linear: different" in both.out.splitlines()


def test_tensorflow_starts_once_for_all_models_of_a_job(
    shell: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        shutil.copytree(place / "linear", place / f"linear{number}")
    monkeypatch.chdir(place)
    models = [f"linear{number}" for number in range(4)]
    said = shell("check", "--validate", "runtime", "--jobs", "1", "--verbose", *models)
    assert said.code == 0, said.err
    started = [line for line in said.err.splitlines() if "capi_child" in line and "start" in line]
    assert len(started) == 1, said.err
