"""The documented exit codes: a code other than 0 has one line and leaves the model unchanged."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import BROKEN, FIXTURES, QUICK, XY, Run, content, refused

Copy = Callable[[str], Path]


def test_0_done_and_proved(shell: Run, model: Copy) -> None:
    place = model("linear")
    said = shell("add-predict", place, *XY)
    assert (said.code, said.err) == (0, "")
    loaded = "reloaded with TensorFlow's C runtime, variables not read: the signature holds"
    assert loaded in said.out
    assert "serving_default" in shell("show", place).out


def test_0_also_when_nothing_was_to_do(call: Run, model: Copy) -> None:
    place = model("linear")
    call("add-predict", place, *XY, *QUICK)
    before = content(place)
    said = call("add-predict", place, *XY, *QUICK, "--overwrite")
    assert said.code == 0
    assert (
        f"nothing to do: serving_default in {place}/saved_model.pb has this state already "
        "(MetaGraph serve)\n" in said.out
    )
    assert content(place) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add-predict",), "missing option '--inputs'"),
        (("add-predict", "--inputs", "x:0"), "missing option '--outputs'"),
        (("add-predict", *XY, "--frobnicate"), "no such option: --frobnicate"),
        (("add-predict", *XY, "--tagset", "serve"), "did you mean --tag-set?"),
        (("frobnicate",), "no such command 'frobnicate'"),
        (("add_predict",), "did you mean 'add-predict'?"),
        (("suggest", ".", "more"), "unexpected extra argument"),
        (("show", "--json=yes"), "'--json' does not take a value"),
        (("add-predict", *XY, "--validate", "some"), "'auto', 'runtime', 'full', 'run', 'none'"),
        (("add-predict", *XY, "--time-limit", "0"), "0 leaves no time for an answer"),
        (("add-predict", *XY, "--time-limit", "inf"), "not a number of seconds"),
        (("add-predict", *XY, "--time-limit", "nan"), "not a number of seconds"),
        (("add-predict", *XY, "--lock-timeout", "-1"), "not a number of seconds"),
        (("add-predict", *XY, "--lock-timeout", "soon"), "not a number of seconds"),
        (("add-predict", *XY, "--backup", "--save-to", "elsewhere"), "do not go together"),
        (("add-predict", *XY, "--op-library", "gone.so"), "--op-library gone.so: no such file"),
        (("add-predict", "--inputs", "", "--outputs", "y"), "--inputs '': an item is empty"),
        (("add-predict", "--inputs", "x,", "--outputs", "y"), "an item is empty"),
        (("add-predict", "--inputs", "a=x,a=z", "--outputs", "y"), "'a' is taken twice"),
        (("add-predict", "--inputs", "x", "--outputs", "(y"), "a parenthesis is not closed"),
        (("add-predict", "--inputs", "x y", "--outputs", "y"), "'x y' is not a tensor name"),
        (("add-predict", "--inputs", "a=sparse(values=x)", "--outputs", "y"), "indices is missing"),
    ],
)
def test_2_wrong_usage(
    arguments: tuple[str, ...],
    words: str,
    call: Run,
    model: Copy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = model("linear")
    monkeypatch.chdir(place)
    before = content(place)
    said = call(*arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.line.lower() or words in said.line
    assert content(place) == before


def test_2_without_a_command_with_the_help_on_stderr(call: Run) -> None:
    said = call()
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: smpatch ")


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault["dir"])
@pytest.mark.parametrize("command", ["show", "add-predict"])
def test_3_no_readable_model(command: str, fault: dict[str, Any], call: Run) -> None:
    place = FIXTURES / "broken" / fault["dir"]
    edit = command == "add-predict"
    said = call(command, place, *((*XY, *QUICK) if edit else ()))
    if fault["exit_code"] != 3 and not edit:
        assert said.code == 0  # show reads a model that cannot be edited
        return
    assert (said.code, said.out) == (fault["exit_code"], "")
    assert all(word in said.line for word in fault["says"])


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("linear", ("--inputs", "x:0", "--outputs", "Y:0"), "y"),
        ("linear", ("--inputs", "x:7", "--outputs", "y:0"), "x:7"),
        ("linear", (*XY, "--signature", "scale"), "--overwrite"),
        ("linear", (*XY, "--tag-set", "train"), "tag-sets present: serve"),
        ("linear", ("--inputs", "x,b=x", "--outputs", "y"), "a tensor can be fed once"),
        ("multi_output_op", ("--inputs", "x", "--outputs", "top"), "top:0"),
        ("several_tag_sets", XY, "serve | serve,gpu | train"),
        ("unfed_placeholder", XY, "add --inputs scale:0"),
    ],
)
def test_4_refused(
    name: str, arguments: tuple[str, ...], words: str, call: Run, model: Copy
) -> None:
    place = model(name)
    before = content(place)
    refused(call("add-predict", place, *arguments, *QUICK), words)
    assert content(place) == before


def test_5_somebody_else_edits(call: Run, model: Copy) -> None:
    place = model("linear")
    before = content(place)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = call("add-predict", place, *XY, *QUICK, "--lock-timeout", "0.05")
    finally:
        os.close(descriptor)
    assert (said.code, said.out) == (5, "")
    assert "another process has been editing this model for 0.05 s" in said.line
    assert content(place) == before


@pytest.mark.own_children  # a fork may answer within a millisecond
def test_5_tensorflow_does_not_answer_in_time(call: Run, model: Copy) -> None:
    place = model("linear")
    before = content(place)
    said = call("add-predict", place, *XY, "--time-limit", "0.001")
    assert (said.code, said.out) == (5, "")
    assert "TensorFlow gave no answer within 0.001 s (the model is unchanged;" in said.line
    assert content(place) == before


def test_5_tensorflow_does_not_load_the_library(call: Run, model: Copy, tmp_path: Path) -> None:
    place = model("linear")
    before = content(place)
    library = tmp_path / "ops.so"
    library.write_bytes(b"not a library")
    said = call("add-predict", place, *XY, "--op-library", library)
    assert (said.code, said.out) == (5, "")
    assert str(library) in said.line
    assert content(place) == before


@pytest.mark.parametrize("command", ["show", "add-predict"])
def test_the_model_is_the_current_directory_unless_named(
    command: str, call: Run, model: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model("linear"))
    options = (*XY, *QUICK) if command == "add-predict" else ()
    said = call(command, *options)
    assert said.code == 0
    assert ("saved_model.pb  (" in said.out) is (command == "show")


def test_the_program_has_two_names(shell: Run) -> None:
    script = Path(sys.executable).with_name("smpatch")
    for program in ((sys.executable, "-m", "smpatch"), (str(script),)):
        said = shell("--version", program=program)
        assert (said.code, said.out.split()[0], said.err) == (0, "smpatch", "")


def test_a_directory_whose_name_begins_with_a_dash(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FIXTURES / "models" / "linear", tmp_path / "-1")
    monkeypatch.chdir(tmp_path)
    assert call("show", "-1").code == 2
    assert call("show", "--", "-1").code == 0
    assert call("add-predict", *XY, *QUICK, "--", "-1").code == 0
    assert call("add-predict", *XY, *QUICK, "--signature", "k", "./-1").code == 0


@pytest.mark.parametrize(
    ("arguments", "inputs", "outputs"),
    [
        (("--inputs", "x:0", "--inputs", "scale:0", "--outputs", "y:0"), "x scale", "y"),
        (("--inputs", " x:0 , s = scale ", "--outputs", "y,\ty2=scaled:0"), "x s", "y y2"),
        (("--inputs=x,scale", "--outputs", "y", "--outputs", "scaled"), "x scale", "y scaled"),
    ],
)
def test_options_may_be_repeated_and_take_commas_with_spaces(
    arguments: tuple[str, ...], inputs: str, outputs: str, call: Run, model: Copy
) -> None:
    place = model("unfed_placeholder")
    said = call("add-predict", place, *arguments, *QUICK, "--json")
    assert said.code == 0, said.err
    signature = said.document["add_predict"]["signature"]
    assert list(signature["inputs"]) == inputs.split()
    assert list(signature["outputs"]) == outputs.split()


def test_quiet_says_nothing_but_errors_and_json(call: Run, model: Copy) -> None:
    place = model("unfed_placeholder")
    request = ("add-predict", place, *XY, "--inputs", "scale", *QUICK)
    quiet = call(*request, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    again = call(*request, "-q")
    assert (again.code, again.out) == (4, "")
    assert "the key is taken" in again.line
    both = call(*request, "-q", "--json", "--overwrite")
    assert both.document["add_predict"]["outcome"] == "unchanged"
    assert both.err == ""


def test_remarks_are_talk_and_go_to_stderr(call: Run, model: Copy) -> None:
    place = model("unfed_placeholder")
    said = call("add-predict", place, "--inputs", "x,scale,y/y", "--outputs", "scaled", *QUICK)
    assert said.code == 0
    assert said.line == "smpatch: note: no output depends on the input 'y' (y/y:0)"
    assert "depends" not in said.out
