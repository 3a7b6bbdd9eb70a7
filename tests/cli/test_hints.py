"""A command that a message prints works without changes in the user's directory."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from fixtures.make import raw
from smpatch import schema
from smpatch.runs.arrays import UnmakeableError
from tests.cli.conftest import FIXTURES, QUICK, Run, negated
from tests.describer.models import made, row

_COMMAND = re.compile(r"smpatch [^;)]*")


def _command(line: str) -> list[str]:
    """Return the words of the command in a line, without the text about it."""
    words = shlex.split(_COMMAND.findall(line)[-1])
    said = next((words.index(each) for each in ("proposes", "lists") if each in words), None)
    return words[1:said]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("wrong_dtype", "dtype"),
        ("no_signatures", "no-signatures"),
        ("several_tag_sets", "no-signatures"),
    ],
)
def test_a_finding_names_the_model_and_its_meta_graph_in_its_command(
    call: Run, model: Callable[[str], Path], name: str, code: str
) -> None:
    place = model(name)
    (line,) = (
        each
        for each in call("check", place, "--validate", "none").out.splitlines()
        if f" {code}: " in each
    )
    words = _command(line)
    assert words[1] == str(place)
    dry = ("--dry-run", "--validate", "none") if words[0] == "edit" else ()
    assert call(*words, *dry).code == 0


def test_a_refused_edit_names_the_model_in_its_command(
    call: Run, model: Callable[[str], Path]
) -> None:
    place = model("keras_functional")
    renamed = ("--from", "serving_default", "--to", "a b")
    said = call("rename", place, *renamed, *QUICK)
    assert said.code == 0, said.err
    asked = ("--signature", "a b", "--drop-input", "left")
    refused = call("edit", place, *asked, *QUICK)
    assert refused.code == 4
    words = _command(refused.line)
    assert words[:4] == ["compose", str(place), "--from-signature", "a b"]
    assert call(*words, "--dry-run").code == 0


def test_the_command_for_tags_that_hide_others_gives_tags_that_are_free(
    call: Run, tmp_path: Path
) -> None:
    """The command had ``--to serve``, the tag that both have, and changed nothing."""
    place = Path(shutil.copytree(FIXTURES / "broken" / "same_tags_twice", tmp_path / "a b"))
    asked = ("check", place, "--validate", "none")
    (line,) = (each for each in call(*asked).out.splitlines() if " same-tags: " in each)
    assert call(*_command(line), *QUICK).code == 0
    assert " same-tags: " not in call(*asked).out


@pytest.mark.parametrize("held", [False, True])
def test_the_command_for_a_frozen_graph_takes_a_name_that_begins_with_a_hyphen(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, held: bool
) -> None:
    """The name was read as an option."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "-m"
    if held:
        place.mkdir()
    shutil.copyfile(FIXTURES / "graphs" / "frozen.pb", place / "g.pb" if held else place)
    line = call("show", "./-m").line
    words = _command(line.partition(" makes a ")[0] + ")")
    assert words[:2] == ["wrap", "./-m/g.pb" if held else "./-m"]
    (suggested,) = (each for each in call(*words).out.splitlines() if "smpatch wrap" in each)
    assert call(*shlex.split(suggested)[1:], *QUICK).code == 0


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wider input can be proved."""

    def ran(_: object) -> None:
        raise UnmakeableError("no values")

    monkeypatch.setattr("smpatch.validator.wider._Proof.ran", ran)


@pytest.mark.usefixtures("unproved")
def test_a_command_in_a_note_names_the_model(call: Run, model: Callable[[str], Path]) -> None:
    """The command named no model, and was for the current directory."""
    place = model("keras_rnn")
    shape = ("--signature", "serving_default", "--shape", "steps=-1,-1,2", "--validate", "runtime")
    (note,) = (each for each in call("edit", place, *shape).err.splitlines() if "try it" in each)
    assert _command(note)[:3] == ["check", str(place), "--run"]


@pytest.mark.usefixtures("unproved")
def test_a_command_in_a_note_names_the_new_model_each_time(
    call: Run, model: Callable[[str], Path], tmp_path: Path
) -> None:
    place, new, file = model("keras_rnn"), tmp_path / "new", tmp_path / "patch.toml"
    text = 'version = 1\n[[edit]]\nedit = "serving_default"\nshape = { steps = [-1, -1, 2] }\n'
    file.write_text(text)
    asked = ("apply", file, place, "--save-to", new, "--validate", "runtime")
    for _ in range(2):
        (note,) = (each for each in call(*asked).err.splitlines() if "try it" in each)
        assert _command(note)[:3] == ["check", str(new / place.name), "--run"]


def test_the_name_of_a_placeholder_does_not_redirect_the_output_of_a_command(
    call: Run, tmp_path: Path
) -> None:
    """A shell read ``a>b:0`` as the name of a file."""
    (tmp_path / "g.pb").write_bytes(negated("a>b"))
    place = tmp_path / "new"
    asked = ("--inputs", "x=a>b:0", "--outputs", "y", "--signature", "k")
    assert call("wrap", tmp_path / "g.pb", "--save-to", place, *asked, *QUICK).code == 0

    def unfed(entry: bytes) -> bytes:
        message = schema.SignatureDefEntry.FromString(entry)
        message.value.inputs.clear()
        return bytes(message.SerializeToString())

    file = place / "saved_model.pb"
    file.write_bytes(raw.regrow(file.read_bytes(), (2, 5), unfed))
    out = call("check", place, "--validate", "none").out
    (line,) = (each for each in out.splitlines() if " unfed-placeholder: " in each)
    words = _command(line)
    assert "--add-input 'a>b:0')" in line
    assert words == ["edit", str(place), "--signature", "k", "--add-input", "a>b:0"]
    assert call(*words, *QUICK).code == 0


def test_the_command_for_a_meta_graph_without_tags_names_it(call: Run, tmp_path: Path) -> None:
    """The command named no MetaGraph, and the model has two."""
    specs = {"x": row("x")}, {"y": row("y")}
    place, other = made(tmp_path / "m", *specs), made(tmp_path / "o", *specs, method="own", tags=())
    with (place / "saved_model.pb").open("ab") as file:
        file.write((other / "saved_model.pb").read_bytes())
    out = call("check", place, "--validate", "none").out
    (line,) = (each for each in out.splitlines() if " unknown-method: " in each)
    assert call(*_command(line), *QUICK).code == 0


@pytest.mark.parametrize("alias", ["a,b", "a=b", "a(b", " a"])
def test_a_name_that_no_option_can_pass_is_in_no_command(
    alias: str, call: Run, model: Callable[[str], Path]
) -> None:
    """The command was about other names."""
    place = model("linear")

    def renamed(entry: bytes) -> bytes:
        message = schema.SignatureDefEntry.FromString(entry)
        info = message.value.inputs.pop("x")
        info.dtype = 3
        message.value.inputs[alias].CopyFrom(info)
        return bytes(message.SerializeToString())

    file = place / "saved_model.pb"
    file.write_bytes(raw.regrow(file.read_bytes(), (2, 5), renamed))
    (line,) = (
        e for e in call("check", place, "--validate", "none").out.splitlines() if "dtype" in e
    )
    assert line.endswith("(smpatch.edit_signature with drop_inputs and add_inputs)")
    edit = smpatch.EditSignature("scale", drop_inputs=(alias,), add_inputs={alias: "x:0"})
    smpatch.edit_signature(place, edit, options=smpatch.Options(validate="none"))
    assert "dtype" not in call("check", place, "--validate", "none").out
