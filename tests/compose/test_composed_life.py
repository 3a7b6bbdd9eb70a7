"""Composed signatures in the life of a model: composed again, saved again, converted, applied."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, PatchFileError, ValidationError, arguments, load
from smpatch.edits import Compose, Copy, Edit, EditSignature, FromSignature, Remove, Rename
from smpatch.fragments import asked_list
from smpatch.functions import calls, joining
from smpatch.patchfile import parse_patch
from smpatch.validator import Validator
from tests.object_graph.test_consumers import installed
from tests.oracle.client import Oracle, decoded, encoded

DEFAULT = "serving_default"
KERAS = "keras_functional"
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"
CODE = Path(__file__).with_name("user_code.py")
RNG = np.random.default_rng(23)
LEFT = {"left": encoded(RNG.random((3, 2), np.float32))}
RIGHT = {"right": encoded(RNG.random((3, 2), np.float32))}
TEXT = {"text": encoded(np.array([b"b", b"a", b"zz"], object))}
WORDS = ("words_to_left", {"given": ["text"]})
SUMMED = ("summed", {"given": ["score"], "takes": ["score"]})


def _compose(key: str, new: str, before: str = "", after: str = "") -> Compose:
    put: dict[str, Any] = {
        "before": (f"{CODE}:{before}",) if before else (),
        "after": (f"{CODE}:{after}",) if after else (),
    }
    return Compose(key, new, **put)


@pytest.fixture
def keras(composable: Mapping[str, Path], tmp_path: Path) -> Path:
    """A copy of a model of Keras."""
    return Path(shutil.copytree(composable[KERAS], tmp_path / "model"))


def test_a_composed_signature_is_composed_again_renamed_and_saved_again(
    composable: Mapping[str, Path], keras: Path, oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    edits = [
        Rename(DEFAULT, "raw"),
        _compose("raw", "from_text", before="words_to_left"),
        _compose("from_text", DEFAULT, after="summed"),
    ]
    receipt = smpatch.patch(keras, edits, validator=quick)
    assert receipt.numbers is not None
    assert set(receipt.numbers) == {"from_text"}  # the source of the other one is new, too
    feed = {**TEXT, **RIGHT}
    about: dict[str, Any] = {"tags": ["serve"], "key": DEFAULT, "feed": feed}
    wanted = oracle.ask(
        "outside", directory=composable[KERAS], before=[WORDS], after=[SUMMED], **about
    )
    once = oracle.ask("outside", directory=composable[KERAS], before=[WORDS], after=[], **about)
    loaders = ["session", "python"]
    feeds = {DEFAULT: feed, "from_text": feed}
    got = oracle.ask("tour", directory=keras, tags=["serve"], feeds=feeds, loaders=loaders)
    for loader in loaders:
        assert got[loader] == {DEFAULT: wanted[loader], "from_text": once[loader]}
    again = tmp_path / "again"
    assert oracle.ask("save_again", directory=keras, tags=["serve"], to=again) == {}
    got = oracle.ask("tour", directory=again, tags=["serve"], feeds=feeds, loaders=loaders)
    assert got["python"] == {DEFAULT: wanted["python"], "from_text": once["python"]}
    assert got["session"] == {DEFAULT: wanted["session"], "from_text": once["session"]}


def test_signatures_run_together_in_one_call_of_one_session(
    keras: Path, oracle: Oracle, quick: Validator
) -> None:
    edits = [
        _compose(DEFAULT, "one", before="words_to_left", after="summed"),
        _compose(DEFAULT, "two", before="words_to_left", after="named"),
    ]
    smpatch.patch(keras, edits, validator=quick)
    feeds = {"one": {**TEXT, **RIGHT}, "two": {**TEXT, **RIGHT}, DEFAULT: {**LEFT, **RIGHT}}
    about: dict[str, Any] = {"directory": keras, "tags": ["serve"], "feeds": feeds}
    together = oracle.ask("run_together", **about)["arrays"]
    alone = oracle.ask("tour", loaders=["session"], **about)["session"]
    assert together == {key: each["arrays"] for key, each in alone.items()}


@pytest.mark.parametrize(
    "consumer", ["tflite", pytest.param("tf2onnx", marks=installed("tf2onnx", "onnx"))]
)
def test_a_converter_takes_what_it_took(
    composable: Mapping[str, Path], keras: Path, oracle: Oracle, quick: Validator, consumer: str
) -> None:
    about: dict[str, Any] = {"key": DEFAULT, "feed": {**LEFT, **RIGHT}, "tags": ["serve"]}
    was = oracle.ask(consumer, directory=composable[KERAS], **about)
    edit = _compose(DEFAULT, "new", before="words_to_left", after="summed")
    smpatch.patch(keras, edit, validator=quick)
    assert was["arrays"]
    assert oracle.ask(consumer, directory=keras, **about) == was


def test_a_patch_file_names_functions_and_recipes(
    keras: Path, quick: Validator, tmp_path: Path
) -> None:
    shutil.copy(CODE, tmp_path / "code.py")
    text = f"""
        version = 1
        [[edit]]
        compose = "new"
        from-signature = "{DEFAULT}"
        before = "code.py:words_to_left"
        after = ["both=softmax(both)", "code.py:summed"]
        bind = {{ right = [1.0, 0.5] }}
    """
    patch = parse_patch(text, directory=tmp_path)
    first = smpatch.patch(keras, patch.edits, validator=quick, once=True)
    assert first.numbers == {"new": ("both", "shifted", "total")}
    data = (keras / "saved_model.pb").read_bytes()
    again = smpatch.patch(keras, patch.edits, validator=quick, once=True)
    assert [each.outcome for each in again.applied] == ["unchanged"]
    assert (keras / "saved_model.pb").read_bytes() == data
    with pytest.raises(smpatch.PatchFileError, match=r"edit\[0\].before\[0\] .*no such file"):
        parse_patch(text, directory=tmp_path / "elsewhere")


def test_another_function_under_the_same_name_is_not_applied_already(
    keras: Path, quick: Validator, tmp_path: Path
) -> None:
    code = tmp_path / "code.py"
    program = "def f(score):\n    return {{'score': score * {}}}\n"
    put: dict[str, Any] = {"after": (f"{code}:f",), "overwrite": True}
    outcomes = []
    for factor in ("2.0", "2.0", "2.5"):
        code.write_text(program.format(factor))
        edit = Compose(DEFAULT, "new", **put)
        outcomes.append(smpatch.patch(keras, edit, validator=quick, once=True).outcome)
    assert outcomes == ["added", "unchanged", "replaced"]


def test_what_is_random_is_told_and_not_compared(keras: Path, quick: Validator) -> None:
    receipt = smpatch.patch(keras, _compose(DEFAULT, "new", after="noisy"), validator=quick)
    assert receipt.numbers == {"new": ("both",)}
    (note,) = (each.text for each in receipt.notes if each.code == "numbers-unstable")
    assert "'score' is random or has a state" in note


def test_another_shape_than_the_one_of_the_trace_is_an_error_and_no_other_number(
    keras: Path, oracle: Oracle, quick: Validator
) -> None:
    edits = [
        _compose(DEFAULT, "of_one", after="of_one"),
        _compose(DEFAULT, "loosely", before="loosely"),
    ]
    receipt = smpatch.patch(keras, edits, validator=quick)
    assert receipt.numbers == {"of_one": ("both", "count", "score")}
    (note,) = (each.text for each in receipt.notes if each.code == "numbers-not-compared")
    # The values of smpatch have one column. The note said that it did not run before the edit.
    assert (
        "signature 'loosely': its numbers are not compared: its parts, run in order, fail" in note
    )
    rows = RNG.random((2, 3), np.float32)
    for size, runs in ((1, True), (2, False)):
        narrow, wide = encoded(rows[:size, :2]), encoded(rows[:, : size + 1])
        other = encoded(rows[:, :2])
        feeds = {
            "of_one": {"left": narrow, "right": narrow},
            "loosely": {"wide": wide, "right": other},
        }
        about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
        got = oracle.ask("tour", directory=keras, feeds=feeds, **about)
        for loader in ("session", "python"):
            assert ("arrays" in got[loader]["of_one"]) is runs
            assert ("arrays" in got[loader]["loosely"]) is runs, got[loader]


def _swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a fault: calls get their inputs in the reverse order."""
    made = calls.call

    def wrong(name: str, function: Any, inputs: Any, shapes: Any) -> Any:  # noqa: ANN401 - as the original
        return made(name, function, inputs[::-1], shapes)

    monkeypatch.setattr(joining, "call", wrong)


def test_the_structural_proof_finds_swapped_inputs(
    keras: Path, quick: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _swapped(monkeypatch)
    edit = _compose(DEFAULT, "new", before="crossed")
    with pytest.raises(ValidationError, match="would not have the requested computation"):
        smpatch.patch(keras, edit, validator=quick)


def test_the_numbers_find_swapped_inputs_without_the_structural_proof(
    keras: Path, quick: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (keras / "saved_model.pb").read_bytes()
    _swapped(monkeypatch)
    monkeypatch.setattr("smpatch.editing.sequence.prove", lambda *_, **__: None)
    edit = _compose(DEFAULT, "new", before="crossed")
    with pytest.raises(
        ValidationError, match="it differs from the result of its parts, run in order"
    ):
        smpatch.patch(keras, edit, validator=quick)
    assert (keras / "saved_model.pb").read_bytes() == data


def test_every_loader_validates_a_run(keras: Path) -> None:
    receipt = smpatch.compose_signature(
        keras,
        DEFAULT,
        signature="new",
        before=f"{CODE}:words_to_left",
        after="top_k(both, 2)",
        options=Options(validate="run"),
    )
    assert receipt.numbers is not None
    assert receipt.numbers["new"] == tuple(sorted(load(keras).signatures["new"].outputs))
    assert {"new", DEFAULT, "serve"} == set(receipt.numbers)
    assert not [each for each in receipt.notes if each.code.startswith("numbers")]


def test_the_key_that_clients_call_is_composed_and_the_old_signature_kept(
    composable: Mapping[str, Path], keras: Path, oracle: Oracle
) -> None:
    receipt = smpatch.compose_signature(
        keras,
        DEFAULT,
        signature=DEFAULT,
        before=f"{CODE}:words_to_left",
        keep_as="raw",
        options=Options(validate="runtime"),
    )
    assert [(each.key, each.outcome) for each in receipt.changes] == [
        ("raw", "renamed"),
        (DEFAULT, "added"),
    ]
    assert receipt.numbers == {DEFAULT: ("both", "score")}
    feeds = {DEFAULT: {**TEXT, **RIGHT}, "raw": {**LEFT, **RIGHT}}
    about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
    got = oracle.ask("tour", directory=keras, feeds=feeds, **about)
    was = oracle.ask("tour", directory=composable[KERAS], feeds={DEFAULT: feeds["raw"]}, **about)
    wanted = oracle.ask(
        "outside",
        directory=composable[KERAS],
        tags=["serve"],
        key=DEFAULT,
        feed=feeds[DEFAULT],
        before=[WORDS],
        after=[],
    )
    for loader in about["loaders"]:
        assert got[loader] == {DEFAULT: wanted[loader], "raw": was[loader][DEFAULT]}


def test_a_patch_file_keeps_the_signature_that_has_the_key_and_is_applied_once(
    composable: Mapping[str, Path], keras: Path, oracle: Oracle
) -> None:
    patch = keras.parent / "patch.toml"
    patch.write_text(
        f"""
        version = 1
        [[edit]]
        compose = "{DEFAULT}"
        from-signature = "{DEFAULT}"
        before = "{CODE}:words_to_left"
        keep-as = "raw"
        [[edit]]
        compose = "right"
        from-signature = "serve"
        bind = {{ left = [1.0, 2.0] }}
        """
    )
    read = smpatch.load_patch(patch)
    assert [type(each) for each in read.edits] == [Rename, Compose, Compose]
    assert read.lines == (3, 3, 8)
    options = Options(validate="runtime")
    receipt = smpatch.patch(keras, read.edits, options=options)
    assert receipt.numbers == {DEFAULT: ("both", "score"), "right": ("both", "score")}
    data = (keras / "saved_model.pb").read_bytes()
    (again,) = smpatch.apply([keras], read.edits, options=options)
    assert (again.error, again.receipt and again.receipt.outcome) == (None, "unchanged")
    assert (keras / "saved_model.pb").read_bytes() == data
    feeds = {DEFAULT: {**TEXT, **RIGHT}, "raw": {**LEFT, **RIGHT}}
    about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
    got = oracle.ask("tour", directory=keras, feeds=feeds, **about)
    source = {"directory": composable[KERAS], **about}
    was = oracle.ask("tour", feeds={DEFAULT: feeds["raw"]}, **source)
    step: dict[str, Any] = {"feed": feeds[DEFAULT], "before": [WORDS], "after": []}
    wanted = oracle.ask("outside", key=DEFAULT, **source, **step)
    for loader in about["loaders"]:
        assert got[loader] == {DEFAULT: wanted[loader], "raw": was[loader][DEFAULT]}


def test_a_conflict_behind_a_kept_signature_names_the_table() -> None:
    compose = f'[[edit]]\ncompose = "{DEFAULT}"\nfrom-signature = "{DEFAULT}"\n'
    text = f'version = 1\n{compose}after = "identity(a)"\nkeep-as = "raw"\n'
    with pytest.raises(PatchFileError) as caught:
        parse_patch(f'{text}[[edit]]\nrename = "serve"\nto = "raw"\n')
    (fault,) = caught.value.faults
    assert (fault.path, fault.line) == ("edit[1]", 7)
    assert fault.found == "the key 'raw' is taken: edit[0] needs it"


def test_a_widened_signature_is_composed_to_another_size(
    oracle: Oracle, quick: Validator, tmp_path: Path
) -> None:
    # The copied call kept the size of its only batch, and TensorFlow refused the model.
    for kind in ("fixed", "session_fixed"):
        model, source = tmp_path / kind, tmp_path / f"{kind}_source"
        oracle.ask("build_composable", directory=model, kind=kind)
        shutil.copytree(model, source)
        shapes = {"x": (None, 2), "z": (None, 2), "y": (None, 3)}
        smpatch.patch(model, EditSignature(DEFAULT, shapes=shapes), validator=quick)
        expanded = asked_list(["x=expand_batch()", "z=expand_batch()"], "before")
        cast, softmax = asked_list("x=cast(float64)", "before"), asked_list("softmax(y)", "after")
        edits = [
            Compose(DEFAULT, "three", arguments.constants({"z": [[1, 2]] * 3}, "bind")),
            Compose(DEFAULT, "one", before=expanded),
            Compose(DEFAULT, "open", before=cast, after=softmax),
        ]
        receipt = smpatch.patch(model, edits, validator=quick)
        assert receipt.numbers == {each.key: ("y",) for each in edits}
        rows = RNG.random((4, 2), np.float32)
        z = np.array([[1, 2]] * 4, np.float32)
        feeds = {
            "three": {"x": encoded(rows[:3])},
            "one": {"x": encoded(rows[0]), "z": encoded(z[0])},
            "open": {"x": encoded(rows.astype(np.float64)), "z": encoded(z)},
        }
        about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
        got = oracle.ask("tour", directory=model, feeds=feeds, **about)
        whole = {DEFAULT: {"x": encoded(rows), "z": encoded(z)}}
        was = oracle.ask("tour", directory=source, feeds=whole, **about)
        for loader in about["loaders"]:
            y = decoded(was[loader][DEFAULT]["arrays"]["y"])
            made = {key: decoded(each["arrays"]["y"]) for key, each in got[loader].items()}
            assert (made["three"] == y[:3]).all()
            assert (made["one"] == y[:1]).all()
            exponents = np.exp(y - y.max(axis=1, keepdims=True))
            assert np.allclose(made["open"], exponents / exponents.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("then", [Remove(("first",)), Rename("first", "other")])
def test_a_composed_signature_that_a_later_edit_takes_away_is_no_python_error(
    then: Edit,
    composable: Mapping[str, Path],
    keras: Path,
    quick: Validator,
    oracle: Oracle,
) -> None:
    # The key was searched in the signatures after all edits.
    edits = [_compose(DEFAULT, "first", before="words_to_left"), Copy("first", "second"), then]
    receipt = smpatch.patch(keras, edits, validator=quick)
    assert [each.outcome for each in receipt.changes][:2] == ["added", "copied"]
    assert "first" not in load(keras).signatures
    about: dict[str, Any] = {"tags": ["serve"], "key": DEFAULT, "feed": {**TEXT, **RIGHT}}
    wanted = oracle.ask("outside", directory=composable[KERAS], before=[WORDS], after=[], **about)
    feeds, loaders = {"second": about["feed"]}, ["session", "python"]
    got = oracle.ask("tour", directory=keras, tags=["serve"], feeds=feeds, loaders=loaders)
    assert {loader: got[loader]["second"] for loader in loaders} == {
        loader: wanted[loader] for loader in loaders
    }


def test_one_copied_node_is_no_nodes(tmp_path: Path) -> None:
    model = Path(shutil.copytree(FIXTURES / "linear", tmp_path / "model"))
    made: dict[str, Any] = {"signature": "one", "bind": {"x": [1.0]}}
    receipt = smpatch.compose_signature(model, "scale", options=Options(validate="none"), **made)
    (text,) = (each.text for each in receipt.notes if each.code == "copied-nodes")
    assert text.startswith("1 node that depends on what is bound is copied, ")


def test_a_sparse_input_of_a_known_size_stays_as_it_is(
    quick: Validator, oracle: Oracle, tmp_path: Path
) -> None:
    # The graph does not record the size that TensorFlow's own exporter writes into the signature.
    model = Path(shutil.copytree(FIXTURES / "sparse", tmp_path / "model"))
    edits = [
        EditSignature("twice", drop_outputs=("twice",), add_outputs={"flat": "mul:0"}),
        FromSignature("twice", {"again": "mul:0"}, "derived"),
        Compose("twice", "composed", after=asked_list("flat=sigmoid(flat)", "after")),
    ]
    smpatch.patch(model, edits, validator=quick)
    signatures = load(model).signatures
    for key in ("derived", "composed"):
        assert signatures[key].inputs == signatures["twice"].inputs
    values = np.array([0.5, -2.0], np.float32)
    feed = {
        "ids/values:0": encoded(values),
        "ids/indices:0": encoded(np.array([[0, 0], [1, 3]])),
        "ids/shape:0": encoded(np.array([2, 4])),
    }
    wanted: dict[str, tuple[str, Any]] = {
        "derived": ("again", 2 * values),
        "composed": ("flat", 1 / (1 + np.exp(-2 * values))),
    }
    for key, (alias, expected) in wanted.items():
        about: dict[str, Any] = {"tags": ["serve"], "key": key, "feed": feed}
        ran = oracle.ask("run_signature", directory=model, **about)
        np.testing.assert_allclose(decoded(ran["arrays"][alias]), expected, rtol=1e-6)


def test_a_signature_takes_the_place_of_the_one_that_it_is_made_of(
    composable: Mapping[str, Path], keras: Path, oracle: Oracle
) -> None:
    receipt = smpatch.compose_signature(
        keras,
        DEFAULT,
        signature=DEFAULT,
        before=f"{CODE}:words_to_left",
        options=Options(validate="runtime", overwrite=True),
    )
    assert (receipt.outcome, receipt.numbers) == ("replaced", {DEFAULT: ("both", "score")})
    feed = {**TEXT, **RIGHT}
    about: dict[str, Any] = {"tags": ["serve"], "loaders": ["session", "python"]}
    got = oracle.ask("tour", directory=keras, feeds={DEFAULT: feed}, **about)
    source = composable[KERAS]
    step: dict[str, Any] = {"feed": feed, "before": [WORDS], "after": []}
    wanted = oracle.ask("outside", directory=source, key=DEFAULT, **about, **step)
    assert got["session"][DEFAULT] == wanted["session"]
    assert got["python"][DEFAULT] == wanted["python"]
