"""The nodes that outputs need: compared with a naive walk, and with TensorFlow on nested loops."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpatch import loader, schema
from smpatch.errors import ModelUnreadableError, TensorUnservableError
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex
from smpatch.graph.reach import Reach, conditional, in_frame, reach
from smpatch.rules import check_graph
from smpatch.signature import TensorSpec
from tests.tensorflow_says import ask

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"

Nodes = Mapping[str, tuple[str, tuple[str, ...]]]
"""Node name to operation and inputs."""


def graph(nodes: Nodes, pieces: int = 1) -> GraphIndex:
    """Encode a graph in ``pieces`` pieces."""
    data, spans, items = b"", [], list(nodes.items())
    for piece in range(pieces):
        part = schema.GraphDef(
            node=[
                schema.NodeDef(name=name, op=op, input=inputs)
                for name, (op, inputs) in items[piece::pieces]
            ]
        ).SerializeToString()
        spans.append((len(data), len(data) + len(part)))
        data += part
    return GraphIndex(data, spans)


def _full(source: str) -> str:
    return source if ":" in source else f"{source}:0"


def needed(nodes: Nodes, outputs: Iterable[str], fed: set[str]) -> tuple[set[str], set[str]]:
    """Return the nodes that must run and the fed tensors that are used, by iterating to a fixpoint.

    It is deliberately naive: it repeats a pass over those nodes until nothing changes.
    """
    used = {output for output in outputs if output in fed}
    run = {output.rpartition(":")[0] for output in outputs if output not in fed}
    while True:
        more, also = set(run), set(used)
        for name in run:
            for source in nodes[name][1]:
                if source.startswith("^"):
                    waited_for = source[1:]
                    placeholder = nodes[waited_for][0] == "Placeholder"
                    if not (placeholder and any(_of(tensor, waited_for) for tensor in fed)):
                        more.add(waited_for)
                elif _full(source) in fed:
                    also.add(_full(source))
                else:
                    more.add(_full(source).rpartition(":")[0])
        if (more, also) == (run, used):
            return run, used
        run, used = more, also


def _of(tensor: str, node: str) -> bool:
    return tensor.rpartition(":")[0] == node


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Draw a graph with control inputs, several outputs to a node, and cycles."""
    names = [f"{'ab/'[at % 3]}n{at}" for at in range(draw(st.integers(1, 12)))]
    nodes = {}
    for name in names:
        op = draw(st.sampled_from(["Add", "Add", "Split", "Placeholder", "PlaceholderWithDefault"]))
        sources = st.builds(
            lambda form, source: form.format(source),
            st.sampled_from(["{}", "{}:1", "^{}", "{}:0"]),
            st.sampled_from(names),
        )
        inputs = () if op == "Placeholder" else draw(st.lists(sources, max_size=3).map(tuple))
        nodes[name] = (op, inputs)
    return nodes


@given(graphs(), st.data(), st.integers(1, 3))
def test_agrees_with_a_naive_walk(
    nodes: dict[str, tuple[str, tuple[str, ...]]], data: st.DataObject, pieces: int
) -> None:
    tensors = st.builds(
        lambda name, at: f"{name}:{at}", st.sampled_from(sorted(nodes)), st.integers(0, 1)
    )
    outputs = data.draw(st.lists(tensors, min_size=1, max_size=3))
    fed = data.draw(st.sets(tensors, max_size=3))
    run, used = needed(nodes, outputs, fed)
    found = reach(graph(nodes, pieces), outputs, fed)
    assert found.used == used
    assert found.partly_fed == tuple(sorted({each.rpartition(":")[0] for each in fed} & run))
    unfed = {name for name in run if nodes[name][0] == "Placeholder"}
    assert {path[-1] for path in found.unfed} == unfed
    for path in found.unfed:
        assert path[0] in {output.rpartition(":")[0] for output in outputs}
        for consumer, source in pairwise(path):
            names = {each.removeprefix("^").partition(":")[0] for each in nodes[consumer][1]}
            assert source in names
    assert not found.loops
    assert not found.branches


class TestReach:
    CHAIN: ClassVar[Nodes] = {
        "x": ("Placeholder", ()),
        "w": ("Const", ()),
        "h": ("MatMul", ("x", "w")),
        "y": ("Relu", ("h",)),
    }

    def test_a_placeholder_that_is_not_fed_is_met_with_its_path(self) -> None:
        found = reach(graph(self.CHAIN), ["y:0"], set())
        path = ("y", "h", "x")
        assert found == Reach((path,), frozenset(), (), loops=False, branches=False)

    def test_a_fed_tensor_ends_the_walk(self) -> None:
        assert reach(graph(self.CHAIN), ["y:0"], {"x:0"}).used == {"x:0"}
        found = reach(graph(self.CHAIN), ["y:0"], {"h:0", "x:0"})
        assert found.used == {"h:0"}
        assert not found.unfed

    def test_only_the_fed_output_of_a_node_is_cut(self) -> None:
        nodes: Nodes = {
            "x": ("Placeholder", ()),
            "parts": ("Split", ("x",)),
            "y": ("Add", ("parts", "parts:1")),
        }
        assert reach(graph(nodes), ["y:0"], {"parts:1"}).unfed == (("y", "parts", "x"),)
        assert reach(graph(nodes), ["y:0"], {"parts:0", "parts:1"}).unfed == ()
        assert reach(graph(nodes), ["y:0"], {"parts:1", "x:0"}).partly_fed == ("parts",)
        assert reach(graph(nodes), ["y:0"], {"parts:0", "parts:1"}).partly_fed == ()

    def test_a_control_input_counts(self) -> None:
        nodes: Nodes = {"gate": ("Placeholder", ()), "y": ("Const", ("^gate",))}
        assert reach(graph(nodes), ["y:0"], set()).unfed == (("y", "gate"),)
        assert reach(graph(nodes), ["y:0"], {"gate:0"}).unfed == ()

    def test_feeding_another_node_does_not_satisfy_who_waits_for_it(self) -> None:
        """A session takes the fed value, but still runs a node that another waits for."""
        nodes: Nodes = {
            "x": ("Placeholder", ()),
            "h": ("Relu", ("x",)),
            "y": ("Const", ("^h",)),
        }
        assert reach(graph(nodes), ["y:0"], {"h:0"}).unfed == (("y", "h", "x"),)

    def test_a_placeholder_with_a_default_need_not_be_fed(self) -> None:
        nodes: Nodes = {"d": ("Const", ()), "y": ("PlaceholderWithDefault", ("d",))}
        assert reach(graph(nodes), ["y:0"], set()).unfed == ()

    def test_a_placeholder_that_waits_for_something_must_be_fed(self) -> None:
        nodes: Nodes = {
            "first": ("NoOp", ()),
            "x": ("Placeholder", ("^first",)),
            "y": ("Relu", ("x",)),
        }
        assert reach(graph(nodes), ["y:0"], set()).unfed == (("y", "x"),)

    def test_an_input_that_is_missing_is_damage(self) -> None:
        with pytest.raises(ModelUnreadableError, match="node 'y' has an input 'x' that is not"):
            reach(graph({"y": ("Relu", ("x:1",))}), ["y:0"], set())

    @pytest.mark.parametrize("source", ["", "^", ":0"])
    def test_an_input_without_a_name_is_damage(self, source: str) -> None:
        with pytest.raises(ModelUnreadableError, match="node 'y' has an input '' that is not"):
            reach(graph({"y": ("Identity", (source,))}), ["y:0"], set())

    def test_unfed_placeholders_come_in_the_order_of_their_names(self) -> None:
        nodes: Nodes = {
            "c": ("Placeholder", ()),
            "a": ("Placeholder", ()),
            "b": ("Placeholder", ()),
            "y": ("AddN", ("b", "c", "a")),
        }
        paths = reach(graph(nodes), ["y:0"], set()).unfed
        assert [path[-1] for path in paths] == ["a", "b", "c"]

    def test_a_long_chain_does_not_exhaust_the_stack(self) -> None:
        nodes: dict[str, tuple[str, tuple[str, ...]]] = {"n0": ("Placeholder", ())}
        nodes |= {f"n{at}": ("Relu", (f"n{at - 1}",)) for at in range(1, 20_000)}
        (path,) = reach(graph(nodes), ["n19999:0"], set()).unfed
        assert len(path) == 20_000


@pytest.fixture(scope="session")
def loops(tmp_path_factory: pytest.TempPathFactory) -> tuple[GraphIndex, dict[str, str]]:
    """Return loops within loops, and by tensor the error of a session that fetches it."""
    said: dict[str, Any] = ask("graphs", tmp_path_factory)
    data = bytes.fromhex(said["loops"])
    return GraphIndex(data, [(0, len(data))]), said["fetched"]


class TestInFrame:
    def test_whatever_a_session_cannot_fetch_lies_in_a_frame(
        self, loops: tuple[GraphIndex, dict[str, str]]
    ) -> None:
        index, fetched = loops
        failed = [tensor for tensor, error in fetched.items() if error]
        assert len(failed) > 60
        assert all("Retval[0]" in fetched[tensor] for tensor in failed)
        assert [tensor for tensor in failed if in_frame(index, tensor) is None] == []

    def test_whatever_a_session_fetches_is_outside_or_at_the_border(
        self, loops: tuple[GraphIndex, dict[str, str]]
    ) -> None:
        """A session fetches the output of an ``Enter`` or a ``Switch:0``, which has one value."""
        index, fetched = loops
        inside = [
            tensor
            for tensor, error in fetched.items()
            if not error and in_frame(index, tensor) is not None
        ]
        assert {index.wiring(name.rpartition(":")[0]).op for name in inside} == {"Enter", "Switch"}

    @pytest.mark.parametrize(
        ("tensor", "door"),
        [
            ("before:0", None),
            ("between:0", None),
            ("y:0", None),
            ("outer/Exit_1:0", None),
            ("second/Exit_1:0", None),
            ("outer/after_inner:0", r"outer/.*Enter"),
            ("outer/inner/Exit_1:0", r"outer/.*Enter"),
            ("outer/inner/deep:0", r"outer/inner/.*Enter"),
            ("second/deep:0", r"second/.*Enter"),
        ],
    )
    def test_names_a_door_of_the_frame(
        self, tensor: str, door: str | None, loops: tuple[GraphIndex, dict[str, str]]
    ) -> None:
        found = in_frame(loops[0], tensor)
        assert found is None if door is None else re.match(door, found or "")

    def test_a_walk_from_behind_a_loop_has_met_it(
        self, loops: tuple[GraphIndex, dict[str, str]]
    ) -> None:
        index, _ = loops
        assert reach(index, ["y:0"], {"x:0"}).loops
        assert not reach(index, ["before:0"], {"x:0"}).loops
        assert reach(index, ["y:0"], {"x:0"}).unfed == ()
        assert reach(index, ["y:0"], set()).unfed

    def test_the_loop_of_a_fixture(self) -> None:
        index = loader.load(MODELS / "while_loop").meta_graph().graph
        assert in_frame(index, "loop/grown:0") is not None
        assert in_frame(index, "loop/Merge_1:0") is not None
        for name in ("x:0", "y:0", "doubled:0", "loop/Exit:0"):
            assert in_frame(index, name) is None

    def test_a_graph_without_loops_has_no_frames(self) -> None:
        index = loader.load(MODELS / "linear").meta_graph().graph
        assert {in_frame(index, f"{name}:0") for name in index} == {None}


class TestConditional:
    def test_branches_are_and_the_merged_result_is_not(self) -> None:
        index = loader.load(MODELS / "cond").meta_graph().graph
        inside = {name for name in index if conditional(index, f"{name}:0")}
        assert {name for name in inside if not name.startswith("choose/")} == set()
        assert "choose/add" in inside
        assert "choose/Merge" not in inside
        assert conditional(index, "y:0") is None
        assert reach(index, ["y:0"], {"x:0", "flag:0"}).branches

    def test_names_the_switch(self) -> None:
        index = loader.load(MODELS / "cond").meta_graph().graph
        switch = conditional(index, "choose/add:0")
        assert switch is not None
        assert index.wiring(switch).op == "Switch"

    def test_what_comes_out_of_a_loop_is_not(
        self, loops: tuple[GraphIndex, dict[str, str]]
    ) -> None:
        assert conditional(loops[0], "y:0") is None
        assert conditional(loops[0], "between:0") is None

    def test_what_only_waits_for_a_branch_is(self) -> None:
        nodes: Nodes = {
            "p": ("Placeholder", ()),
            "s": ("Switch", ("p", "p")),
            "y": ("Const", ("^s",)),
        }
        assert conditional(graph(nodes), "y:0") == "s"


@pytest.mark.parametrize("door", ["Enter", "RefEnter"])
def test_what_is_fed_inside_a_loop_is_refused_by_whatever_door_one_comes_in(door: str) -> None:
    """Reference variables of TensorFlow 1 enter by an operation of their own."""
    nodes = {
        "x": ("Placeholder", ()),
        "enter": (door, ("x",)),
        "body": ("Neg", ("enter",)),
        "exit": ("Exit", ("body",)),
    }
    index, op_defs = graph(nodes), {door: None, "Neg": None}
    library = FunctionLibrary(index, {})
    meta_graph: Any = SimpleNamespace(graph=index, op_defs=op_defs, functions=library)
    inside, after = (TensorSpec(name, "float32", ()) for name in ("body:0", "exit:0"))
    with pytest.raises(TensorUnservableError, match="inside the while loop that 'enter' enters"):
        check_graph(meta_graph, {"g": inside}, {"y": after}, {"body:0": "g"})
