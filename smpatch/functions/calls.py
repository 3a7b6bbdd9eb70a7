"""Copies of functions that have more results, and nodes of the main graph that call functions.

A copy has the old results first, and then the new ones. Only the name, the results and the calls
on the way to an inner function are new, and the attributes of ``STANDS_FOR`` are removed.
All other bytes of the function are copied, including unknown fields.

This module does not choose the results.

Sources: ``tensorflow/core/framework/function.proto``,
``tensorflow/core/ops/functional_ops.cc`` (``StatefulPartitionedCall``),
``tensorflow/core/ops/array_ops.cc`` (``Placeholder``), ``tensorflow/core/framework/tensor.cc``
(``FromProtoField``: values that are left out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smpatch import dtypes, schema, wire
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.graph.index import CALLS, GraphIndex
from smpatch.signature import Shape, TensorSpec, shape_proto
from smpatch.wire import Field, Splice


def placeholder(name: str, spec: TensorSpec) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Return a ``Placeholder`` node of this type and shape."""
    node = schema.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtypes.number(spec.dtype)
    node.attr["shape"].shape.CopyFrom(shape_proto(spec.shape))
    node.attr["_output_shapes"].list.shape.append(shape_proto(spec.shape))
    return node


def zeros(name: str, spec: TensorSpec) -> Any:  # noqa: ANN401 - as above
    """Return a ``Const`` node of zeros (or empty texts); dimensions that are open have size 1."""
    shape = tuple(1 if size is None else size for size in spec.shape or ())
    node = schema.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = dtypes.number(spec.dtype)
    value = node.attr["value"].tensor
    value.dtype = dtypes.number(spec.dtype)
    value.tensor_shape.CopyFrom(shape_proto(shape))  # a tensor without values is zero
    node.attr["_output_shapes"].list.shape.append(shape_proto(shape))
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
        inputs: The inputs of the node, captured tensors last.
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


def node_stem(name: str) -> str:
    """Return a name with ``_`` for each character that a part of a node's name cannot have."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", name)


def first_stem(name: str) -> str:
    """Return ``node_stem`` with a letter, a digit or a dot at the front, as a node's name has."""
    return node_stem(name).lstrip("_-") or "signature"


def fresh_name(wanted: str, graph: GraphIndex, taken: set[str]) -> str:
    """Return a node name that neither the graph nor a function has, with a number if necessary.

    If a node inside a function had this name, the name would afterwards mean the new node.

    Args:
        wanted: The name without a number.
        graph: The graph.
        taken: Names that are in use already; the returned name is added.
    """
    name = untaken(wanted, lambda each: each in graph or each in taken or _spelled(each, graph))
    taken.add(name)
    return name


def untaken(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """Return a name that is not taken: the wanted name, with a number if necessary."""
    name, count = wanted, 0
    while is_taken(name):
        count += 1
        name = f"{wanted}_{count}"
    return name


def prefix_of(key: str, graph: GraphIndex) -> str:
    """Return a prefix for names of new nodes that no name of the graph or a function has."""
    stem = first_stem(key)
    tops = {name.partition("/")[0] for name in graph}
    bodies = graph.function_bodies.values()
    return untaken(stem, lambda e: e in tops or any(f"{e}/".encode() in body for body in bodies))


def _spelled(name: str, graph: GraphIndex) -> bool:
    """Return whether a function has a field, in any of its messages, that is the name."""
    data = name.encode()
    field = wire.varint(len(data)) + data
    return any(field in body for body in graph.function_bodies.values())


_SIGNATURE, _NODE_DEF, _RET, _ATTR = 1, 3, 4, 5
_OP_NAME, _OP_OUTPUT_ARG = 1, 3
_NUMBER = re.compile(r"_\d+$")
STANDS_FOR = ("api_", "_implements")
"""Attributes with which grappler and TFLite replace a function by another one with the same
interface; a copy has another interface."""


@dataclass(frozen=True, slots=True)
class Result:
    """An additional result of a function.

    Attributes:
        name: The name of the output argument.
        tensor: Its tensor inside the function, ``node:arg:index``.
        dtype: Its type.
    """

    name: str
    tensor: str
    dtype: str


def clone(body: bytes, name: str, results: Sequence[Result], nodes: Mapping[str, Any]) -> bytes:
    """Return a copy of a function under another name, with more results.

    Args:
        body: The function, a serialized ``FunctionDef``.
        name: The copy's name.
        results: The additional results.
        nodes: New nodes (``NodeDef`` messages) for nodes of the body, by name.
    """
    edits: list[tuple[Splice, tuple[Field, ...]]] = []
    signature: Field | None = None
    for field in wire.fields(body):
        if field.wire_type != wire.BYTES:
            continue
        if field.number == _SIGNATURE:
            signature = field
        elif field.number == _NODE_DEF:
            wiring = schema.NodeWiring.FromString(field.bytes(body))
            if wiring.name in nodes:
                new = nodes[wiring.name].SerializeToString(deterministic=True)
                edits.append((Splice(field.value, field.end, new), (field,)))
        elif field.number == _ATTR and _key(field.bytes(body)).startswith(STANDS_FOR):
            edits.append((Splice(field.start, field.end, b""), ()))
    if signature is not None:
        edits += _renamed(body, signature, name)
        more = b"".join(wire.delimited(_OP_OUTPUT_ARG, _argument(result)) for result in results)
        edits.append((Splice(signature.end, signature.end, more), (signature,)))
    rets = b"".join(
        wire.delimited(
            _RET, wire.delimited(1, each.name.encode()) + wire.delimited(2, each.tensor.encode())
        )
        for each in results
    )
    edits.append((Splice(len(body), len(body), rets), ()))
    return wire.apply(body, wire.enclose(body, edits))


def named(function: Any, name: str) -> Any:  # noqa: ANN401 - a FunctionDef and a NodeDef
    """Return a node of a function.

    Raises:
        ModelUnreadableError: The function has no such node.
    """
    for node in function.node_def:
        if node.name == name:
            return node
    found = f"the function {function.signature.name!r} has no node {name!r}, but names it"
    raise ModelUnreadableError(found, hint="the graph is damaged")


def check_call(node: Any, function: Any) -> None:  # noqa: ANN401 - a NodeDef and a FunctionDef
    """Check that a call gives a function its arguments, and takes its results.

    Raises:
        ModelUnreadableError: The numbers differ.
    """
    given = sum(not each.startswith("^") for each in node.input)
    types = len(node.attr["Tin"].list.type), len(node.attr["Tout"].list.type)
    signature = function.signature
    wanted = len(signature.input_arg), len(signature.output_arg)
    if given != wanted[0] or types != wanted:
        found = f"{node.name!r} calls {signature.name!r} with other arguments or results"
        raise ModelUnreadableError(found, hint="the graph is damaged")


def function_of(node: Any) -> str:  # noqa: ANN401 - a NodeDef
    """Return the name of the function that a node calls.

    Raises:
        RefusedError: It calls none.
    """
    if node.op not in CALLS:
        raise RefusedError(f"{node.name!r} calls no function")
    return str(node.attr["f"].func.name)


def numbered(function: str, number: int) -> str:
    """Return the name of a copy of a function, with another number at its end."""
    return f"{_NUMBER.sub('', function)}_{number}"


def redirected(node: Any, function: str, results: Sequence[Result]) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Return a call node that calls a copy of its function, which has more results."""
    call = schema.NodeDef()
    call.CopyFrom(node)
    call.attr["f"].func.name = function
    call.attr["Tout"].list.type.extend(dtypes.number(result.dtype) for result in results)
    # These shapes describe only the results that the call had before.
    call.attr.pop("_output_shapes", None)
    return call


def _renamed(body: bytes, signature: Field, name: str) -> list[tuple[Splice, tuple[Field, ...]]]:
    for part in wire.fields(body, signature.value, signature.end):
        if part.number == _OP_NAME and part.wire_type == wire.BYTES:
            return [(Splice(part.value, part.end, name.encode()), (signature, part))]
    field = wire.delimited(_OP_NAME, name.encode())
    return [(Splice(signature.value, signature.value, field), (signature,))]


def _argument(result: Result) -> bytes:
    arg = schema.OpDef.ArgDef(name=result.name, type=dtypes.number(result.dtype))
    return bytes(arg.SerializeToString())


def _key(entry: bytes) -> str:
    return str(schema.AttrEntry.FromString(entry).key)
