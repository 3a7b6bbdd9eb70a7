"""A wrapper for a signature on tensors of the main graph.

The nodes between inputs and outputs are copied into the wrapper (in TensorFlow 2 exports
mostly a single call); variables, tables and assets that they use become captured inputs.
No node is added to the main graph.

This room refuses what a function cannot hold: resources whose object nothing tells, and
TensorFlow 1's control flow.

Source: ``tensorflow/core/framework/function.cc`` (how nodes of a function name their inputs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smpatch import dtypes, schema
from smpatch.errors import RefusedError
from smpatch.forms.parts import Addition
from smpatch.graph.captures import Captures
from smpatch.graph.functions import FunctionLibrary, attributes
from smpatch.graph.index import GraphIndex
from smpatch.graph.objects import ObjectGraph
from smpatch.graph.resolve import Output, outputs
from smpatch.planes.wrapper import (
    ALONE,
    Captured,
    Wrapper,
    argument_names,
    assemble,
    captured_name,
    dense,
)
from smpatch.signature import SignatureDef

__all__ = ["MainGraph", "wrap"]

_V1_CONTROL_FLOW = frozenset(
    {"Switch", "RefSwitch", "Merge", "RefMerge", "Enter", "RefEnter", "Exit", "RefExit"}
)


class MainGraph:
    """A MetaGraph's main graph with all that ties it to its objects."""

    def __init__(
        self,
        graph: GraphIndex,
        library: FunctionLibrary,
        objects: ObjectGraph,
        captures: Captures,
    ) -> None:
        """Hold the four views together."""
        self.graph = graph
        self.library = library
        self.objects = objects
        self.captures = captures


def wrap(main: MainGraph, key: str, signature: SignatureDef, name: str = "") -> Addition:
    """Make what a signature on tensors of the main graph needs in the object graph.

    Args:
        main: The main graph.
        key: The signature key.
        signature: The signature.
        name: What the function is called; by default as TensorFlow's exporter would.

    Returns:
        A function, its entry among the concrete functions, and an object; nothing for the
        main graph.

    Raises:
        RefusedError: The object graph cannot say the same.
    """
    inputs, fetched = dense(signature.inputs, "input"), dense(signature.outputs, "output")
    copied, captured_tensors = _between(
        main, {spec.name for spec in inputs.values()}, [spec.name for spec in fetched.values()]
    )
    taken = set(copied)
    arguments = argument_names(list(inputs), taken)
    captured = {
        tensor: Captured(number, _declared(main, tensor, captured_name(taken)))
        for tensor, number in captured_tensors.items()
    }
    inside = {spec.name: arguments[alias] for alias, spec in inputs.items()}
    inside |= {tensor: each.arg.name for tensor, each in captured.items()}
    nodes = {name: _message(main.graph, name) for name in copied}
    for node in nodes.values():
        _rewire(main, node, inside, nodes)
    results = {
        alias: _inner_name(main, spec.name, inside, nodes) for alias, spec in fetched.items()
    }
    wrapper = Wrapper(
        key, inputs, arguments, fetched, results, list(captured.values()), list(nodes.values())
    )
    return assemble(wrapper, main.library, name)


def _between(
    main: MainGraph, fed: set[str], fetched: list[str]
) -> tuple[list[str], dict[str, int]]:
    """Return the nodes from the outputs back to the inputs, and what they capture on the way.

    Returns:
        The nodes in the order of the main graph; tensor to object number, in the order met.
    """
    wanted = list(fetched)
    nodes: set[str] = set()
    captured: dict[str, int] = {}
    fed_nodes = {name.rpartition(":")[0] for name in fed}
    while wanted:
        tensor = wanted.pop()
        if tensor in fed or tensor in captured:
            continue
        if tensor.startswith("^"):
            # What is fed or captured is there before anything runs.
            op = tensor[1:]
            if op in fed_nodes or main.captures.number(f"{op}:0") is not None:
                continue
        op = tensor.removeprefix("^").rpartition(":")[0] or tensor.removeprefix("^")
        number = main.captures.number(tensor)
        if number is not None:
            captured[tensor] = number
        elif op not in nodes:
            _check_copyable(main, op)
            nodes.add(op)
            wanted += [_full(source) for source in main.graph.wiring(op).inputs]
    # Sorted by object, so that the order does not hang on the way the walk took.
    ordered = dict(sorted(captured.items(), key=lambda each: (each[1], each[0])))
    return [name for name in main.graph if name in nodes], ordered


def _check_copyable(main: MainGraph, name: str) -> None:
    wiring = main.graph.wiring(name)
    if wiring.op in _V1_CONTROL_FLOW:
        found = f"{name!r} is control flow of TensorFlow 1 ({wiring.op})"
        raise RefusedError(found, hint=ALONE)
    if wiring.op in {"Placeholder", "PlaceholderV2"}:
        raise RefusedError(f"the placeholder {name!r} is not fed", hint=ALONE)
    op_def = main.library.op_def(wiring.op)
    if op_def is None:
        found = f"the model does not define the operation {wiring.op!r} of {name!r}"
        raise RefusedError(found, hint=ALONE)
    if not wiring.inputs and any(
        output.dtype == "resource" for output in outputs(op_def, main.graph.node(name).attr)
    ):
        found = f"nothing tells for certain which object the resource {name!r} is"
        raise RefusedError(found, hint=ALONE)


def _declared(main: MainGraph, tensor: str, name: str) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    """Return how the wrapper declares a captured tensor: type and, of a variable, what it holds."""
    op, _, index = tensor.rpartition(":")
    node = main.graph.node(op)
    op_def = main.library.op_def(node.wiring.op)
    if op_def is None:
        found = f"the model does not define the operation {node.wiring.op!r} of {op!r}"
        raise RefusedError(found, hint=ALONE)
    arg = schema.OpDef.ArgDef(name=name)
    arg.type = dtypes.number(outputs(op_def, node.attr)[int(index)].dtype)
    dtype, shape = node.attr("dtype"), node.attr("shape")
    if node.wiring.op == "VarHandleOp" and dtype is not None and shape is not None:
        arg.handle_data.add(dtype=dtype.type, shape=shape.shape)
    return arg


def _message(graph: GraphIndex, name: str) -> Any:  # noqa: ANN401 - as above
    message = graph.node(name).message()
    # It names nodes of the main graph, and the loader places the function's nodes anew.
    message.attr.pop("_class", None)
    return message


def _rewire(
    main: MainGraph,
    node: Any,  # noqa: ANN401 - as above
    inside: Mapping[str, str],
    nodes: Mapping[str, Any],
) -> None:
    """Give a copied node the inputs that it has inside the function."""
    sources = list(node.input)
    del node.input[:]
    for source in sources:
        if not source.startswith("^"):
            node.input.append(_inner_name(main, _full(source), inside, nodes))
        elif source[1:] in nodes:  # what is fed or captured is there before anything runs
            node.input.append(source)


def _inner_name(
    main: MainGraph, tensor: str, inside: Mapping[str, str], nodes: Mapping[str, Any]
) -> str:
    """Return what a tensor of the main graph is called inside the function."""
    if tensor in inside:
        return inside[tensor]
    op, _, index = tensor.rpartition(":")
    op_def = main.library.op_def(nodes[op].op)
    found: list[Output] = outputs(op_def, attributes(nodes[op]))
    output = found[int(index)]
    return f"{op}:{output.arg}:{output.index}"


def _full(source: str) -> str:
    return source if ":" in source or source.startswith("^") else f"{source}:0"
