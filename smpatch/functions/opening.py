"""Copies of functions that take inner tensors as arguments, and calls of the copies.

A copy has neither the nodes that only such a tensor needs nor the arguments that only these need.

This module does not choose the tensors (``inner_inputs``).

Source: ``tensorflow/core/framework/function.proto``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from smpatch import dtypes, schema
from smpatch.errors import AliasError, RefusedError
from smpatch.functions.calls import (
    STANDS_FOR,
    check_call,
    fresh_name,
    function_of,
    named,
    node_stem,
    numbered,
    placeholder,
)
from smpatch.functions.copies import copies, with_names
from smpatch.functions.inner_tensors import Inner
from smpatch.functions.wrapper import argument_names
from smpatch.graph.index import full, op_of
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import SignatureDef, TensorSpec, names_of, shape_proto

_INPUT_SHAPES = "_input_shapes"
"""Attribute of a function: a shape for each argument. ``tf.saved_model.load`` requires it."""


@dataclass(slots=True)
class _Site:
    """One function on the way to an inner tensor, called from one place."""

    function: str
    fed: dict[str, str] = field(default_factory=dict)
    """The aliases of the inputs that tensors (``node:arg:index``) become, by tensor."""
    calls: dict[str, _Site] = field(default_factory=dict)


class _Copy(NamedTuple):
    """A copied function.

    Attributes:
        name: Its name.
        kept: The places of the old arguments that it keeps.
        aliases: The aliases of the inputs that follow these arguments.
    """

    name: str
    kept: tuple[int, ...]
    aliases: tuple[str, ...]


class Opening:
    """Copies of functions that take inner tensors, and calls of them.

    Attributes:
        nodes: New nodes, ``NodeDef`` messages.
        functions: New functions, serialized.
    """

    def __init__(
        self,
        meta_graph: MetaGraph,
        prefix: str,
        specs: Mapping[str, TensorSpec],
        *,
        keep_shapes: bool,
    ) -> None:
        """Copy nothing yet.

        Args:
            meta_graph: The MetaGraph.
            prefix: The beginning of the names of new nodes.
            specs: The tensors that become inputs, by alias.
            keep_shapes: Whether the recorded shapes are still right.
        """
        self.nodes: list[Any] = []
        self.functions: list[bytes] = []
        self._meta_graph = meta_graph
        self._prefix = prefix
        self._keep_shapes = keep_shapes
        self._number = meta_graph.functions.last_number
        self._specs = specs
        self._calls: dict[str, Any] = {}
        self._replaced: dict[str, str] = {}

    def put(self, inner: Mapping[str, Inner], placed: Mapping[str, str]) -> dict[str, str]:
        """Make placeholders and calls; return the placeholders' tensors, by alias.

        Args:
            inner: The inner tensors.
            placed: Tensors of the main graph in whose place the placeholders are read, by alias.
        """
        graph, taken = self._meta_graph.graph, set[str]()
        library = self._meta_graph.functions
        roots: dict[str, _Site] = {}
        tensors: dict[str, str] = {}
        for alias in (*inner, *placed):
            name = fresh_name(f"{self._prefix}_{node_stem(alias)}", graph, taken)
            self.nodes.append(placeholder(name, self._specs[alias]))
            tensors[alias] = f"{name}:0"
        self._replaced = {tensor: tensors[alias] for alias, tensor in placed.items()}
        for alias, each in inner.items():
            call = each.calls[0]
            node = graph.node(call).message()
            site = roots.setdefault(call, _Site(function_of(node)))
            check_call(node, library[site.function])
            for step in each.calls[1:]:
                node = named(library[site.function], step)
                site = site.calls.setdefault(step, _Site(function_of(node)))
                check_call(node, library[site.function])
            tensor = f"{each.node}:{each.arg}"
            if tensor in site.fed:
                words = f"it is the tensor of the input {site.fed[tensor]!r}"
                raise AliasError(words, where=f"input {alias!r}")
            site.fed[tensor] = alias
        for call, site in roots.items():
            made = self._copied(site)
            node = graph.node(call).message()
            name = fresh_name(f"{self._prefix}/{call}", graph, taken)
            _call_copy(node, made, [tensors[a].removesuffix(":0") for a in made.aliases], self)
            node.name = name
            if not self._keep_shapes:
                node.attr.pop("_output_shapes", None)
            self._calls[call] = node
        return tensors

    def joined(
        self, source: SignatureDef, given: Collection[str]
    ) -> tuple[MetaGraph, SignatureDef]:
        """Make all readers of the old calls read the new ones; return the graph and the signature.

        Args:
            source: The signature that reads the old calls.
            given: The tensors that are fed.
        """
        graph = self._meta_graph.graph
        library = self._meta_graph.functions
        replaced = dict(self._replaced)
        for call, node in self._calls.items():
            count = len(library[function_of(graph.node(call).message())].signature.output_arg)
            replaced |= {f"{call}:{place}": f"{node.name}:{place}" for place in range(count)}
        outputs = [*map(full, names_of(source.outputs.values()))]
        read = [full(each) for node in self._calls.values() for each in _data(node)]
        read = [each for each in read if op_of(each) in graph]  # the others are placeholders
        known = {tensor for tensor in given if op_of(tensor) in graph}
        wanted = [*outputs, *read]
        copied = copies(graph, replaced, known, wanted, self._prefix, keep_shapes=self._keep_shapes)
        for node in self._calls.values():
            now = [
                copied.tensors.get(full(each), each) if not each.startswith("^") else each
                for each in node.input
            ]
            node.input[:] = [each.removesuffix(":0") for each in now]
        self.nodes += [*self._calls.values(), *copied.nodes]
        addition = Addition(
            nodes=tuple(node.SerializeToString(deterministic=True) for node in self.nodes),
            functions=tuple(self.functions),
        )
        draft = Draft.of(self._meta_graph.parts).appended(addition)
        yielded = {a: with_names(spec, copied.tensors) for a, spec in source.outputs.items()}
        return self._meta_graph.with_parts(draft), replace(source, outputs=yielded)

    def _copied(self, site: _Site) -> _Copy:
        """Copy a function and those that it calls on the way."""
        inside = {call: self._copied(each) for call, each in site.calls.items()}
        body = _Body(self._meta_graph.functions[site.function], site.fed, inside)
        function = schema.FunctionDef()
        function.CopyFrom(body.function)
        signature = function.signature
        self._number += 1
        signature.name = numbered(site.function, self._number)
        aliases = (*site.fed.values(), *(a for each in inside.values() for a in each.aliases))
        taken = {arg.name for arg in signature.input_arg} | {n.name for n in function.node_def}
        taken |= {arg.name for arg in signature.output_arg}
        arguments = argument_names(aliases, taken)
        kept = [place for place, arg in enumerate(signature.input_arg) if arg.name in body.live]
        nodes = [node for node in function.node_def if node.name in body.live]
        del function.node_def[:]
        function.node_def.extend(nodes)
        for node in function.node_def:
            if node.name in inside:
                made = inside[node.name]
                _call_copy(node, made, [arguments[alias] for alias in made.aliases], self)
            node.input[:] = [
                arguments[site.fed[tensor_of(each)]] if tensor_of(each) in site.fed else each
                for each in node.input
                if not each.startswith("^") or each[1:] in body.live
            ]
        for result, tensor in [*function.ret.items()]:
            if tensor_of(tensor) in site.fed:
                function.ret[result] = arguments[site.fed[tensor_of(tensor)]]
        read = {each for node in function.node_def for each in node.input} | {
            *function.ret.values()
        }
        for alias in aliases:
            if arguments[alias] not in read:
                raise unread(alias, self._specs[alias])
        for name, control in [*function.control_ret.items()]:
            if control not in body.live:
                del function.control_ret[name]
        signature.control_output[:] = [
            each for each in signature.control_output if each in function.control_ret
        ]
        self._arguments(function, kept, {arguments[alias]: alias for alias in aliases})
        for attribute in [each for each in function.attr if each.startswith(STANDS_FOR)]:
            del function.attr[attribute]
        self.functions.append(function.SerializeToString(deterministic=True))
        return _Copy(str(signature.name), tuple(kept), aliases)

    def _arguments(self, function: Any, kept: Sequence[int], fresh: Mapping[str, str]) -> None:  # noqa: ANN401 - a FunctionDef; protobuf makes the class at run time
        """Remove the arguments of a function that are not kept, and add new ones."""
        signature = function.signature
        left = [signature.input_arg[place] for place in kept]
        old = {place: function.arg_attr[place] for place in kept if place in function.arg_attr}
        unique = dict(function.resource_arg_unique_id)
        copied = schema.FunctionDef()
        copied.signature.input_arg.extend(left)
        for now, place in enumerate(kept):
            if place in old:
                copied.arg_attr[now].CopyFrom(old[place])
            if place in unique:
                copied.resource_arg_unique_id[now] = unique[place]
        for name, alias in fresh.items():
            spec = self._specs[alias]
            now = len(copied.signature.input_arg)
            copied.signature.input_arg.add(name=name, type=dtypes.number(spec.dtype))
            described = copied.arg_attr[now].attr["_output_shapes"].list.shape
            described.append(shape_proto(spec.shape))
        if _INPUT_SHAPES in function.attr:
            recorded = [*function.attr[_INPUT_SHAPES].list.shape]
            staying = [recorded[place] for place in kept if place < len(recorded)]
            del function.attr[_INPUT_SHAPES].list.shape[:]
            more = [shape_proto(self._specs[alias].shape) for alias in fresh.values()]
            function.attr[_INPUT_SHAPES].list.shape.extend([*staying, *more])
        del signature.input_arg[:]
        function.arg_attr.clear()
        function.resource_arg_unique_id.clear()
        function.MergeFrom(copied)

    def dtype(self, alias: str) -> int:
        """Return the number of the element type of an input."""
        return dtypes.number(self._specs[alias].dtype)


class _Body:
    """A function, with the parts that are needed if inner tensors are fed.

    Attributes:
        function: The function.
        live: The names of the nodes and arguments that are needed.
    """

    def __init__(
        self,
        function: Any,  # noqa: ANN401 - a FunctionDef
        fed: Collection[str],
        inside: Mapping[str, _Copy],
    ) -> None:
        self.function = function
        self._nodes = {node.name: node for node in function.node_def}
        self._fed = fed
        self._inside = inside
        self._lost: frozenset[str] = frozenset()
        before = [tensor.partition(":")[0] for tensor in fed]
        for call, made in inside.items():
            data = _data(self._nodes[call])
            before += [_node_of(each) for n, each in enumerate(data) if n not in made.kept]
        lies_before = self._reached(before, everything=True)
        self._lost = frozenset(lies_before)
        roots = [_node_of(each) for each in function.ret.values() if tensor_of(each) not in fed]
        roots += [each for each in function.control_ret.values() if each not in lies_before]
        self.live = self._reached(roots, everything=False)

    def _reached(self, roots: Iterable[str], *, everything: bool) -> set[str]:
        """Return nodes and arguments with those that they need.

        The walk stops at fed tensors, and at arguments that copies lack, unless ``everything``.
        """
        found: set[str] = set()
        waiting = [*roots]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            if name not in self._nodes:
                continue
            node = self._nodes[name]
            data = _data(node)
            if not everything:
                kept = self._inside[name].kept if name in self._inside else range(len(data))
                data = [data[place] for place in kept]
                data = [each for each in data if tensor_of(each) not in self._fed]
            waiting += map(_node_of, data)
            controls = {each[1:] for each in node.input if each.startswith("^")}
            waiting += controls & self._nodes.keys() - self._lost  # arguments exist before
        return found


def _call_copy(node: Any, made: _Copy, given: Sequence[str], opening: Opening) -> None:  # noqa: ANN401 - a NodeDef
    """Make a call node call a copy, with the inputs that stay and the new ones."""
    data, controls = _data(node), [each for each in node.input if each.startswith("^")]
    node.input[:] = [*(data[place] for place in made.kept), *given, *controls]
    types = [node.attr["Tin"].list.type[place] for place in made.kept]
    types += [opening.dtype(alias) for alias in made.aliases]
    node.attr["Tin"].list.type[:] = types
    node.attr["f"].func.name = made.name
    if "_read_only_resource_inputs" in node.attr:
        places = node.attr["_read_only_resource_inputs"].list
        now = [made.kept.index(place) for place in places.i if place in made.kept]
        places.i[:] = now


def _data(node: Any) -> list[str]:  # noqa: ANN401 - a NodeDef
    return [each for each in node.input if not each.startswith("^")]


def tensor_of(name: str) -> str:
    """Return the full name of a tensor of a function: ``node:arg`` becomes ``node:arg:0``."""
    return f"{name}:0" if name.count(":") == 1 else name


def _node_of(tensor: str) -> str:
    return tensor.partition(":")[0]


def unread(alias: str, spec: TensorSpec) -> RefusedError:
    """Return the error about a tensor that no output depends on."""
    found = f"no output depends on {spec.name}, except through other tensors that become inputs"
    return RefusedError(found, where=f"input {alias!r}", hint="leave it out")
