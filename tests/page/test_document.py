"""The data of a page: the tensors of ``suggest``, both halves, and commands that work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.display import command_line
from smpatch.page.computation import LISTED, OFFERED
from tests.cli.conftest import FIXTURES, QUICK, Run
from tests.page.reading import Tensor, forms, parsed, tensors

Make = Callable[..., dict[str, Any]]

PLACES = sorted(
    place
    for kind in ("models", "exporters")
    for place in (FIXTURES / kind).iterdir()
    if (place / "saved_model.pb").exists() or (place / "saved_model.pbtxt").exists()
)


@pytest.fixture
def made(call: Run, tmp_path: Path) -> Make:
    """Make a page by the command line, and return its data."""

    def make(*arguments: str | Path) -> dict[str, Any]:
        file = tmp_path / "page.html"
        said = call(*arguments, "--html", file, "--overwrite")
        assert (said.code, said.err) == (0, ""), said
        size = len(file.read_bytes())
        assert said.out == f"{file}: {size:,} bytes written\n"
        return parsed(file.read_text(encoding="utf-8")).data

    return make


def computed(data: dict[str, Any]) -> list[tuple[dict[str, Any], list[Tensor]]]:
    """Return the signatures that have a computation, each with its tensors."""
    return [
        (each, list(tensors(each["computation"])))
        for section in data["sections"]
        for each in section["signatures"]
        if each["computation"]
    ]


DIFFERENT = {"halves_disagree"}
"""Models whose halves differ."""


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_model_has_a_page_and_halves_differ_where_they_were_made_to(
    place: Path, made: Make
) -> None:
    data = made("show", place)
    model = smpatch.load(place)
    assert [section["tags"] for section in data["sections"]] == [
        list(each.tags) for each in model.meta_graphs
    ]
    differing = set()
    for section, meta_graph in zip(data["sections"], model.meta_graphs, strict=True):
        served = {each["key"] for each in section["signatures"] if each["method"] is not None}
        assert served == set(meta_graph.signatures)
        for each in section["signatures"]:
            assert each["computation"] or each["why"], each["key"]
            if each["disagreement"] or any(row["differs"] for row in each["rows"]):
                differing.add(each["key"])
    assert bool(differing) == (place.name in DIFFERENT)


def test_an_edit_of_one_half_is_shown_on_both_sides(
    made: Make, call: Run, model: Callable[[str], Path]
) -> None:
    place = model("keras_functional")
    key = ("--signature", "serving_default")
    half = ("--signature-def-only", *QUICK)
    assert call("edit", place, *key, "--shape", "left=7,2", *half).code == 0
    assert call("edit", place, *key, "--rename-output", "both=sum", *half).code == 0
    (_, signature) = made("show", place)["sections"][0]["signatures"]
    assert signature["key"] == "serving_default"
    assert "sum" in signature["disagreement"]
    rows = {(each["kind"], each["alias"]): each for each in signature["rows"]}
    left = rows["input", "left"]
    assert left["served"] == ["float32", "[7, 2]", "serving_default_left:0"]
    assert left["traced"] == ["float32", "[?, 2]", "left"]
    assert {alias for alias, each in rows.items() if each["differs"]} == {
        ("input", "left"),
        ("output", "sum"),
        ("output", "both"),
    }
    assert rows["output", "sum"]["traced"] is None
    assert rows["output", "both"]["served"] is None


SAME = ("keras_functional", "keras_shared_layer", "while_loop", "functional_control_flow", "linear")


@pytest.mark.parametrize("name", SAME)
def test_the_page_offers_what_suggest_lists_and_no_more(name: str, made: Make, call: Run) -> None:
    place = FIXTURES / "models" / name
    for signature, listed in computed(made("suggest", place)):
        key = signature["key"]
        for options, states in ((), LISTED), (("--all",), LISTED + OFFERED):
            said = call("suggest", place, "--signature", key, "--json", *options)
            inner = said.document["suggest"]["inner"]
            paths = {each["path"] for each in inner}
            shown = {each.path: each for each in listed if each.state in states}
            if options:
                assert shown.keys() == paths
            else:
                assert shown.keys() <= paths
                # Tensors that are not listed at first only pass on the values of others.
                rest = {each.rpartition("/")[2].partition(":")[0] for each in paths - shown.keys()}
                assert all(
                    each.startswith(("Identity", "Stateful", "Partitioned")) for each in rest
                )
            commands = {each["path"]: each["command"] for each in inner}
            for path, tensor in shown.items():
                words = forms(signature["add"], tensor, "NEW")
                assert words[-1] == f"{tensor.alias}={tensor.written}"
                # The command of ``suggest``, but with the alias before the tensor.
                assert command_line([*words[:-1], tensor.written]) == commands[path]


WORKING = (
    *("models/keras_functional", "models/sparse", "models/while_loop", "models/cond"),
    *("models/text_form", "models/classify_regress", "models/several_tag_sets"),
    *("exporters/shared_function", "exporters/loops_in_session", "exporters/tangled_session"),
)
MOST_RUN = 3


@pytest.mark.parametrize("name", WORKING)
def test_the_commands_of_the_page_work(name: str, made: Make, call: Run, tmp_path: Path) -> None:
    place = tmp_path / "m"
    shutil.copytree(FIXTURES / name, place)
    for signature, listed in computed(made("show", place)):
        offered = [each for each in listed if each.state in {LISTED, OFFERED}]
        step = max(1, -(-len(offered) // MOST_RUN))
        for tensor in offered[::step]:
            for form in filter(None, (signature["add"], signature["edit"])):
                words = forms(form, tensor, "NEW")
                said = call(*words[1:], "--save-to", tmp_path / "new", *QUICK)
                assert said.code == 0, (words, said.err)
                shown = call("show", tmp_path / "new", "--json").document["show"]
                key = "NEW" if form is signature["add"] else signature["key"]
                found = [each["signatures"].get(key, {}) for each in shown["meta_graphs"]]
                assert any(tensor.alias in each.get("outputs", {}) for each in found)
                shutil.rmtree(tmp_path / "new")


def test_proposals_are_the_commands_of_suggest(made: Make, call: Run) -> None:
    place = FIXTURES / "models" / "module"
    (section,) = made("suggest", place)["sections"]
    document = call("suggest", place, "--json").document["suggest"]
    commands = [each["command"] for each in (*document["outputs"], *document["functions"])]
    assert [command_line(words) for _, words, _ in section["proposals"]] == commands


def test_a_page_of_one_signature_says_how_to_get_the_others(made: Make) -> None:
    place = FIXTURES / "models" / "keras_functional"
    (section,) = made("suggest", place, "--signature", "serve")["sections"]
    serve, default = section["signatures"]
    assert serve["computation"]
    assert (default["computation"], default["key"]) == (None, "serving_default")
    model = str(place)
    options = ["--signature", "serving_default", "--html", "page.html"]
    assert default["look"] == ["smpatch", "suggest", model, *options]


def test_suggest_asks_tensorflow_for_the_shapes_that_show_leaves_open(
    made: Make, model: Callable[[str], Path]
) -> None:
    place = model("keras_functional")

    def shapes(command: str) -> dict[str, str]:
        signature = next(each for each, _ in computed(made(command, place)))
        body = signature["computation"]
        return {
            name: body["shapes"][outputs[1]]
            for _, name, _, _, outputs, _ in body["nodes"]
            if outputs
        }

    asked, written = shapes("suggest"), shapes("show")
    assert asked["two_by_two_1/enc_1_1/Relu"] == "[?, 3]"
    assert {name for name in written if written[name] != asked[name]} <= {
        name for name in written if written[name] == "<unknown rank>"
    }


REFUSED = {
    ("show", "--overwrite"): (2, "--overwrite: it needs --html"),
    ("suggest", "--html", "p.html", "--json"): (2, "--html and --json contradict each other"),
    ("show", "MODEL", "--html", "p.html"): (2, "--html: a page shows one model"),
    ("suggest", "--signature", "no", "--html", "p.html"): (4, "no such signature"),
    ("show", "--html", "taken.html"): (4, "taken.html: it is there already (choose another --html"),
    ("show", "--html", "no/p.html"): (5, "no/p.html: could not be written"),
}


@pytest.mark.parametrize("request_", REFUSED, ids=" ".join)
def test_what_cannot_be_written_is_refused(
    request_: tuple[str, ...], call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FIXTURES / "models" / "linear", tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.html").write_text("mine")
    command, *options = (each.replace("MODEL", str(tmp_path / "m")) for each in request_)
    said = call(command, tmp_path / "m", *options)
    code, words = REFUSED[request_]
    assert (said.code, words in said.err) == (code, True), said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m", "taken.html"]
    assert (tmp_path / "taken.html").read_text() == "mine"


def test_overwrite_replaces_the_page(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    assert call("show", FIXTURES / "models" / "linear", "--html", file, "--overwrite").code == 0
    assert file.read_text().startswith("<!doctype html>")
