"""The commands for the life of a signature, as users type them: their output and their refusals.

``tests/contract/test_life.py`` proves their effect on a model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import smpatch
from smpatch.edits import Copy, Edit, Remove, Rename
from tests.cli.conftest import FIXTURES, QUICK, Run, content
from tests.cli.test_schemas import VALIDATORS

Copied = Callable[[str], Path]
Line = tuple[str, ...]

KEY = "serving_default"
MODELS = FIXTURES / "models"

DONE: dict[str, tuple[str, Line, str, list[tuple[str, str, str | None]]]] = {
    "rename": (
        "module",
        ("--from", KEY, "--to", "score"),
        f"{KEY} renamed to score in",
        [("score", "renamed", KEY)],
    ),
    "copy": (
        "module",
        ("--from", KEY, "--to", "score"),
        f"{KEY} copied to score in",
        [("score", "copied", KEY)],
    ),
    "remove": (
        "classify_regress",
        ("--signature", "reg*", "--signature", "classify"),
        "regress removed from",
        [("regress", "removed", None), ("classify", "removed", None)],
    ),
    "edit": (
        "module",
        ("--signature", KEY, "--rename-output", "score=points", "--shape", "x=-1,-1"),
        f"{KEY} edited in",
        [(KEY, "edited", None)],
    ),
    "retag": (
        "module",
        ("--from", "serve", "--to", "serve,gpu"),
        "MetaGraph serve has the tags serve,gpu now (",
        [("serve,gpu", "retagged", "serve")],
    ),
    "copy-signatures": (
        "linear",
        ("--from-model", str(MODELS / "assets_extra_warmup"), "--overwrite"),
        "nothing to do: scale in",
        [("scale", "unchanged", None)],
    ),
    "add-classify": (
        "classify_regress",
        ("--signature", "k", "--examples", "examples:0", "--classes", "classes:0"),
        "k added to",
        [("k", "added", None)],
    ),
    "add-regress": (
        "classify_regress",
        ("--signature", "k", "--examples", "examples", "--predictions", "y:0"),
        "k added to",
        [("k", "added", None)],
    ),
}
"""Command to a fixture, a request, the first words of the answer, and the changes."""


@pytest.mark.parametrize("command", DONE)
class TestEachCommand:
    def test_says_what_it_did(self, command: str, call: Run, model: Copied) -> None:
        name, request, words, changes = DONE[command]
        place = model(name)
        before = content(place)
        said = call(command, place, *request, *QUICK)
        first = said.out.splitlines()[0]
        assert (said.code, first.startswith(words)) == (0, True)
        assert str(place / "saved_model.pb") in first
        done = any(outcome != "unchanged" for _, outcome, _ in changes)
        assert (content(place) != before) is done

    def test_json_is_as_its_schema_says(self, command: str, call: Run, model: Copied) -> None:
        name, request, _, changes = DONE[command]
        place = model(name)
        said = call(command, place, *request, *QUICK, "--json")
        VALIDATORS["edit"].validate(said.document)
        edit = said.document["edit"]
        assert edit["command"] == command
        assert [(each["key"], each["outcome"], each["was"]) for each in edit["changes"]] == changes
        signatures = smpatch.load(place).meta_graphs[0].signatures
        for each in edit["changes"]:
            assert (each["signature"] is not None) is (each["key"] in signatures)
        strange = {**said.document, "edit": {**edit, "command": "show"}}
        with pytest.raises(jsonschema.ValidationError):
            VALIDATORS["edit"].validate(strange)

    def test_dry_run_says_the_same_and_writes_nothing(
        self, command: str, call: Run, model: Copied
    ) -> None:
        name, request, _, _ = DONE[command]
        place = model(name)
        before = content(place)
        rehearsed = call(command, place, *request, *QUICK, "--dry-run", "--json")
        assert rehearsed.code == 0
        assert content(place) == before
        done = call(command, place, *request, *QUICK, "--json").document["edit"]
        would = rehearsed.document["edit"]
        VALIDATORS["edit"].validate(rehearsed.document)
        assert would["dry_run"] is True
        assert [would[key] for key in ("changes", "size_before", "size_after")] == [
            done[key] for key in ("changes", "size_before", "size_after")
        ]

    def test_save_to_leaves_the_original(
        self, command: str, call: Run, model: Copied, tmp_path: Path
    ) -> None:
        name, request, _, _ = DONE[command]
        place, other = model(name), tmp_path / "other"
        before = content(place)
        assert call(command, place, *request, *QUICK, "--save-to", other).code == 0
        assert content(place) == before
        assert call(command, place, *request, *QUICK).code == 0
        # A fingerprint contains a random number.
        here, there = content(place), content(other)
        assert here.keys() == there.keys()
        assert [path for path in here if here[path] != there[path]] in ([], ["fingerprint.pb"])

    def test_quiet_says_nothing(self, command: str, call: Run, model: Copied) -> None:
        name, request, _, _ = DONE[command]
        said = call(command, model(name), *request, *QUICK, "--quiet")
        assert (said.code, said.out, said.err) == (0, "", "")


RESERVED = "__saved_model_init_op"
MULTI = "unsorted_keys"

REFUSED: list[tuple[int, str, Line, str]] = [
    (4, "module", ("rename", "--from", "nope", "--to", "b"), "--from 'nope': no such signature"),
    (4, "module", ("rename", "--from", "serving", "--to", "b"), "did you mean serving_default?"),
    (4, "module", ("rename", "--from", RESERVED, "--to", "b"), "the key is reserved"),
    (4, "module", ("rename", "--from", KEY, "--to", RESERVED), "choose another --to"),
    (4, "module", ("rename", "--from", KEY, "--to", ""), "not a usable signature key"),
    (4, "module", ("rename", "--from", "", "--to", "b"), "--from '': no such signature"),
    (2, "module", ("rename", "--from", KEY), "missing option '--to'"),
    (
        4,
        "classify_regress",
        ("rename", "--from", "classify", "--to", "regress"),
        "signature 'regress': the key is taken",
    ),
    (4, "classify_regress", ("copy", "--from", "classify", "--to", "regress"), "is taken"),
    (4, "module", ("copy", "--from", RESERVED, "--to", "b"), "the key is reserved"),
    (4, "module", ("copy", "--from", KEY, "--to", "a\nb"), "not a usable signature key"),
    (4, "several_tag_sets", ("rename", "--from", "a", "--to", "b"), "choose one with --tag-set"),
    (4, "module", ("remove", "--signature", "nope"), "--signature 'nope': no such signature"),
    (4, "module", ("remove", "--signature", "x*"), "no signature matches"),
    (2, "module", ("remove", "--signature", ""), "--signature '': an item is empty"),
    (4, "module", ("remove", "--signature", RESERVED), "the key is reserved"),
    (4, "module", ("remove", "--signature", KEY, "--signature", "nope"), "no such signature"),
    (2, "module", ("remove",), "missing option '--signature'"),
    (2, "module", ("edit", "--signature", KEY), "nothing is to be changed"),
    (4, "module", ("edit", "--signature", "nope", "--method", "predict"), "no such signature"),
    (4, "module", ("edit", "--signature", RESERVED, "--method", "predict"), "is reserved"),
    (2, "module", ("edit", "--signature", KEY, "--method", ""), "--method: it is empty"),
    (4, "module", ("edit", "--signature", KEY, "--method", "classify"), "takes one, inputs: str"),
    (4, "module", ("edit", "--signature", KEY, "--rename-input", "y=b"), "no input is called 'y'"),
    (4, "module", ("edit", "--signature", KEY, "--rename-input", "x=class"), "input 'class'"),
    (4, "module", ("edit", "--signature", KEY, "--rename-input", "x=self"), "input 'self'"),
    (2, "module", ("edit", "--signature", KEY, "--rename-input", "x="), "not a pair of names"),
    (2, "module", ("edit", "--signature", KEY, "--rename-input", ""), "(write old=new[,...])"),
    (2, "module", ("edit", "--signature", KEY, "--drop-output", ""), "(write alias[,...])"),
    (4, MULTI, ("edit", "--signature", KEY, "--rename-output", "z=b"), "would be called 'b'"),
    (4, MULTI, ("edit", "--signature", KEY, "--rename-output", "z=w,b=w"), "would be called 'w'"),
    (
        2,
        MULTI,
        ("edit", "--signature", KEY, "--rename-output", "z=b,z=c"),
        "on the left side twice",
    ),
    (
        4,
        MULTI,
        ("edit", "--signature", KEY, "--rename-output", "z=w", "--drop-output", "z"),
        "'z' is to be renamed and dropped",
    ),
    (4, "module", ("edit", "--signature", KEY, "--shape", "x=1,2,3"), "the graph has [?, 2]"),
    (4, "module", ("edit", "--signature", KEY, "--shape", "x=-1,5"), "[?, 5] contradicts"),
    (2, "module", ("edit", "--signature", KEY, "--shape", "x=-2"), "it is not a shape"),
    (2, "module", ("edit", "--signature", KEY, "--shape", "x"), "write alias=-1,224,224,3"),
    (4, "module", ("edit", "--signature", KEY, "--shape", "q=1"), "no such input or output"),
    (2, "module", ("edit", "--signature", KEY, "--shape", "x=1", "--shape", "x=2"), "two shapes"),
    (
        4,
        "module",
        ("edit", "--signature", KEY, "--default", "q=1"),
        "default of 'q': no such input",
    ),
    (
        4,
        "module",
        ("edit", "--signature", KEY, "--default", "x=abc"),
        "'abc' is not of type float32",
    ),
    (4, "module", ("edit", "--signature", KEY, "--default", "x=[[1],[2,3]]"), "different lengths"),
    (4, "module", ("edit", "--signature", KEY, "--default", "x=1"), "its shape is []"),
    (4, "module", ("edit", "--signature", KEY, "--default", "x=null"), "it has none"),
    (2, "module", ("edit", "--signature", KEY, "--default", "=1"), "write alias=value"),
    (4, "module", ("edit", "--signature", KEY, "--drop-input", "x"), "the output 'score' needs it"),
    (4, "module", ("edit", "--signature", KEY, "--drop-output", "y"), "no output is called 'y'"),
    (4, "module", ("edit", "--signature", KEY, "--drop-output", "score"), "no outputs are left"),
    (4, "module", ("edit", "--signature", KEY, "--add-output", "n=nope:0"), "no such tensor"),
    (
        4,
        "module",
        ("edit", "--signature", KEY, "--add-output", f"x={KEY}_x:0"),
        "sessions refuse to fetch what they are fed",
    ),
    (2, "module", ("retag", "--from", "serve", "--to", ""), "no usable tags"),
    (4, "module", ("retag", "--from", "train", "--to", "x"), "MetaGraphs here: 0: serve"),
    (4, "module", ("retag", "--from", "7", "--to", "x"), "there is no MetaGraph 7"),
    (4, "several_tag_sets", ("retag", "--from", "0", "--to", "train"), "MetaGraph 2 has"),
    (
        4,
        "linear",
        ("add-classify", "--examples", "x:0", "--scores", "y:0"),
        "its inputs are inputs: float32, and tensorflow/serving/classify takes one, inputs: string",
    ),
    (
        4,
        "classify_regress",
        ("add-classify", "--examples", "examples:0", "--classes", "y:0", "--overwrite"),
        "its outputs are classes: float32",
    ),
    (2, "linear", ("add-classify", "--examples", "x:0"), "neither --classes nor --scores is given"),
    (
        4,
        "classify_regress",
        ("add-regress", "--examples", "examples:0", "--predictions", "classes:0", "--overwrite"),
        "tensorflow/serving/regress yields outputs: float32",
    ),
    (
        4,
        "linear",
        ("add-regress", "--examples", "no:0", "--predictions", "y:0"),
        "no:0: no such node",
    ),
    (
        4,
        "classify_regress",
        ("add-regress", "--signature", "regress", "--examples", "examples", "--predictions", "y:0"),
        "the key is taken",
    ),
    (
        4,
        "module",
        ("copy-signatures", "--from-model", str(MODELS / "linear")),
        "signature 'scale' was left out: x:0: no such node in the graph",
    ),
    (3, "module", ("copy-signatures", "--from-model", "/nowhere"), "/nowhere: no such directory"),
    (
        4,
        "linear",
        ("copy-signatures", "--from-model", str(MODELS / "module"), "--signature", "nope"),
        f"no signature 'nope' (it has {KEY})",
    ),
]


@pytest.mark.parametrize(
    ("code", "name", "line", "words"),
    REFUSED,
    ids=[f"{line[0]}-{number}" for number, (_, _, line, _) in enumerate(REFUSED)],
)
def test_what_cannot_be_is_refused_in_one_line(  # noqa: PLR0913, PLR0917 - a request and its expected result
    code: int, name: str, line: Line, words: str, call: Run, model: Copied
) -> None:
    place = model(name)
    before = content(place)
    command, *request = line
    said = call(command, place, *request, *QUICK, "--json")
    assert (said.code, words in said.line) == (code, True), said.line
    VALIDATORS["error"].validate(said.document)
    assert said.document["error"]["exit_code"] == code
    assert content(place) == before


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("module", ("rename", "--from", KEY, "--to", KEY)),
        ("module", ("copy", "--from", KEY, "--to", KEY)),
        ("module", ("retag", "--from", "serve", "--to", "serve")),
        ("module", ("edit", "--signature", KEY, "--method", "predict")),
        ("module", ("edit", "--signature", KEY, "--rename-input", "x=x")),
        ("module", ("edit", "--signature", KEY, "--shape", "x=-1,2")),
        ("defaults", ("edit", "--signature", KEY, "--default", "scale=4")),
    ],
)
def test_where_nothing_is_to_do_nothing_is_done_or_noted(
    name: str, line: Line, call: Run, model: Copied
) -> None:
    """A retag to the tags that a MetaGraph had printed a note about its object graph."""
    place = model(name)
    before = content(place)
    command, *request = line
    said = call(command, place, *request, *QUICK)
    assert (said.code, said.err) == (0, "")
    assert "nothing to do: " in said.out
    assert content(place) == before


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (("rename", "--from", "scale", "--to", "other"), "signature 'scale'"),
        (("remove", "--signature", "*"), "signature 'scale'"),
        (("edit", "--signature", "scale", "--rename-input", "x=y"), "'x' of signature 'scale'"),
        (("copy", "--from", "scale", "--to", "other"), None),
        (("edit", "--signature", "scale", "--method", "mine"), None),
        (("retag", "--from", "serve", "--to", "gpu"), None),
    ],
)
def test_warm_up_requests_that_lose_a_name_are_noted(
    line: Line, named: str | None, call: Run, model: Copied
) -> None:
    command, *request = line
    place = model("assets_extra_warmup")
    said = call(command, place, *request, *QUICK, "--json", "--keep-warmup")
    assert said.code == 0
    assert said.document["edit"]["warm_up"] == "kept"
    notes = [each["text"] for each in said.document["edit"]["notes"] if each["code"] == "warm-up"]
    if named is None:
        assert notes == []
    else:
        (note,) = notes
        assert f"names {named}: TF Serving will not load" in note


def test_what_counts_for_warm_up_requests_is_what_is_there_in_the_end(model: Copied) -> None:
    edits: list[Edit] = [Rename("scale", "other"), Copy("other", "scale"), Remove(("other",))]
    options = smpatch.Options(validate="none")
    receipt = smpatch.patch(model("assets_extra_warmup"), edits, options=options)
    assert [note.text for note in receipt.notes] == []
