"""Merge a signature into a model: byte splices and facts, no disk touched.

Source: ``MetaGraphDef.signature_def`` in ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpatch import schema
from smpatch.errors import RefusedError
from smpatch.forms.parts import Addition
from smpatch.loader import MetaGraph, SavedModel
from smpatch.signature import SignatureDef
from smpatch.wire import Splice

__all__ = ["SIZE_LIMIT", "Plan", "merge"]

SIZE_LIMIT = 1 << 31
"""Protobuf's readers stop at this many bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit does to the file.

    Attributes:
        model: The model as it was loaded.
        splices: What changes, in the order of the file; empty when nothing does.
        size: Length of the new file in bytes.
        replaced: Whether a signature of the same key gives way.
    """

    model: SavedModel
    splices: tuple[Splice, ...]
    size: int
    replaced: bool


def merge(
    model: SavedModel,
    meta_graph: MetaGraph,
    key: str,
    signature: SignatureDef,
    addition: Addition | None = None,
) -> Plan:
    """Plan to put a signature into a MetaGraph, in the place of one that has its key.

    Args:
        model: The model.
        meta_graph: The one of its MetaGraphs to change.
        key: The signature key.
        signature: The signature.
        addition: What the signature needs in the graph and in the object graph.

    Returns:
        The plan; without splices when an equal signature is there already.

    Raises:
        RefusedError: The file would grow beyond what protobuf reads.
    """
    new = signature.to_bytes()
    old = meta_graph.entries.get(key)
    size = model.identity.size
    there = addition is None or key in meta_graph.objects.signatures
    if there and old is not None and _canonical(old.value) == new:
        return Plan(model, (), size, replaced=False)
    splices = meta_graph.parts.put(key, new, old, addition)
    size += sum(splice.growth for splice in splices)
    if size >= SIZE_LIMIT:
        found = f"the edit would bring the file to {size} bytes"
        hint = "protobuf reads less than 2^31 bytes; move constants into variables"
        raise RefusedError(found, where=str(model.file), hint=hint)
    return Plan(model, splices, size, replaced=old is not None)


def _canonical(signature: bytes) -> bytes:
    """Return the deterministic form; fields that the schema does not know stay in it."""
    message = schema.SignatureDef.FromString(signature)
    return bytes(message.SerializeToString(deterministic=True))
