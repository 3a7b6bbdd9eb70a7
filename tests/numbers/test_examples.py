"""Examples that smpatch makes for parsing signatures: TensorFlow parses them."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpatch
from smpatch.runs.feeds import Feeds, in_c
from smpatch.runs.sessions import CRuntime, Place
from smpatch.runs.values import Feature, Feeding, example, features
from smpatch.runtime.questions import Array
from smpatch.validator import Validator

FIXTURES = Path(__file__).parents[2] / "fixtures" / "models"

WANTED = {
    b"vector": Feature("float32", 6),
    b"number": Feature("int64"),
    b"word": Feature("string"),
    b"some": Feature("float32"),
    b"rows": Feature("int64"),
    b"any": Feature("float32", 2),
    b"thin": Feature("int64"),
    b"thick": Feature("float32", 2),
    b"label": Feature("string"),
    b"one": Feature("int64", 4),
}


def test_features_are_those_that_functions_parse(exported: Path) -> None:
    (meta_graph,) = smpatch.load(exported / "parser").meta_graphs
    assert features(meta_graph) == WANTED


def test_features_are_those_that_a_graph_parses() -> None:
    (meta_graph,) = smpatch.load(FIXTURES / "classify_regress").meta_graphs
    assert features(meta_graph) == {b"x": Feature("float32")}


@pytest.mark.parametrize("name", ["strings", "module"])
def test_a_model_that_parses_nothing_wants_nothing(name: str) -> None:
    (meta_graph,) = smpatch.load(FIXTURES / name).meta_graphs
    assert features(meta_graph) == {}


def test_tensorflow_parses_them(exported: Path, validator: Validator) -> None:
    (meta_graph,) = smpatch.load(exported / "parser").meta_graphs
    targets = in_c(meta_graph.signatures)
    feeds = Feeds(Feeding("random", 3, (1, 2)), meta_graph.signatures, features(meta_graph))
    runs: dict[str, list[dict[str, Array]]] = {}
    with CRuntime(validator, Place(exported / "parser", ("serve",))) as session:
        for key, signature in meta_graph.signatures.items():
            for feed in feeds.of(key, signature.inputs):
                ran = session.run(targets[key].call(feed.values))
                assert not ran.failure
                runs.setdefault(key, []).append({a: part for a, (part,) in ran.outputs.items()})
    assert [run["vector"].shape for run in runs["batch"]] == [(1, 2, 3), (2, 2, 3)]
    assert [run["any"].shape for run in runs["batch"]] == [(1, 1, 2), (2, 1, 2)]
    assert [run["some"].shape for run in runs["batch"]] == [(1, 1), (2, 1)]
    assert [run["thick"].shape for run in runs["old"]] == [(1, 2), (2, 2)]
    assert [run["one"].shape for run in runs["single"]] == [(4,)]
    both = runs["batch"][1]["vector"].data
    assert both[: len(both) // 2] != both[len(both) // 2 :]


def test_an_example_is_that_of_the_proto() -> None:
    """The bytes are as example.proto defines them: one feature map, one list for each feature."""
    assert example({}, "ones", 0) == b"\x0a\x00"
    made = example({b"n": Feature("int64", 2), b"s": Feature("string")}, "ones", 0)
    number = b"\x0a\x01n\x12\x06\x1a\x04\x0a\x02\x01\x01"
    word = b"\x0a\x01s\x12\x05\x0a\x03\x0a\x011"
    entries = b"".join(b"\x0a" + bytes([len(each)]) + each for each in (number, word))
    assert made == b"\x0a" + bytes([len(entries)]) + entries
