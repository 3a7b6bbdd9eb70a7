"""The parts of a MetaGraph that both forms of a file have, and the changes of these parts.

Both forms turn the changes into splices of the file.

Source: field numbers of ``SavedModel``, ``MetaGraphDef`` in ``tensorflow/core/protobuf``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from smpatch import schema, wire
from smpatch.wire import Splice

META_GRAPHS = 2
"""Field of ``SavedModel``."""

META_INFO_DEF, GRAPH_DEF, SAVER_DEF, COLLECTION_DEF = 1, 2, 3, 4
SIGNATURE_DEF, ASSET_FILE_DEF, OBJECT_GRAPH_DEF = 5, 6, 7
"""Fields of ``MetaGraphDef``."""


GRAPH_NODE, GRAPH_LIBRARY, GRAPH_VERSIONS = 1, 2, 4
"""Fields of ``GraphDef``."""

LIBRARY_FUNCTION = 1
"""Field of ``FunctionDefLibrary``."""


def node_name(node: bytes) -> str:
    """Return the name of a serialized ``NodeDef``."""
    return str(schema.NodeWiring.FromString(node).name)


def function_name(function: bytes) -> str:
    """Return the name of a serialized ``FunctionDef``."""
    return str(schema.FunctionDef.FromString(function).signature.name)


def entry_key(entry: bytes) -> str:
    """Return the key of a serialized entry of the map of concrete functions."""
    return str(schema.ConcreteFunctionEntry.FromString(entry).key)


class Addition(NamedTuple):
    """The additions that a signature of a TensorFlow 2 export needs, besides its entry.

    Attributes:
        nodes: New nodes of the main graph, each a serialized ``NodeDef``.
        functions: New functions of the library, each a serialized ``FunctionDef``.
        objects: New objects, each a serialized ``SavedObject``; they take the next numbers.
        concrete_functions: New entries of the map, each serialized with key and value.
    """

    nodes: tuple[bytes, ...] = ()
    functions: tuple[bytes, ...] = ()
    objects: tuple[bytes, ...] = ()
    concrete_functions: tuple[bytes, ...] = ()


class MetaGraphParts(Protocol):
    """The parts of one MetaGraph, in either form."""

    @property
    def can_change_graph(self) -> bool:
        """Whether this form takes changes of the graph and of the object graph."""

    @property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map of the file, duplicate keys included."""

    @property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """A buffer and the places of the pieces of the ``GraphDef`` in it, in binary form."""

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return all message fields that have this number, serialized, in their order."""

    @property
    def object_graph(self) -> bytes:
        """The ``SavedObjectGraph``, serialized; empty if there is none."""

    @property
    def appended_nodes(self) -> tuple[str, ...]:
        """The nodes after the function library; TensorFlow writes no nodes there."""

    def splices(self, changes: Changes) -> tuple[Splice, ...]:
        """Return the splices that make ``changes`` in the file.

        Raises:
            RefusedError: One of the changes cannot be made in this form.
        """

    def changed_graph(self, changes: Changes) -> bytes:
        """Return a copy of the ``GraphDef`` with ``changes``, serialized."""

    def changed_objects(self, changes: Changes) -> bytes:
        """Return the ``SavedObjectGraph`` with ``changes``, serialized."""


class Entry(NamedTuple):
    """One entry of the ``signature_def`` map.

    Attributes:
        key: The signature key.
        value: The ``SignatureDef``, serialized.
        start: Offset of the entry in the file, in bytes.
        end: Offset one past the last byte of the entry.
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
        origin: The entry of the file that the slot replaces; None if the signature is new.
        inputs: New alias to the alias in the file, for each input whose alias changed.
        outputs: New alias to the alias in the file, for each output whose alias changed.
        exact: Whether exactly the bytes of ``value`` are written; otherwise the old entry is
            written with changes.
    """

    key: str
    value: bytes
    origin: Entry | None = None
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    exact: bool = False


class Reference(NamedTuple):
    """A reference of the map of signatures in the object graph.

    Attributes:
        name: The signature key.
        number: The number of the object.
        origin: The place of the reference among those of the file, from 0; None if it is new.
    """

    name: str
    number: int
    origin: int | None = None


class Changes(NamedTuple):
    """The changes between the MetaGraph in the file and the edited one.

    Attributes:
        slots: The whole new ``signature_def`` map; None if it does not change.
        tags: The new tags; None if they do not change.
        nodes: New nodes of the main graph, each a serialized ``NodeDef``.
        functions: New functions of the library, each a serialized ``FunctionDef``.
        objects: New objects, each a serialized ``SavedObject``.
        concrete_functions: New entries of the map, each serialized with key and value.
        holder: The number of the object that has ``references``.
        references: All new references; None if they do not change.
        without_nodes: The names of the nodes of the file that are removed.
        rewritten_nodes: The name of a node of the file to its new ``NodeDef``, serialized; the
            node keeps its place.
        without_functions: The names of the functions of the file that are removed.
        without_concrete_functions: The keys of the entries of the file's map that are removed.
        objects_kept: How many objects of the file stay, from the first; None for all.
        removed: Whether the whole MetaGraph is removed; the other changes are then ignored.
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
