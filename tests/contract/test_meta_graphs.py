"""An edit removes a whole MetaGraph: only its bytes, and TensorFlow serves the others."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, PatchFileError, TagSetError, UsageError, ValidationError, wire
from smpatch.edits import Copy, Edit, RemoveMetaGraph, Rename
from smpatch.functions.compare import disagreements
from smpatch.patchfile import parse_patch
from smpatch.savedmodel.parts import META_GRAPHS, META_INFO_DEF, OBJECT_GRAPH_DEF
from smpatch.validator import Mode
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, decoded, encoded

UNPROVED = Options(validate="none")
TAGS = (("serve",), ("serve", "gpu"), ("train",))


def _copy(name: str, to: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / name, to))


def _meta_graphs(file: Path) -> list[bytes]:
    data = file.read_bytes()
    fields = [each for each in wire.fields(data) if each.number == META_GRAPHS]
    return [data[each.start : each.end] for each in fields]


def _write(directory: Path, bodies: Sequence[bytes]) -> None:
    """Write a SavedModel with these MetaGraphs."""
    fields = b"".join(wire.delimited(META_GRAPHS, each) for each in bodies)
    (directory / "saved_model.pb").write_bytes(b"\x08\x01" + fields)


def _body(directory: Path) -> bytes:
    """Return the only MetaGraph of a model."""
    data = (directory / "saved_model.pb").read_bytes()
    (field,) = (each for each in wire.fields(data) if each.number == META_GRAPHS)
    return field.bytes(data)


def _called(oracle: Oracle, directory: Path, key: str) -> dict[str, Any]:
    """Call a signature of the model in Python, and return its results or the refusal."""
    return oracle.ask(
        "call",
        directory=directory,
        tags=["serve"],
        key=key,
        inputs={"x": ["dense", "x"]},
        feed={"x": encoded(np.ones((1, 2), "float32"))},
    )


def _tagged(tag: str) -> bytes:
    """Return a MetaGraph with only a tag and an empty graph."""
    return wire.delimited(META_INFO_DEF, wire.delimited(4, tag.encode())) + wire.delimited(2, b"")


@pytest.mark.parametrize("place", range(3))
def test_only_the_bytes_of_the_meta_graph_go_and_the_others_are_served(
    place: int, tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copy("several_tag_sets", tmp_path / "model")
    file = directory / "saved_model.pb"
    before = _meta_graphs(file)
    receipt = smpatch.remove_meta_graph(directory, TAGS[place], options=Options(backup=True))
    (change,) = receipt.changes
    assert (change.key, change.outcome) == (",".join(TAGS[place]), "meta-graph-removed")
    assert receipt.loaders == ("C runtime",)
    assert _meta_graphs(file) == [*before[:place], *before[place + 1 :]]
    there = [
        tuple(each["tags"]) for each in oracle.ask("parse", directory=directory)["meta_graphs"]
    ]
    assert there == [each for each in TAGS if each != TAGS[place]]
    for tags in TAGS:
        said = oracle.ask("load", directory=directory, tags=tags, loaders=["v1"])
        assert bool(said["v1"]) == (tags == TAGS[place])
    if place:
        feed = {"x:0": encoded(np.array([1, 2], "float32"))}
        about = {"tags": ["serve"], "key": "serving_default", "feed": feed}
        ran = [
            decoded(oracle.ask("run_signature", directory=each, **about)["arrays"]["y"]).tolist()
            for each in (FIXTURES / "several_tag_sets", directory)
        ]
        assert ran[0] == ran[1]
    smpatch.undo(directory)
    assert _meta_graphs(file) == before


def test_one_run_of_each_signature_shows_the_same_numbers(tmp_path: Path) -> None:
    directory = _copy("several_tag_sets", tmp_path / "model")
    receipt = smpatch.remove_meta_graph(directory, "train", options=Options(validate="run"))
    assert receipt.numbers == {"serving_default": ("y",)}


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    directory = _copy("several_tag_sets", tmp_path / "model")
    before = (directory / "saved_model.pb").read_bytes()
    receipt = smpatch.remove_meta_graph(directory, "train", options=Options(dry_run=True))
    assert (receipt.size_before, receipt.size_after) == (len(before), 11640)
    assert (directory / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("place", range(3))
def test_a_meta_graph_of_a_model_in_text_form(place: int, tmp_path: Path, oracle: Oracle) -> None:
    directory = _copy("several_tag_sets", tmp_path / "model")
    oracle.ask("to_text", directory=directory)
    file = directory / "saved_model.pbtxt"
    file.write_text("# a comment\n" + file.read_text() + "# the end\n")
    smpatch.remove_meta_graph(directory, TAGS[place], options=UNPROVED)
    after = file.read_text()
    assert (after[:12], after[-10:]) == ("# a comment\n", "# the end\n")
    there = [
        tuple(each["tags"]) for each in oracle.ask("parse", directory=directory)["meta_graphs"]
    ]
    assert there == [each for each in TAGS if each != TAGS[place]]


@pytest.mark.parametrize(("tags", "outcome"), [("ab", "removed"), ("abc", "refused")])
def test_meta_graphs_in_a_list_of_text(
    tags: str, outcome: str, tmp_path: Path, oracle: Oracle
) -> None:
    several = ", ".join(f'{{ meta_info_def {{ tags: "{tag}" }} graph_def {{ }} }}' for tag in tags)
    file = tmp_path / "saved_model.pbtxt"
    file.write_text(f"saved_model_schema_version: 1 meta_graphs: [ {several} ]\n")
    if outcome == "refused":  # two removals in one list may need the same comma
        with pytest.raises(smpatch.RefusedError, match="from a list only if"):
            smpatch.remove_meta_graph(tmp_path, "b", options=UNPROVED)
        return
    smpatch.remove_meta_graph(tmp_path, "b", options=UNPROVED)
    (left,) = oracle.ask("parse", directory=tmp_path)["meta_graphs"]
    assert left["tags"] == ["a"]


@pytest.mark.parametrize("gone", ["first", "second"])
def test_python_reads_the_object_graph_of_the_only_one_that_stays(
    gone: str, tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copy("module", tmp_path / "model")
    own, other = _body(directory), _tagged("other")
    _write(directory, [other, own] if gone == "first" else [own, other])
    # With two MetaGraphs, a rename leaves the object graph as it is.
    only_serving = Options(tag_set=["serve"], validate="none")
    smpatch.rename_signature(directory, "serving_default", "served", options=only_serving)
    receipt = smpatch.remove_meta_graph(directory, "other")
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")
    said = {note.code: note.text for note in receipt.notes}
    assert "from its object graph now" in said["object-graph-read"]
    assert "arrays" in _called(oracle, directory, "serving_default")
    assert "KeyError" in _called(oracle, directory, "served")["refused"]
    assert any(each.code == "halves-disagree" for each in receipt.notes)


@pytest.mark.parametrize("validate", ["auto", "full", "run"])
def test_of_several_python_reads_what_servers_read_and_nothing_disagrees(
    validate: Mode, tmp_path: Path, oracle: Oracle
) -> None:
    # A rename with Python's loader was refused, and ``check`` reported faults after a rename.
    directory = _copy("module", tmp_path / "model")
    _write(directory, [_body(directory), _tagged("other")])
    before = _called(oracle, directory, "serving_default")
    assert "arrays" in before
    chosen = Options(tag_set=["serve"], validate=validate)
    edits = [Rename("serving_default", "served"), Copy("served", "again")]
    receipt = smpatch.patch(directory, edits, options=chosen)
    assert not {"object-graph-unchanged", "halves-disagree"} & {each.code for each in receipt.notes}
    for key in ("served", "again"):
        assert _called(oracle, directory, key) == before
    report = smpatch.check(directory, options=smpatch.CheckOptions(tag_set=["serve"]))
    assert not [each for each in report.faults if each.code == "halves-disagree"]
    assert not disagreements(smpatch.load(directory).meta_graph("serve"))
    again = smpatch.rename_signature(directory, "served", "served_too", options=chosen)
    assert "halves-disagree" not in {each.code for each in again.notes}


def test_the_fingerprint_is_that_of_the_first_meta_graph_that_stays(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copy("module", tmp_path / "model")
    own = _body(directory)
    _write(directory, [_tagged("other"), own])
    receipt = smpatch.remove_meta_graph(directory, "other", options=UNPROVED)
    assert receipt.fingerprint == "refreshed"
    said = oracle.ask("fingerprint", directory=directory)
    alone = oracle.ask("fingerprint", directory=FIXTURES / "module")
    assert said["stored"] == said["computed"] == alone["computed"]


def test_a_meta_graph_stays_without_which_python_cannot_load_the_model(tmp_path: Path) -> None:
    directory = _copy("linear", tmp_path / "model")
    broken = b"\x0a\x08\x32\x06\x0a\x04nope"  # a function object with a missing concrete function
    _write(
        directory, [_body(directory) + wire.delimited(OBJECT_GRAPH_DEF, broken), _tagged("other")]
    )
    before = (directory / "saved_model.pb").read_bytes()
    with pytest.raises(ValidationError, match=r"tf.saved_model.load refuses the edited model"):
        smpatch.remove_meta_graph(directory, "other")
    assert (directory / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize(
    ("bodies", "edits", "words"),
    [
        (("a",), [RemoveMetaGraph(("a",))], "'a' is the only MetaGraph"),
        (("a", "b"), [RemoveMetaGraph(("a",)), RemoveMetaGraph(("b",))], "is the only MetaGraph"),
        (("a", "a", "b"), [RemoveMetaGraph(("a",))], "several MetaGraphs have the tag-set 'a'"),
        (("a", "b"), [RemoveMetaGraph(("c",))], "no MetaGraph has the tag-set 'c'"),
        (("a", "b", "c"), [RemoveMetaGraph(("a",))] * 2, "no MetaGraph has the tag-set 'a'"),
        (("a", "b"), [RemoveMetaGraph(())], "no tags are given"),
        (("a", "b"), [RemoveMetaGraph(("a",)), Rename("x", "y")], "has other edits as well"),
    ],
)
def test_what_is_refused(
    bodies: Sequence[str], edits: list[Edit], words: str, tmp_path: Path
) -> None:
    _write(tmp_path, [_tagged(each) for each in bodies])
    before = (tmp_path / "saved_model.pb").read_bytes()
    with pytest.raises((TagSetError, UsageError), match=words):
        smpatch.patch(tmp_path, edits, options=UNPROVED)
    assert (tmp_path / "saved_model.pb").read_bytes() == before


def test_twice_is_once(tmp_path: Path) -> None:
    directory = _copy("several_tag_sets", tmp_path / "model")
    edits = [RemoveMetaGraph(("train",)), RemoveMetaGraph(("gpu", "serve"))]
    first, second = (smpatch.patch(directory, edits, once=True) for _ in range(2))
    assert [each.key for each in first.changes] == ["train", "serve,gpu"]
    assert (second.changes, [each.key for each in second.applied]) == ((), ["train", "gpu,serve"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('rename = "a"\nto = "b"', "edit[0] removes a MetaGraph, and this edit changes one"),
        ('remove-meta-graph = ["b", "train"]', "edit[0] removes this MetaGraph"),
        ('retag = "a"\nto = "b"', "put it into a patch file of its own"),
    ],
)
def test_a_patch_file_that_removes_a_meta_graph_does_nothing_else(more: str, words: str) -> None:
    text = f'version = 1\n[[edit]]\nremove-meta-graph = "train,b"\n[[edit]]\n{more}\n'
    with pytest.raises(PatchFileError) as caught:
        parse_patch(text)
    assert words in str(caught.value)
