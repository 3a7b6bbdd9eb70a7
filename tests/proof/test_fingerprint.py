"""Structural fingerprints: the parts that count; equal fingerprints mean equal numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpatch import load, schema
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.fingerprint import Fingerprints
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex
from smpatch.graph.walks import components
from tests.prove.ledger import LONG

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"
FLOAT = 1
X, Y = {"x:0": "x"}, {"y": ["y:0"]}

Message = Any
"""A protobuf message; its class is made at run time."""

Nodes = dict[str, tuple[str, Sequence[str]]]
"""The name of a node to its operation and inputs."""


def _op_def(name: str, outputs: Sequence[str] = ("z",), *, is_stateful: bool = False) -> Message:
    op_def = schema.OpDef(name=name, is_stateful=is_stateful)
    for each in outputs:
        op_def.output_arg.add(name=each, type=FLOAT)
    return op_def


OP_DEFS = {
    **{name: _op_def(name) for name in ("AddV2", "Sub", "Mul", "Neg", "Identity", "Const")},
    "Split": _op_def("Split", ("first", "second")),
    "AssignVariableOp": _op_def("AssignVariableOp", (), is_stateful=True),
    "VarHandleOp": _op_def("VarHandleOp", ("resource",), is_stateful=True),
    "Merge": _op_def("Merge", ("output", "value_index")),
    "PartitionedCall": _op_def("PartitionedCall", ("output",)),
}


def _node(name: str, op: str, inputs: Sequence[str] = (), **attributes: float | str) -> Message:
    node = schema.NodeDef(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        if isinstance(value, float):
            node.attr[key].f = value
        elif key == "f":
            node.attr[key].func.name = str(value)
        else:
            node.attr[key].s = str(value).encode()
    return node


def _function(
    name: str, arguments: Sequence[str], nodes: Sequence[Message], results: Mapping[str, str]
) -> Message:
    function = schema.FunctionDef()
    function.signature.name = name
    for each in arguments:
        function.signature.input_arg.add(name=each, type=FLOAT)
    for each, tensor in results.items():
        function.signature.output_arg.add(name=each, type=FLOAT)
        function.ret[each] = tensor
    function.node_def.extend(nodes)
    return function


def _fingerprints(nodes: Sequence[Message], functions: Sequence[Message] = ()) -> Fingerprints:
    graph = schema.GraphDef(node=nodes)
    graph.library.function.extend(functions)
    data = graph.SerializeToString()
    index = GraphIndex(data, [(0, len(data))])
    return Fingerprints(index, FunctionLibrary(index, OP_DEFS))


def _of(nodes: Sequence[Message], functions: Sequence[Message] = ()) -> bytes:
    return _fingerprints(nodes, functions).main(X, Y).outputs["y"]


PLACEHOLDER = _node("x", "Placeholder")


def test_names_of_nodes_do_not_count() -> None:
    one = [PLACEHOLDER, _node("a", "Neg", ["x"]), _node("y", "AddV2", ["a", "x"])]
    other = [PLACEHOLDER, _node("b", "Neg", ["x:0"]), _node("y", "AddV2", ["b:0", "x"])]
    assert _of(one) == _of(other)


@pytest.mark.parametrize(
    "other",
    [
        [_node("a", "Neg", ["x"]), _node("y", "AddV2", ["x", "a"])],
        [_node("a", "Identity", ["x"]), _node("y", "AddV2", ["a", "x"])],
        [_node("a", "Neg", ["x"]), _node("y", "AddV2", ["a", "a"])],
        [_node("a", "Neg", ["x"], mode="round"), _node("y", "AddV2", ["a", "x"])],
        [_node("a", "Neg", ["x"]), _node("y", "Sub", ["a", "x"])],
        [_node("c", "Neg", ["x"]), _node("a", "Neg", ["c"]), _node("y", "AddV2", ["a", "x"])],
    ],
    ids=["order", "operation", "wiring", "attribute", "last operation", "one more"],
)
def test_operations_attributes_and_order_count(other: list[Message]) -> None:
    one = [PLACEHOLDER, _node("a", "Neg", ["x"]), _node("y", "AddV2", ["a", "x"])]
    assert _of(one) != _of([PLACEHOLDER, *other])


@pytest.mark.parametrize("key", ["_output_shapes", "_class", "_user_specified_name"])
def test_attributes_that_only_describe_do_not_count(key: str) -> None:
    assert _of([PLACEHOLDER, _node("y", "Neg", ["x"], **{key: "loc:@a"})]) == _of(
        [PLACEHOLDER, _node("y", "Neg", ["x"])]
    )


def test_a_constant_counts_by_its_value() -> None:
    def model(value: float) -> list[Message]:
        return [PLACEHOLDER, _node("c", "Const", value=value), _node("y", "Mul", ["x", "c"])]

    assert _of(model(3.0)) == _of(model(3.0))
    assert _of(model(3.0)) != _of(model(50.0))


def test_outputs_of_one_node_differ() -> None:
    def model(port: int) -> list[Message]:
        return [PLACEHOLDER, _node("s", "Split", ["x"]), _node("y", "Neg", [f"s:{port}"])]

    assert _of(model(0)) != _of(model(1))


def test_variables_differ_by_their_shared_name() -> None:
    def model(name: str, shared_name: str) -> list[Message]:
        handle = _node(name, "VarHandleOp", shared_name=shared_name)
        return [PLACEHOLDER, handle, _node("y", "Mul", ["x", name])]

    assert _of(model("v", "weight")) == _of(model("w", "weight"))
    assert _of(model("v", "weight")) != _of(model("v", "bias"))


def test_variables_without_a_shared_name_differ_by_their_nodes() -> None:
    def model(name: str) -> list[Message]:
        return [PLACEHOLDER, _node(name, "VarHandleOp"), _node("y", "Mul", ["x", name])]

    assert _of(model("v")) != _of(model("w"))


def test_what_a_node_waits_for_counts() -> None:
    assign = [_node("v", "VarHandleOp"), _node("a", "AssignVariableOp", ["v", "x"])]
    one = [PLACEHOLDER, *assign, _node("y", "Neg", ["x", "^a"])]
    assert _of(one) != _of([PLACEHOLDER, *assign, _node("y", "Neg", ["x"])])
    through = [PLACEHOLDER, *assign, _node("n", "NoOp", ["^a"]), _node("y", "Neg", ["x", "^n"])]
    assert _of(one) == _of(through)


def test_to_wait_for_what_is_fed_is_nothing() -> None:
    assert _of([PLACEHOLDER, _node("y", "Neg", ["x", "^x"])]) == _of(
        [PLACEHOLDER, _node("y", "Neg", ["x"])]
    )


def test_the_input_that_is_fed_counts() -> None:
    nodes = [PLACEHOLDER, _node("z", "Placeholder"), _node("y", "Sub", ["x", "z"])]
    found = _fingerprints(nodes)
    one = found.main({"x:0": "p", "z:0": "q"}, Y)
    assert one.outputs == found.main({"x:0": "p", "z:0": "q"}, Y).outputs
    assert one.outputs != found.main({"x:0": "q", "z:0": "p"}, Y).outputs


SCALED = _function(
    "scaled_3",
    ["k"],
    [_node("c", "Const", value=3.0), _node("m", "Mul", ["k", "c:z:0"])],
    {"out": "m:z:0"},
)
OUTER = _function(
    "outer_8",
    ["i"],
    [_node("call", "PartitionedCall", ["i"], f="scaled_3")],
    {"r": "call:output:0"},
)


def test_a_call_is_its_body_however_deep() -> None:
    bare = [PLACEHOLDER, _node("c", "Const", value=3.0), _node("y", "Mul", ["x", "c"])]
    called = [PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="scaled_3")]
    deeper = [PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="outer_8")]
    assert _of(bare) == _of(called, [SCALED]) == _of(deeper, [SCALED, OUTER])


def test_a_function_of_the_same_names_with_another_constant_is_another() -> None:
    other = schema.FunctionDef()
    other.CopyFrom(SCALED)
    other.node_def[0].attr["value"].f = 50.0
    called = [PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="scaled_3")]
    assert _of(called, [SCALED]) != _of(called, [other])


@pytest.mark.parametrize("op", ["PartitionedCall", "scaled_3"])
def test_what_a_call_gives_a_function_counts(op: str) -> None:
    function = schema.FunctionDef()
    function.CopyFrom(SCALED)
    function.signature.attr.add(name="rate", type="float")

    def called(rate: float) -> bytes:
        node = _node("y", op, ["x"])
        if op != "scaled_3":
            node.attr["f"].func.name = "scaled_3"
        given = node.attr if op == "scaled_3" else node.attr["f"].func.attr
        given["rate"].f = rate
        return _of([PLACEHOLDER, node], [function])

    assert called(1.0) == called(1.0) != called(2.0)


def test_a_function_that_calls_itself_ends() -> None:
    itself = _function(
        "f", ["i"], [_node("c", "PartitionedCall", ["i"], f="f")], {"r": "c:output:0"}
    )
    called = [PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="f")]
    assert _of(called, [itself]) == _of(called, [itself])


def test_functions_that_double_each_other_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smpatch.graph.fingerprint._MOST_WORK", 5_000)
    functions = [
        _function(
            f"f{level}",
            ["i"],
            [
                _node("a", "PartitionedCall", ["i"], f=f"f{level + 1}"),
                _node("n", "Neg", ["i"]),
                _node("b", "PartitionedCall", ["n:z:0"], f=f"f{level + 1}"),
                _node("s", "AddV2", ["a:output:0", "b:output:0"]),
            ],
            {"r": "s:z:0"},
        )
        for level in range(40)
    ]
    last = _function("f40", ["i"], [_node("n", "Neg", ["i"])], {"r": "n:z:0"})
    with pytest.raises(FingerprintError, match="too many calls"):
        _of([PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="f0")], [*functions, last])


def test_a_large_graph_is_asked_as_often_as_edits_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visits of all questions were added up: ten edits of a million nodes were refused."""
    monkeypatch.setattr("smpatch.graph.fingerprint._MOST_WORK", 20)
    names = ["x", *(f"n{place}" for place in range(9)), "y"]
    chain = [_node(name, "Neg", [before]) for before, name in pairwise(names)]
    found = _fingerprints([PLACEHOLDER, *chain])
    assert len({found.main(X, Y).outputs["y"] for _ in range(9)}) == 1


def test_many_edits_of_a_function_are_no_more_work_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The visits in functions were added up: a long list of edits was refused."""
    monkeypatch.setattr("smpatch.graph.fingerprint._MOST_WORK", 20)
    chain = [
        _node(f"n{place}", "Neg", [f"n{place - 1}:z:0" if place else "i"]) for place in range(9)
    ]
    function = _function("f", ["i"], chain, {"r": "n8:z:0"})
    found = _fingerprints([PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="f")], [function])
    asked = [found.main({"x:0": f"x{place}"}, Y).outputs["y"] for place in range(9)]
    asked += [found.function("f", [b"%d" % place]).outputs["0"] for place in range(9)]
    assert len(set(asked)) == 18


@pytest.mark.parametrize(
    ("nodes", "functions"),
    [
        ([_node("y", "Neg", ["gone"])], []),
        ([_node("y", "PartitionedCall", ["x", "x"], f="scaled_3")], [SCALED]),
        (
            [_node("y", "PartitionedCall", ["x"], f="f")],
            [_function("f", ["i"], [], {"r": "gone:z:0"})],
        ),
    ],
    ids=["node", "argument", "result"],
)
def test_a_reference_that_is_not_there_is_refused(
    nodes: list[Message], functions: list[Message]
) -> None:
    with pytest.raises(FingerprintError):
        _of([PLACEHOLDER, *nodes], functions)


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 11, "0" * 5000])
def test_an_index_of_thousands_of_digits_is_no_value_error(digits: str) -> None:
    other = _of([PLACEHOLDER, _node("y", "Neg", [f"x:{digits}"])], [])
    assert other != _of([PLACEHOLDER, _node("y", "Neg", ["x"])], [])
    inside = _function("f", ["i"], [_node("n", "Neg", ["i"])], {"r": f"n:z:{digits}"})
    with pytest.raises(FingerprintError):
        _of([PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="f")], [inside])


def _loop(step: str, first: str, names: Sequence[str] = ("m", "n")) -> list[Message]:
    merge, following = names
    return [
        PLACEHOLDER,
        _node(merge, "Merge", [first, following]),
        _node(following, step, [merge, "x"]),
        _node("y", "Identity", [merge]),
    ]


def test_loops_are_compared_as_a_whole() -> None:
    one = _of(_loop("AddV2", "x"))
    assert one == _of(_loop("AddV2", "x", ("p", "q")))
    assert one != _of(_loop("Mul", "x"))
    start = _node("start", "Neg", ["x"])
    assert one != _of([start, *_loop("AddV2", "start")])


def test_a_tensor_inside_a_function_is_what_a_copy_that_yields_it_computes() -> None:
    nodes = [PLACEHOLDER, _node("y", "PartitionedCall", ["x"], f="outer_8")]
    found = _fingerprints(nodes, [SCALED, OUTER])
    inside = found.inside(X, ["y", "call"], "m:0")
    assert inside == found.main(X, Y).outputs["y"]
    assert inside != found.inside(X, ["y", "call"], "c:0")


def _run(nodes: Nodes, name: str, value: float) -> float:
    op, inputs = nodes[name]
    if op == "Placeholder":
        return value
    given = [_run(nodes, each, value) for each in inputs]
    table: dict[str, Callable[..., float]] = {
        "Neg": lambda a: -a,
        "AddV2": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: a * b,
    }
    return table[op](*given)


@st.composite
def graphs(draw: st.DrawFn) -> Nodes:
    """Draw a small graph of arithmetic on one input; its last node has the name ``y``."""
    nodes: Nodes = {"x": ("Placeholder", ())}
    for number in range(draw(st.integers(1, 5))):
        op = draw(st.sampled_from(["Neg", "AddV2", "Sub", "Mul"]))
        count = 1 if op == "Neg" else 2
        inputs = [draw(st.sampled_from(sorted(nodes))) for _ in range(count)]
        nodes[f"n{number}"] = (op, inputs)
    nodes["y"] = nodes.popitem()[1]
    return nodes


def _shuffled(nodes: Nodes, seed: int) -> Nodes:
    """Return the same graph with other names, in another order."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    fresh = [f"node_{number}" for number in range(len(nodes))]
    rng.shuffle(fresh)
    names = {name: name if name in {"x", "y"} else fresh.pop() for name in nodes}
    items = [(names[name], (op, [names[i] for i in given])) for name, (op, given) in nodes.items()]
    rng.shuffle(items)
    return dict(items)


def _messages(nodes: Nodes) -> list[Message]:
    return [_node(name, op, inputs) for name, (op, inputs) in nodes.items()]


@settings(max_examples=300 if LONG else 100, deadline=None)
@given(one=graphs(), other=graphs(), seed=st.integers(0, 1000))
def test_equal_fingerprints_mean_equal_numbers(
    one: Nodes,
    other: Nodes,
    seed: int,
) -> None:
    first = _of(_messages(one))
    assert first == _of(_messages(_shuffled(one, seed)))
    if first == _of(_messages(other)):
        for value in (1.25, -3.0, 7.5):
            assert _run(one, "y", value) == _run(other, "y", value)


@pytest.mark.parametrize(
    "name", sorted(each.parent.name for each in MODELS.glob("*/saved_model.pb*"))
)
def test_a_signature_has_one_fingerprint_however_often_it_is_taken(name: str) -> None:
    for meta_graph in load(MODELS / name).meta_graphs:
        for signature in meta_graph.signatures.values():
            feeds = {t.name: t.name for s in signature.inputs.values() for t in s.tensors()}
            fetches = {
                alias: [tensor.name for tensor in spec.tensors()]
                for alias, spec in signature.outputs.items()
            }
            if any(t.rpartition(":")[0] == "gone" for names in fetches.values() for t in names):
                continue  # wrong_tensor_info names a node that is not there
            fresh = Fingerprints(meta_graph.graph, meta_graph.functions)
            found = meta_graph.fingerprints.main(feeds, fetches)
            assert (
                found == meta_graph.fingerprints.main(feeds, fetches) == fresh.main(feeds, fetches)
            )


def test_components_come_after_those_that_they_need() -> None:
    needs = {"a": ["b"], "b": ["c", "d"], "c": ["b"], "d": [], "e": ["e", "a"]}
    found = [set(each) for each in components(["e"], needs.__getitem__)]
    assert found == [{"d"}, {"b", "c"}, {"a"}, {"e"}]


def test_a_chain_of_many_nodes_needs_no_deep_stack() -> None:
    nodes = [PLACEHOLDER, _node("n0", "Neg", ["x"])]
    nodes += [_node(f"n{place}", "Neg", [f"n{place - 1}"]) for place in range(1, 20_000)]
    nodes.append(_node("y", "Neg", ["n19999"]))
    assert _of(nodes) != _of([PLACEHOLDER, _node("y", "Neg", ["x"])])


def _long_loop(step: str) -> list[Message]:
    """Return a loop whose node after its ``Merge`` is far from it on the way back."""
    ops = [step, "Neg", "Identity", "Exp", "Log", "Sin", "Cos"]
    body = [
        _node(f"n{place}", op, [f"n{place - 1}" if place else "m"]) for place, op in enumerate(ops)
    ]
    last = len(ops) - 1
    return [
        PLACEHOLDER,
        _node("m", "Merge", ["x", f"n{last}"]),
        *body,
        _node("y", "Identity", ["m"]),
    ]


def test_a_loop_that_differs_far_from_what_is_read_is_another_one() -> None:
    assert _of(_long_loop("Tan")) == _of(_long_loop("Tan"))
    assert _of(_long_loop("Tan")) != _of(_long_loop("Tanh"))
