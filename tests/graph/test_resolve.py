"""Dtype and shape of each tensor: equal to TensorFlow's, as far as the file records them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smpatch import loader, schema
from smpatch.errors import ModelUnreadableError, TensorNotFoundError
from smpatch.graph.index import GraphIndex
from smpatch.graph.resolve import (
    OpDefMissingError,
    Resolver,
    TensorName,
    constant_shape,
    nearest,
    parse,
)
from tests.tensorflow_says import ask

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"
ENTRIES: list[dict[str, Any]] = json.loads((MODELS / "MANIFEST.json").read_text())
NAMES = [entry["dir"] for entry in ENTRIES if entry["dir"] != "text_newer_writer"]
"""The fixtures, except the one that TensorFlow cannot parse: its text has unknown fields."""

WITHOUT_OP_LIST = {"no_op_list", "text_form"}


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return dtype and shape of every tensor, by fixture and MetaGraph."""
    models: dict[str, Any] = ask("graphs", tmp_path_factory)["models"]
    return models


def test_every_fixture_is_compared(theirs: dict[str, Any]) -> None:
    assert list(theirs) == NAMES
    assert sum(len(tensors) for graphs in theirs.values() for tensors in graphs) > 800


def _compared(name: str, theirs: dict[str, Any]) -> Iterator[tuple[Resolver, Any, str, Any]]:
    meta_graphs = loader.load(MODELS / name).meta_graphs
    for meta_graph, tensors in zip(meta_graphs, theirs[name], strict=True):
        resolver = meta_graph.resolver()
        for tensor, (dtype, shape) in tensors.items():
            expected = (tensor, dtype, None if shape is None else tuple(shape))
            yield resolver, meta_graph, tensor, expected


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_what_tensorflow_infers(name: str, theirs: dict[str, Any]) -> None:
    for resolver, meta_graph, tensor, (full, dtype, shape) in _compared(name, theirs):
        op = meta_graph.graph.wiring(tensor.rpartition(":")[0]).op
        if name in WITHOUT_OP_LIST and op != "Placeholder":
            with pytest.raises(OpDefMissingError, match=f"operation '{op}'"):
                resolver.resolve(tensor)
            continue
        found = resolver.resolve(tensor)
        assert (found.spec.name, found.spec.dtype) == (full, dtype)
        if found.shape_known:
            assert found.spec.shape == shape, tensor
        else:
            assert found.spec.shape is None


@pytest.mark.parametrize("name", NAMES)
def test_an_index_beyond_the_last_output_is_refused(name: str, theirs: dict[str, Any]) -> None:
    for resolver, _, tensor, _ in _compared(name, theirs):
        op, _, index = tensor.rpartition(":")
        beyond = f"{op}:{int(index) + 1}"
        if any(beyond in tensors for tensors in theirs[name]):
            continue
        with pytest.raises(TensorNotFoundError):
            resolver.resolve(beyond)


def test_most_shapes_need_no_tensorflow(theirs: dict[str, Any]) -> None:
    known = [
        resolver.resolve(tensor).shape_known
        for name in NAMES
        if name not in WITHOUT_OP_LIST
        for resolver, _, tensor, _ in _compared(name, theirs)
    ]
    assert sum(known) / len(known) > 0.99


def _graph(*nodes: Any, producer: int = 1000) -> GraphIndex:  # noqa: ANN401 - NodeDefs
    data = schema.GraphDef(
        node=nodes, versions=schema.VersionDef(producer=producer)
    ).SerializeToString()
    return GraphIndex(data, [(0, len(data))])


def _node(name: str, op: str, *inputs: str, **attrs: Any) -> Any:  # noqa: ANN401 - AttrValues
    return schema.NodeDef(name=name, op=op, input=inputs, attr=attrs)


def _op(name: str, *outputs: dict[str, Any], **defaults: Any) -> dict[str, Any]:  # noqa: ANN401 - AttrValues
    args = [schema.OpDef.ArgDef(name=f"y{at}", **each) for at, each in enumerate(outputs)]
    attrs = [schema.OpDef.AttrDef(name=n, default_value=value) for n, value in defaults.items()]
    return {name: schema.OpDef(name=name, output_arg=args, attr=attrs)}


class TestTypes:
    def test_one_output_needs_no_index(self) -> None:
        resolver = Resolver(_graph(_node("n", "Op")), _op("Op", {"type": 1}))
        assert resolver.resolve("n") == resolver.resolve("n:0")
        assert resolver.resolve("n").spec.name == "n:0"

    def test_attributes_tell_type_number_and_list(self) -> None:
        ops = _op(
            "Op", {"type_attr": "T"}, {"type": 3, "number_attr": "N"}, {"type_list_attr": "L"}
        )
        node = _node(
            "n",
            "Op",
            T=schema.AttrValue(type=7),
            N=schema.AttrValue(i=2),
            L=schema.AttrValue(list=schema.AttrValue.ListValue(type=[1, 77])),
        )
        resolver = Resolver(_graph(node), ops)
        found = [resolver.resolve(f"n:{index}").spec.dtype for index in range(5)]
        assert found == ["string", "int32", "int32", "float32", "DT_77"]
        with pytest.raises(TensorNotFoundError, match="has 5 outputs"):
            resolver.resolve("n:5")

    def test_a_stripped_attribute_has_its_default(self) -> None:
        ops = _op("Op", {"type_attr": "T"}, T=schema.AttrValue(type=9))
        assert Resolver(_graph(_node("n", "Op")), ops).resolve("n").spec.dtype == "int64"

    def test_an_attribute_without_a_default_that_is_missing_is_invalid(self) -> None:
        resolver = Resolver(_graph(_node("n", "Op")), _op("Op", {"type_attr": "T"}))
        assert resolver.resolve("n").spec.dtype == "invalid"

    def test_a_reference_has_the_reference_type(self) -> None:
        resolver = Resolver(_graph(_node("n", "Op")), _op("Op", {"type": 1, "is_ref": True}))
        assert resolver.resolve("n").spec.dtype == "float32_ref"

    @pytest.mark.parametrize("count", [2**31 - 1, 2**62])
    def test_a_damaged_number_of_outputs_does_not_take_all_memory(self, count: int) -> None:
        node = _node("n", "Op", N=schema.AttrValue(i=count))
        resolver = Resolver(_graph(node), _op("Op", {"type": 1, "number_attr": "N"}))
        with pytest.raises(ModelUnreadableError, match=f"'Op' has {count} outputs"):
            resolver.resolve("n:0")

    def test_a_node_without_outputs_yields_no_tensor(self) -> None:
        resolver = Resolver(_graph(_node("n", "NoOp")), _op("NoOp"))
        for name in ("n", "n:0"):
            with pytest.raises(TensorNotFoundError) as caught:
                resolver.resolve(name)
            assert caught.value.found == "NoOp 'n' has 0 outputs"
            assert "name a node that yields a tensor" in caught.value.hint

    def test_several_outputs_are_offered(self) -> None:
        resolver = Resolver(_graph(_node("n", "Op")), _op("Op", {"type": 1}, {"type": 3}))
        with pytest.raises(TensorNotFoundError) as caught:
            resolver.resolve("n")
        assert caught.value.hint == "use n:0 or n:1"
        with pytest.raises(TensorNotFoundError, match=r"has 2 outputs \(use n:0 or n:1\)"):
            resolver.resolve("n:2")

    def test_an_operation_that_nothing_defines_is_named(self) -> None:
        with pytest.raises(OpDefMissingError, match="'SentencePiece'") as caught:
            Resolver(_graph(_node("n", "SentencePiece")), {}).resolve("n:0")
        assert caught.value.op == "SentencePiece"

    def test_a_placeholder_tells_its_type_itself(self) -> None:
        node = _node("n", "Placeholder", dtype=schema.AttrValue(type=1))
        assert Resolver(_graph(node), {}).resolve("n").spec.dtype == "float32"


class TestShapes:
    SCALAR = schema.AttrValue(shape=schema.TensorShapeProto())

    @pytest.mark.parametrize(("producer", "known"), [(21, False), (22, True), (0, False)])
    def test_an_old_placeholders_scalar_means_unknown(self, producer: int, known: bool) -> None:  # noqa: FBT001 - a parameter of the table
        node = _node("n", "Placeholder", dtype=schema.AttrValue(type=1), shape=self.SCALAR)
        found = Resolver(_graph(node, producer=producer), {}).resolve("n")
        assert (found.shape_known, found.spec.shape) == (known, () if known else None)

    def test_an_old_variables_scalar_is_one(self) -> None:
        node = _node("n", "VariableV2", shape=self.SCALAR)
        ops = _op("VariableV2", {"type": 1, "is_ref": True})
        assert Resolver(_graph(node, producer=21), ops).resolve("n").spec.shape == ()

    def test_what_the_exporter_wrote_comes_first(self) -> None:
        written = schema.AttrValue(
            list=schema.AttrValue.ListValue(
                shape=[schema.TensorShapeProto(dim=[{"size": -1}, {"size": 4}])]
            )
        )
        node = _node("n", "Op", _output_shapes=written, shape=self.SCALAR)
        resolver = Resolver(_graph(node), _op("Op", {"type": 1}, {"type": 1}))
        assert resolver.resolve("n:0").spec.shape == (None, 4)
        assert not resolver.resolve("n:1").shape_known

    def test_an_attribute_called_shape_of_another_operation_says_nothing(self) -> None:
        resolver = Resolver(_graph(_node("n", "Op", shape=self.SCALAR)), _op("Op", {"type": 1}))
        assert not resolver.resolve("n").shape_known


class TestConstantShape:
    @pytest.mark.parametrize(
        ("tensor", "expected"),
        [
            ({"tensor_content": (3).to_bytes(8, "little") + b"\xff" * 8}, (3, None)),
            ({"int64_val": [3, -1]}, (3, None)),
            ({"int64_val": [5]}, (5, 5)),
            ({}, (0, 0)),
            ({"tensor_content": b"abc"}, None),
        ],
    )
    def test_reads_a_vector_as_the_format_writes_it(
        self,
        tensor: dict[str, Any],
        expected: Any,  # noqa: ANN401 - a shape
    ) -> None:
        value = schema.TensorProto(
            dtype=9, tensor_shape=schema.TensorShapeProto(dim=[{"size": 2}]), **tensor
        )
        graph = _graph(_node("c", "Const", value=schema.AttrValue(tensor=value)))
        assert constant_shape(graph, "c:0") == expected

    def test_only_constants_count(self) -> None:
        assert constant_shape(_graph(_node("c", "Pack")), "c:0") is None
        assert constant_shape(_graph(_node("c", "Const")), "c:0") is None

    def test_a_shape_of_too_many_dimensions_is_none(self) -> None:
        value = schema.TensorProto(tensor_shape=schema.TensorShapeProto(dim=[{"size": 2**40}]))
        graph = _graph(_node("c", "Const", value=schema.AttrValue(tensor=value)))
        assert constant_shape(graph, "c:0") is None


class TestNames:
    @pytest.mark.parametrize(
        ("name", "op", "index"),
        [("x", "x", None), ("x:0", "x", 0), ("a/b:12", "a/b", 12), ("a:b:3", "a:b", 3)],
    )
    def test_are_taken_apart(self, name: str, op: str, index: int | None) -> None:
        assert parse(name) == TensorName(op, index)
        assert str(parse(name)) == name

    @pytest.mark.parametrize(
        "name",
        [
            *("x:", ":0", "x:-1", "x:a", "x: 1", "x:²", "x:\uff11", "x:00", "x:1\n"),
            pytest.param("x:" + "9" * 5000, id="more digits than Python reads"),
        ],
    )
    def test_that_are_none_are_refused(self, name: str) -> None:
        with pytest.raises(TensorNotFoundError, match=r"not a tensor name \(write op:index"):
            parse(name)

    def test_a_control_input_is_no_tensor(self) -> None:
        with pytest.raises(TensorNotFoundError, match=r"a control input is not a tensor \(name an"):
            parse("^x")


class TestNearest:
    def test_offers_the_same_last_part_whatever_is_before(self) -> None:
        names = ["tower/logits", "head/Softmax", "HEAD/Logits", "x"]
        assert nearest("logits", names) == "did you mean tower/logits or HEAD/Logits?"

    def test_offers_another_case(self) -> None:
        assert nearest("Y", ["x", "y"]) == "did you mean y?"

    def test_offers_what_is_spelt_alike(self) -> None:
        assert (
            nearest("serving_defualt", ["serving_default", "x"]) == "did you mean serving_default?"
        )

    def test_offers_three_at_most(self) -> None:
        assert nearest("y", [f"{at}/y" for at in range(9)]) == "did you mean 0/y or 1/y or 2/y?"

    def test_offers_a_name_once(self) -> None:
        assert nearest("hid", ["hid", "hid", "x"]) == "did you mean hid?"

    def test_offers_nothing_where_nothing_is_alike(self) -> None:
        assert nearest("qqqq", ["x", "y"]) == ""

    def test_is_part_of_the_error(self) -> None:
        with pytest.raises(TensorNotFoundError) as caught:
            Resolver(_graph(_node("head/probs", "Op")), {}).resolve("probs:0")
        assert caught.value.where == "probs:0"
        assert caught.value.found == "no such node in the graph"
        assert caught.value.hint == "did you mean head/probs?"


def test_a_damaged_attribute_is_told_with_an_offset() -> None:
    data = schema.GraphDef(
        node=[_node("n", "Placeholder", dtype=schema.AttrValue(type=1))]
    ).SerializeToString()
    data = data.replace(b"\x12\x02\x30\x01", b"\x12\x02\x30\xff")
    with pytest.raises(ModelUnreadableError, match=r"byte 2: this AttrValue cannot be decoded"):
        Resolver(GraphIndex(data, [(0, len(data))]), {}).resolve("n")
