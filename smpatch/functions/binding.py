"""An input of a signature becomes a constant.

The constant is put into the main graph, and what lies between the input and the outputs is
copied to read it (``copies``); in a TensorFlow 2 export that is one call of the function that
the signature calls. The rest is as for any signature on tensors of the main graph: the object
graph gets a wrapper function that makes the constant and calls the same function.

A value has the shape of its input, or of the input's last dimensions; then it is repeated over
the first ones, and where one of these is open it is as large as in another input.

This module knows dense inputs alone.

Sources: ``tensorflow/core/ops/array_ops.cc`` (``Shape``, ``StridedSlice``, ``ConcatV2``,
``BroadcastTo``), ``tensorflow/core/ops/const_op.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from smpatch import dtypes, schema
from smpatch.arguments import Constant
from smpatch.errors import AliasError, RefusedError, TensorNotFoundError, UsageError
from smpatch.functions.copies import Copies, copies, full
from smpatch.graph.functions import CALLS
from smpatch.graph.index import GraphIndex
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import (
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    compatible,
    shape_proto,
    shape_text,
)
from smpatch.values import tensor_proto

__all__ = ["Bound", "Composed", "Composition", "Follow", "bind", "bound_inputs"]


class Composition(Protocol):
    """A signature that is to be made of another one.

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: Input of the source to its value.
    """

    @property
    def source(self) -> str: ...  # noqa: D102 - said above
    @property
    def key(self) -> str: ...  # noqa: D102 - said above
    @property
    def bind(self) -> Mapping[str, Constant]: ...  # noqa: D102 - said above


@dataclass(frozen=True, slots=True)
class Follow:
    """A dimension that is as large as one of another input.

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
        dims: The dimensions to which it is repeated; None where it is the input as it stands.
    """

    spec: TensorSpec
    proto: bytes
    shape: tuple[int, ...]
    dims: tuple[int | Follow, ...] | None = None


def bound_inputs(source: SignatureDef, key: str, bind: Mapping[str, Constant]) -> dict[str, Bound]:
    """Return the values that inputs are bound to, by alias.

    Args:
        source: The signature that is started from.
        key: Its key.
        bind: Input to value.

    Raises:
        RefusedError: There is no such input, it is not dense, or the value is not one of it.
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
    found = f"dimension {axis} of the input is open, and so is that of no other input"
    raise RefusedError(found, where=where, hint="give the value in its whole shape")


class Composed(NamedTuple):
    """A MetaGraph with constants and copies.

    Attributes:
        meta_graph: The MetaGraph.
        signature: The source without what is bound, on the tensors that stand for its own.
        copied: How many nodes are copied, calls of functions aside.
        size: Their bytes.
    """

    meta_graph: MetaGraph
    signature: SignatureDef
    copied: int
    size: int


def bind(meta_graph: MetaGraph, edit: Composition) -> Composed:
    """Put constants in the place of inputs.

    Args:
        meta_graph: The MetaGraph.
        edit: The request.

    Raises:
        RefusedError: There is no such signature or input, or a value is not one of its input.
    """
    source = _source(meta_graph, edit)
    bound = bound_inputs(source, edit.source, edit.bind)
    kept = {alias: spec for alias, spec in source.inputs.items() if alias not in bound}
    fed = {full(tensor.name) for spec in kept.values() for tensor in spec.tensors()}
    taken = set(fed)
    for alias, each in bound.items():
        known = meta_graph.resolver().resolve(each.spec.name).spec.dtype
        if dtypes.base(known) != dtypes.base(each.spec.dtype):
            found = f"the signature says {each.spec.dtype}, and the graph {known}"
            raise RefusedError(found, where=f"input {alias!r}", hint="see smpatch check")
        tensor = full(each.spec.name)
        if tensor in taken:
            found = f"its tensor {tensor} is that of another input"
            raise AliasError(found, where=f"input {alias!r}", hint="drop one: smpatch edit")
        taken.add(tensor)
    prefix = _prefix(edit.key, meta_graph.graph)
    constants = _Constants(prefix, kept)
    replaced = {full(each.spec.name): constants.put(alias, each) for alias, each in bound.items()}
    outputs = [full(each.name) for spec in source.outputs.values() for each in spec.tensors()]
    copied = copies(
        meta_graph.graph,
        replaced,
        fed,
        outputs,
        prefix,
        keep_shapes=all(_fits(meta_graph, each) for each in bound.values()),
    )
    nodes = [*constants.nodes, *copied.nodes]
    serialized = tuple(node.SerializeToString(deterministic=True) for node in nodes)
    draft = Draft.of(meta_graph.parts).appended(Addition(nodes=serialized))
    signature = SignatureDef(
        kept,
        {alias: _renamed(spec, copied) for alias, spec in source.outputs.items()},
        source.method_name,
        {alias: value for alias, value in source.defaults.items() if alias in kept},
    )
    sizes = [node.ByteSize() for node in copied.nodes if node.op not in CALLS]
    return Composed(meta_graph.with_parts(draft), signature, len(sizes), sum(sizes))


def _source(meta_graph: MetaGraph, edit: Composition) -> SignatureDef:
    source = meta_graph.signatures.get(edit.source)
    where = f"signature {edit.source!r}"
    if source is None:
        hint = nearest(edit.source, meta_graph.signatures) or (
            f"signatures here: {', '.join(meta_graph.signatures) or 'none'}"
        )
        raise TensorNotFoundError("no such signature", where=where, hint=hint)
    if not edit.bind:
        raise UsageError("no input is bound", where=where, hint="--bind INPUT=VALUE")
    return source


def _fits(meta_graph: MetaGraph, each: Bound) -> bool:
    """Return whether a value has a shape that the graph has for the input as well."""
    known = meta_graph.resolver().resolve(each.spec.name).spec.shape
    dims = each.shape if each.dims is None else each.dims
    return compatible(tuple(None if isinstance(d, Follow) else d for d in dims), known)


def _prefix(key: str, graph: GraphIndex) -> str:
    """Return what names of new nodes begin with, and no name of the graph or a function does."""
    stem = re.sub(r"[^A-Za-z0-9_.\-]", "_", key).lstrip("_-") or "signature"
    tops = {name.partition("/")[0] for name in graph}
    wanted, count = stem, 0
    while wanted in tops or any(
        f"{wanted}/".encode() in body for body in graph.function_bodies.values()
    ):
        count += 1
        wanted = f"{stem}_{count}"
    return wanted


class _Constants:
    """The nodes that yield the values of inputs.

    Attributes:
        nodes: ``NodeDef`` messages.
    """

    def __init__(self, prefix: str, inputs: Mapping[str, Spec]) -> None:
        """Make none yet.

        Args:
            prefix: What names begin with.
            inputs: The inputs that stay.
        """
        self.nodes: list[Any] = []
        self._prefix = prefix
        self._inputs = inputs
        self._sizes: dict[Follow, str] = {}

    def put(self, alias: str, bound: Bound) -> str:
        """Make what yields a value; return the tensor."""
        stem = f"{self._prefix}/bound/{re.sub(r'[^A-Za-z0-9_.]', '_', alias)}"
        name = stem
        while any(node.name == name for node in self.nodes):
            name += "_"
        value = self._constant(name, bound.proto)
        if bound.dims is None:
            return value
        dims = self._dims(f"{name}/dims", bound.dims)
        node = self._node(f"{name}/repeated", "BroadcastTo", value, dims)
        node.attr["T"].type = dtypes.number(dtypes.base(bound.spec.dtype))
        node.attr["Tidx"].type = dtypes.number("int32")
        shape = tuple(None if isinstance(each, Follow) else each for each in bound.dims)
        node.attr["_output_shapes"].list.shape.append(shape_proto(shape))
        return f"{node.name}:0"

    def _dims(self, name: str, dims: tuple[int | Follow, ...]) -> str:
        """Make what yields dimensions as a vector."""
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
        """Make what yields one dimension of an input, as a vector."""
        if follow not in self._sizes:
            (tensor,) = self._inputs[follow.alias].tensors()
            name = f"{self._prefix}/bound/size_{len(self._sizes)}"
            shape = self._node(f"{name}/shape", "Shape", tensor.name)
            shape.attr["T"].type = dtypes.number(follow.dtype)
            shape.attr["out_type"].type = dtypes.number("int32")
            begin = self._vector(f"{name}/begin", [follow.axis])
            end = self._vector(f"{name}/end", [follow.axis + 1])
            step = self._vector(f"{name}/step", [1])
            node = self._node(name, "StridedSlice", f"{shape.name}:0", begin, end, step)
            node.attr["T"].type = node.attr["Index"].type = dtypes.number("int32")
            for mask in ("begin", "ellipsis", "end", "new_axis", "shrink_axis"):
                node.attr[f"{mask}_mask"].i = 0
            self._sizes[follow] = f"{name}:0"
        return self._sizes[follow]

    def _vector(self, name: str, numbers: list[int]) -> str:
        return self._constant(name, tensor_proto(numbers, "int32")[1])

    def _constant(self, name: str, proto: bytes) -> str:
        node = self._node(name, "Const")
        node.attr["value"].tensor.MergeFromString(proto)
        node.attr["dtype"].type = node.attr["value"].tensor.dtype
        shape = node.attr["_output_shapes"].list.shape.add()
        shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
        return f"{name}:0"

    def _node(self, name: str, op: str, *inputs: str) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        given = [each.removesuffix(":0") for each in inputs]
        self.nodes.append(schema.NodeDef(name=name, op=op, input=given))
        return self.nodes[-1]


def _renamed(spec: Spec, copied: Copies) -> Spec:
    """Return a spec with the tensors that stand for its own."""
    names = copied.tensors
    if isinstance(spec, TensorSpec):
        return replace(spec, name=names[full(spec.name)])
    if isinstance(spec, SparseTensorSpec):
        return replace(
            spec,
            values=names[full(spec.values)],
            indices=names[full(spec.indices)],
            dense_shape=names[full(spec.dense_shape)],
        )
    return CompositeTensorSpec(spec.type_spec, tuple(_renamed(e, copied) for e in spec.components))
