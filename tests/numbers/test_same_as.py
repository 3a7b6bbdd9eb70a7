"""The comparison of a model with another: ``smpatch check A --same-as B``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Report, SameAs, UsageError
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename
from tests.cli.conftest import Run
from tests.oracle.client import Oracle
from tests.writer import models

BOTH = ("C runtime", "tf.saved_model.load")
UNPROVED = smpatch.Options(validate="none")


def _check(model: Path, other: Path, *, validate: Any = "runtime", **asked: Any) -> Report:  # noqa: ANN401 - options
    options = CheckOptions(validate=validate, same_as=SameAs(other, **asked))
    return smpatch.check(model, options=options)


def _faults(report: Report) -> set[tuple[str, str]]:
    return {(each.where, each.code) for each in report.faults}


def test_a_model_is_the_same_as_itself_in_both_loaders(exported: Path) -> None:
    report = _check(exported / "twins", exported / "twins", validate="full")
    assert report.ok
    names = {(key, output) for key in ("one", "two") for output in ("a", "b")}
    assert {(e.key, e.output, e.loader) for e in report.compared} == {
        (*name, loader) for name in names for loader in BOTH
    }
    assert all(e.same and e.elements == 1 and e.absolute == 0.0 for e in report.compared)


def test_a_model_that_tensorflow_has_saved_again_is_the_same(
    exported: Path, oracle: Oracle, tmp_path: Path
) -> None:
    answer = oracle.ask(
        "save_again", directory=exported / "twins", tags=["serve"], to=tmp_path / "again"
    )
    assert not answer.get("refused"), answer
    report = _check(tmp_path / "again", exported / "twins", validate="full")
    assert report.ok, report.faults
    assert len(report.compared) == 8


def test_the_largest_difference_of_each_output_is_told(exported: Path, tmp_path: Path) -> None:
    """One of the two variables is 3 and not 2: two of four outputs differ."""
    x = np.array([1.0, 2.0, -4.0], "float32")
    np.savez(tmp_path / "x.npz", x=x)
    rule = Feeding(file=tmp_path / "x.npz")
    report = _check(exported / "other", exported / "twins", feeding=rule)
    expected = {("one", "a"): (3 * x, 2 * x), ("two", "a"): (x - 3, x - 2)}
    assert _faults(report) == {
        (f"signature '{key}', output '{output}'", "not-the-same") for key, output in expected
    }
    for each in report.compared:
        ours, theirs = expected.get((each.key, each.output), (x, x))
        assert each.elements == 3
        assert each.different == (ours != theirs).sum()
        assert each.absolute == np.abs(ours - theirs).max()
        with np.errstate(divide="ignore"):
            assert each.relative == np.nan_to_num(np.abs(ours - theirs) / np.abs(theirs)).max() or (
                each.relative == np.inf and (theirs == 0).any()
            )


@pytest.mark.parametrize(
    ("near", "same"),
    [
        ({"relative": 0.5}, False),
        ({"absolute": 1.0}, True),
        ({"absolute": 0.9}, False),
        ({"relative": 0.4, "absolute": 0.6}, True),
    ],
)
def test_a_tolerance_is_that_of_numpy(
    exported: Path,
    tmp_path: Path,
    near: dict[str, float],
    same: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([1.0], "float32"))
    rule = Feeding(file=tmp_path / "x.npz")
    report = _check(exported / "other", exported / "twins", feeding=rule, **near)
    ours = {("one", "a"): (3.0, 2.0), ("two", "a"): (-2.0, -1.0)}
    relative, absolute = near.get("relative", 0.0), near.get("absolute", 0.0)
    assert report.ok == same
    assert same == all(np.allclose(*pair, relative, absolute) for pair in ours.values())


def test_keys_and_aliases_must_be_the_same(twins: Path, exported: Path) -> None:
    edits: list[Edit] = [
        Copy("one", "more"),
        Rename("two", "less"),
        EditSignature("one", rename_inputs={"x": "y"}, drop_outputs=("b",)),
    ]
    smpatch.patch(twins, edits, options=smpatch.Options(validate="none"))
    report = _check(twins, exported / "twins")
    told = [each.text for each in report.faults if each.code == "not-the-same"]
    assert len(told) == 5
    for key, where in (("two", "and not here"), ("more", "it is here"), ("less", "it is here")):
        assert any(
            each.where == f"signature {key!r}" and where in each.text for each in report.faults
        )
    assert any("the inputs ['y'] here, ['x'] in" in text for text in told)
    assert any("the outputs ['a'] here, ['a', 'b'] in" in text for text in told)


def test_nothing_that_could_be_compared_is_no_sameness(twins: Path, exported: Path) -> None:
    smpatch.patch(twins, [Rename("one", "three"), Remove(("two",))])
    report = _check(twins, exported / "twins")
    assert "nothing-compared" in {each.code for each in report.faults}


def test_outputs_without_elements_are_no_sameness(exported: Path) -> None:
    """The models are different, and a batch of 0 shows no difference."""
    assert not _check(exported / "other", exported / "twins").ok
    report = _check(exported / "other", exported / "twins", feeding=Feeding(batches=(0,)))
    assert {each.elements for each in report.compared} == {0}
    assert {each.code for each in report.faults} == {"nothing-compared"}
    empty = {each.where for each in report.notes if each.code == "not-compared"}
    assert empty == {"signature 'one'", "signature 'two'"}


def test_what_is_random_or_has_a_state_is_told_and_not_counted(exported: Path) -> None:
    report = _check(exported / "fickle", exported / "fickle", validate="full")
    assert report.ok, report.faults
    unstable = {each.where for each in report.notes if each.code == "numbers-unstable"}
    assert unstable == {
        "signature 'noise', output 'random'",
        "signature 'counter', output 'count'",
        "signature 'reader', output 'read'",
    }
    compared = {(each.key, each.output) for each in report.compared}
    assert ("noise", "steady") in compared
    assert ("nothing", "nan") in compared
    assert ("text", "upper") in compared
    assert ("noise", "random") not in compared


def test_what_runs_in_neither_is_told_once() -> None:
    """Random feeds give a ragged tensor values and splits that do not agree."""
    model = models.FIXTURES / "ragged_sparse_inputs"
    report = _check(model, model, validate="full")
    told = [each.where for each in report.findings if each.code == "not-compared"]
    assert told == ["signature 'ragged'"]
    assert {each.key for each in report.compared} == {"plain"}


@pytest.mark.parametrize("here", ["sparse", "dense"])
def test_a_sparse_and_a_dense_tensor_of_one_name_are_not_the_same(
    here: str, tmp_path: Path
) -> None:
    """Nothing can be fed to both, so that no number shows the difference."""
    places = {"sparse": models.FIXTURES / "sparse"}
    places["dense"] = Path(shutil.copytree(places["sparse"], tmp_path / "dense"))
    smpatch.add_predict(
        places["dense"],
        inputs={"ids": "ids/values:0"},
        outputs={"twice": "mul:0"},
        signature="twice",
        options=smpatch.Options(validate="none", overwrite=True),
    )
    other = "dense" if here == "sparse" else "sparse"
    report = _check(places[here], places[other])
    assert not report.ok
    assert {each.code for each in report.faults} == {"not-the-same"}
    assert {each.where for each in report.faults} == {"signature 'twice'"}
    assert {each.key for each in report.compared} == {"dense"}


def test_another_model_that_cannot_be_loaded(twins: Path, exported: Path) -> None:
    (twins / "variables" / "variables.index").write_bytes(b"damaged")
    report = _check(exported / "twins", twins)
    assert "does not load both models" in " ".join(each.text for each in report.faults)
    with pytest.raises(smpatch.ModelUnreadableError):
        _check(exported / "twins", exported)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"relative": -1.0}, "not a tolerance"),
        ({"absolute": float("nan")}, "not a tolerance"),
        ({"absolute": float("inf")}, "not a tolerance"),
        ({"relative": "0.1"}, "not a tolerance"),
        ({"feeding": Feeding(batches=())}, "a batch has a size"),
        ({"validate": "none"}, "nothing can be run"),
    ],
)
def test_what_makes_no_sense_is_refused(exported: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _check(exported / "twins", exported / "twins", **asked)


def test_the_command_says_what_is_the_same_and_what_is_not(call: Run, exported: Path) -> None:
    twins, other = str(exported / "twins"), str(exported / "other")
    same = call("check", twins, "--same-as", twins, "--validate", "runtime")
    assert same.code == 0, same.err
    assert "same  one, a: all elements agree (1) (C runtime)" in same.out
    options = ("--same-as", twins, "--validate", "runtime", "--json", "--seed", "3", "--batch", "2")
    differs = call("check", other, *options)
    assert differs.code == 1
    told = json.loads(differs.out)["check"]["same_as"]
    assert (told["model"], told["rtol"], told["atol"]) == (twins, 0.0, 0.0)
    sizes = {(each["key"], each["output"]): each for each in told["outputs"]}
    assert sizes["one", "b"]["largest_absolute"] == 0
    assert sizes["two", "a"]["different"] == sizes["two", "a"]["elements"] == 2
    near = call("check", other, *options[:4], "--atol", "1", "--rtol", "0")
    assert near.code == 0, near.out
    assert call("check", other, "--atol", "1").code == 2


def test_the_error_of_the_other_model_names_that_model_alone(
    exported: Path, tmp_path: Path, call: Run
) -> None:
    said = call("check", exported / "twins", "--same-as", tmp_path / "nowhere")
    assert said.code == 3
    assert said.line == f"smpatch: {tmp_path / 'nowhere'}: no such directory"


def test_a_signature_that_python_lists_in_one_model_alone_is_a_difference(
    exported: Path, tmp_path: Path
) -> None:
    """Only the C runtime was asked, and the report was without a fault."""
    model = Path(shutil.copytree(exported / "twins", tmp_path / "model"))
    apart = smpatch.Options(validate="none", signature_def_only=True)
    smpatch.patch(model, Rename("two", "three"), options=apart)
    other = Path(shutil.copytree(exported / "twins", tmp_path / "other"))
    smpatch.patch(other, Rename("two", "three"), options=UNPROVED)
    words = "tf.saved_model.load lists it"
    for first, second, where in ((model, other, f"in {other}"), (other, model, "here")):
        report = _check(first, second, validate="full")
        found = {each.where: each.text for each in report.faults if words in each.text}
        assert found == {"signature 'three'": f"{words} {where} alone"}


def test_a_note_names_inputs_that_differ_in_python_alone(exported: Path, tmp_path: Path) -> None:
    model, other = (
        Path(shutil.copytree(exported / "twins", tmp_path / name)) for name in ("model", "other")
    )
    edit = EditSignature("one", rename_inputs={"x": "z"})
    smpatch.patch(other, edit, options=UNPROVED)
    apart = smpatch.Options(validate="none", signature_def_only=True)
    smpatch.patch(model, edit, options=apart)
    report = _check(model, other, validate="full")
    told = [each.text for each in report.notes if each.code == "not-compared"]
    inputs = "its inputs are ['x'] and ['z'], and the values are for ['z']"
    assert told == [f"no numbers (tf.saved_model.load): {inputs}"]
