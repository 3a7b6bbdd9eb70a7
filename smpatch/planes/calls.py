"""Nodes of the main graph that call functions, as TensorFlow's exporter writes them.

This room makes messages and looks at nothing.

Source: ``tensorflow/core/ops/functional_ops.cc`` (``StatefulPartitionedCall``),
``tensorflow/core/ops/array_ops.cc`` (``Placeholder``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smpatch import dtypes, schema, wire
from smpatch.graph.index import GraphIndex
from smpatch.signature import Shape, TensorSpec, shape_proto

__all__ = ["call", "fresh_name", "placeholder"]


def placeholder(name: str, spec: TensorSpec) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Return a ``Placeholder`` node of this type and shape."""
    node = schema.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtypes.number(spec.dtype)
    node.attr["shape"].shape.CopyFrom(shape_proto(spec.shape))
    node.attr["_output_shapes"].list.shape.append(shape_proto(spec.shape))
    return node


def call(
    name: str,
    function: Any,  # noqa: ANN401 - as above
    inputs: Sequence[str],
    shapes: Iterable[Shape],
) -> Any:  # noqa: ANN401 - as above
    """Return a node that calls a function.

    Args:
        name: The node's name.
        function: The function, a ``FunctionDef``.
        inputs: What it is given, captured tensors last.
        shapes: The shapes of its results, in their order.
    """
    signature = function.signature
    node = schema.NodeDef(name=name, op="StatefulPartitionedCall", input=inputs)
    node.attr["f"].func.name = signature.name
    node.attr["Tin"].list.type.extend(arg.type for arg in signature.input_arg)
    node.attr["Tout"].list.type.extend(arg.type for arg in signature.output_arg)
    node.attr["config"].s = b""
    node.attr["config_proto"].s = b""
    node.attr["executor_type"].s = b""
    described = node.attr["_output_shapes"].list
    described.SetInParent()
    described.shape.extend(shape_proto(shape) for shape in shapes)
    return node


def fresh_name(wanted: str, graph: GraphIndex, taken: set[str]) -> str:
    """Return a node name that neither the graph nor a function has, counting up as TensorFlow does.

    A name that was that of a node inside a function would from then on mean the new node.

    Args:
        wanted: The name without a number.
        graph: The graph.
        taken: Names that are promised already; the one returned is added.
    """
    name, count = wanted, 0
    while name in graph or name in taken or _spelled(name, graph):
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


def _spelled(name: str, graph: GraphIndex) -> bool:
    """Tell whether a function has a string that is the name, as it stands in any message."""
    data = name.encode()
    field = wire.varint(len(data)) + data
    return any(field in body for body in graph.function_bodies.values())
