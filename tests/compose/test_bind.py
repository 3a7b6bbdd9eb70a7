"""An input that becomes a constant: the numbers equal those of the source with the same value."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, RefusedError, load
from smpatch.arguments import constants
from smpatch.edits import Compose, EditSignature, Remove
from smpatch.patchfile import parse_patch
from smpatch.validator import Validator
from tests.compose.conftest import Copied
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
RUNTIME = Options(validate="runtime")
Feed = Mapping[str, Any]

YES, NO = np.array(1, bool), np.array(0, bool)
RNG = np.random.default_rng(7)
ROWS = RNG.random((3, 2), np.float32)
MODULE: Feed = {
    "image": ROWS,
    "kind": np.array([b"a", b"b", b"c"], object),
    "training": YES,
    "zoom": RNG.random((3, 2), np.float32),
}
WORDS: Feed = {"word_ids": np.array([[1, 2, 3]] * 2, "i4"), "mask": np.zeros((2, 3), "i4")}
SESSION: Feed = {
    "x": ROWS,
    "rate": RNG.random((3, 2), np.float32),
    "times": np.array(3, "i4"),
    "training": NO,
}


@dataclass(frozen=True)
class Case:
    """A request, and the values for the source that have the same meaning.

    Attributes:
        kind: The kind of the model.
        key: The key of the source.
        feed: The values of all inputs of the source.
        bind: The bound values in the request.
        fed: The bound values in the form that the source takes.
    """

    kind: str
    key: str
    feed: Feed
    bind: Mapping[str, object]
    fed: Feed

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.kind}-{self.key}-{'+'.join(self.bind)}"


FOLLOWED = np.array([[1.5, 2.5]] * 3, "f4")
CASES = [
    Case("module", DEFAULT, MODULE, {"training": False}, {"training": NO}),
    Case("module", DEFAULT, MODULE, {"training": True}, {"training": YES}),
    Case("module", DEFAULT, MODULE, {"zoom": [1.5, 2.5]}, {"zoom": FOLLOWED}),
    Case("module", DEFAULT, MODULE, {"image": ROWS}, {"image": ROWS}),
    Case("module", DEFAULT, MODULE, {"kind": "b"}, {"kind": np.array([b"b"] * 3, object)}),
    Case(
        "module",
        DEFAULT,
        MODULE,
        {"kind": ["b", "a", "b"], "zoom": 2},
        {"kind": np.array([b"b", b"a", b"b"], object), "zoom": np.full((3, 2), 2, "f4")},
    ),
    Case("module", DEFAULT, MODULE, {**MODULE}, MODULE),
    Case("module", "words", WORDS, {"mask": 0}, {"mask": np.zeros((2, 3), "i4")}),
    Case("module", "words", WORDS, {"word_ids": 1}, {"word_ids": np.ones((2, 3), "i4")}),
    Case("session", DEFAULT, SESSION, {"training": True}, {"training": YES}),
    Case("session", DEFAULT, SESSION, {"rate": [1.5, 2.5]}, {"rate": FOLLOWED}),
    Case("session", DEFAULT, SESSION, {"times": 1}, {"times": np.array(1, "i4")}),
    Case("session", DEFAULT, SESSION, {"x": [1.5, 2.5]}, {"x": FOLLOWED}),
    Case(
        "session",
        DEFAULT,
        SESSION,
        {"rate": 2, "times": 2, "training": False},
        {
            "rate": np.full((3, 2), 2, "f4"),
            "times": np.array(2, "i4"),
            "training": NO,
        },
    ),
]


def _pipe(feed: Feed) -> dict[str, Any]:
    return {alias: encoded(value) for alias, value in feed.items()}


@pytest.fixture(scope="module", params=CASES, ids=str)
def made(
    request: pytest.FixtureRequest,
    exported: Mapping[str, Path],
    quick: Validator,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Case, Path]:
    """A request, and the model after this edit."""
    case: Case = request.param
    model = tmp_path_factory.mktemp("made") / case.kind
    shutil.copytree(exported[case.kind], model)
    bind = constants(case.bind, "bind")
    receipt = smpatch.patch(model, Compose(case.key, "new", bind), validator=quick)
    assert receipt.numbers == {"new": tuple(sorted(load(model).signatures["new"].outputs))}
    return case, model


def test_the_numbers_are_those_of_the_source_in_every_loader(
    made: tuple[Case, Path], exported: Mapping[str, Path], oracle: Oracle
) -> None:
    case, model = made
    left = {alias: value for alias, value in case.feed.items() if alias not in case.bind}
    whole = {**case.feed, **case.fed}
    loaders = ["session", "python"]
    feeds = {"new": _pipe(left), case.key: _pipe(whole)}
    got = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=loaders)
    was = oracle.ask(
        "tour",
        directory=exported[case.kind],
        tags=["serve"],
        feeds={case.key: _pipe(whole)},
        loaders=loaders,
    )
    for loader in loaders:
        wanted = was[loader][case.key]
        assert wanted["arrays"]
        assert got[loader] == {"new": wanted, case.key: wanted}


def test_both_signatures_run_in_one_call_of_one_session(
    made: tuple[Case, Path], oracle: Oracle
) -> None:
    case, model = made
    left = {alias: value for alias, value in case.feed.items() if alias not in case.bind}
    feeds = {"new": _pipe(left), case.key: _pipe({**case.feed, **case.fed})}
    ran = oracle.ask("run_together", directory=model, tags=["serve"], feeds=feeds)
    assert ran["arrays"]["new"] == ran["arrays"][case.key]


def test_a_repeated_value_follows_each_batch(copied: Copied, oracle: Oracle) -> None:
    model = copied("module")
    smpatch.compose_signature(model, "words", bind={"mask": 1}, signature="new")
    for shape in ((1, 1), (4, 2), (0, 5)):
        feed = {"word_ids": np.ones(shape, "i4")}
        ran = oracle.ask(
            "tour",
            directory=model,
            tags=["serve"],
            feeds={"new": _pipe(feed)},
            loaders=["python", "session"],
        )
        for loader in ("python", "session"):
            assert decoded(ran[loader]["new"]["arrays"]["n"]).tolist() == list(shape)


def test_nothing_but_an_addition_is_written(
    copied: Copied, exported: Mapping[str, Path], oracle: Oracle
) -> None:
    model = copied("module")
    smpatch.compose_signature(model, DEFAULT, bind={"training": False}, signature="new")
    told = oracle.ask("appended", before=exported["module"], after=model)
    assert told["changed"] == []
    assert told["doubles"] == []
    assert told["signatures"] == told["children"] == ["new"]
    # Two nodes, the constant and the call; one wrapper function, which calls the existing one.
    assert len(told["nodes"]) == 2
    assert len(told["functions"]) == len(told["objects"]) == len(told["concrete_functions"]) == 1


def test_the_result_is_saved_again_by_python(copied: Copied, oracle: Oracle) -> None:
    model = copied("module")
    smpatch.compose_signature(model, DEFAULT, bind={"zoom": [1, 2]}, signature="new")
    again = model.with_name("again")
    assert oracle.ask("save_again", directory=model, tags=["serve"], to=again) == {}
    feeds = {"new": _pipe({a: v for a, v in MODULE.items() if a != "zoom"})}
    one, other = (
        oracle.ask("tour", directory=each, tags=["serve"], feeds=feeds, loaders=["python"])
        for each in (model, again)
    )
    assert one["python"]["new"]["arrays"]
    assert one["python"] == other["python"]


def test_the_other_readers_take_it(tmp_path: Path, quick: Validator, oracle: Oracle) -> None:
    model = tmp_path / "keras"
    shutil.copytree(FIXTURES / "keras_functional", model)
    smpatch.patch(
        model,
        [Remove(("serve",)), Compose(DEFAULT, "new", constants({"right": [1, 0.5]}, "bind"))],
        validator=quick,
    )
    left = ROWS[:1]
    right = np.array([[1, 0.5]], "f4")
    feeds = {"new": _pipe({"left": left}), DEFAULT: _pipe({"left": left, "right": right})}
    told = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=["session"])
    wanted = told["session"][DEFAULT]["arrays"]
    assert told["session"]["new"]["arrays"] == wanted
    layer = oracle.ask("keras_layer", directory=model, key="new", value=encoded(left))
    assert layer["arrays"] == wanted
    about: dict[str, Any] = {"directory": model, "tags": ["serve"]}
    lite = oracle.ask("tflite", key="new", feed=feeds["new"], **about)
    for alias, value in wanted.items():
        np.testing.assert_allclose(decoded(lite["arrays"][alias]), decoded(value), rtol=1e-5)
    assert oracle.ask("show", directory=model)["lines"] > 0


@pytest.mark.parametrize("kind", ["module", "session"])
def test_to_replace_a_signature_by_itself_changes_no_byte(
    kind: str, copied: Copied, quick: Validator
) -> None:
    model = copied(kind)
    edit = Compose(DEFAULT, "new", constants({"training": False}, "bind"), overwrite=True)
    smpatch.patch(model, edit, validator=quick)
    data = (model / "saved_model.pb").read_bytes()
    assert smpatch.patch(model, edit, validator=quick).outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == data


@pytest.mark.parametrize("kind", ["module", "session"])
@pytest.mark.parametrize("commits", [1, 2])
def test_a_signature_is_made_of_one_that_was_made(
    kind: str, commits: int, copied: Copied, quick: Validator, oracle: Oracle
) -> None:
    model, feed = copied(kind), MODULE if kind == "module" else SESSION
    other = "zoom" if kind == "module" else "rate"
    edits = [
        Compose(DEFAULT, "one", constants({"training": True}, "bind")),
        Compose("one", "two", constants({other: [1.5, 2.5]}, "bind")),
    ]
    receipts = [
        smpatch.patch(model, each, validator=quick)
        for each in ([edits] if commits == 1 else [[edit] for edit in edits])
    ]
    noted = [note.text for note in receipts[-1].notes if note.code == "numbers-not-compared"]
    assert [text.startswith("signature 'two'") for text in noted] == [True] * (2 - commits)
    left = {alias: value for alias, value in feed.items() if alias not in {"training", other}}
    feeds = {
        "two": _pipe(left),
        DEFAULT: _pipe({**feed, "training": YES, other: FOLLOWED}),
    }
    ran = oracle.ask("run_together", directory=model, tags=["serve"], feeds={"two": feeds["two"]})
    was = oracle.ask("tour", directory=model, tags=["serve"], feeds=feeds, loaders=["session"])
    assert ran["arrays"]["two"] == was["session"][DEFAULT]["arrays"]


@pytest.mark.parametrize("kind", ["module", "session"])
def test_a_signature_takes_the_place_of_the_one_that_it_is_made_of(
    kind: str, copied: Copied, exported: Mapping[str, Path], quick: Validator, oracle: Oracle
) -> None:
    model, feed = copied(kind), MODULE if kind == "module" else SESSION
    edit = Compose(DEFAULT, DEFAULT, constants({"training": True}, "bind"), overwrite=True)
    assert smpatch.patch(model, edit, validator=quick).outcome == "replaced"
    about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
    left = {alias: value for alias, value in feed.items() if alias != "training"}
    got = oracle.ask("tour", directory=model, feeds={DEFAULT: _pipe(left)}, **about)
    whole = _pipe({**feed, "training": YES})
    was = oracle.ask("tour", directory=exported[kind], feeds={DEFAULT: whole}, **about)
    assert was["session"][DEFAULT]["arrays"]
    assert all(got[loader] == was[loader] for loader in ("session", "python"))
    with pytest.raises(RefusedError, match="no input is called 'training'"):
        smpatch.patch(model, edit, validator=quick)


def test_what_does_not_depend_on_the_input_is_shared(copied: Copied) -> None:
    model = copied("session")
    before = {*load(model).meta_graph().graph}
    smpatch.compose_signature(
        model, DEFAULT, bind={"training": True}, signature="new", options=RUNTIME
    )
    (after,) = load(model).meta_graphs
    added = [name for name in after.graph if name not in before]
    ops = {after.graph.wiring(name).op for name in added}
    assert not ops & {"Enter", "MatMul", "VariableV2", "VarHandleOp", "HashTableV2"}
    assert {"Switch", "Merge"} <= ops
    outputs = after.signatures["new"].outputs
    assert outputs["apart"] == after.signatures[DEFAULT].outputs["apart"]
    assert outputs["switched"] != after.signatures[DEFAULT].outputs["switched"]


def test_a_loop_that_is_touched_has_a_frame_of_its_own(copied: Copied) -> None:
    model = copied("session")
    before = {*load(model).meta_graph().graph}
    smpatch.compose_signature(model, DEFAULT, bind={"rate": 2}, signature="new", options=RUNTIME)
    graph = load(model).meta_graph().graph
    frames: list[set[bytes]] = [set(), set()]
    for name in graph:
        if graph.wiring(name).op == "Enter":
            frames[name in before].add(graph.node(name).attr("frame_name").s)  # type: ignore[union-attr] # every Enter has one
    assert len(frames[0]) == 2  # two loops use the rate; the other one only counts
    assert frames[0].isdisjoint(frames[1])


def test_a_copy_stands_beside_copies_and_never_beside_what_is_replaced(copied: Copied) -> None:
    model = copied("session")
    smpatch.compose_signature(model, DEFAULT, bind={"rate": 2}, signature="new", options=RUNTIME)
    graph = load(model).meta_graph().graph
    assert "^rate" in graph.wiring("waits").inputs
    assert graph.node("waits").attr("_class") is not None
    assert graph.wiring("new/waits").inputs == ("MatMul",)
    assert graph.node("new/waits").attr("_class") is None


@pytest.mark.parametrize("kind", ["module", "session"])
def test_twice_is_once_and_undo_brings_the_bytes_back(
    kind: str, copied: Copied, exported: Mapping[str, Path]
) -> None:
    model = copied(kind)
    edit = Compose(DEFAULT, "new", {"training": False})  # type: ignore[dict-item] # as users write it
    first = smpatch.patch(model, edit, options=Options(backup=True), once=True)
    assert first.outcome == "added"
    data = (model / "saved_model.pb").read_bytes()
    assert smpatch.patch(model, edit, once=True).outcome == "unchanged"
    assert (model / "saved_model.pb").read_bytes() == data
    other = Compose(DEFAULT, "new", {"training": True}, overwrite=True)  # type: ignore[dict-item] # as above
    assert smpatch.patch(model, other, once=True).outcome == "replaced"
    shutil.rmtree(model)
    shutil.copytree(exported[kind], model)
    smpatch.patch(model, edit, options=Options(backup=True))
    smpatch.undo(model)
    assert filecmp.cmp(model / "saved_model.pb", exported[kind] / "saved_model.pb", shallow=False)


def test_a_removal_takes_all_of_it_out_of_an_export(
    copied: Copied, exported: Mapping[str, Path]
) -> None:
    model = copied("module")
    smpatch.compose_signature(model, "words", bind={"mask": 0}, signature="new")
    assert not filecmp.cmp(model / "saved_model.pb", exported["module"] / "saved_model.pb")
    smpatch.remove_signatures(model, "new")
    assert filecmp.cmp(model / "saved_model.pb", exported["module"] / "saved_model.pb")


def test_a_dry_run_writes_nothing(copied: Copied, exported: Mapping[str, Path]) -> None:
    model = copied("module")
    receipt = smpatch.compose_signature(
        model, DEFAULT, bind={"training": False}, signature="new", options=Options(dry_run=True)
    )
    assert [*receipt.signature.inputs] == ["image", "kind", "zoom"]
    assert filecmp.cmp(model / "saved_model.pb", exported["module"] / "saved_model.pb")


def test_a_patch_file_binds_and_names_files_from_its_directory(copied: Copied) -> None:
    model = copied("module")
    np.save(model.parent / "zoom.npy", np.array([1.5, 2.5], "f4"))
    patch = model.parent / "patch.toml"
    patch.write_text(
        """
        version = 1
        [[edit]]
        rename = "serving_default"
        to = "raw"
        [[edit]]
        compose = "serving_default"
        from-signature = "raw"
        bind = { training = false, zoom = { file = "zoom.npy" } }
        """,
        encoding="utf-8",
    )
    for outcome in ("added", "unchanged"):
        (done,) = smpatch.apply([model], smpatch.load_patch(patch).edits)
        assert done.receipt is not None
        assert done.receipt.outcome == outcome
    assert [*load(model).signatures["serving_default"].inputs] == ["image", "kind"]


def test_a_patch_file_that_a_second_application_would_not_know_is_refused() -> None:
    text = 'version = 1\n[[edit]]\ncompose = "a"\nfrom-signature = "a"\nbind = { x = 1 }\n'
    with pytest.raises(smpatch.PatchFileError, match="source and key are both 'a'"):
        parse_patch(text)


REFUSALS = {
    "no-source": ({}, "serving", "no such signature", "did you mean serving_default"),
    "no-input": ({"trainin": True}, DEFAULT, "no input is called", "did you mean training"),
    "dtype": ({"training": 1}, DEFAULT, "1 is not of type bool", "a value is JSON"),
    "python": ({"training": "False"}, DEFAULT, "'False' is not of type bool", "a value is JSON"),
    "too-big": ({"mask": 1 << 40}, "words", "does not fit into int32", ""),
    "array": ({"zoom": np.ones(2)}, DEFAULT, "the array is float64", 'astype("float32")'),
    "shape": ({"zoom": [1, 2, 3]}, DEFAULT, "the shape [3], and the input [?, 2]", "last dim"),
    "rank": ({"training": [True]}, DEFAULT, "the shape [1], and the input []", "last dim"),
    "lists": ({"zoom": [[1, 2], [3]]}, DEFAULT, "different lengths", ""),
    "none": ({"zoom": None}, DEFAULT, "None is not of type float32", ""),
    "nothing-to-follow": (
        {"mask": 0, "word_ids": 0},
        "words",
        "dimension 0 of the input is open",
        "whole shape",
    ),
    "taken": ({"training": True}, DEFAULT, "", ""),
}


@pytest.mark.parametrize("name", [each for each in REFUSALS if each != "taken"])
def test_a_value_that_is_none_of_the_input_is_refused(name: str, copied: Copied) -> None:
    bind, key, found, hint = REFUSALS[name]
    model = copied("module")
    data = (model / "saved_model.pb").read_bytes()
    with pytest.raises(RefusedError) as refused:
        smpatch.compose_signature(
            model,
            key,
            bind=bind or {"x": 1},  # type: ignore[arg-type] # a table of many types
            signature="new",
            options=Options(validate="none"),
        )
    assert found in str(refused.value)
    assert hint in refused.value.hint
    assert (model / "saved_model.pb").read_bytes() == data


def test_a_model_in_text_form_is_refused_with_the_command_that_works(tmp_path: Path) -> None:
    model = tmp_path / "text"
    shutil.copytree(FIXTURES / "text_form", model)
    with pytest.raises(RefusedError, match="in text form cannot be given new nodes") as refused:
        smpatch.compose_signature(
            model, "scale", bind={"x": [1.0]}, signature="new", options=Options(validate="none")
        )
    assert f"smpatch edit {model} --signature" in refused.value.hint
    edit = EditSignature("scale", defaults={"x": [1.0]})
    assert smpatch.edit_signature(model, edit, options=RUNTIME).outcome == "edited"


@pytest.mark.parametrize(("name", "key"), [("sparse", "twice"), ("ragged", "rows")])
def test_an_input_of_several_tensors_is_refused(
    name: str, key: str, tmp_path: Path, quick: Validator
) -> None:
    shutil.copytree(FIXTURES / name, tmp_path / name)
    edit = Compose(key, "new", constants({"ids": 1}, "bind"))
    with pytest.raises(RefusedError, match="only dense ones can be bound"):
        smpatch.patch(tmp_path / name, edit, validator=quick)
