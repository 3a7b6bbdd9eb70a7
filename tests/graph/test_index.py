"""Nodes by name: in each encoding the index finds the nodes that protobuf's parser reads."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.make import raw
from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.graph.index import GraphIndex

NODE, LIBRARY, VERSIONS = 1, 2, 4
NAME, OP, INPUT, DEVICE, ATTR = 1, 2, 3, 4, 5


def index(*pieces: bytes) -> GraphIndex:
    """Index a graph of several pieces with other bytes between them."""
    data, spans = b"\xff", []
    for piece in pieces:
        spans.append((len(data), len(data) + len(piece)))
        data += piece + b"\xff\xff"
    return GraphIndex(data, spans)


def attr(key: str, value: Any) -> bytes:  # noqa: ANN401 - an AttrValue
    return raw.field(ATTR, raw.field(1, key.encode()) + raw.field(2, value.SerializeToString()))


def number(value: int) -> Any:  # noqa: ANN401 - as above
    return schema.AttrValue(i=value)


texts = st.text(min_size=1, max_size=6) | st.integers(120, 140).map("n".__mul__)
nodes = st.builds(
    lambda name, op, inputs, attrs: (name, op, tuple(inputs), attrs),
    texts,
    texts,
    st.lists(texts, max_size=3),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**40)), max_size=4),
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Any], bytes]:
    """Draw nodes, and a graph that holds them in one of the encodings that protobuf allows."""
    drawn = draw(st.lists(nodes, max_size=6))
    out = b""
    for name, op, inputs, attrs in drawn:
        parts = [raw.field(OP, op.encode()), *(raw.field(INPUT, each.encode()) for each in inputs)]
        parts += [attr(key, number(value)) for key, value in attrs]
        parts.append(raw.UNKNOWN if draw(st.booleans()) else b"")
        if draw(st.integers(0, 5)) == 0:  # a node of more than 16 KiB
            parts.append(raw.field(DEVICE, b"d" * 17_000))
        write = raw.padded if draw(st.integers(0, 3)) == 0 else raw.field
        at = draw(st.integers(0, len(parts))) if draw(st.booleans()) else 0
        # If the name is not first, the inputs still have to keep their order.
        body = b"".join([*parts[:at], write(NAME, name.encode()), *parts[at:]])
        write = raw.padded if draw(st.integers(0, 3)) == 0 else raw.field
        tag = raw.tag(NODE, raw.BYTES)
        field = write(NODE, body)
        if draw(st.integers(0, 5)) == 0:
            field = b"\x8a\x00" + field[len(tag) :]  # the tag, in two bytes
        out += field + (raw.UNKNOWN if draw(st.integers(0, 4)) == 0 else b"")
    return drawn, out


@given(graphs(), st.data())
def test_reads_what_protobuf_reads(drawn: tuple[list[Any], bytes], data: st.DataObject) -> None:
    _, encoded = drawn
    parsed = {node.name: node for node in schema.GraphDef.FromString(encoded).node}
    graph = index(encoded)
    assert list(graph) == list(parsed)
    assert len(graph) == len(parsed)
    for name, node in parsed.items():
        assert name in graph
        assert graph.wiring(name) == (name, node.op, tuple(node.input))
        assert graph.node(name).wiring == graph.wiring(name)
        for key in "abc":
            expected = node.attr.get(key)
            assert graph.node(name).attr(key) == expected
    absent = data.draw(texts.filter(lambda name: name not in parsed))
    assert absent not in graph
    with pytest.raises(KeyError):
        graph.node(absent)


@given(graphs(), graphs())
def test_pieces_are_one_graph(one: tuple[list[Any], bytes], two: tuple[list[Any], bytes]) -> None:
    parsed = {node.name: node.op for node in schema.GraphDef.FromString(one[1] + two[1]).node}
    graph = index(one[1], two[1])
    assert {name: graph.wiring(name).op for name in graph} == parsed


@given(graphs().filter(lambda drawn: len(drawn[1]) < 2000), st.data())
def test_a_truncated_graph_is_refused_or_a_shorter_one(
    drawn: tuple[list[Any], bytes], data: st.DataObject
) -> None:
    _, encoded = drawn
    cut = data.draw(st.integers(0, len(encoded)))
    graph = GraphIndex(encoded[:cut], [(0, cut)])
    try:
        names = list(graph)
    except ModelUnreadableError:
        return
    whole = list(index(encoded))
    assert set(names) <= set(whole)


@pytest.mark.parametrize(
    "body", [raw.field(NAME, b"\xff"), raw.field(NAME, b"\xff" * 200), b"\x0a\x05x", b"\x0a"]
)
def test_what_is_no_node_is_told(body: bytes) -> None:
    with pytest.raises(ModelUnreadableError):
        list(index(raw.field(NODE, body)))


def test_the_last_of_several_attributes_of_one_name_counts() -> None:
    body = (
        raw.field(NAME, b"n") + attr("a", number(1)) + attr("b", number(5)) + attr("a", number(2))
    )
    node = index(raw.field(NODE, body)).node("n")
    assert schema.NodeDef.FromString(body).attr["a"].i == 2
    assert node.attr("a") == number(2)
    assert node.attr("b") == number(5)
    assert node.attr("c") is None


def test_the_span_of_an_attribute_is_where_its_value_lies() -> None:
    value = number(300)
    body = raw.field(NAME, b"n") + attr("a", value)
    data = raw.field(NODE, body)
    graph = GraphIndex(data, [(0, len(data))])
    start, end = graph.node("n").attr_span("a") or (0, 0)
    assert data[start:end] == value.SerializeToString()
    assert end == len(data)


def test_an_attribute_without_a_value_is_an_empty_one() -> None:
    body = raw.field(NAME, b"n") + raw.field(ATTR, raw.field(1, b"a"))
    assert index(raw.field(NODE, body)).node("n").attr("a") == schema.AttrValue()


def test_the_weights_of_a_constant_are_not_copied() -> None:
    size = 8_000_000
    weights = schema.AttrValue(tensor=schema.TensorProto(tensor_content=bytes(size)))
    body = raw.field(NAME, b"w") + raw.field(OP, b"Const") + attr("value", weights)
    data = raw.field(NODE, body + attr("dtype", schema.AttrValue(type=1)))
    graph = GraphIndex(data, [(0, len(data))])
    tracemalloc.start()
    try:
        node = graph.node("w")
        assert node.wiring == ("w", "Const", ())
        assert node.attr("dtype") == schema.AttrValue(type=1)
        start, end = node.attr_span("value") or (0, 0)
        assert end - start > size
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_versions_of_several_pieces_are_merged() -> None:
    pieces = [
        raw.field(VERSIONS, schema.VersionDef(producer=7, min_consumer=1).SerializeToString()),
        raw.field(VERSIONS, schema.VersionDef(min_consumer=3).SerializeToString()),
    ]
    assert index(*pieces).producer == 7
    assert index().producer == 0


def test_function_signatures_are_those_of_the_library() -> None:
    graph = schema.GraphDef()
    for name in ("first", "second"):
        signature = graph.library.function.add().signature
        signature.name = name
        signature.output_arg.add(name="y", type=1)
    found = index(graph.SerializeToString(), b"").function_signatures
    assert {name: op_def.output_arg[0].type for name, op_def in found.items()} == {
        "first": 1,
        "second": 1,
    }
