"""What both forms tell of a MetaGraph.

Source: field numbers of ``SavedModel``, ``MetaGraphDef`` in ``tensorflow/core/protobuf``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from smpatch import wire
from smpatch.wire import Splice

__all__ = [
    "GRAPH_DEF",
    "META_GRAPHS",
    "META_INFO_DEF",
    "OBJECT_GRAPH_DEF",
    "SIGNATURE_DEF",
    "Entry",
    "MetaGraphParts",
]

META_GRAPHS = 2
"""Field of ``SavedModel``."""

META_INFO_DEF, GRAPH_DEF, SIGNATURE_DEF, OBJECT_GRAPH_DEF = 1, 2, 5, 7
"""Fields of ``MetaGraphDef``."""


@dataclass(frozen=True, slots=True)
class Entry:
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


class MetaGraphParts(Protocol):
    """Where the parts of one MetaGraph are, in either form."""

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

    def put(self, key: str, signature: bytes, replaced: Entry | None) -> tuple[Splice, ...]:
        """Return the splices that add a signature, or put it in the place of another."""
