"""Tensors of the main graph paired with objects of the object graph.

A function that captures a variable, a table or a constant names an object in
``bound_inputs``; a call of it in the main graph passes a tensor. Names prove nothing: two
variables may have one name, or each may have the name of the other. So the mapping comes from the
places that refer to both:

* a call in the main graph: its last inputs are the objects in ``bound_inputs`` of the function;
* a constant: its object names the operation;
* a variable that no call passes: the restore function leads from the checkpoint key (the
  object's path) over ``RestoreV2`` and ``AssignVariableOp`` to the input of its call.

An ambiguous pair is left out, because a wrong guess gives one variable the values of another.

This module changes nothing.

Sources: ``tensorflow/python/saved_model/save.py`` (``_map_captures_to_created_tensors``),
``load.py`` (``_setup_functions_captures``), ``tensorflow/python/checkpoint/
trackable_view.py`` and ``tensorflow/python/checkpoint/util.py`` (names of keys).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, GraphIndex, full, op_of
from smpatch.graph.objects import ObjectGraph

_VARIABLE_KEY = "/.ATTRIBUTES/VARIABLE_VALUE"
_ROOT = 0

_ESCAPED = re.compile(r"\.[.S]")
"""A character that keys write as two. They are read from the left: ``..S`` is a dot and an S."""

_PLACE = re.compile("0|[1-9][0-9]{0,8}")
"""The number of an output, as TensorFlow writes it, with at most nine digits."""

_NUMBER = re.compile(r"_[0-9]+$")
"""The suffix that TensorFlow adds to the second of two equal names; Keras exports some twice."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Crossed:
    """A variable in whose place a call passes another variable.

    Attributes:
        number: The number of the object.
        name: The name of the variable that the object is.
        passed: The node of the main graph that calls pass in its place.
    """

    number: int
    name: str
    passed: str


class Captures:
    """The mapping between tensors of the main graph and objects, both ways."""

    def __init__(
        self, graph: GraphIndex, library: FunctionLibrary, objects: ObjectGraph, restore_op: str
    ) -> None:
        """Compute the mapping.

        ``restore_op`` is the node that calls the restore function; empty if there is none.
        """
        self._graph = graph
        self._library = library
        self._objects = objects
        self._calls = list(self._from_calls())
        calls = [*self._from_constants(), *self._calls]
        restored = list(self._from_restore(restore_op))
        self._restored = _one_to_one(restored)
        # A call is more reliable: Keras exports a variable as two objects, and its calls
        # pass the node of one for the other. The restore function counts only if no call does.
        self._tensors = {**self._unambiguous(restored), **self._unambiguous(calls)}
        self._numbers = {
            **_one_to_one((tensor, number) for number, tensor in restored),
            **_one_to_one((tensor, number) for number, tensor in calls),
        }

    def tensor(self, number: int) -> str | None:
        """Return the tensor of the main graph (``op:index``) that represents an object, or None."""
        return self._tensors.get(number)

    def number(self, tensor: str) -> int | None:
        """Return the object that a tensor of the main graph (``op:index``) represents, or None."""
        return self._numbers.get(tensor)

    def crossed(self) -> tuple[Crossed, ...]:
        """Return the variables for which calls pass another one than the restore function fills."""
        found = []
        for number, tensor in _one_to_one(self._calls).items():
            filled = self._restored.get(number)
            name = str(self._objects.node(number).variable.name)
            is_twin = _NUMBER.sub("", self._shared_name(tensor)) == _NUMBER.sub("", name)
            if filled is not None and filled != tensor and not is_twin:
                found.append(Crossed(number, name, op_of(tensor)))
        return tuple(found)

    def _shared_name(self, tensor: str) -> str:
        name = op_of(tensor)
        shared = self._graph.node(name).attr("shared_name") if name in self._graph else None
        return "" if shared is None else str(shared.s, "utf-8", "replace")

    def _unambiguous(self, pairs: Sequence[tuple[int, str]]) -> dict[int, str]:
        """Return the tensor of each object that has only one; an asset may have several.

        The main graph reads an asset once for each call, and each read has the same value.
        """
        assets = {
            number: tensor
            for number, tensor in pairs
            if self._objects.node(number).WhichOneof("kind") == "asset"
        }
        return {**_one_to_one(pairs), **assets}

    def _from_constants(self) -> Iterator[tuple[int, str]]:
        for number in range(len(self._objects)):
            node = self._objects.node(number)
            if node.WhichOneof("kind") == "constant" and node.constant.operation in self._graph:
                yield number, full(node.constant.operation)

    def _from_calls(self) -> Iterator[tuple[int, str]]:
        for name, op in self._graph.marked.items():
            if op not in CALLS:
                continue
            called = self._library.called_by(name)
            concrete = self._objects.concrete_functions.get(called)
            if concrete is None or not concrete.bound_inputs:
                continue
            inputs = [each for each in self._graph.wiring(name).inputs if not each.startswith("^")]
            bound = list(concrete.bound_inputs)
            yield from zip(bound, map(full, inputs[-len(bound) :]), strict=False)

    def _from_restore(self, restore_op: str) -> Iterator[tuple[int, str]]:
        name = op_of(restore_op)
        called = self._library.called_by(name) if name in self._graph else ""
        if called not in self._library:
            return
        inputs = self._graph.wiring(name).inputs
        for position, key in _restored(self._library[called]):
            number = self._object_at(key)
            if number is not None and position < len(inputs):
                yield number, full(inputs[position])

    def _object_at(self, key: str) -> int | None:
        """Return the variable that a checkpoint key names, by its path from the root."""
        if not key.endswith(_VARIABLE_KEY):
            return None
        number: int | None = _ROOT
        for part in key.removesuffix(_VARIABLE_KEY).split("/"):
            if number is None:
                return None
            number = self._objects.child(number, _ESCAPED.sub(_unescaped, part))
        if number is None or self._objects.node(number).WhichOneof("kind") != "variable":
            return None
        return number


def _one_to_one(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, _Value]:
    """Return the keys that have only one value, with this value."""
    found: dict[_Key, set[_Value]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: values.pop() for key, values in found.items() if len(values) == 1}


def _unescaped(found: re.Match[str]) -> str:
    return "/" if found[0] == ".S" else "."


def _restored(function: Any) -> Iterator[tuple[int, str]]:  # noqa: ANN401 - a FunctionDef
    """Yield, for each variable that a restore function assigns, its argument and its key."""
    nodes = {node.name: node for node in function.node_def}
    arguments = {arg.name: place for place, arg in enumerate(function.signature.input_arg)}
    for node in function.node_def:
        if node.op == "AssignVariableOp" and _input(node, 0) in arguments:
            key = _restored_key(nodes, _input(node, 1))
            if key is not None:
                yield arguments[_input(node, 0)], key


def _restored_key(nodes: dict[str, Any], source: str) -> str | None:
    """Return the key with which a ``RestoreV2`` reads a value; None if it is not found."""
    for _ in range(len(nodes)):
        name, _, output = source.partition(":")
        node = nodes.get(name)
        if node is None:
            return None
        if node.op == "RestoreV2":
            keys = nodes.get(_input(node, 1).partition(":")[0])
            return _string(keys, output.rpartition(":")[2] or "0")
        if node.op != "Identity":
            return None
        source = _input(node, 0)
    return None


def _input(node: Any, place: int) -> str:  # noqa: ANN401 - a NodeDef
    """Return an input of a node; empty if a damaged node has fewer inputs."""
    return str(node.input[place]) if place < len(node.input) else ""


def _string(node: Any, place: str) -> str | None:  # noqa: ANN401 - a NodeDef or None
    """Return one string of a constant.

    It decodes only this string, because the constant has one string for each variable.
    """
    if node is None or node.op != "Const" or not _PLACE.fullmatch(place):
        return None
    strings = node.attr["value"].tensor.string_val
    found = strings[int(place)] if int(place) < len(strings) else None
    return None if found is None else str(found, "utf-8", "replace")
