"""Signatures put in: those whose tensors are named, and those made of functions.

A promoted function and an inner tensor are first brought into the main graph; from there
on all are the same.

This module does not say what a signature must keep; that is the business of ``builder``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from smpatch import schema
from smpatch.builder import Adding, Built, build
from smpatch.editing.step import Change, Context, Step
from smpatch.edits import AddPredict, FromSignature, Making, PromoteFunction, TensorRef
from smpatch.errors import UnreachableOutputError
from smpatch.functions import signature_map
from smpatch.functions.function_signature import (
    find_function,
    promote,
    training_remark,
)
from smpatch.functions.inner_outputs import expose
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.savedmodel.draft import Draft

__all__ = ["add", "cleared", "derive", "placed", "promoted"]


def add(meta_graph: MetaGraph, edit: Adding, context: Context) -> Step:
    """Put in a signature whose tensors are named.

    Raises:
        RefusedError: It cannot work, or its key is taken.
    """
    built = build(meta_graph, edit, context.inferred)
    return placed(meta_graph, built, context)


def promoted(meta_graph: MetaGraph, edit: PromoteFunction, context: Context) -> Step:
    """Put in a signature made of a traced function.

    Raises:
        RefusedError: There is no such function, or it cannot become one.
    """
    found = find_function(meta_graph, edit.function)
    key = edit.key or found.key
    bare = cleared(meta_graph, key, context) if edit.overwrite else meta_graph
    extended, *tensors = promote(bare, edit.function, edit.inputs, edit.outputs, key)
    step = add(extended, _on(tensors, key, edit), context)
    remark = training_remark(meta_graph, found)
    if not remark:
        return step
    text = f"function {edit.function!r} is a trace for training ({remark})"
    others = "; smpatch suggest lists the others first"
    return replace(step, notes=(*step.notes, Note("training-trace", text + others)))


def derive(meta_graph: MetaGraph, edit: FromSignature, context: Context) -> Step:
    """Put in a signature with the inputs of another one and other outputs.

    Raises:
        RefusedError: There is no such signature or tensor, or it is ambiguous.
    """
    replaces = edit.overwrite and edit.key != edit.source
    bare = cleared(meta_graph, edit.key, context) if replaces else meta_graph
    extended, *tensors = expose(bare, edit.source, edit.outputs, context.infer)
    try:
        return add(extended, _on(tensors, edit.key, edit), context)
    except UnreachableOutputError as error:
        # What is fed is the source's business; nothing can be added to it here.
        hint = (
            f"signature {edit.source!r} does not feed that; name something that it computes, "
            "or name all inputs with --inputs in place of --from-signature"
        )
        raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error


def _on(tensors: Sequence[Mapping[str, TensorRef]], key: str, edit: Making) -> AddPredict:
    inputs, outputs = tensors
    return AddPredict(inputs, outputs, key, edit.overwrite, without_inputs=not inputs)


def placed(meta_graph: MetaGraph, built: Built, context: Context) -> Step:
    """Put a signature that was built in its place, on both halves where both are edited."""
    key, signature = built.key, built.signature
    old, new = meta_graph.entries.get(key), signature.to_bytes()
    in_python = not context.with_object_graph or key in meta_graph.objects.signatures
    if old is not None and in_python and _canonical(old.value) == new:
        unchanged = Change(key, "unchanged", signature)
        return Step(meta_graph, (unchanged,), {key: built}, built.notes)
    before = meta_graph.signatures.get(key)
    meta_graph = meta_graph.with_parts(Draft.of(meta_graph.parts).put(key, new))
    if context.with_object_graph:
        meta_graph = signature_map.put(meta_graph, key, signature, before)
    change = Change(key, "added" if old is None else "replaced", signature)
    return Step(meta_graph, (change,), {key: built}, built.notes)


def cleared(meta_graph: MetaGraph, key: str, context: Context) -> MetaGraph:
    """Return it without what only the former signature of the key needed.

    What is made in its place so gets the names that it had, and an equal one is known.
    """
    old = meta_graph.signatures.get(key)
    if old is None or not context.with_object_graph:
        return meta_graph
    return signature_map.removed(meta_graph, key, old)


def _canonical(signature: bytes) -> bytes:
    """Return the deterministic form; fields that the schema does not know stay in it."""
    message = schema.SignatureDef.FromString(signature)
    return bytes(message.SerializeToString(deterministic=True))
