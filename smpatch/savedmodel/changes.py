"""The changes of a MetaGraph, as values that both forms turn into splices.

This module describes, and what is there already as far as it takes that; where the bytes go is
the business of the forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Changes", "Entry", "Reference", "Slot"]


class Entry(NamedTuple):
    """One entry of the ``signature_def`` map.

    Attributes:
        key: The signature key.
        value: The ``SignatureDef``, serialized.
        start: Offset of the entry in the file, in bytes.
        end: Offset one past it.
    """

    key: str
    value: bytes
    start: int
    end: int


class Slot(NamedTuple):
    """A place in the ``signature_def`` map.

    Attributes:
        key: The signature key.
        value: The ``SignatureDef``, serialized.
        origin: The entry of the file that it was; None when it is new.
        inputs: Alias of an input to its alias in the file, where that is another.
        outputs: Alias of an output to its alias in the file, where that is another.
        exact: Whether it is written in these bytes, and not as the old one with changes.
    """

    key: str
    value: bytes
    origin: Entry | None = None
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    exact: bool = False


class Reference(NamedTuple):
    """A place among what the map of signatures in the object graph refers to.

    Attributes:
        name: The signature key.
        number: The object.
        origin: Its place among the references of the file; None when it is new.
    """

    name: str
    number: int
    origin: int | None = None


class Changes(NamedTuple):
    """The changes between the MetaGraph in the file and the edited one.

    Attributes:
        slots: The whole ``signature_def`` map as it will be; None leaves it as it is.
        tags: The tags; None leaves them.
        nodes: New nodes of the main graph, each a serialized ``NodeDef``.
        functions: New functions of the library, each a serialized ``FunctionDef``.
        objects: New objects, each a serialized ``SavedObject``.
        concrete_functions: New entries of the map, each serialized with key and value.
        holder: The object whose references ``references`` are.
        references: All of them as they will be; None leaves them.
        without_nodes: Nodes of the file, by name, that go.
        rewritten_nodes: Nodes of the file, by name, each as the serialized ``NodeDef`` that it
            becomes, in its place.
        without_functions: Functions of the file, by name, that go.
        without_concrete_functions: Entries of the map in the file, by key, that go.
        objects_kept: How many objects of the file stay, from the first; None for all.
        removed: Whether the MetaGraph as a whole goes; nothing else of the changes counts then.
    """

    slots: tuple[Slot, ...] | None = None
    tags: tuple[str, ...] | None = None
    nodes: tuple[bytes, ...] = ()
    functions: tuple[bytes, ...] = ()
    objects: tuple[bytes, ...] = ()
    concrete_functions: tuple[bytes, ...] = ()
    holder: int = 0
    references: tuple[Reference, ...] | None = None
    without_nodes: frozenset[str] = frozenset()
    rewritten_nodes: Mapping[str, bytes] = {}
    without_functions: frozenset[str] = frozenset()
    without_concrete_functions: frozenset[str] = frozenset()
    objects_kept: int | None = None
    removed: bool = False

    @property
    def touch_graph(self) -> bool:
        """Whether nodes or functions change."""
        changed = self.without_nodes or self.rewritten_nodes
        return bool(self.nodes or self.functions or changed or self.without_functions)

    @property
    def touch_objects(self) -> bool:
        """Whether the object graph changes."""
        return bool(
            self.objects
            or self.concrete_functions
            or self.references is not None
            or self.without_concrete_functions
            or self.objects_kept is not None
        )
