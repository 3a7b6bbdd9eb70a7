"""A MetaGraph as it will be when nodes and functions have been appended to its graph.

Rooms that read a graph can so look at one that is not written yet, and what was appended is
spliced in with the signature that needs it.

Source: protobuf merges the pieces of a message field on parsing, which is what appending
to a serialized ``GraphDef`` amounts to.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from smpatch import wire
from smpatch.forms.parts import (
    GRAPH_LIBRARY,
    GRAPH_NODE,
    LIBRARY_FUNCTION,
    Addition,
    Entry,
    MetaGraphParts,
)
from smpatch.wire import Splice

__all__ = ["ExtendedMetaGraph"]


class ExtendedMetaGraph:
    """The parts of a MetaGraph with more nodes and functions."""

    def __init__(
        self, parts: MetaGraphParts, nodes: Sequence[bytes], functions: Sequence[bytes]
    ) -> None:
        """Extend ``parts`` by serialized ``NodeDef`` and ``FunctionDef`` messages."""
        self._parts = parts
        self._nodes = tuple(nodes)
        self._functions = tuple(functions)

    @property
    def meta_info(self) -> bytes:
        """The ``MetaInfoDef``, serialized."""
        return self._parts.meta_info

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The ``signature_def`` map as it lies in the file."""
        return self._parts.entries

    @cached_property
    def graph(self) -> tuple[bytes, tuple[tuple[int, int], ...]]:
        """The ``GraphDef`` with what was appended; a copy, for it lies in no file."""
        data, pieces = self._parts.graph
        functions = b"".join(wire.delimited(LIBRARY_FUNCTION, each) for each in self._functions)
        extended = b"".join(
            [
                *(data[start:end] for start, end in pieces),
                *(wire.delimited(GRAPH_NODE, node) for node in self._nodes),
                wire.delimited(GRAPH_LIBRARY, functions),
            ]
        )
        return extended, ((0, len(extended)),)

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an ``object_graph_def``."""
        return self._parts.has_object_graph

    def pieces(self, number: int) -> tuple[bytes, ...]:
        """Return the fields of a number that are messages, serialized, in their order."""
        return self._parts.pieces(number)

    def put(
        self, key: str, signature: bytes, replaced: Entry | None, addition: Addition | None = None
    ) -> tuple[Splice, ...]:
        """Return the splices that add a signature and what was appended for it."""
        more = addition or Addition()
        more = more._replace(
            nodes=(*self._nodes, *more.nodes),
            functions=(*self._functions, *more.functions),
        )
        return self._parts.put(key, signature, replaced, more)
