"""The object graph: Python's view of a TensorFlow 2 export.

``tf.saved_model.load`` builds its ``.signatures`` from here and not from ``signature_def``:
the root has a child ``signatures``, a map whose children are bare concrete functions. Each of
them names an entry of ``concrete_functions`` and so a function of the library.

This module only reads; ``functions`` makes the objects that an edit appends.

Source: ``tensorflow/core/protobuf/saved_object_graph.proto``,
``tensorflow/python/saved_model/load.py``, ``signature_serialization.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.errors import ModelUnreadableError
from smpatch.signature import TensorSpec, shape_from_proto

_KEYWORD_ARGUMENTS = "1"
"""The place of the keyword arguments in ``canonicalized_input_signature``."""

_ROOT = 0
_SIGNATURES = "signatures"
_SIGNATURE_MAP = "signature_map"
_TOP = 2
"""Length of the path of an argument that is not part of another one."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor in a structure of arguments or results.

    Attributes:
        path: Its place in the structure: keys and positions, the outermost first.
        spec: Its name, dtype and shape as they were traced.
    """

    path: tuple[str, ...]
    spec: TensorSpec


Composite = Callable[[Any, tuple[str, ...]], list[Leaf | None]]
"""Returns the parts of a composite tensor, given its ``TypeSpecProto`` and its path."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One traced function of an object.

    Attributes:
        path: The path by which Python reaches it from the root, such as ``encoder.call``.
        function: The name of the concrete function.
    """

    path: str
    function: str


class ObjectGraph:
    """The object graph of one MetaGraph."""

    def __init__(self, data: bytes) -> None:
        """Decode a serialized ``SavedObjectGraph``.

        Raises:
            ModelUnreadableError: The bytes are not an object graph.
        """
        try:
            self._message = schema.SavedObjectGraph.FromString(data)
        except DecodeError as error:
            raise ModelUnreadableError(f"the object graph cannot be decoded: {error}") from error
        self._children: dict[int, dict[str, int]] = {}

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._message.nodes)

    def node(self, number: int) -> Any:  # noqa: ANN401 - a SavedObject; protobuf makes the class at run time
        """Return an object as a ``SavedObject`` message."""
        if not self._has(number):
            found = f"the object graph refers to an object {number} that it does not have"
            raise ModelUnreadableError(found)
        return self._message.nodes[number]

    def _has(self, number: int) -> bool:
        return 0 <= number < len(self)

    @property
    def concrete_functions(self) -> Mapping[str, Any]:
        """The traced functions by name, each a ``SavedConcreteFunction``."""
        functions: Mapping[str, Any] = self._message.concrete_functions
        return functions

    @cached_property
    def has_unknown_fields(self) -> bool:
        """Whether any message has a field that is not in the schema."""
        known = schema.SavedObjectGraph()
        known.CopyFrom(self._message)
        known.DiscardUnknownFields()
        return bool(known.ByteSize() != self._message.ByteSize())

    @cached_property
    def referred(self) -> frozenset[int]:
        """The objects to which an object or a concrete function refers, in any way."""
        found: set[int] = set()
        for node in self._message.nodes:
            found.update(each.node_id for each in (*node.children, *node.dependencies))
            for slot in node.slot_variables:
                found |= {slot.original_variable_node_id, slot.slot_variable_node_id}
            for name in node.saveable_objects:
                saveable = node.saveable_objects[name]
                found |= {saveable.save_function, saveable.restore_function}
        for name in self.concrete_functions:
            found.update(self.concrete_functions[name].bound_inputs)
        return frozenset(found)

    def named_functions(self, numbers: Iterable[int]) -> set[str]:
        """Return the concrete functions that some objects name."""
        found: set[str] = set()
        for node in map(self.node, numbers):
            found.update(node.function.concrete_functions)
            found.add(node.bare_concrete_function.concrete_function_name)
            found.add(node.captured_tensor.concrete_function)
        return found

    def child(self, number: int, name: str) -> int | None:
        """Return the object that another one has under a name; the first if it has two."""
        if number not in self._children:
            # A search in all children would take quadratic time if each child is searched for.
            children = reversed(self.node(number).children)
            self._children[number] = {each.local_name: int(each.node_id) for each in children}
        return self._children[number].get(name)

    @cached_property
    def signature_map(self) -> int | None:
        """The object whose children are the signatures; None if there is none."""
        number = self.child(_ROOT, _SIGNATURES) if len(self) else None
        if number is None or not self._has(number):
            return None
        return number if self.node(number).user_object.identifier == _SIGNATURE_MAP else None

    @cached_property
    def signatures(self) -> Mapping[str, Any]:
        """The signatures by key, each a ``SavedBareConcreteFunction``.

        A signature whose object is missing is left out; Python does not load such a model.
        """
        if self.signature_map is None:
            return {}
        found: dict[str, Any] = {}
        for each in self.node(self.signature_map).children:
            node = self.node(each.node_id) if self._has(each.node_id) else None
            if node is not None and node.WhichOneof("kind") == "bare_concrete_function":
                found[each.local_name] = node.bare_concrete_function
        return found

    def argument_keywords(self, function: str) -> tuple[str, ...]:
        """Return the names of a concrete function's arguments; none if no object has them."""
        return self._keywords.get(function, ())

    def bound_constants(self, function: str) -> tuple[str, ...]:
        """Return the Python constants with which a trace was made, such as ``training=True``."""
        top = self.concrete_functions[function].canonicalized_input_signature.tuple_value.values
        names = self._positional.get(function, [])
        found: list[str] = []
        for place, value in enumerate(top[0].tuple_value.values if len(top) else ()):
            named = place < len(names) and value.WhichOneof("kind") in _CONSTANTS
            found += [f"{names[place]}={each}" if named else each for each in constants(value)]
        return (*found, *(each for value in top[1:] for each in constants(value)))

    @cached_property
    def _positional(self) -> dict[str, list[str]]:
        """The positional parameters of the Python function of each trace."""
        return {
            name: _parameters(node.function.function_spec)
            for node in self._message.nodes
            for name in node.function.concrete_functions
        }

    @cached_property
    def _keywords(self) -> dict[str, tuple[str, ...]]:
        written: dict[str, tuple[str, ...]] = {}
        traced: dict[str, tuple[str, ...]] = {}
        for node in self._message.nodes:
            if node.WhichOneof("kind") == "bare_concrete_function":
                bare = node.bare_concrete_function
                written[bare.concrete_function_name] = tuple(bare.argument_keywords)
            parameters = _parameters(node.function.function_spec)
            for name in node.function.concrete_functions:
                concrete = self._message.concrete_functions.get(name)  # [name] would add it
                structure = concrete and concrete.canonicalized_input_signature
                found = [] if structure is None else leaves(structure)
                traced[name] = tuple(_keyword(leaf, parameters) for leaf in found)
        for name, keywords in traced.items():
            # Python's own spelling, if the written one is the same in lower case.
            lower = tuple(keyword.lower() for keyword in keywords)
            if written.get(name, lower) in {lower, keywords}:
                written[name] = keywords
        return written

    @cached_property
    def traces(self) -> tuple[Trace, ...]:
        """The functions that Python reaches from the root, signatures left out.

        Each object is named once, by its shortest path. A name that begins with an underscore is
        TensorFlow's own and comes after the other names of an object.
        """
        found: list[Trace] = []
        seen = {_ROOT}
        queue: deque[tuple[int, tuple[str, ...]]] = deque([(_ROOT, ())] if len(self) else [])
        while queue:
            number, path = queue.popleft()
            node = self.node(number)
            functions = self._functions(number)
            if functions:
                found += [Trace(".".join(path), name) for name in functions]
                continue
            references = sorted(node.children, key=lambda each: each.local_name.startswith("_"))
            for reference in references:
                if reference.node_id in seen or (not path and reference.local_name == _SIGNATURES):
                    continue
                seen.add(reference.node_id)
                queue.append((reference.node_id, (*path, reference.local_name)))
        return tuple(found)

    def traces_at(self, path: str) -> tuple[Trace, ...]:
        """Return the functions that Python reaches by a path, which may not be the shortest.

        A name in the path may have dots itself, such as the key of a dictionary.
        """
        waiting: list[tuple[int, str]] = [(_ROOT, path)] if len(self) else []
        while waiting:
            number, rest = waiting.pop()
            for reference in self.node(number).children:
                name = reference.local_name
                if rest == name and self._functions(reference.node_id):
                    return tuple(Trace(path, each) for each in self._functions(reference.node_id))
                if rest.startswith(f"{name}."):
                    waiting.append((reference.node_id, rest[len(name) + 1 :]))
        return ()

    def _functions(self, number: int) -> Sequence[str]:
        """Return the concrete functions of an object; none if it is not a function."""
        node = self.node(number)
        if node.WhichOneof("kind") == "bare_concrete_function":
            return (node.bare_concrete_function.concrete_function_name,)
        return tuple(node.function.concrete_functions)


def keyword_arguments(function: Any) -> dict[str, Leaf]:  # noqa: ANN401 - a SavedConcreteFunction
    """Return the tensors that a function takes by name; of a nested argument the last tensor."""
    return {
        leaf.path[1]: leaf
        for leaf in leaves(function.canonicalized_input_signature)
        if leaf.path[:1] == (_KEYWORD_ARGUMENTS,) and len(leaf.path) > 1
    }


def leaves(structure: Any) -> list[Leaf]:  # noqa: ANN401 - a StructuredValue
    """Return the tensors of a structure in the order in which TensorFlow flattens it.

    Dictionaries come in the order of their sorted keys, sequences in their own. Values that
    are not tensors (Python constants that were bound when the function was traced) are left
    out, and so are composite tensors.

    Source: ``tf.nest.flatten``, ``nested_structure_coder.py``.
    """
    return [leaf for leaf in parts(structure) if leaf is not None]


def parts(structure: Any) -> list[Leaf | None]:  # noqa: ANN401 - a StructuredValue
    """Return the tensors of a structure, with None for each dense part of a composite tensor.

    Those parts have no names, and only TensorFlow's classes can give their shapes.

    Source: ``tf.nest.flatten`` with ``expand_composites``.
    """
    return flattened(structure, lambda spec, _: [None] * component_count(spec))


def flattened(structure: Any, composite: Composite) -> list[Leaf | None]:  # noqa: ANN401 - as above
    """Return the tensors of a structure, with the parts that ``composite`` returns.

    Args:
        structure: A ``StructuredValue``.
        composite: Takes the ``TypeSpecProto`` of a composite tensor and its path in the structure.
    """
    return _parts(structure, (), composite)


def _parameters(specification: Any) -> list[str]:  # noqa: ANN401 - a FunctionSpec
    """Return the names of a Python function's positional parameters."""
    for pair in specification.fullargspec.named_tuple_value.values:
        if pair.key == "args":
            names = [each.string_value for each in pair.value.list_value.values]
            return names[1:] if names[:1] == ["self"] else names
    return []


def _keyword(leaf: Leaf, parameters: Sequence[str]) -> str:
    """Return the name that an argument has in Python; specs have it in lower case.

    A path begins with ``0`` and the place of an argument, or with ``1`` and its keyword.
    """
    if len(leaf.path) == _TOP:
        kind, name = leaf.path
        if kind == "1":
            return name
        if int(name) < len(parameters) and parameters[int(name)].lower() == leaf.spec.name:
            return parameters[int(name)]
    return leaf.spec.name


def _parts(
    structure: Any,  # noqa: ANN401 - as above
    path: tuple[str, ...],
    composite: Composite,
) -> list[Leaf | None]:
    kind = structure.WhichOneof("kind")
    if kind == "tensor_spec_value":
        spec = structure.tensor_spec_value
        shape = shape_from_proto(spec.shape)
        return [Leaf(path, TensorSpec(spec.name, dtypes.name(spec.dtype), shape))]
    if kind == "type_spec_value":
        return composite(structure.type_spec_value, path)
    if kind in {"list_value", "tuple_value"}:
        values = getattr(structure, kind).values
        within = [(str(position), value) for position, value in enumerate(values)]
    elif kind == "dict_value":
        fields = structure.dict_value.fields
        within = [(key, fields[key]) for key in sorted(fields)]
    elif kind == "named_tuple_value":
        within = [(pair.key, pair.value) for pair in structure.named_tuple_value.values]
    else:
        return []
    return [part for name, value in within for part in _parts(value, (*path, name), composite)]


def component_count(spec: Any) -> int:  # noqa: ANN401 - a TypeSpecProto
    """Return the number of dense tensors in a composite tensor; 0 if the export lacks it."""
    if spec.num_flat_components:
        return min(int(spec.num_flat_components), _MOST_PARTS)
    if spec.type_spec_class == spec.SPARSE_TENSOR_SPEC:
        return 3  # indices, values, dense shape
    state = spec.type_state.tuple_value.values
    if spec.type_spec_class == spec.RAGGED_TENSOR_SPEC and len(state) > _RAGGED_RANK:
        return min(int(state[_RAGGED_RANK].int64_value), _MOST_PARTS) + 1
    return 0


_RAGGED_RANK = 2
"""The place of the rank in the state of a ``RaggedTensorSpec``: shape, dtype, ragged rank, ..."""

_MOST_PARTS = 255
"""More than the dimensions of any tensor; a larger, damaged number would take all memory."""

_CONSTANTS = ("bool_value", "float64_value", "int64_value", "string_value")


def constants(structure: Any) -> list[str]:  # noqa: ANN401 - a StructuredValue
    """Return the Python constants of a structure as a call in Python has them.

    They were bound when the function was traced, and distinguish traces whose tensors are the
    same: ``3``, ``negate=True``.
    """
    kind = structure.WhichOneof("kind")
    if kind in _CONSTANTS:
        return [repr(getattr(structure, kind))]
    if kind in {"list_value", "tuple_value"}:
        return [each for value in getattr(structure, kind).values for each in constants(value)]
    if kind == "dict_value":
        fields = structure.dict_value.fields
        return [f"{key}={each}" for key in sorted(fields) for each in constants(fields[key])]
    return []
