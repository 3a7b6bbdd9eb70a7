"""Signatures put in their place, on both halves of an export.

This module does not say what a signature must keep; that is the business of ``builder``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from smpatch import schema
from smpatch.builder import Built, Wanted, build
from smpatch.editing.edit import Expected, Making
from smpatch.editing.step import Change, Context, Step
from smpatch.functions import signature_map
from smpatch.loader import MetaGraph
from smpatch.proof.numbers import Kept, KeptSignatures, named
from smpatch.proof.requests import on_tensors
from smpatch.savedmodel.draft import Draft
from smpatch.tensor_refs import TensorRef

__all__ = ["Adding", "NamedTensors", "add", "cleared", "placed"]

NamedTensors = tuple[Mapping[str, TensorRef], Mapping[str, TensorRef]]
"""Alias to tensor, of inputs and of outputs."""


class Adding(Making):
    """Base of the edits that name the tensors of a whole signature."""

    __slots__ = ()

    @property
    @abstractmethod
    def wanted(self) -> Wanted:
        """The signature that is to be built."""

    @property
    @abstractmethod
    def named(self) -> NamedTensors:
        """The tensors that it names, as the proofs read them, which do not look at ``wanted``."""

    def expected(self, before: MetaGraph) -> Expected:
        """Return what its tensors compute."""
        del before
        return {self.shown_keys[0]: on_tensors(*self.named)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what its tensors give."""
        inputs, outputs = self.named
        signatures[self.shown_keys[0]] = Kept("", named(inputs), named(outputs))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Put in a signature whose tensors are named."""
        return add(meta_graph, self.wanted, context)


def add(meta_graph: MetaGraph, wanted: Wanted, context: Context) -> Step:
    """Put in a signature whose tensors are named.

    Raises:
        RefusedError: It cannot work, or its key is taken.
    """
    built = build(meta_graph, wanted, context.inferred)
    return placed(meta_graph, built, context)


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
