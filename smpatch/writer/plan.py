"""The plan of an edit: the splices of the model file; nothing is written here.

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

SIZE_LIMIT = 1 << 31
"""Protobuf's readers refuse a message of this size in bytes, or of more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of an edit to the file.

    Attributes:
        model: The loaded model, before the edit.
        splices: The splices, in the order of the file; empty if the file does not change.
        size: The length of the new file in bytes.
    """

    model: SavedModel
    splices: tuple[Splice, ...]
    size: int


def merge(model: SavedModel, meta_graphs: Iterable[MetaGraph]) -> Plan:
    """Make the plan that writes the edited MetaGraphs of a model; unchanged ones may be among them.

    Raises:
        RefusedError: A change cannot be made in this form, or the new file would be too large for
            protobuf.
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
