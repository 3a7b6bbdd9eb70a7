"""The data flow of a signature is the same as in TensorFlow: in the main graph, in functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.functions.dataflow import Dataflow, Port, dataflow
from tests.cli.conftest import FIXTURES, tensorflow

# The program prints for each graph (the main one has an empty name) the nodes with their inputs,
# the arguments, the results, and the function of each call, all as TensorFlow reads the file.
ASKED = """
import json, sys
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import function_def_to_graph
from tensorflow.python.framework import ops
model = saved_model_pb2.SavedModel.FromString(open(sys.argv[1] + "/saved_model.pb", "rb").read())
graph_def = model.meta_graphs[0].graph_def
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
def name(tensor):
    return [tensor.op.name, tensor.value_index]
def read(graph):
    return {
        op.name: {
            "inputs": [name(each) for each in op.inputs],
            "call": op.get_attr("f").name if op.type in CALLS else None,
            "outputs": len(op.outputs),
            "op": op.type,
        }
        for op in graph.get_operations()
    }
found = {}
with tf.Graph().as_default() as main:
    tf.graph_util.import_graph_def(graph_def, name="")
    found[""] = {"nodes": read(main), "inputs": [], "outputs": []}
for function in graph_def.library.function:
    with tf.Graph().as_default() as outer:
        # What it calls has to be there before it.
        tf.graph_util.import_graph_def(
            tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library), name="")
        graph = function_def_to_graph.function_def_to_graph(function)
        found[function.signature.name] = {
            "nodes": read(graph),
            "inputs": [name(each) for each in graph.inputs],
            "outputs": [name(each) for each in graph.outputs],
        }
print(json.dumps(found))
"""

MODELS = (
    "models/keras_functional",
    "models/keras_shared_layer",
    "models/ragged_sparse_inputs",
    "exporters/shared_function",
    "exporters/keras_lookups",
    "exporters/flow_in_functions",
    "exporters/loops_in_session",
    "exporters/tangled_session",
)


class Judge:
    """Follows tensors through the graphs as TensorFlow reads them."""

    def __init__(self, graphs: dict[str, Any]) -> None:
        """Read the graphs."""
        self._graphs = graphs

    def reads(self, calls: tuple[str, ...], node: str, output: int | None) -> list[Any] | None:
        """Return the tensors that a node reads; for an output of a call, the result inside it."""
        graph = self._graph(calls)
        known = graph["nodes"][node]
        callee = known["call"]
        if callee in self._graphs and callee not in self._names(calls):
            if output is None:
                return None
            place = self._graphs[callee]["outputs"][output]
            return [self._meant((*calls, node), *place)]
        return [self._meant(calls, *each) for each in known["inputs"]]

    def _names(self, calls: tuple[str, ...]) -> list[str]:
        names = [""]
        for call in calls:
            names.append(self._graphs[names[-1]]["nodes"][call]["call"])
        return names

    def _graph(self, calls: tuple[str, ...]) -> Any:  # noqa: ANN401 - of JSON
        return self._graphs[self._names(calls)[-1]]

    def _meant(self, calls: tuple[str, ...], node: str, output: int) -> Any:  # noqa: ANN401 - as above
        graph = self._graph(calls)
        if calls and [node, output] in graph["inputs"]:
            place = graph["inputs"].index([node, output])
            given = self._graph(calls[:-1])["nodes"][calls[-1]]["inputs"][place]
            return self._meant(calls[:-1], *given)
        return calls, node, output


def _ports(flow: Dataflow, ports: tuple[Port, ...]) -> list[Any]:
    return [
        (flow.nodes[each.node].calls, flow.nodes[each.node].name, each.output) for each in ports
    ]


@pytest.mark.parametrize("name", MODELS)
def test_each_node_reads_what_it_reads_in_tensorflow(name: str) -> None:
    place = FIXTURES / name
    graphs = json.loads(tensorflow(ASKED, place))
    meta_graph = smpatch.load(place).meta_graphs[0]
    compared = 0
    for signature in meta_graph.signatures.values():
        flow = dataflow(meta_graph, signature)
        assert flow.untold == 0
        fed = {flow.nodes[port.node].name for port in flow.inputs}
        judge = Judge(graphs)
        for node in flow.nodes:
            if not node.calls and node.name in fed and not node.inputs:
                continue  # it does not run
            ours = _ports(flow, node.inputs)
            known = graphs[node.function]["nodes"][node.name]
            assert (node.op, len(node.outputs)) == (known["op"], known["outputs"])
            if node.hands_on:
                theirs = [
                    each
                    for output in range(len(node.outputs))
                    for each in judge.reads(node.calls, node.name, output) or []
                ]
            else:
                theirs = judge.reads(node.calls, node.name, None) or []
            assert ours == theirs, node.path
            compared += len(ours)
    assert compared > 1


def test_an_argument_is_what_the_caller_hands_in() -> None:
    meta_graph = smpatch.load(FIXTURES / "models" / "keras_functional").meta_graph()
    flow = dataflow(meta_graph, meta_graph.signatures["serving_default"])
    first = next(each for each in flow.nodes if each.name == "two_by_two_1/enc_1_1/MatMul")
    data, weight = (flow.nodes[each.node] for each in first.inputs)
    assert (data.calls, data.name) == ((), "serving_default_left")
    assert weight.op == "ReadVariableOp"
    assert len(weight.calls) == len(first.calls)
    variable = flow.nodes[weight.inputs[0].node]
    assert (variable.calls, variable.op) == ((), "VarHandleOp")


def test_a_fed_tensor_ends_the_way_back(tmp_path: Path) -> None:
    from tests.page.models import write  # noqa: PLC0415 - this test alone makes a model

    nodes = [("x", "Placeholder", ()), ("h", "Relu", ("x",)), ("y", "Relu", ("h",))]
    place = write(tmp_path / "m", nodes, {"from_h": ({"h": "h:0"}, {"y": "y:0"})})
    meta_graph = smpatch.load(place).meta_graph()
    flow = dataflow(meta_graph, meta_graph.signatures["from_h"])
    assert [(each.name, each.inputs) for each in flow.nodes] == [("h", ()), ("y", (Port(0, 0),))]
    assert (flow.inputs, flow.outputs) == ({Port(0, 0): "h"}, {Port(1, 0): "y"})


def test_an_output_without_a_name_comes_from_no_node(tmp_path: Path) -> None:
    """Once ``suggest --json`` refused a model that ``suggest`` listed."""
    text = (FIXTURES / "models" / "text_newer_writer" / "saved_model.pbtxt").read_text()
    assert 'name: "product:0"' in text
    (tmp_path / "saved_model.pbtxt").write_text(text.replace('name: "product:0"', ""))
    meta_graph = smpatch.load(tmp_path).meta_graphs[0]
    found = dataflow(meta_graph, meta_graph.signatures["scale"])
    assert found.outputs == {}
    assert [*found.inputs.values()] == ["x"]
