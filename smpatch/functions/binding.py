"""Constants that take the place of inputs of a signature.

A value has the shape of its input, or of the input's last dimensions. In the second case it is
repeated over the first dimensions; an open one gets the size that it has in another input.

This module takes only dense inputs, and does not connect the constants.

Sources: ``tensorflow/core/ops/array_ops.cc`` (``Shape``, ``StridedSlice``, ``ConcatV2``,
``BroadcastTo``), ``tensorflow/core/ops/const_op.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from smpatch import dtypes, schema
from smpatch.arguments import Constant
from smpatch.errors import RefusedError, TensorNotFoundError
from smpatch.graph.resolve import nearest
from smpatch.signature import (
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
    shape_proto,
    shape_text,
)
from smpatch.values import tensor_proto


@dataclass(frozen=True, slots=True)
class Follow:
    """A dimension that has the size of a dimension of another input.

    Attributes:
        alias: The other input.
        dtype: Its element type.
        axis: The dimension.
    """

    alias: str
    dtype: str
    axis: int


@dataclass(frozen=True, slots=True)
class Bound:
    """A value that takes the place of an input.

    Attributes:
        spec: The input.
        proto: The value, a serialized ``TensorProto``.
        shape: The value's shape.
        dims: The dimensions to which it is repeated; None if it is not repeated.
    """

    spec: TensorSpec
    proto: bytes
    shape: tuple[int, ...]
    dims: tuple[int | Follow, ...] | None = None


def bound_inputs(source: SignatureDef, key: str, bind: Mapping[str, Constant]) -> dict[str, Bound]:
    """Return the values to which inputs are bound, by alias.

    ``key`` is the key of ``source``, and ``bind`` has the value of each bound input, by alias.

    Raises:
        RefusedError: There is no such input, it is not dense, or the value does not fit it.
    """
    for alias in bind:
        if alias not in source.inputs:
            hint = nearest(alias, source.inputs) or f"it has {', '.join(source.inputs) or 'none'}"
            found = f"no input is called {alias!r}"
            raise TensorNotFoundError(found, where=f"signature {key!r}", hint=hint)
    others = {
        alias: spec
        for alias, spec in sorted(source.inputs.items())
        if alias not in bind and isinstance(spec, TensorSpec)
    }
    return {
        alias: _bound(source.inputs[alias], value, others, f"--bind {alias}")
        for alias, value in sorted(bind.items())
    }


def _bound(spec: Spec, value: Constant, others: Mapping[str, TensorSpec], where: str) -> Bound:
    if not isinstance(spec, TensorSpec):
        found = "the input is a sparse or composite tensor, and only dense ones can be bound"
        raise RefusedError(found, where=where)
    dtype = dtypes.base(spec.dtype)
    if value.dtype is not None and value.dtype != dtype:
        found = f"the array is {value.dtype}, and the input is {dtype}"
        raise RefusedError(found, where=where, hint=f'convert it: array.astype("{dtype}")')
    try:
        shape, proto = tensor_proto(value.value, dtype)
    except ValueError as error:
        hint = f"the input is {dtype} {shape_text(spec.shape)}; a value is JSON"
        raise RefusedError(str(error), where=where, hint=f"{hint}, or a .npy file") from error
    if compatible(shape, spec.shape):
        return Bound(spec, proto, shape)
    wanted = spec.shape or ()
    missing = len(wanted) - len(shape)
    if missing <= 0 or not compatible(shape, wanted[missing:]):
        found = f"the value has the shape {shape_text(shape)}, and the input {shape_text(wanted)}"
        hint = "a value has the input's shape, or that of its last dimensions"
        raise RefusedError(found, where=where, hint=hint)
    dims = [
        _followed(axis, others, where) if size is None else size
        for axis, size in enumerate(wanted[:missing])
    ]
    return Bound(spec, proto, shape, (*dims, *shape))


def _followed(axis: int, others: Mapping[str, TensorSpec], where: str) -> Follow:
    for alias, spec in others.items():
        if spec.shape is not None and len(spec.shape) > axis and spec.shape[axis] is None:
            return Follow(alias, dtypes.base(spec.dtype), axis)
    found = (
        f"dimension {axis} of the input is open, and no other input has an open dimension {axis}"
    )
    raise RefusedError(found, where=where, hint="give the value in its whole shape")


class Constants:
    """Nodes that yield the values of inputs.

    Attributes:
        nodes: ``NodeDef`` messages.
    """

    def __init__(self, prefix: str, inputs: Mapping[str, str], copied: Container[str]) -> None:
        """Keep the names; make no node yet.

        Args:
            prefix: The beginning of the names of the nodes.
            inputs: The tensors of the inputs that are not bound, by alias.
            copied: The names of nodes whose copies have the same prefix.
        """
        self.nodes: list[Any] = []
        self._prefix = prefix
        self._inputs = inputs
        self._copied = copied
        self._sizes: dict[Follow, str] = {}

    def put(self, alias: str, bound: Bound) -> str:
        """Make the nodes of a value; return the tensor."""
        value = self._constant(f"bound/{re.sub(r'[^A-Za-z0-9_.]', '_', alias)}", bound.proto)
        if bound.dims is None:
            return value
        name = value.removeprefix(f"{self._prefix}/").removesuffix(":0")
        dims = self._dims(f"{name}/dims", bound.dims)
        node = self._node(f"{name}/repeated", "BroadcastTo", value, dims)
        node.attr["T"].type = dtypes.number(dtypes.base(bound.spec.dtype))
        node.attr["Tidx"].type = dtypes.number("int32")
        shape = tuple(None if isinstance(each, Follow) else each for each in bound.dims)
        node.attr["_output_shapes"].list.shape.append(shape_proto(shape))
        return f"{node.name}:0"

    def _dims(self, name: str, dims: tuple[int | Follow, ...]) -> str:
        """Make the nodes that yield dimensions as a vector; return the tensor."""
        parts = [
            self._size(each)
            if isinstance(each, Follow)
            else self._vector(f"{name}/{place}", [each])
            for place, each in enumerate(dims)
        ]
        if len(parts) == 1:
            return parts[0]
        axis = self._constant(f"{name}/axis", tensor_proto(0, "int32")[1])
        node = self._node(name, "ConcatV2", *parts, axis)
        node.attr["N"].i = len(parts)
        node.attr["T"].type = node.attr["Tidx"].type = dtypes.number("int32")
        return f"{node.name}:0"

    def _size(self, follow: Follow) -> str:
        """Make the nodes that yield one dimension of an input as a vector; return the tensor."""
        if follow not in self._sizes:
            name = f"bound/size_{len(self._sizes)}"
            shape = self._node(f"{name}/shape", "Shape", self._inputs[follow.alias])
            shape.attr["T"].type = dtypes.number(follow.dtype)
            shape.attr["out_type"].type = dtypes.number("int32")
            begin = self._vector(f"{name}/begin", [follow.axis])
            end = self._vector(f"{name}/end", [follow.axis + 1])
            step = self._vector(f"{name}/step", [1])
            node = self._node(name, "StridedSlice", f"{shape.name}:0", begin, end, step)
            node.attr["T"].type = node.attr["Index"].type = dtypes.number("int32")
            for mask in ("begin", "ellipsis", "end", "new_axis", "shrink_axis"):
                node.attr[f"{mask}_mask"].i = 0
            self._sizes[follow] = f"{node.name}:0"
        return self._sizes[follow]

    def _vector(self, name: str, numbers: list[int]) -> str:
        return self._constant(name, tensor_proto(numbers, "int32")[1])

    def _constant(self, name: str, proto: bytes) -> str:
        node = self._node(name, "Const")
        node.attr["value"].tensor.MergeFromString(proto)
        node.attr["dtype"].type = node.attr["value"].tensor.dtype
        shape = node.attr["_output_shapes"].list.shape.add()
        shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
        return f"{node.name}:0"

    def _node(self, name: str, op: str, *inputs: str) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        """Make a node; its name begins with the prefix, and no other node or copy has it."""
        given = [each.removesuffix(":0") for each in inputs]
        taken = {node.name for node in self.nodes}
        while name in self._copied or f"{self._prefix}/{name}" in taken:
            name += "_"
        self.nodes.append(schema.NodeDef(name=f"{self._prefix}/{name}", op=op, input=given))
        return self.nodes[-1]
