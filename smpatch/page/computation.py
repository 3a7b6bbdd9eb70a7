"""The computation of one signature for the page: tensors, their inputs, and possible outputs.

Operations, types and shapes are in tables, so that each text is there once. A tensor is a number:
its place among the outputs of all nodes. The page makes commands from these data, and decides
nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from smpatch import tensor_syntax
from smpatch.errors import RefusedError
from smpatch.functions.dataflow import Dataflow, DataNode, Port, dataflow
from smpatch.functions.inner_tensors import Inner
from smpatch.functions.inside import PARAMETERS, Inside, inside, servable, spelled
from smpatch.functions.shape_inference import Infer, Place, shapes
from smpatch.graph.index import CALLS, op_of
from smpatch.graph.operations import automatic, auxiliary
from smpatch.loader import MetaGraph
from smpatch.signature import Shape, TensorSpec, shape_text

LISTED, OFFERED = "a", "x"
"""The states of a tensor that can become an output: ``suggest`` lists it, or ``suggest --all``."""

_INPUT, _OUTPUT, _HANDLE, _PARAMETER, _UNWRITABLE, _OTHER = "iohpw-"
"""The states of the other tensors, for which the page has words."""

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def computation(
    meta_graph: MetaGraph, key: str, infer: Infer | None = None
) -> tuple[dict[str, Any], str]:
    """Return the computation of a signature for JSON, and an error if no tensor can be an output.

    ``infer`` asks TensorFlow for shapes that the file does not record; with None they stay unknown.

    Raises:
        RefusedError: Functions call functions without end.
    """
    signature = meta_graph.signatures[key]
    flow = dataflow(meta_graph, signature)
    refusal = ""
    try:
        found = inside(meta_graph, key, everything=True)
    except RefusedError as error:
        found, refusal = Inside((), frozenset()), str(error)
    names = spelled(meta_graph, key, found.tensors, found.ambiguous)
    first = [0, *accumulate(len(node.outputs) for node in flow.nodes)]
    offered = {(each.calls, each.spec.name): each for each in found.tensors}
    states: list[str] = []
    unusual: dict[str, tuple[str, str]] = {}
    for number, node in enumerate(flow.nodes):
        for index, spec in enumerate(node.outputs):
            inner = offered.get((node.calls, spec.name))
            port = Port(number, index)
            state = _state(flow, port, node, spec, inner)
            if inner is not None:
                alias = _alias(node.name, index, signature.outputs)
                written = names[inner]
                if not tensor_syntax.understood(alias, written):
                    state = _UNWRITABLE
                elif not _usual(alias, written, node.name, index):
                    unusual[str(first[number] + index)] = (alias, written)
            states.append(state)
    body = _packed(flow, first, _shapes(meta_graph, flow, infer))
    body.update(states="".join(states), unusual=unusual, untold=flow.untold)
    return body, refusal


def _state(
    flow: Dataflow, port: Port, node: DataNode, spec: TensorSpec, inner: Inner | None
) -> str:
    if port in flow.inputs:
        return _INPUT
    if inner is not None:
        less = auxiliary(node.op, node.name) or automatic(node.name)
        return OFFERED if less else LISTED
    if port in flow.outputs:
        return _OUTPUT
    if not servable(spec):
        return _HANDLE
    return _PARAMETER if node.op in PARAMETERS | CALLS | {"Identity"} else _OTHER


def _alias(name: str, index: int, taken: Mapping[str, object]) -> str:
    """Return the alias that the command line would give, or a free one that is similar."""
    last = op_of(name).rpartition("/")[2]
    alias = last if index == 0 else f"{last}_{index}"
    if not _PLAIN.fullmatch(alias):
        alias = "output"
    number, free = 2, alias
    while free in taken:
        free, number = f"{alias}_{number}", number + 1
    return free


def _usual(alias: str, written: str, name: str, index: int) -> bool:
    """Return whether alias and tensor follow from the name of the node."""
    last = name.rpartition("/")[2]
    usual = last if index == 0 else f"{last}_{index}"
    return alias == usual and written == f"{name}:{index}"


def _shapes(meta_graph: MetaGraph, flow: Dataflow, infer: Infer | None) -> Mapping[Port, Shape]:
    """Return the shapes that TensorFlow infers for tensors whose shape the file does not record."""
    if infer is None:
        return {}
    unknown = [
        Port(number, index)
        for number, node in enumerate(flow.nodes)
        for index, spec in enumerate(node.outputs)
        if spec.shape is None and servable(spec)
    ]
    places = [
        Place(flow.nodes[port.node].calls, flow.nodes[port.node].name, port.output)
        for port in unknown
    ]
    found = shapes(meta_graph, places, infer) if places else []
    return dict(zip(unknown, found, strict=True))


def _packed(flow: Dataflow, first: Sequence[int], known: Mapping[Port, Shape]) -> dict[str, Any]:
    calls, ops, types, forms = _Table(), _Table(), _Table(), _Table()
    functions: dict[tuple[str, ...], str] = {}
    nodes = []
    for number, node in enumerate(flow.nodes):
        for depth in range(1, len(node.calls) + 1):
            calls.number(node.calls[:depth])
        functions[node.calls] = node.function
        outputs: list[int] = []
        for index, spec in enumerate(node.outputs):
            shape = spec.shape if spec.shape is not None else known.get(Port(number, index))
            outputs += [types.number(spec.dtype), forms.number(shape_text(shape))]
        inputs = [first[port.node] + port.output for port in node.inputs]
        place = calls.number(node.calls) if node.calls else -1
        nodes.append([place, node.name, ops.number(node.op), int(node.hands_on), outputs, inputs])
    return {
        "calls": [
            [calls.number(each[:-1]) if len(each) > 1 else -1, each[-1], functions.get(each, "")]
            for each in calls
        ],
        "ops": list(ops),
        "types": list(types),
        "shapes": list(forms),
        "nodes": nodes,
        "inputs": _ports(flow.inputs, first),
        "outputs": _ports(flow.outputs, first),
    }


def _ports(ports: Mapping[Port, str], first: Sequence[int]) -> list[tuple[int, str]]:
    return [(first[port.node] + port.output, alias) for port, alias in ports.items()]


class _Table(dict[Any, int]):
    """Values with their numbers, in the order in which ``number`` gets them."""

    def number(self, value: object) -> int:
        return self.setdefault(value, len(self))
