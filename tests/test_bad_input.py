"""Bad input of every kind: one clear error, the documented exit code, nothing written.

In ``make prove`` the broken fixtures are given to the command line as a user starts it. Tests
that need thousands of tries (a file cut at every offset, flipped bytes) run in this process.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smpatch
from smpatch import ModelUnreadableError, Options, RefusedError
from smpatch.edits import TensorRef
from smpatch.tensor_syntax import parse_tensors
from tests.fuzz import targets
from tests.oracle.client import Oracle
from tests.prove import ledger

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "fixtures" / "models"
BROKEN = ROOT / "fixtures" / "broken"
FAULTS: list[dict[str, Any]] = json.loads((BROKEN / "MANIFEST.json").read_text())
CANDIDATES = {
    entry["dir"]: entry["candidate"] for entry in json.loads((MODELS / "MANIFEST.json").read_text())
}

ADD = ("add-predict", "--inputs", "x:0", "--outputs", "y:0")
KEY = "added"
PATCH = 'version = 1\n[[edit]]\nrename = "scale"\nto = "added"\n'
SECONDS = 60.0
"""The longest time that a command may take; each should take much less."""
LARGE = 700 if ledger.LONG else 40
"""The number of bytes from which a file is cut at some offsets only."""


def _content(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def _run(place: Path, command: tuple[str, ...]) -> tuple[int, str]:
    """Return the exit code and stderr of a command on a path; a failure must have no stdout."""
    name, *options = command
    done = subprocess.run(
        [sys.executable, "-m", "smpatch", name, str(place), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert not (done.returncode and done.stdout)
    return done.returncode, done.stderr


def _run_here(place: Path, command: tuple[str, ...]) -> tuple[int, str]:
    """Do the same as ``_run`` in this process."""
    name, *options = command
    said = targets.run(name, str(place), *options)
    assert not (said.code and said.out)
    return said.code, said.complaint


@pytest.mark.parametrize("command", [("show",), ADD, (*ADD, "--validate", "none")])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["dir"])
def test_broken_model_is_told_in_one_line(
    fault: Mapping[str, Any], command: tuple[str, ...], tmp_path: Path
) -> None:
    place = tmp_path / fault["dir"]
    if (BROKEN / fault["dir"]).is_dir():
        shutil.copytree(BROKEN / fault["dir"], place)
    else:
        shutil.copyfile(BROKEN / fault["dir"], place)
    before = _content(tmp_path)
    # In make prove, run the command as a user starts it; this process takes a tenth of the time.
    code, said = (_run if ledger.LONG else _run_here)(place, command)
    if command == ("show",) and fault["exit_code"] == 4:
        assert (code, said) == (0, "")  # it can be read, but not edited
        return
    assert code == fault["exit_code"]
    assert said.startswith("smpatch: ")
    assert said.count("\n") == 1
    assert [words for words in fault["says"] if words not in said] == []
    assert _content(tmp_path) == before


@pytest.mark.parametrize("command", [("show",), ADD])
@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
def test_fifo_in_place_of_the_file_is_refused_without_waiting(
    name: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / name)
    code, said = _run(tmp_path, command)
    assert code == 3
    assert "not a regular file" in said
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("command", [("show",), ADD])
def test_missing_directory(command: tuple[str, ...], tmp_path: Path) -> None:
    code, said = _run_here(tmp_path / "gone", command)
    assert (code, said) == (3, f"smpatch: {tmp_path / 'gone'}: no such directory\n")
    assert not list(tmp_path.iterdir())


def test_file_instead_of_the_directory_is_told_which_to_name() -> None:
    with pytest.raises(ModelUnreadableError, match="not a directory") as refused:
        smpatch.load(MODELS / "linear" / "saved_model.pb")
    assert str(MODELS / "linear") in refused.value.hint


def test_directory_above_the_versions_is_told_which_to_name(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "linear", tmp_path / "1")
    with pytest.raises(ModelUnreadableError) as refused:
        smpatch.load(tmp_path)
    assert str(tmp_path / "1") in refused.value.hint


@pytest.mark.parametrize(
    ("model", "inputs", "outputs", "words"),
    [
        ("linear", "x:0", "yy:0", ["yy", "did you mean y?"]),
        ("linear", "X", "y", ["X:", "did you mean x?"]),
        ("ref_variables", "x:0", "hiden:0", ["hiden", "did you mean hidden?"]),
        ("lookup_table", "word:0", "idd", ["idd", "did you mean id?"]),
        ("linear", "x:7", "y:0", ["x:7", "1 output"]),
        ("linear", "x:0", "y:7", ["y:7", "1 output"]),
        ("linear", "x:-1", "y", ["x:-1"]),
        ("linear", "x:0", "y:99999999999999999999", ["y:99999999999999999999"]),
        ("multi_output_op", "x:0", "top", ["top:0", "top:1"]),
        ("multi_output_op", "x:0", "halves", ["halves:0", "halves:1"]),
        ("multi_output_op", "x:0", "halves:2", ["halves:2", "2 outputs"]),
        ("linear", "a=x:0,b=x:0", "y", ["x:0", "'a'", "'b'"]),
        ("linear", "x:0", "y,z=x:0", ["x:0", "'z'"]),
        ("linear", "class=x:0", "y", ["'class'"]),
        ("linear", "self=x:0", "y", ["'self'"]),
        ("unfed_placeholder", "x:0", "y", ["'scale'", "--inputs scale:0"]),
        ("control_input", "x:0", "y", ["'gate'", "--inputs gate:0"]),
        ("while_loop", "x:0", "loop/grown", ["loop/grown", "while loop"]),
        ("resource_variables", "x:0", "y,w=layer_1/w", ["layer_1/w", "handle"]),
    ],
)
def test_request_that_cannot_be_met_is_told_what_would_work(
    model: str, inputs: str, outputs: str, words: list[str], tmp_path: Path
) -> None:
    place = tmp_path / model
    shutil.copytree(MODELS / model, place)
    before = _content(tmp_path)
    with pytest.raises(RefusedError) as refused:
        smpatch.add_predict(
            place,
            inputs=parse_tensors([inputs], option="--inputs"),
            outputs=parse_tensors([outputs], option="--outputs"),
            signature=KEY,
        )
    said = str(refused.value)
    assert "\n" not in said
    assert [word for word in words if word not in said] == []
    assert _content(tmp_path) == before


@pytest.mark.parametrize("tag_set", [None, ["nope"], ["serve", "tpu"], []])
def test_tag_set_that_does_not_choose_is_told_those_present(tag_set: list[str] | None) -> None:
    with pytest.raises(RefusedError) as refused:
        smpatch.add_predict(
            MODELS / "several_tag_sets",
            inputs={"x": "x:0"},
            outputs={"y": "y:0"},
            options=Options(tag_set=tag_set, dry_run=True),
        )
    for present in ("serve", "serve,gpu", "train"):
        assert present in refused.value.hint.replace(";", " ").split()


def test_name_that_would_break_the_line_is_escaped(tmp_path: Path) -> None:
    data = (MODELS / "control_input" / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(data.replace(b"serve", b"s\n\x1b[2"))
    with pytest.raises(RefusedError) as refused:
        smpatch.load(tmp_path).meta_graph(["serve"])
    assert "tag-sets present: s\\n\\x1b[2;" in str(refused.value)


@pytest.mark.parametrize("model", ["control_input", "text_form", "module"])
def test_model_cut_at_every_offset(model: str, tmp_path: Path, oracle: Oracle) -> None:
    """TensorFlow accepts each cut file that smpatch accepts as a model."""
    place = tmp_path / model
    shutil.copytree(MODELS / model, place)
    original = smpatch.load(place)
    file, form, whole = original.file, original.form, original.file.read_bytes()
    # Most of the bigger file is one message, and all cuts inside it are alike.
    step = max(1, len(whole) // LARGE)
    accepted = []
    last = range(len(whole) - 64, len(whole), 1 if ledger.LONG else 3)
    for end in {*range(0, len(whole), step), *last}:
        cut = whole[:end]
        file.write_bytes(cut)
        before = _content(tmp_path)
        if _shows(place):
            accepted.append(cut)
        words = _refusal(place, model)
        assert len(words.splitlines()) <= 1
        if not words:
            accepted.append(file.read_bytes())
            shutil.copytree(MODELS / model, place, dirs_exist_ok=True)
        else:
            assert _content(tmp_path) == before
    files = [base64.b64encode(each).decode() for each in accepted]
    assert all(oracle.ask("parse_all", files=files, form=form)["good"])


@st.composite
def _flipped(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a model's name, and the bytes of its file with one byte changed."""
    names = ["cond", "module", "newer_writer", "padded_lengths", "sparse", "text_form"]
    name = draw(st.sampled_from([*names, "defaults", "string_lookup_asset", "unknown_group"]))
    data = bytearray(smpatch.load(MODELS / name).data[:])
    data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return name, bytes(data)


@settings(max_examples=200 if ledger.LONG else 25, deadline=None)
@given(_flipped())
def test_model_with_a_flipped_byte_is_edited_or_refused(flipped: tuple[str, bytes]) -> None:
    name, data = flipped
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / name
        shutil.copytree(MODELS / name, place)
        file = smpatch.load(place).file
        file.write_bytes(data)
        before = _content(place)
        _shows(place)
        words = _refusal(place, name)
        assert len(words.splitlines()) <= 1
        if not words:
            assert KEY in smpatch.load(place).meta_graph(CANDIDATES[name]["tags"]).entries
            assert len(file.read_bytes()) > len(data)
        else:
            assert _content(place) == before
        assert [each.name for each in Path(directory).iterdir()] == [name]


def _shows(place: Path) -> bool:
    """Return whether ``show`` shows a model; it may fail only with an error of smpatch."""
    said = targets.run("show", str(place), "--json")
    assert said.code in {0, 3}
    assert said.complaint.count("\n") == bool(said.code)
    return said.code == 0


def _refusal(place: Path, model: str) -> str:
    """Add the model's candidate; return the text of the refusal, or "" if there is none."""
    candidate = CANDIDATES[model]
    try:
        smpatch.add_predict(
            place,
            inputs=dict(_inputs(candidate)),
            outputs={f"out_{at}": name for at, name in enumerate(candidate["outputs"])},
            signature=KEY,
            options=Options(tag_set=candidate["tags"], validate="none"),
        )
    except (ModelUnreadableError, RefusedError) as error:
        return str(error)
    return ""


def _inputs(candidate: Mapping[str, Any]) -> Iterator[tuple[str, TensorRef]]:
    if candidate["notation"]:
        yield from parse_tensors([candidate["notation"]], option="--inputs").items()
    else:
        yield from ((f"in_{at}", name) for at, name in enumerate(candidate["inputs"]))


@pytest.mark.parametrize(
    ("command", "expected"), [(("check",), 1), ((*ADD, "--signature", KEY), 0)]
)
def test_a_pipe_in_the_place_of_warm_up_requests_is_not_waited_for(
    command: tuple[str, ...], expected: int, tmp_path: Path
) -> None:
    place = tmp_path / "linear"
    shutil.copytree(MODELS / "linear", place)
    (place / "assets.extra").mkdir()
    os.mkfifo(place / "assets.extra" / "tf_serving_warmup_requests")
    name, *options = command
    done = subprocess.run(
        [sys.executable, "-m", "smpatch", name, str(place), *options, "--validate", "none"],
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == expected


@pytest.mark.parametrize("place", ["pipe", "/dev/zero"])
def test_values_to_feed_come_from_a_file_and_from_nothing_else(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    given = str(tmp_path / place)
    code, said = _run(MODELS / "linear", ("check", "--run", "--feed", given))
    assert (code, said) == (2, f"smpatch: {given}: cannot be read: not a regular file\n")


LONG = "a" * 300
"""A name that is too long for file systems."""


def _errors(*arguments: str, cwd: Path, limit: str) -> int:
    """Run a command line that fails; return its exit code, if one line gives the reason."""
    program = f'{limit} exec "$0" -m smpatch "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", program, sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.stderr.startswith("smpatch: ")
    assert done.stderr.count("\n") == 1
    return done.returncode


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("wrap", LONG), 3),
        (("wrap", f"{ROOT}/fixtures/graphs/frozen.pb", "--dry-run", "--save-to", LONG), 2),
        (("apply", LONG, "model"), 3),
        (("rename", "model", "--from", "scale", "--to", "k", "--op-library", LONG), 2),
        (("check", "model", "--op-library", LONG), 2),
        (("apply", "patch.toml", "circle", "--save-to", "new"), 3),
        (("rename", "model", "--from", "scale", "--to", "k", "--save-to", "circle/new"), 5),
    ],
)
def test_names_that_no_file_can_have_and_links_in_a_circle_are_told_in_one_line(
    command: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(MODELS / "linear", tmp_path / "model")
    (tmp_path / "patch.toml").write_text(PATCH)
    (tmp_path / "circle").symlink_to("circle")
    before = _content(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    quick = () if command[0] == "wrap" else ("--validate", "none")
    said = targets.run(*command, *quick)
    assert said.code == code
    assert said.complaint.startswith("smpatch: ")
    assert said.complaint.count("\n") == 1
    assert _content(tmp_path / "model") == before
    assert {each.name for each in tmp_path.iterdir()} == {"model", "patch.toml", "circle"}


@pytest.mark.parametrize("destination", [(), ("--save-to", "new")])
@pytest.mark.parametrize("model", [".", "model"])
def test_a_fleet_in_a_directory_that_is_gone_is_told_in_one_line(
    model: str, destination: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "patch.toml").write_text(PATCH)
    (tmp_path / "gone").mkdir()
    away = f'rmdir "{tmp_path}/gone";'
    command = ("apply", str(tmp_path / "patch.toml"), model, *destination)
    assert _errors(*command, cwd=tmp_path / "gone", limit=away) == 3


def test_a_graph_is_not_wrapped_into_a_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    given = ("--save-to", "new", "--inputs", "features:0", "--outputs", "head/scores:0")
    command = ("wrap", str(ROOT / "fixtures" / "graphs" / "frozen.pb"), *given)
    away = f'rmdir "{tmp_path}/gone";'
    assert _errors(*command, cwd=tmp_path / "gone", limit=away) == 5


_FEW_FILES = (("check", 7), ("apply", 8), ("wrap", 9))
"""Commands with the number of files each may open; ``make prove`` tries each with all numbers."""


@pytest.mark.parametrize(
    ("command", "count"),
    [*product(*zip(*_FEW_FILES, strict=True))] if ledger.LONG else _FEW_FILES,
)
def test_a_process_that_may_not_open_enough_files_says_so_and_passes_nothing(
    command: str, count: int, tmp_path: Path
) -> None:
    shutil.copytree(MODELS / "linear", tmp_path / "model")
    (tmp_path / "patch.toml").write_text(PATCH)
    arguments = {
        "check": ("check", "model"),
        "apply": ("apply", "patch.toml", "model"),
        "wrap": ("wrap", str(ROOT / "fixtures" / "graphs" / "frozen.pb")),
    }[command]
    before = _content(tmp_path)
    code = _errors(*arguments, cwd=tmp_path, limit=f"ulimit -n {count};")
    assert code in {3, 5}
    after = _content(tmp_path)
    assert {name: after[name] for name in after if ".smpatch-" not in name} == before
    # The removal needs descriptors too; if there are none, the next edit removes the files.
    quick = Options(validate="none")
    smpatch.rename_signature(tmp_path / "model", "scale", "added", options=quick)
    assert not list(tmp_path.rglob(".smpatch-*"))
