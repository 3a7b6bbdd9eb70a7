"""The options of every command: each at most once, ``_`` read as ``-``, ``--json`` in front."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from smpatch.cli.main import application
from tests.cli.conftest import FIXTURES, QUICK, XY, Run, content

Copy = Callable[[str], Path]

LINEAR = FIXTURES / "models" / "linear"


def _commands() -> dict[str, Any]:
    program: Any = typer.main.get_command(application())
    return dict(program.commands)


def _single() -> Iterator[tuple[str, str]]:
    for name, command in _commands().items():
        for each in command.params:
            if each.param_type_name == "option" and not (each.is_flag or each.multiple):
                yield name, each.opts[0]


@pytest.mark.parametrize(("command", "option"), sorted(_single()))
def test_an_option_of_one_value_given_twice_is_refused(
    command: str, option: str, call: Run, tmp_path: Path
) -> None:
    said = call(command, option, "1", f"{option}=2", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.line.startswith(f"smpatch: {option}: given twice (")
    assert list(tmp_path.iterdir()) == []


def test_no_tag_is_lost_of_a_list_given_piece_by_piece(call: Run, model: Copy) -> None:
    place = model("linear")
    before = content(place)
    said = call("retag", place, "--from", "serve", "--to", "serve", "--to", "gpu", *QUICK)
    assert (said.code, said.line) == (2, "smpatch: --to: given twice (write --to serve,gpu)")
    assert content(place) == before
    written = shlex.split(said.line.partition("(write ")[2].removesuffix(")"))
    assert call("retag", place, "--from", "serve", *written, *QUICK).code == 0
    assert "MetaGraph serve,gpu" in call("show", place).out


def test_a_value_that_looks_like_an_option_is_no_second_one(call: Run, model: Copy) -> None:
    place = model("linear")
    said = call("rename", place, "--from", "scale", "--to", "--from", *QUICK)
    assert "--from" in said.out


def test_flags_and_lists_may_be_repeated(call: Run, model: Copy) -> None:
    place = model("linear")
    said = call("add-predict", place, *XY, *QUICK, "--backup", "--backup", "--inputs", "a=y:0")
    assert "given twice" not in said.err


@pytest.mark.parametrize(
    "options", [("--dry_run",), ("--dry_run", "--signature_def_only", "--tag_set=serve")]
)
def test_underscores_stand_for_hyphens(options: tuple[str, ...], call: Run, model: Copy) -> None:
    place = model("linear")
    before = content(place)
    said = call("add-predict", place, *XY, *options)
    assert (said.code, said.err) == (0, "")
    assert "dry run: nothing was written" in said.out
    assert content(place) == before


@pytest.mark.parametrize("before", [("--json",), ("-q", "--json"), ("--json", "--quiet")])
def test_json_may_stand_before_the_command(before: tuple[str, ...], call: Run) -> None:
    said = call(*before, "check", LINEAR, "--validate", "none")
    assert (said.code, said.err) == (0, "")
    assert said.document == call("check", LINEAR, "--validate", "none", *before).document


FUNCTIONAL = FIXTURES / "models" / "keras_functional"


@pytest.mark.parametrize(
    ("words", "leads"),
    [
        (("show", "--dir", "m"), "smpatch show DIR"),
        (("add-predict", "--signature_def", "k"), "did you mean --signature?"),
        (("add-predict", "--output_dir", "d"), "did you mean --save-to?"),
        (("add-predict", "--force"), "did you mean --overwrite?"),
        (("edit", "--force"), "--dry-run shows"),
        (("edit", "--inplace"), "edited in place"),
        (("show", "--all"), "smpatch show lists all"),
        (("run", "m"), "smpatch check MODEL --run"),
        (("scan", "m"), "smpatch check MODEL"),
        (("restore", "m"), "smpatch undo MODEL"),
        (("apply", "p.toml", "m", "--jobs", "x"), "is not a number"),
    ],
)
def test_words_of_other_tools_lead_to_ours(words: tuple[str, ...], leads: str, call: Run) -> None:
    said = call(*words)
    assert (said.code, said.out) == (2, "")
    assert leads in said.line


@pytest.mark.parametrize(
    "words", [("edit", "--rename-input", "a=b"), ("remove",), ("rename", "--to", "k")]
)
def test_a_missing_key_comes_with_those_that_there_are(words: tuple[str, ...], call: Run) -> None:
    said = call(words[0], FUNCTIONAL, *words[1:])
    assert (said.code, said.out) == (2, "")
    assert "signatures here: serve, serving_default" in said.line
    assert "signatures here" not in call(words[0], "gone", *words[1:]).line


def test_the_choices_of_a_missing_option_are_in_the_line_without_escapes(call: Run) -> None:
    said = call("describe", FUNCTIONAL)
    assert "triton, rest, grpc, markdown" in " ".join(said.line.split())
    assert "\\" not in said.line


def test_signatures_are_removed_by_a_list(call: Run, model: Copy) -> None:
    place = model("keras_functional")
    assert call("remove", place, "--signature", "serve,serving_*", *QUICK).code == 0
    assert "no signatures" in call("show", place).out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("smpatch re", {"rename", "remove", "retag"}),
        ("smpatch edit {model} --rename-", {"--rename-input", "--rename-output"}),
        ("smpatch edit {model} --signature serv", {"serve", "serving_default"}),
        ("smpatch rename {model} --from serving", {"serving_default"}),
        ("smpatch edit gone --signature s", set()),
    ],
)
def test_a_shell_completes_commands_options_and_keys(
    line: str, offered: set[str], shell: Run
) -> None:
    words = line.format(model=FUNCTIONAL)
    env = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    said = shell(
        env={**os.environ, **env, "_SMPATCH_COMPLETE": "complete_bash"},
        program=(sys.executable, "-m", "smpatch"),
    )
    assert (set(said.out.split()), said.err) == (offered, "")
