"""The parts of a MetaGraph that both forms of a file have.

Source: field numbers of ``SavedModel``, ``MetaGraphDef`` in ``tensorflow/core/protobuf``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from smpatch import wire
from smpatch.savedmodel.changes import Changes, Entry
from smpatch.wire import Splice

__all__ = [
    "ASSET_FILE_DEF",
    "COLLECTION_DEF",
    "GRAPH_DEF",
    "GRAPH_LIBRARY",
    "GRAPH_NODE",
    "GRAPH_VERSIONS",
    "LIBRARY_FUNCTION",
    "META_GRAPHS",
    "META_INFO_DEF",
    "OBJECT_GRAPH_DEF",
    "SAVER_DEF",
    "SIGNATURE_DEF",
    "Addition",
    "MetaGraphParts",
]

META_GRAPHS = 2
"""Field of ``SavedModel``."""

META_INFO_DEF, GRAPH_DEF, SAVER_DEF, COLLECTION_DEF = 1, 2, 3, 4
SIGNATURE_DEF, ASSET_FILE_DEF, OBJECT_GRAPH_DEF = 5, 6, 7
"""Fields of ``MetaGraphDef``."""


GRAPH_NODE, GRAPH_LIBRARY, GRAPH_VERSIONS = 1, 2, 4
"""Fields of ``GraphDef``."""

LIBRARY_FUNCTION = 1
"""Field of ``FunctionDefLibrary``."""


class Addition(NamedTuple):
    """The additions that a signature of a TensorFlow 2 export needs beside its entry.

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
        """The ``signature_def`` map as it lies in the file, duplicate keys included."""

    @property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """A buffer and where in it the pieces of the ``GraphDef`` lie, in binary form."""

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return the fields of a number that are messages, serialized, in their order."""

    @property
    def object_graph(self) -> bytes:
        """The ``SavedObjectGraph``, serialized; empty where there is none."""

    @property
    def appended_nodes(self) -> tuple[str, ...]:
        """The nodes that lie behind the function library, where TensorFlow writes none."""

    def splices(self, changes: Changes) -> tuple[Splice, ...]:
        """Return what makes the file what ``changes`` say.

        Raises:
            RefusedError: This form cannot take one of them.
        """

    def changed_graph(self, changes: Changes) -> bytes:
        """Return the ``GraphDef`` as it will be, serialized; a copy, for it lies in no file."""

    def changed_objects(self, changes: Changes) -> bytes:
        """Return the ``SavedObjectGraph`` as it will be, serialized."""
