"""Large graphs as integers: the same nodes as protobuf's parsers, the same reach as over names.

Here every graph counts as large, and is read in windows of a few nodes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

import smpatch
from fixtures.make import raw
from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.graph import index, numbered
from smpatch.graph.index import GraphIndex, op_of
from smpatch.graph.reach import Reach, reach
from tests.benchmarks import generate
from tests.tensorflow_says import ask

NODE, LIBRARY, VERSIONS = 1, 2, 4
NAME, OP, INPUT, DEVICE, ATTR = 1, 2, 3, 4, 5

Drawn = tuple[str, str, tuple[str, ...]]
"""Name, operation and inputs of a node."""

names = st.sampled_from(
    ["a", "b", "c", "a/b", "a" * 7, "a" * 8, "a" * 9, "n" * 130, "é", "a:b", "x\n\x05\n\x01a"]
) | st.text(max_size=20)
ops = st.sampled_from(["Add", "Split", "Const", "Placeholder", "Enter", "Switch", "NoOp", "é" * 9])
SOUND = ["{}", "{}:0", "{}:1", "^{}"]
forms = st.sampled_from(["{}", "{}", "{}:0", "{}:1", "{}:12345678", "^{}", "^{}:1", "{}:", "{}:a"])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Drawn], bytes]:
    """Draw nodes, and a graph that holds them in one of the encodings that protobuf allows."""
    if draw(st.booleans()):  # sound, and as exporters write it
        drawn = draw(st.permutations(["a", "b", "a/b", "a" * 7, "a" * 8, "a" * 9, "n" * 130]))
        kinds = st.sampled_from(["Add", "Add", "Split", "Const", "Switch", "Placeholder"])
        sources = st.builds(str.format, st.sampled_from(SOUND), st.sampled_from(drawn))
        return _encoded(_plain, [(name, draw(kinds), _inputs(draw, sources)) for name in drawn])
    drawn = draw(st.lists(names, min_size=1, max_size=9, unique=True))
    known = st.sampled_from(drawn)
    sources = st.builds(str.format, forms, known | known | known | names)
    nodes = [(name, draw(ops), _inputs(draw, sources)) for name in drawn]
    return _encoded(partial(_odd, draw), nodes)


def _inputs(draw: st.DrawFn, sources: st.SearchStrategy[str]) -> tuple[str, ...]:
    return tuple(draw(st.lists(sources, max_size=3)))


def _encoded(write: Callable[[Drawn], bytes], nodes: list[Drawn]) -> tuple[list[Drawn], bytes]:
    return nodes, b"".join(map(write, nodes))


def _plain(node: Drawn) -> bytes:
    name, op, inputs = node
    attrs = {"T": schema.AttrValue(type=1), "s": schema.AttrValue(s=_inner(name))}
    message = schema.NodeDef(name=name, op=op, input=inputs, device="/cpu:0", attr=attrs)
    return raw.field(NODE, message.SerializeToString(deterministic=True))


def _odd(draw: st.DrawFn, node: Drawn) -> bytes:
    """Write a node in an encoding that exporters do not use, with other bytes after it at times."""
    name, op, inputs = node
    fields = [(NAME, name), (OP, op), *((INPUT, each) for each in inputs)]
    parts = [_writer(draw)(number, text.encode()) for number, text in fields]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts) - 1)), parts.pop(0))
    others = [
        raw.field(DEVICE, b"d" * draw(st.sampled_from([0, 3, 200, 17_000]))),
        raw.field(ATTR, raw.field(1, b"k") + raw.field(2, raw.field(2, _inner("k")))),
        raw.field(DEVICE, _inner("d")),
        raw.UNKNOWN,
        b"\x92\x00" + raw.field(OP, op.encode())[1:],  # the tag, in two bytes
        raw.tag(9, raw.GROUP) + raw.field(NAME, b"g") + raw.tag(9, raw.END_GROUP),
    ]
    for each in draw(st.lists(st.sampled_from(others), max_size=3)):
        parts.insert(draw(st.integers(0, len(parts))), each)
    if draw(st.integers(0, 3)) == 0:
        parts[:0] = [raw.field(number, b"what comes later counts") for number in (NAME, OP)]
    field: bytes = _writer(draw)(NODE, b"".join(parts))
    if draw(st.integers(0, 9)) == 0:
        field = b"\x8a\x00" + field[1:]
    between = [
        b"",
        b"",
        b"",
        raw.UNKNOWN,
        raw.field(VERSIONS, b"\x08\x07"),
        raw.field(LIBRARY, b""),
    ]
    return field + draw(st.sampled_from(between))


def _writer(draw: st.DrawFn) -> Any:  # noqa: ANN401 - a function of raw
    return raw.padded if draw(st.integers(0, 9)) == 0 else raw.field


def _inner(name: str) -> bytes:
    """Return bytes that look like a node, for places that hold no node."""
    return raw.field(NODE, raw.field(NAME, name.encode()) + raw.field(OP, b"Inner"))


@contextmanager
def all_large(window: int) -> Iterator[None]:
    """Make every graph count as large, and read it in windows of ``window`` bytes."""
    with (
        patch.multiple(index, _LARGE=0, _MANY=0),
        patch.multiple(numbered, _WINDOW=window, _FEWEST=1 << 20),
    ):
        yield


UNPROVED = smpatch.Options(validate="none")

windows = st.sampled_from([40, 100, 300, 1 << 20])


def check_nodes(encoded: bytes, parsed: Sequence[Any], window: int) -> None:
    """Compare the index with the nodes of a parsed graph, whose names are distinct.

    Raises:
        AssertionError: They are not the same.
    """
    number = {node.name: place for place, node in enumerate(parsed)}
    with all_large(window):
        graph = GraphIndex(b"\xff" + encoded, [(1, 1 + len(encoded))])
        assert graph.numbered is not None
        assert len(graph.numbered) == len(parsed)
        for place, node in enumerate(parsed):
            assert graph.number(node.name) == place
            assert graph.wiring(node.name) == (node.name, node.op, tuple(node.input))
            assert graph.raw(node.name) in encoded
            meant = [each[1:] if each[:1] == "^" else op_of(each) for each in node.input]
            assert graph.numbered.sources(place) == [number.get(each, -1) for each in meant]
        assert "absent" not in graph


@given(graphs(), windows)
def test_reads_what_protobuf_reads(drawn: tuple[list[Drawn], bytes], window: int) -> None:
    nodes, encoded = drawn
    parsed = schema.GraphDef.FromString(encoded).node
    assert [(node.name, node.op, tuple(node.input)) for node in parsed] == nodes
    check_nodes(encoded, parsed, window)


def test_tensorflow_reads_the_same_nodes(tmp_path_factory: pytest.TempPathFactory) -> None:
    said = ask("numbered", tmp_path_factory)
    assert said["examples"] > 100
    assert said["wrong"] == []


def walked(graph: GraphIndex, outputs: list[str], fed: set[str]) -> Reach | str:
    """Return the result of a walk, or the error of a damaged graph."""
    try:
        return reach(graph, outputs, fed)
    except ModelUnreadableError as error:
        return str(error)


@given(graphs(), windows, st.data())
def test_walks_as_over_names(
    drawn: tuple[list[Drawn], bytes], window: int, data: st.DataObject
) -> None:
    nodes, encoded = drawn
    known = st.sampled_from([*(name for name, _, _ in nodes), "absent"])
    tensors = st.builds("{}:{}".format, known, st.integers(0, 1))
    outputs = data.draw(st.lists(tensors, min_size=1, max_size=3))
    fed = data.draw(st.sets(tensors, max_size=3))
    spans = [(0, len(encoded))]
    with all_large(window):
        found = walked(GraphIndex(encoded, spans), outputs, fed)
    assert found == walked(GraphIndex(encoded, spans), outputs, fed)


@given(graphs(), windows, st.data())
@example(([("a", "Add", ())], raw.field(NODE, b"\x0a\x01a\x1a\x02\xff\xff")), 40, None)
def test_what_is_damaged_is_told_as_over_names(
    drawn: tuple[list[Drawn], bytes], window: int, data: st.DataObject | None
) -> None:
    _, encoded = drawn
    damaged = bytearray(encoded)
    if data is not None:
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    said = []
    for large in (True, False):
        with all_large(window) if large else patch.object(index, "_LARGE", 1 << 40):
            graph = GraphIndex(bytes(damaged), [(0, len(damaged))])
            try:
                wired = {name: graph.wiring(name) for name in _names(bytes(damaged))}
                said.append(str(sorted(wired.items())))
            except (ModelUnreadableError, KeyError) as error:
                said.append(repr(error))
    assert said[0] == said[1]


def _names(encoded: bytes) -> list[str]:
    """Return the names of the nodes that protobuf reads; two other names if it reads no graph."""
    try:
        return [node.name for node in schema.GraphWiring.FromString(encoded).node]
    except DecodeError:
        return ["a", "b"]


@pytest.mark.parametrize("names", ["aba", "aa"])
def test_of_two_nodes_of_one_name_the_last_counts(names: str) -> None:
    encoded = b"".join(_plain((name, f"Op{at}", ())) for at, name in enumerate(names))
    with all_large(1 << 20):
        graph = GraphIndex(encoded, [(0, len(encoded))])
        assert graph.numbered is None
        assert graph.wiring("a").op == f"Op{len(names) - 1}"


@given(st.binary(max_size=40).map(lambda text: bytes(each & 0x7F for each in text)))
def test_a_lone_name_is_found_by_the_hash_of_many(text: bytes) -> None:
    node = (text.decode(), "Op", ())
    encoded = b"".join(map(_plain, [node, (node[0] + "z", "Op", ()), ("y" + node[0], "Op", ())]))
    with all_large(1 << 20):
        graph = GraphIndex(encoded, [(0, len(encoded))])
        assert graph.number(node[0]) == 0


def test_a_graph_without_nodes_is_none_of_numbers() -> None:
    encoded = raw.field(VERSIONS, b"\x08\x07") * 3
    with all_large(1 << 20):
        graph = GraphIndex(encoded, [(0, len(encoded))])
        assert graph.numbered is None
        assert "a" not in graph


def test_who_asks_for_many_names_gets_the_index_of_all() -> None:
    encoded = b"".join(_plain((name, "Op", ())) for name in "abc")
    with all_large(1 << 20), patch.object(index, "_FEW", 2):
        graph = GraphIndex(encoded, [(0, len(encoded))])
        assert [graph.wiring(name).name for name in "abcabc"] == list("abcabc")
        assert graph.numbered is None
        graph = GraphIndex(encoded, [(0, len(encoded))])
        assert graph.wiring("b").name == "b"
        assert list(graph) == list("abc")
        assert graph.numbered is None


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("x:0", "y:0"),
        ("n7:0", "n69999:0"),
        ("x:0,n7:0", "y:0"),
        ("n7:0", "y:0,x:0"),
        ("n8:0", "n7:0"),
        ("x:0", "z:0"),
        ("x:0", "Y:0"),
        ("x:0", "y:1"),
    ],
)
def test_a_large_model_is_edited_as_over_names(
    large_chain: Path, tmp_path: Path, inputs: str, outputs: str
) -> None:
    """The bytes, the notes and the refusals are the same."""
    given, results = (
        {f"t{at}": name for at, name in enumerate(names.split(","))} for names in (inputs, outputs)
    )
    found = []
    for way in ("numbers", "names"):
        model = tmp_path / "model"
        shutil.copytree(large_chain, model)
        with patch.object(index, "_LARGE", 1 << 22 if way == "numbers" else 1 << 40):
            try:
                receipt = smpatch.add_predict(
                    model, inputs=given, outputs=results, signature="new", options=UNPROVED
                )
                said = repr(receipt)
            except smpatch.SmpatchError as error:
                said = str(error)
        found.append((said, (model / "saved_model.pb").read_bytes()))
        shutil.rmtree(model)
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def large_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with enough nodes to be read as integers."""
    model = generate.chain(tmp_path_factory.mktemp("large") / "chain", 70_000)
    assert smpatch.load(model).meta_graph().graph.numbered is not None
    return model
