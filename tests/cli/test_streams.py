"""Stdout has data and stderr has messages, in any state and encoding of the two streams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smpatch.cli import terminal
from tests.cli.conftest import FIXTURES, QUICK, XY, Run, content

LINEAR = FIXTURES / "models" / "linear"
FULL = Path("/dev/full")

Copy = Callable[[str], Path]

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def _closing(*descriptors: int) -> tuple[str, ...]:
    """Return the words of a program that runs smpatch with closed streams."""
    closed = " ".join(f"{descriptor}>&-" for descriptor in descriptors)
    return ("/bin/sh", "-c", f'exec "$0" -m smpatch "$@" {closed}', sys.executable)


@needs_full
@pytest.mark.parametrize("arguments", [("show",), ("show", "--json"), ("--help",), ("--version",)])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_stdout_is_an_error(arguments: tuple[str, ...], buffered: str, shell: Run) -> None:
    with FULL.open("wb") as full:
        said = shell(*arguments, cwd=LINEAR, stdout=full, env={"PYTHONUNBUFFERED": buffered})
    assert said.code == 5
    assert said.line == "smpatch: stdout: cannot be written to: no space left on device"


@needs_full
def test_an_edit_that_cannot_be_reported_is_done_all_the_same(shell: Run, model: Copy) -> None:
    place = model("linear")
    request = ("add-predict", place, *XY, *QUICK)
    before = content(place)
    with FULL.open("wb") as full:
        rehearsed = shell(*request, "--dry-run", stdout=full)
        assert content(place) == before
        said = shell(*request, stdout=full)
    # 5 means that the model is unchanged, which is true only after the dry run.
    assert (rehearsed.code, said.code) == (5, 0)
    assert said.line.startswith("smpatch: warning: the edit is done, but stdout: cannot")
    assert content(place) != before


def test_a_closed_stdout_is_an_error_and_no_file_is_taken_for_it(shell: Run, model: Copy) -> None:
    said = shell("show", LINEAR, program=_closing(1))
    assert said.code == 5
    assert said.line == "smpatch: stdout: cannot be written to: bad file descriptor"
    place = model("linear")
    said = shell("add-predict", place, *XY, program=_closing(0, 1, 2))
    assert (said.code, said.out, said.err) == (0, "", "")
    assert "serving_default" in shell("show", place).out


def test_a_closed_stderr_changes_nothing_on_stdout(shell: Run) -> None:
    open_, closed = shell("show", LINEAR), shell("show", LINEAR, program=_closing(2))
    assert (closed.code, closed.out) == (open_.code, open_.out)
    failed = shell("show", LINEAR / "gone", program=_closing(2))
    assert (failed.code, failed.out, failed.err) == (3, "", "")


@pytest.mark.parametrize("arguments", [("show",), ("show", "--json"), ("show", "--help")])
def test_a_reader_that_has_enough_is_no_error(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "smpatch", *arguments],
        cwd=LINEAR,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("env", "encoding"),
    [
        ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, "ascii"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
    ],
    ids=["ascii", "C locale", "latin-1"],
)
def test_names_beyond_the_encoding_are_escaped(
    env: dict[str, str], encoding: str, shell: Run, tmp_path: Path
) -> None:
    place = tmp_path / "modèle-模"
    shutil.copytree(LINEAR, place)
    outputs = "größe=y,分=product"
    request = ("add-predict", place, "--inputs", "x", "--outputs", outputs, *QUICK)
    said = shell(*request, env=env, encoding=encoding)
    assert said.code == 0, said.err
    assert "\\u5206" in said.out
    shown = shell("show", place, env=env, encoding=encoding)
    assert (shown.code, shown.err) == (0, "")
    assert "\\u5206" in shown.out
    document = shell("show", place, "--json", env=env).document
    (meta_graph,) = document["show"]["meta_graphs"]
    assert sorted(meta_graph["signatures"]["serving_default"]["outputs"]) == ["größe", "分"]
    failed = shell("show", place / "gone", env=env, encoding=encoding)
    assert failed.code == 3
    assert "no such directory" in failed.line


def test_a_path_that_is_no_utf_8(shell: Run, tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/mod\xe8le"
    try:
        shutil.copytree(LINEAR, os.fsdecode(place))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    said = shell("add-predict", place, *XY)
    assert (said.code, said.err) == (0, "")
    assert "mod\\xe8le/saved_model.pb (MetaGraph serve)" in said.out
    shown = shell("show", place)
    assert "mod\\xe8le/saved_model.pb" in shown.out
    document = shell("show", place, "--json")
    assert document.document["show"]["directory"].endswith("/mod\ufffdle")
    # Python would write half a surrogate pair, which other readers refuse.
    assert "\\udce8" not in document.out
    failed = shell("show", place + b"/gone", "--json")
    assert (failed.code, "mod\\xe8le/gone" in failed.line) == (3, True)
    assert failed.document["error"]["where"].endswith("/mod\ufffdle/gone")


def _planted(place: Path) -> Path:
    """Put terminal escapes into a model: a key, an alias, a tensor name, a tag and a version."""
    shutil.copytree(LINEAR, place)
    file = place / "saved_model.pb"
    data = file.read_bytes()
    for clean, dirty in (
        (b"\x0a\x05scale", b"\x0a\x05\x1b[31m"),
        (b"\x0a\x07product\x12", b"\x0a\x07\x1b]0;a\x07c\x12"),
        (b"product:0", b"\x1b[2Jxyz:0"),
        (b"\x22\x05serve", b"\x22\x05\x1b[41m"),
        (b"2.21.0", b"\x1b[1m\xc2\x9b"),
    ):
        assert clean in data
        data = data.replace(clean, dirty)
    file.write_bytes(data)
    return place


def _harmless(text: str) -> bool:
    return all(each.isprintable() or each == "\n" for each in text)


def test_no_name_in_a_model_reaches_the_terminal_raw(shell: Run, call: Run, tmp_path: Path) -> None:
    place = _planted(tmp_path / "model")
    said = shell("show", place)
    assert said.code == 0, said.err
    assert _harmless(said.out + said.err)
    for escaped in ("\\x1b[31m", "\\x1b]0;a\\x07c", "\\x1b[2Jxyz:0", "\\x1b[41m", "\\x1b[1m\\x9b"):
        assert escaped in said.out
    shown = shell("show", place, "--json")
    assert _harmless(shown.out)
    assert "\x1b[31m" in shown.document["show"]["meta_graphs"][0]["signatures"]
    for arguments in (
        ("--inputs", "x", "--outputs", "y", "--tag-set", "train"),
        ("--inputs", "x", "--outputs", "xyz"),
        ("--inputs", "\x1b[31mx", "--outputs", "y"),
        ("--inputs", "\x1b[31m(", "--outputs", "y"),
        ("--inputs", "x", "--outputs", "\x1b[31m=y"),
        ("--inputs", "x", "--outputs", "y", "--signature", "\x1b[31m"),
        ("--inputs", "x", "--outputs", "y", "--validate", "\x1b[31m"),
        ("--inputs", "x", "--outputs", "y", "--\x1b[31m"),
    ):
        failed = call("add-predict", place, *arguments)
        assert failed.code in {2, 4}
        assert _harmless(failed.line)


def test_a_path_with_a_line_break_stays_on_one_line(call: Run, tmp_path: Path) -> None:
    said = call("show", tmp_path / "two\nlines\x1b[2J")
    assert said.code == 3
    assert said.line.endswith("two\\nlines\\x1b[2J: no such directory")


def test_neither_colours_nor_the_width_of_the_terminal_change_data(shell: Run) -> None:
    plain = shell("show", LINEAR)
    for env in ({"COLUMNS": "20"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "TERM": "xterm"}):
        assert shell("show", LINEAR, env=env) == plain
    narrow = shell("add-predict", "--help", env={"COLUMNS": "40"})
    assert narrow.code == 0
    assert "--signature-def-only" in narrow.out
    assert "\x1b" not in shell("--help", env={"FORCE_COLOR": "1", "TERM": "xterm"}).out


def test_json_is_ascii_and_ends_its_line(shell: Run) -> None:
    said = shell("show", FIXTURES / "models" / "strings", "--json")
    assert said.out.isascii()
    assert said.out.endswith("}\n")
    assert json.loads(said.out)["version"] == 1


@pytest.mark.parametrize("length", [1, 1000, 40_000, 100_000])
def test_what_comes_in_many_pieces_comes_whole(
    capsys: pytest.CaptureFixture[str], length: int
) -> None:
    """JSON of a large model is written in blocks; the JSON of a small model fills no block."""
    pieces = [chr(ord("a") + place) * length for place in range(9)]
    terminal.stream(iter(pieces))
    assert capsys.readouterr().out == "".join(pieces) + "\n"
