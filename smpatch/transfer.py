"""Signatures of one export carried over to another export of the same graph.

Conversions lose them: the nodes keep their names, the signatures are gone. What carries over
is what resolves in the other graph with the same types and shapes, means the same there, and
keeps the rules.

This room chooses; the edit itself is the business of ``patcher``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smpatch.builder import build
from smpatch.directory import writing
from smpatch.edits import AddSignature, Edit
from smpatch.errors import RefusedError, SignatureExistsError
from smpatch.graph.likeness import unlike
from smpatch.graph.resolve import OpDefMissingError
from smpatch.job import Options, Receipt
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.patcher import patch
from smpatch.rules import Note
from smpatch.signature import SignatureDef

__all__ = ["copy_signatures"]


def copy_signatures(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    keys: Sequence[str] | None = None,
    options: Options | None = None,
) -> Receipt:
    """Give a model the signatures of another export of the same graph.

    Those whose tensors the model does not have, or that break a rule there, are left out and
    told in a note of the receipt, unless they were asked for by key.

    Args:
        model: The model directory that lacks them.
        source: The model directory that has them.
        keys: Which; None for all that the model lacks, with ``overwrite`` for all.
        options: How the edit is done; its tag-set chooses in both.

    Raises:
        RefusedError: None can be copied, or not one that was asked for.
        SmpatchError: As ``patch``.
    """
    chosen = options or Options()
    with writing(Path(model), "edited"):
        edits, left_out = _chosen(load(source), load(model), keys, chosen)
        receipt = patch(model, edits, options=options)
    return replace(receipt, notes=(*receipt.notes, *left_out))


def _chosen(
    giver: SavedModel,
    taker: SavedModel,
    keys: Sequence[str] | None,
    chosen: Options,
) -> tuple[list[Edit], list[Note]]:
    """Return what carries over, and why the rest does not.

    Raises:
        RefusedError: Nothing does, or not one that was asked for.
    """
    source = str(giver.directory)
    tags = chosen.tag_set
    origin = giver.meta_graph(tags if len(giver.meta_graphs) > 1 else None)
    offered = origin.signatures
    meta_graph = taker.meta_graph(tags if len(taker.meta_graphs) > 1 else None)
    wanted = list(offered) if keys is None else list(keys)
    edits: list[Edit] = []
    left_out: list[Note] = []
    for key in wanted:
        if key not in offered:
            hint = f"it has {', '.join(offered) or 'none'}"
            raise RefusedError(f"no signature {key!r}", where=source, hint=hint)
        edit = AddSignature(offered[key], key, chosen.overwrite)
        try:
            _check_alike(origin, meta_graph, offered[key])
            build(meta_graph, edit)
        except (OpDefMissingError, RefusedError) as error:
            if keys is not None and not isinstance(error, OpDefMissingError):
                raise
            if not isinstance(error, OpDefMissingError):
                left_out.append(Note("left-out", _why(key, error)))
                continue
        edits.append(edit)
    if not edits:
        reasons = "; ".join(note.text for note in left_out) or "there are none"
        raise RefusedError("no signature can be copied", where=source, hint=reasons)
    return edits, left_out


def _check_alike(origin: MetaGraph, meta_graph: MetaGraph, signature: SignatureDef) -> None:
    """Refuse tensors that are called alike in both graphs and are not the same."""
    fetched, fed = (
        [tensor.name.rpartition(":")[0] for spec in specs for tensor in spec.tensors()]
        for specs in (signature.outputs.values(), signature.inputs.values())
    )
    both = [name for name in fetched if name in origin.graph and name in meta_graph.graph]
    reason = unlike(
        (origin.graph, origin.functions), (meta_graph.graph, meta_graph.functions), both, fed
    )
    if reason:
        raise RefusedError(reason, hint="are the two exports of one graph?")


def _why(key: str, error: RefusedError) -> str:
    if isinstance(error, SignatureExistsError):
        # Its own hint offers another key, which nobody can choose here.
        return f"signature {key!r} was left out: the key is taken; replace it with --overwrite"
    return f"signature {key!r} was left out: {error}"
