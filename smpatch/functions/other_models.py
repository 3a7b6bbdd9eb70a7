"""A signature of another SavedModel, as it is put before or behind a signature.

This module reads which names it has; the function is made of it by TensorFlow
(``runtime/trace_models.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from smpatch.errors import RefusedError
from smpatch.fragments import Mode, SignatureOf
from smpatch.loader import load, served
from smpatch.signature import SignatureDef, Spec, TensorSpec

__all__ = ["addressed", "signature_of"]

_DEFAULT = "serving_default"


def addressed(asked: SignatureOf, place: Mode, there: Mapping[str, Spec]) -> SignatureOf:
    """Return a signature of another model with its key, and with names that the signature has.

    Args:
        asked: What is asked for.
        place: Where it is put.
        there: The inputs that it may yield, or the outputs that it may take. Where there is one
            of each, they belong together whatever their names are.

    Raises:
        RefusedError: There is no such signature, or it has a tensor that is not dense.
        ModelUnreadableError: It is no model.
    """
    where = f"{place} {asked}"
    meta_graph = served(load(asked.directory).meta_graphs)
    keys = list(meta_graph.signatures)
    key = asked.key
    if not key:
        if _DEFAULT not in keys and len(keys) != 1:
            hint = f"write {asked}:KEY; it has {', '.join(keys) or 'none'}"
            raise RefusedError(f"the model has {len(keys)} signatures", where=where, hint=hint)
        key = _DEFAULT if _DEFAULT in keys else keys[0]
    signature = meta_graph.signature(key)
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            if not isinstance(spec, TensorSpec):
                found = f"its {kind} {alias!r} is a sparse or composite tensor"
                raise RefusedError(found, where=where, hint="only dense ones can be composed")
    if not signature.inputs or not signature.outputs:
        raise RefusedError("it needs an input and an output", where=where)
    ours = signature.outputs if place == "before" else signature.inputs
    names = {}
    if asked.alias:
        if len(ours) != 1:
            found = f"it has {len(ours)} outputs, and {asked.alias!r} is one input"
            raise RefusedError(found, where=where, hint=f"it has {', '.join(ours)}")
        names = dict.fromkeys(ours, asked.alias)
    elif len(ours) == len(there) == 1:
        names = dict(zip(ours, there, strict=True))
    return replace(asked, key=key, tags=meta_graph.tags, names=names)


def signature_of(asked: SignatureOf) -> tuple[Path, SignatureDef]:
    """Return the model, and the signature with the names that it has here."""
    meta_graph = load(asked.directory).meta_graph(asked.tags)
    found = meta_graph.signature(asked.key)
    inputs, outputs = (
        {asked.names.get(alias, alias): spec for alias, spec in each.items()}
        for each in (found.inputs, found.outputs)
    )
    return Path(os.fspath(asked.directory)), replace(found, inputs=inputs, outputs=outputs)
