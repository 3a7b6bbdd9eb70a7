"""``smpatch describe``: its text on stdout or in a file, written whole or not at all; its JSON."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.describer import FORMATS, Format
from smpatch.writer.text_file import write_text
from tests.cli.conftest import FIXTURES, Run

LINEAR = FIXTURES / "models" / "linear"


@pytest.mark.parametrize("as_", FORMATS)
def test_the_text_is_that_of_the_library(as_: Format, call: Run, tmp_path: Path) -> None:
    text = smpatch.describe(LINEAR, as_)
    assert call("describe", LINEAR, "--as", as_).out == text
    file = tmp_path / "text"
    said = call("describe", LINEAR, "--as", as_, "--output", file)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{file}: {len(text)} bytes written\n"
    assert file.read_text() == text
    document = call("describe", LINEAR, "--as", as_, "--json").document["describe"]
    assert document == {"directory": str(LINEAR), "as": as_, "text": text, "output": None}


def test_the_options_are_those_of_the_library(call: Run) -> None:
    options = ("--signature", "scale", "--name", "n", "--batch", "3", "--tag-set", "serve")
    said = call("describe", LINEAR, "--as", "rest", *options)
    assert said.out == smpatch.describe(LINEAR, "rest", "scale", name="n", batch=3, tag_set="serve")


def test_a_format_is_asked_for(call: Run) -> None:
    said = call("describe", LINEAR)
    assert (said.code, said.out) == (2, "")
    assert "--as" in said.line
    said = call("describe", LINEAR, "--as", "onnx")
    assert said.code == 2
    assert "triton" in said.line


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(
    call: Run, tmp_path: Path
) -> None:
    file = tmp_path / "config.pbtxt"
    file.write_text("mine")
    file.chmod(0o640)
    asked = ("describe", LINEAR, "--as", "triton", "--output", file)
    said = call(*asked)
    assert (said.code, said.out, file.read_text()) == (4, "", "mine")
    assert said.line.endswith("(choose another --output, or replace it with --overwrite)")
    assert call(*asked, "--overwrite").code == 0
    assert file.read_text() == smpatch.describe(LINEAR)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_overwrite_without_a_file_is_refused(call: Run) -> None:
    said = call("describe", LINEAR, "--as", "triton", "--overwrite")
    assert (said.code, said.out) == (2, "")


def test_a_signature_that_cannot_be_described_leaves_the_file_as_it_is(
    call: Run, tmp_path: Path
) -> None:
    file = tmp_path / "config.pbtxt"
    file.write_text("mine")
    scalar = FIXTURES / "models" / "scalar"
    asked = ("describe", scalar, "--as", "triton", "--output", file, "--overwrite")
    assert call(*asked).code == 4
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("step", "overwrite"), [("fsync", False), ("fsync", True), ("replace", True), ("rename", False)]
)
def test_a_fault_leaves_no_part_of_a_file(
    step: str,
    overwrite: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "text"
    if overwrite:
        file.write_text("mine")

    def fail(*_: Any) -> None:  # noqa: ANN401 - any arguments
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(smpatch.WriteError, match="no space left on device"):
        write_text(file, "text", overwrite=overwrite)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"] * overwrite


def test_a_file_system_without_hard_links_has_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:  # noqa: ANN401 - as above
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_text(tmp_path / "text", "text")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["text"]


def test_without_hard_links_a_file_that_comes_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "text"

    def link(*_: Any) -> None:  # noqa: ANN401 - as above
        file.write_text("another")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(smpatch.RefusedError, match="there already"):
        write_text(file, "text")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["another"]


def test_a_file_that_comes_between_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "text"
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        file.write_text("another")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(smpatch.RefusedError, match="there already"):
        write_text(file, "text")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["another"]


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_directories_and_devices_are_no_files(
    overwrite: tuple[str, ...], call: Run, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    longer = tmp_path / ("n" * 300)
    for place in (tmp_path, pipe, tmp_path / "gone" / "file", longer):
        said = call("describe", LINEAR, "--as", "triton", "--output", place, *overwrite)
        assert said.code in {4, 5}
        assert said.line
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(smpatch.WriteError):
            write_text(tmp_path / "a\0b", "text", overwrite=overwrite)


def test_a_link_is_followed_when_its_file_is_replaced(call: Run, tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(file)
    asked = ("describe", LINEAR, "--as", "triton", "--output", link)
    assert call(*asked).code == 4
    assert file.read_text() == "mine"
    assert call(*asked, "--overwrite").code == 0
    assert link.is_symlink()
    assert file.read_text() == smpatch.describe(LINEAR)
