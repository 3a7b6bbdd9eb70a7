"""The ways to name a model: by its directory or by its file, and not by a URL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch import UsageError
from tests.checker.faults import FIXTURES
from tests.cli.conftest import Run

LINEAR = FIXTURES / "linear"


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("check", "--validate", "none"),
        ("suggest",),
        ("diff", FIXTURES / "module"),
    ],
    ids=lambda each: each[0],
)
@pytest.mark.parametrize("form", ["saved_model.pb", "saved_model.pbtxt"])
def test_the_file_of_a_model_means_its_directory(
    command: tuple[str | Path, ...], form: str, call: Run
) -> None:
    directory = LINEAR if form == "saved_model.pb" else FIXTURES / "text_form"
    by_directory, by_file = (call(*command, place) for place in (directory, directory / form))
    assert by_file == by_directory
    assert by_directory.code == (1 if command[0] == "diff" else 0)


def test_an_edit_by_the_path_of_the_file_is_that_of_the_directory(
    tmp_path: Path, call: Run
) -> None:
    directory = Path(shutil.copytree(LINEAR, tmp_path / "model"))
    said = call("copy", directory / "saved_model.pb", "--from", "scale", "--to", "again")
    assert said.code == 0
    assert list(smpatch.load(directory).signatures) == ["again", "scale"]


def test_a_directory_of_that_name_is_the_model(tmp_path: Path, call: Run) -> None:
    directory = Path(shutil.copytree(LINEAR, tmp_path / "saved_model.pb"))
    assert call("show", directory).code == 0


@pytest.mark.parametrize("url", ["hdfs://a/b", "ftp://host/model", "s3://bucket/model?key=value"])
def test_a_url_that_no_store_has_is_refused(url: str, call: Run) -> None:
    for command in (
        ("show", url),
        ("check", url),
        ("diff", LINEAR, url),
        ("check", LINEAR, "--same-as", url),
        ("copy", LINEAR, "--from", "scale", "--to", "b", "--save-to", url),
        ("wrap", LINEAR, "--save-to", url),
    ):
        said = call(*command)
        assert said.code == 2
        assert "not a store that smpatch supports" in said.line or "a query" in said.line
    with pytest.raises(UsageError):
        smpatch.load(url)


def test_a_directory_whose_name_begins_like_a_url_is_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(LINEAR, tmp_path / "s3:" / "model")
    monkeypatch.chdir(tmp_path)
    assert smpatch.load("s3:/model").signatures.keys() == {"scale"}
