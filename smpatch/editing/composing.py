"""Signatures put in that are made of another one, some inputs of which are constants.

Names, method and defaults are those of the other one, and so are shapes where the graph does not
contradict them.

This module does not say how the constants get into the graph; that is the business of
``functions.binding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from smpatch.builder import build
from smpatch.editing.adding import cleared, placed
from smpatch.editing.step import Change, Context, Step
from smpatch.edits import AddPredict, Compose
from smpatch.errors import RefusedError, UnreachableOutputError
from smpatch.functions.binding import bind
from smpatch.graph.bodies import FingerprintError
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import signature_computation
from smpatch.rules import Note, breaches
from smpatch.signature import PREDICT, SignatureDef, Spec, TensorSpec, compatible

__all__ = ["compose"]


def compose(meta_graph: MetaGraph, edit: Compose, context: Context) -> Step:
    """Put in a signature that is another one with constants in the place of inputs.

    Raises:
        RefusedError: There is no such signature or input, or a value is not one of its input.
    """
    replaces = edit.overwrite and edit.key != edit.source
    bare = cleared(meta_graph, edit.key, context) if replaces else meta_graph
    composed = bind(bare, edit)
    extended, wanted = composed.meta_graph, composed.signature
    if not meta_graph.parts.can_change_graph:
        found = "a model in text form cannot be given new nodes"
        hint = "smpatch edit --default INPUT=VALUE sets what TF Serving takes for it"
        raise RefusedError(found, where=f"signature {edit.key!r}", hint=hint)
    inputs, outputs = ({a: _ref(s) for a, s in e.items()} for e in (wanted.inputs, wanted.outputs))
    request = AddPredict(inputs, outputs, edit.key, edit.overwrite, without_inputs=not inputs)
    try:
        built = build(extended, request, context.inferred)
    except UnreachableOutputError as error:
        hint = f"signature {edit.source!r} does not feed that: it cannot run, either"
        raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error
    signature = SignatureDef(
        _described(built.signature.inputs, wanted.inputs),
        _described(built.signature.outputs, wanted.outputs),
        wanted.method_name,
        wanted.defaults,
    )
    if any(breaches(signature)):  # a classify or regress signature has one input alone
        signature = replace(signature, method_name=PREDICT)
    notes = built.notes
    if composed.copied:
        text = f"{composed.copied:,} nodes that depend on what is bound are copied"
        notes = (*notes, Note("copied-nodes", f"{text}, {composed.size:,} bytes"))
    if not context.with_object_graph and _is_there(meta_graph, edit.key, extended, signature):
        present = meta_graph.signatures[edit.key]
        return Step(meta_graph, (Change(edit.key, "unchanged", present),), {}, notes)
    return placed(extended, replace(built, signature=signature, notes=notes), context)


def _is_there(
    meta_graph: MetaGraph, key: str, extended: MetaGraph, signature: SignatureDef
) -> bool:
    """Return whether a signature of the key computes the same; copies are not made again then."""
    present = meta_graph.signatures.get(key)
    if present is None or _nameless(present) != _nameless(signature):
        return False
    with suppress(FingerprintError):
        ours, theirs = (
            signature_computation(graph, *map(_names, (each.inputs, each.outputs)))
            for graph, each in ((meta_graph, present), (extended, signature))
        )
        return ours == theirs
    return False


def _nameless(signature: SignatureDef) -> tuple[SignatureDef, object]:
    """Return a signature without the names of its outputs' tensors, which copies change."""
    outputs = {
        alias: [replace(each, name="") for each in spec.tensors()]
        for alias, spec in signature.outputs.items()
    }
    return replace(signature, outputs={}), outputs


def _names(specs: Mapping[str, Spec]) -> dict[str, tuple[str, ...]]:
    return {alias: tuple(each.name for each in spec.tensors()) for alias, spec in specs.items()}


def _ref(spec: Spec) -> str | Spec:
    return spec.name if isinstance(spec, TensorSpec) else spec


def _described(found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> dict[str, Spec]:
    """Return specs with the shapes that are wanted, where the graph has nothing else."""
    specs: dict[str, Spec] = {}
    for alias, spec in found.items():
        asked = wanted[alias]
        specs[alias] = spec
        if isinstance(spec, TensorSpec) and isinstance(asked, TensorSpec):
            fits = compatible(spec.shape, asked.shape)
            specs[alias] = replace(spec, shape=asked.shape) if fits else spec
    return specs
