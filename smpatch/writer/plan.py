"""An edited model as a plan: byte splices and facts, no disk touched.

Source: ``MetaGraphDef`` in ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smpatch import wire
from smpatch.errors import RefusedError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.savedmodel.draft import Draft
from smpatch.wire import Splice

__all__ = ["SIZE_LIMIT", "Plan", "merge"]

SIZE_LIMIT = 1 << 31
"""Protobuf's readers stop at this many bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of an edit to the file.

    Attributes:
        model: The model as it was loaded.
        splices: What changes, in the order of the file; empty when nothing does.
        size: Length of the new file in bytes.
    """

    model: SavedModel
    splices: tuple[Splice, ...]
    size: int


def merge(model: SavedModel, meta_graphs: Iterable[MetaGraph]) -> Plan:
    """Plan to write what became of some of a model's MetaGraphs.

    Args:
        model: The model.
        meta_graphs: The MetaGraphs as they will be; those that no edit touched may be among
            them.

    Returns:
        The plan; without splices when the file would be the same.

    Raises:
        RefusedError: The form cannot take a change, or the file would grow beyond what
            protobuf reads.
    """
    splices: list[Splice] = []
    for each in meta_graphs:
        if isinstance(each.parts, Draft):
            splices += each.parts.splices()
    splices.sort(key=lambda each: (each.start, each.end))
    size = model.identity.size + sum(splice.growth for splice in splices)
    if size == model.identity.size and wire.same(model.data, splices):
        return Plan(model, (), size)
    if size >= SIZE_LIMIT:
        found = f"the edit would bring the file to {size} bytes"
        hint = "protobuf reads less than 2^31 bytes; move constants into variables"
        raise RefusedError(found, where=str(model.file), hint=hint)
    return Plan(model, tuple(splices), size)
