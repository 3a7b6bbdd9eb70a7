"""A command that a message prints works without changes in the user's directory."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import QUICK, Run

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
