"""Full name, dtype and shape of a tensor with a name such as ``x:0``, as the file has them.

The dtype of an output comes from the operation's definition, which the exporter leaves in
``MetaInfoDef.stripped_op_list`` (or, for a call, from the function's own signature), and
from the node's attributes. The shape comes from ``_output_shapes``, which exporters write
on every node, or from an attribute of a few operations.

This module reads one node at a time and infers no shapes: a shape that the file does not have is
marked as unknown, because TensorFlow may infer it.

Sources: ``OpDef.ArgDef`` in ``tensorflow/core/framework/op_def.proto``;
``tensorflow/core/framework/node_def_util.cc`` (``OutputTypesForNode``);
``tensorflow/python/ops/array_ops.py`` (``placeholder``) and
``tensorflow/core/ops/array_ops.cc`` on the scalar that means unknown.
"""

from __future__ import annotations

import difflib
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from smpatch import dtypes
from smpatch.errors import ModelUnreadableError, TensorNotFoundError
from smpatch.graph.index import CALLS, GraphIndex, Node
from smpatch.graph.op_defs import find_op_def
from smpatch.shapes import MAX_RANK
from smpatch.signature import Shape, TensorSpec, shape_from_proto

Attributes = Callable[[str], Any]
"""Returns the ``AttrValue`` of an attribute by its name, or None."""

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

_SHAPE_ATTRIBUTE = frozenset(
    {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Variable", "VariableV2"}
)
"""Operations whose attribute ``shape`` is the shape of their one output."""

_LAST_PRODUCER_OF_SCALAR_PLACEHOLDERS = 21
"""Up to this ``GraphDef`` version a placeholder's scalar shape means that it is unknown."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
"""An output's number: as TensorFlow writes it, with at most ten digits, as 32 bits need."""

_MAX_OUTPUTS = 1 << 16
"""The most outputs of a node; a damaged number of them would take all memory."""

_CANDIDATES = 20_000
"""The most names that are compared with a misspelt one; more would take seconds."""


class OpDefMissingError(TensorNotFoundError):
    """The file does not define the node's operation, so its outputs are unknown."""

    def __init__(self, op: str, *, where: str) -> None:
        """Keep the operation's name, for a caller that can ask TensorFlow for it."""
        found = f"the model does not define the outputs of the operation {op!r}"
        super().__init__(found, where=where, hint="validate with TensorFlow, which may infer it")
        self.op = op


class NodeNotFoundError(TensorNotFoundError):
    """The main graph has no node of that name."""

    def __init__(self, name: str, *, where: str, hint: str) -> None:
        """Keep the name, for a caller that can look for it elsewhere."""
        super().__init__("no such node in the graph", where=where, hint=hint)
        self.name = name


@dataclass(frozen=True, slots=True)
class TensorName:
    """The parts of a tensor's name; ``index`` is None if the name is only that of a node."""

    op: str
    index: int | None

    def __str__(self) -> str:
        """Return the name as it was written."""
        return self.op if self.index is None else f"{self.op}:{self.index}"


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an operation.

    Attributes:
        arg: The name of the output argument in the operation's definition.
        index: Its place within that argument, which may have several outputs.
        dtype: The element type.
    """

    arg: str
    index: int
    dtype: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A tensor as the file describes it.

    Attributes:
        spec: Full name, dtype and shape.
        op: The operation that yields it.
        shape_known: Whether the file has the shape; if not, ``spec.shape`` is None although
            TensorFlow may infer more.
    """

    spec: TensorSpec
    op: str
    shape_known: bool


class Resolver:
    """Resolves tensor names of one graph."""

    def __init__(self, graph: GraphIndex, op_defs: Mapping[str, Any]) -> None:
        """Keep the graph, and the definitions of operations (``OpDef``) by name."""
        self._graph = graph
        self._op_defs = op_defs

    def resolve(self, name: str) -> Resolved:
        """Resolve ``op:index``, or ``op`` if the operation has one output.

        Raises:
            TensorNotFoundError: There is no such node or output; the hint has the nearest ones.
            OpDefMissingError: The file does not define the outputs of the operation.
        """
        wanted = parse(name)
        if wanted.op not in self._graph:
            hint = nearest(wanted.op, self._graph)
            raise NodeNotFoundError(wanted.op, where=name, hint=hint)
        node = self._graph.node(wanted.op)
        types = self._output_types(node, where=name)
        index = wanted.index
        if index is None:
            if len(types) != 1:
                raise _which_output(node, types, name)
            index = 0
        if index >= len(types):
            raise _which_output(node, types, name)
        shape, known = self._shape(node, index, node.attr("_output_shapes"))
        spec = TensorSpec(f"{wanted.op}:{index}", types[index], shape)
        return Resolved(spec, node.wiring.op, known)

    def outputs(self, op: str, most: int) -> list[TensorSpec]:
        """Return the first outputs of a node that is there, at most ``most`` of them.

        Raises:
            OpDefMissingError: The file does not define the outputs of the operation.
        """
        node = self._graph.node(op)
        types = self._output_types(node, where=op)[:most]
        written = node.attr("_output_shapes")
        return [
            TensorSpec(f"{op}:{index}", dtype, self._shape(node, index, written)[0])
            for index, dtype in enumerate(types)
        ]

    def _output_types(self, node: Node, *, where: str) -> list[str]:
        op = node.wiring.op
        op_def = find_op_def(op, self._op_defs, self._graph)
        if op_def is None:
            if op in _PLACEHOLDERS and (dtype := node.attr("dtype")) is not None:
                return [dtypes.name(dtype.type)]
            if op in CALLS and (results := node.attr("Tout")) is not None:
                return [dtypes.name(each) for each in results.list.type]
            raise OpDefMissingError(op, where=where)
        return [output.dtype for output in outputs(op_def, node.attr)]

    def _shape(self, node: Node, index: int, written: Any) -> tuple[Shape, bool]:  # noqa: ANN401 - an AttrValue or None
        if written is not None and index < len(written.list.shape):
            return shape_from_proto(written.list.shape[index]), True
        if node.wiring.op in _SHAPE_ATTRIBUTE and (attr := node.attr("shape")) is not None:
            shape = shape_from_proto(attr.shape)
            ambiguous = (
                node.wiring.op in _PLACEHOLDERS
                and shape == ()
                and self._graph.producer <= _LAST_PRODUCER_OF_SCALAR_PLACEHOLDERS
            )
            return (None, False) if ambiguous else (shape, True)
        return None, False


def constant_shape(graph: GraphIndex, name: str) -> Shape:
    """Return the dimensions in a constant int64 vector, or None if it is not a constant.

    TensorFlow evaluates more (``constant_value_as_shape`` in ``tensor_util.py`` follows
    packed and sliced shapes); this function reads only a ``Const``.
    """
    node = graph.node(name.rpartition(":")[0])
    if node.wiring.op != "Const" or (value := node.attr("value")) is None:
        return None
    tensor = value.tensor
    if len(tensor.tensor_shape.dim) > 1:
        return None  # not a vector; the product of millions of dimensions would take hours
    count = math.prod(max(dim.size, 0) for dim in tensor.tensor_shape.dim)
    if count > MAX_RANK or len(tensor.tensor_content) % 8:
        return None
    if tensor.tensor_content:
        sizes = [each for (each,) in struct.iter_unpack("<q", tensor.tensor_content)]
    else:  # the last value is repeated for all that follow (tensor.proto)
        given = list(tensor.int64_val) or [0]
        sizes = given + given[-1:] * (count - len(given))
    return tuple(size if size >= 0 else None for size in sizes[:count])


def parse(name: str) -> TensorName:
    """Split ``op:index`` or ``op`` into its parts.

    Raises:
        TensorNotFoundError: It cannot be the name of a tensor.
    """
    if name.startswith("^"):
        found = "a control input is not a tensor"
        raise TensorNotFoundError(found, where=name, hint="name an output, such as op:0")
    op, colon, index = name.rpartition(":")
    if not colon:
        return TensorName(name, None)
    if not op or not _INDEX.fullmatch(index):
        found = "not a tensor name"
        raise TensorNotFoundError(found, where=name, hint="write op:index, such as x:0")
    return TensorName(op, int(index))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint with the names that are most similar to ``name``; empty if none is similar."""
    lowered = name.lower()
    last = lowered.rpartition("/")[2]
    alike: list[str] = []
    sample: dict[str, str] = {}
    for each in names:
        folded = each.lower()
        if folded == lowered or folded.rpartition("/")[2] == last:
            if each in alike:
                continue
            alike.append(each)
            if len(alike) == 3:  # noqa: PLR2004 - as many as fit into a line
                break
        if len(sample) < _CANDIDATES:
            sample.setdefault(folded, each)
    if not alike:
        close = difflib.get_close_matches(lowered, sample, n=3, cutoff=0.6)
        alike = [sample[each] for each in close]
    return f"did you mean {' or '.join(islice(alike, 3))}?" if alike else ""


def outputs(op_def: Any, attr: Attributes) -> list[Output]:  # noqa: ANN401 - protobuf's classes are made at run time
    """Return the outputs of an operation with these attributes, in their order.

    Args:
        op_def: The operation's ``OpDef``.
        attr: Returns an attribute of the node by its name.
    """
    found: list[Output] = []
    for arg in op_def.output_arg:
        types = _arg_types(attr, op_def, arg)
        _check_number(op_def, len(found) + len(types))
        found += [Output(arg.name, index, dtype) for index, dtype in enumerate(types)]
    return found


def _arg_types(attr: Attributes, op_def: Any, arg: Any) -> list[str]:  # noqa: ANN401 - as above
    if arg.type_list_attr:
        value = _attr(attr, op_def, arg.type_list_attr)
        types = [dtypes.name(each) for each in value.list.type] if value is not None else []
    else:
        if arg.type_attr:
            value = _attr(attr, op_def, arg.type_attr)
            dtype = dtypes.name(value.type) if value is not None else dtypes.INVALID
        else:
            dtype = dtypes.name(arg.type)
        count = 1
        if arg.number_attr:
            value = _attr(attr, op_def, arg.number_attr)
            count = value.i if value is not None else 0
            _check_number(op_def, count)
        types = [dtype] * count
    return [dtypes.ref(each) for each in types] if arg.is_ref else types


def _check_number(op_def: Any, count: int) -> None:  # noqa: ANN401 - as above
    if count > _MAX_OUTPUTS:
        found = f"an operation {op_def.name!r} has {count} outputs"
        raise ModelUnreadableError(found, hint="the graph is damaged")


def _attr(attr: Attributes, op_def: Any, key: str) -> Any | None:  # noqa: ANN401 - as above
    """Return the node's attribute or, if the exporter stripped it, the default."""
    value = attr(key)
    if value is not None:
        return value
    for declared in op_def.attr:
        if declared.name == key and declared.HasField("default_value"):
            return declared.default_value
    return None


def _which_output(node: Node, types: list[str], name: str) -> TensorNotFoundError:
    op = node.wiring.name
    found = f"{node.wiring.op} {op!r} has {len(types)} output{'' if len(types) == 1 else 's'}"
    if not types:
        return TensorNotFoundError(found, where=name, hint="name a node that yields a tensor")
    offered = " or ".join(f"{op}:{index}" for index in range(min(len(types), 4)))
    hint = f"use {offered}" if len(types) > 1 else f"use {op}:0"
    return TensorNotFoundError(found, where=name, hint=hint)
