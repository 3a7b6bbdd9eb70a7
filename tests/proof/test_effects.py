"""Nodes with effects in fingerprints: the runs of equal nodes, and the node that is read."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from smpatch import schema
from smpatch.graph.bodies import Computation, digest
from smpatch.graph.fingerprint import Fingerprints
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex
from smpatch.proof.composed import needed_in_order
from tests.proof.test_fingerprint import (
    FLOAT,
    OP_DEFS,
    PLACEHOLDER,
    Message,
    _function,
    _node,
    _op_def,
)

DEFINED = {
    **OP_DEFS,
    "Placeholder": _op_def("Placeholder"),
    "NoOp": _op_def("NoOp", ()),
    "Random": _op_def("Random", is_stateful=True),
    "Count": _op_def("Count", is_stateful=True),
    "ReadVariableOp": _op_def("ReadVariableOp", is_stateful=True),
    "AnonymousHashTable": _op_def("AnonymousHashTable", ("table",), is_stateful=True),
    "Refer": _op_def("Refer"),
}
DEFINED["Refer"].input_arg.add(name="ref", type=FLOAT, is_ref=True)
DEFINED["AnonymousHashTable"].output_arg[0].type = schema.DataType["DT_RESOURCE"]
X = {"x:0": "x"}


def _computed(
    nodes: Sequence[Message], fetches: Sequence[str] = ("y",), functions: Sequence[Message] = ()
) -> Computation:
    graph = schema.GraphDef(node=[PLACEHOLDER, *nodes])
    graph.library.function.extend(functions)
    data = graph.SerializeToString()
    index = GraphIndex(data, [(0, len(data))])
    found = Fingerprints(index, FunctionLibrary(index, DEFINED))
    return found.main(X, {each: [f"{each}:0"] for each in fetches})


def _two(op: str) -> list[Message]:
    return [_node("a", op, ["x"]), _node("b", op, ["x"])]


@pytest.mark.parametrize("op", ["Random", "Count", "Refer", "Undefined"])
def test_two_runs_counted_as_one(op: str) -> None:
    """The second of two equal nodes did not count, although it writes a second time."""
    once = [*_two(op), _node("y", "Neg", ["x", "^a"])]
    twice = [*_two(op), _node("y", "Neg", ["x", "^a", "^b"])]
    assert _computed(once) != _computed(twice)
    assert _computed(twice) == _computed([*_two(op), _node("y", "Neg", ["x", "^b", "^a"])])


def test_the_difference_of_two_random_numbers_was_that_of_one_number_and_itself() -> None:
    one = _computed([*_two("Random"), _node("y", "Sub", ["a", "a"])])
    assert one.outputs != _computed([*_two("Random"), _node("y", "Sub", ["a", "b"])]).outputs


def test_outputs_with_exchanged_random_numbers_were_equal() -> None:
    one = [*_two("Random"), _node("y", "Sub", ["a", "b"]), _node("z", "Sub", ["a", "a"])]
    other = [*_two("Random"), _node("y", "Sub", ["a", "a"]), _node("z", "Sub", ["a", "b"])]
    assert _computed(one, ["y", "z"]).outputs != _computed(other, ["y", "z"]).outputs


@pytest.mark.parametrize("op", ["Neg", "ReadVariableOp", "Assert"])
def test_two_equal_nodes_without_effects_are_one(op: str) -> None:
    one = _computed([*_two(op), _node("y", "Sub", ["a", "a"])])
    assert one == _computed([*_two(op), _node("y", "Sub", ["a", "b"])])


def test_the_names_of_equal_nodes_with_effects_do_not_count() -> None:
    one = [*_two("Random"), _node("n", "Neg", ["b"]), _node("y", "Sub", ["a", "n"])]
    other = [*_two("Random"), _node("m", "Neg", ["a"]), _node("y", "Sub", ["b", "m"])]
    assert _computed(one) == _computed(other)


def _calling(*nodes: Message, results: Sequence[str], controls: Sequence[str] = ()) -> Message:
    function = _function(
        "f", ["i"], nodes, {f"r{place}": name for place, name in enumerate(results)}
    )
    for each in controls:
        function.control_ret[each] = each
    return function


WRITES = _calling(
    _node("c", "Count", ["i"]), _node("n", "Neg", ["i"]), results=["n:z:0"], controls=["c"]
)
YIELDS = _calling(_node("r", "Random", ["i"]), results=["r:z:0"], controls=["r"])
CALL = _node("a", "PartitionedCall", ["x"], f="f"), _node("b", "PartitionedCall", ["x"], f="f")


def test_two_equal_calls_of_a_function_that_writes_counted_as_one() -> None:
    """The effects of both calls were one element of a set."""
    once = _computed([*CALL, _node("y", "AddV2", ["a", "a"])], functions=[WRITES])
    twice = _computed([*CALL, _node("y", "AddV2", ["a", "b"])], functions=[WRITES])
    assert once.outputs == twice.outputs
    assert len(once.effects) == 1
    assert len(twice.effects) == 2


def test_two_equal_calls_of_a_function_with_a_random_number_yielded_one_number() -> None:
    one = _computed([*CALL, _node("y", "Sub", ["a", "a"])], functions=[YIELDS])
    other = _computed([*CALL, _node("y", "Sub", ["a", "b"])], functions=[YIELDS])
    assert one.outputs != other.outputs


def test_a_call_with_effects_is_its_body() -> None:
    called = _computed([CALL[0], _node("y", "Neg", ["a"])], functions=[YIELDS])
    assert called == _computed([_node("r", "Random", ["x"]), _node("y", "Neg", ["r"])])


def test_an_effect_that_only_a_result_needs_is_another_effect() -> None:
    """Only ``control_ret`` keeps a node of which no result is read."""
    kept = _calling(_node("r", "Random", ["i"]), results=["r:z:0"], controls=["r"])
    loose = _calling(_node("r", "Random", ["i"]), results=["r:z:0"])
    called = [CALL[0], _node("y", "Neg", ["a"])]
    assert _computed(called, functions=[kept]) != _computed(called, functions=[loose])


def test_an_effect_was_another_one_if_a_further_function_was_around_it() -> None:
    """The second `edit` of the names of a signature found that its halves differ."""
    loose = _calling(_node("r", "Random", ["i"]), results=["r:z:0"])
    call = _node("c", "PartitionedCall", ["i"], f="f")
    outer = _function("g", ["i"], [call], {"r0": "c:output:0"})
    around = [_node("a", "PartitionedCall", ["x"], f="g"), _node("y", "Neg", ["a"])]
    one = _computed([CALL[0], _node("y", "Neg", ["a"])], functions=[loose])
    assert _computed(around, functions=[loose, outer]) == one


def test_to_wait_for_a_call_that_writes_through_its_result_was_nothing() -> None:
    """Functions of TensorFlow 1 name no nodes that run with the call."""
    function = _calling(_node("c", "Count", ["i"]), results=["c:z:0"])
    waiting = [CALL[0], _node("y", "Neg", ["x", "^a"])]
    assert _computed(waiting, functions=[function]) != _computed([_node("y", "Neg", ["x"])])


def _loop(left: str, right: str) -> list[Message]:
    return [
        _node("m", "Merge", ["x", "s"]),
        _node("a", "Random", ["m"]),
        _node("b", "Random", ["m"]),
        _node("s", "Sub", [left, right]),
        _node("y", "Identity", ["m"]),
    ]


def test_random_numbers_in_a_loop_of_tensorflow_1_were_one_number() -> None:
    assert _computed(_loop("a", "b")) == _computed(_loop("b", "a"))
    assert _computed(_loop("a", "b")).outputs != _computed(_loop("a", "a")).outputs


def _two_loops(left: str, right: str) -> list[Message]:
    nodes = [_node("y", "Sub", [left, right])]
    for each in ("p", "q"):
        nodes += [_node(each, "Merge", ["x", f"{each}n"]), _node(f"{each}n", "Random", [each])]
    return nodes


def test_two_equal_loops_with_random_numbers_were_one_loop() -> None:
    assert _computed(_two_loops("p", "q")) == _computed(_two_loops("q", "p"))
    assert _computed(_two_loops("p", "q")).outputs != _computed(_two_loops("p", "p")).outputs


def _branch(*, is_compiled: bool) -> Computation:
    function = _calling(_node("n", "Neg", ["i"]), results=["n:z:0"])
    function.attr["_XlaMustCompile"].b = is_compiled
    return _computed([_node("y", "While", ["x"], f="f")], functions=[function])


def test_the_compiled_body_of_a_loop_was_the_body_that_is_not_compiled() -> None:
    assert _branch(is_compiled=True).outputs != _branch(is_compiled=False).outputs


def test_two_calls_that_make_a_table_were_one_table() -> None:
    function = _calling(_node("t", "AnonymousHashTable"), results=["t:table:0"])
    one = _computed([*CALL, _node("y", "Sub", ["a", "a"])], functions=[function])
    other = _computed([*CALL, _node("y", "Sub", ["a", "b"])], functions=[function])
    assert one.outputs != other.outputs


def test_two_variables_without_a_name_were_one_variable() -> None:
    anonymous = {"shared_name": "cd2c89b7-88b7-44c8-ad83-06c2a9158347"}
    variables = [_node(name, "VarHandleOp", **anonymous) for name in ("a", "b")]
    one = _computed([*variables, _node("y", "Sub", ["a", "a"])])
    assert one.outputs != _computed([*variables, _node("y", "Sub", ["a", "b"])]).outputs


def _taking(inner: str, negates: str) -> Computation:
    """Compute an operation that takes a function, which takes another function."""
    node = _node("y", "Taking", ["x"], f="g")
    node.attr["f"].func.attr["of"].func.name = inner
    functions = [
        _function(name, ["i"], [_node("n", negates, ["i"])], {"r": "n:z:0"}) for name in ("f", "g")
    ]
    functions[1].node_def[0].op = "Identity"
    return _computed([node], functions=functions)


def test_the_body_of_a_function_that_a_function_takes_was_not_read() -> None:
    assert _taking("f", "Neg") == _taking("f", "Neg")
    assert _taking("f", "Neg").outputs != _taking("f", "Identity").outputs


def _loop_body(*controls: str) -> Computation:
    function = _calling(_node("r", "Random", ["i"]), results=["r:z:0"], controls=controls)
    return _computed([_node("y", "While", ["x"], f="f")], functions=[function])


def test_the_body_of_a_loop_that_lost_its_control_results_was_the_same_body() -> None:
    assert _loop_body("r").outputs != _loop_body().outputs


def test_each_effect_of_a_call_was_digested_with_all_for_which_the_call_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time was the square of the number of effects: 16 s for 4,096 random numbers."""
    digested: list[int] = []

    def counted(*parts: bytes) -> bytes:
        digested.append(len(parts))
        return digest(*parts)

    monkeypatch.setattr("smpatch.graph.fingerprint.digest", counted)
    writes = [_node(f"c{each}", "Count", ["i"], number=each) for each in range(100)]
    function = _calling(*writes, results=["c0:z:0"], controls=[each.name for each in writes])
    calls = CALL[0], _node("b", "PartitionedCall", ["x", "^a"], f="f")
    _computed([*calls, _node("y", "AddV2", ["a", "b"])], functions=[function])
    assert sum(digested) < 10_000


BOTH = _calling(*CALL, results=["b:output:0", "a:output:0"], controls=["a", "b"])
BOTH.signature.name = "both"
for _each in BOTH.node_def:
    _each.input[0] = "i"


def test_calls_in_a_function_were_numbered_by_their_names_and_elsewhere_by_the_outputs() -> None:
    """Python's half of a signature on two calls was refused, and ``check`` called it a fault."""
    call = _node("c", "PartitionedCall", ["x"], f="both")
    outputs = [_node("y", "Neg", ["c"]), _node("z", "Neg", ["c:1"])]
    inside = _computed([call, *outputs], ["y", "z"], [YIELDS, BOTH])
    outputs = [_node("y", "Neg", ["b"]), _node("z", "Neg", ["a"])]
    assert inside == _computed([*CALL, *outputs], ["y", "z"], [YIELDS])


def test_an_output_had_another_number_in_a_function_without_the_output_before_it() -> None:
    one = _calling(*CALL, results=["a:output:0"])
    one.CopyFrom(BOTH)
    del one.node_def[1], one.control_ret["b"], one.ret["r0"], one.signature.output_arg[0]
    found = []
    for function, first, place in ((BOTH, [1], "1"), (one, [], "0")):
        graph = schema.GraphDef()
        graph.library.function.extend([YIELDS, function])
        data = graph.SerializeToString()
        index = GraphIndex(data, [(0, len(data))])
        made = Fingerprints(index, FunctionLibrary(index, DEFINED))
        found.append(made.function("both", [made.leaf("feed", "x")], first).outputs[place])
    assert found[0] == found[1]


def test_outputs_of_a_source_were_numbered_before_a_function_behind_it_read_one_of_them() -> None:
    """A composed signature on two equal random numbers of a graph was refused."""
    function: Message = SimpleNamespace(inputs={"q": None}, outputs={"a": None})
    assert needed_in_order(["p", "q"], [function]) == ["q", "p"]
    assert needed_in_order(["p", "q"], []) == ["p", "q"]
