"""Signatures put in their place, on both halves of an export.

This module does not say what a signature must keep; that is the business of ``builder``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from smpatch.builder import Built, Wanted, build
from smpatch.editing.edit import Expected, Making
from smpatch.editing.signatures import Signatures
from smpatch.editing.step import Change, Context, Outcome, Step
from smpatch.loader import MetaGraph
from smpatch.proof.requests import on_tensors
from smpatch.tensor_refs import TensorRef

if TYPE_CHECKING:
    from smpatch.proof.numbers import KeptSignatures

__all__ = ["Adding", "NamedTensors", "add", "placed"]

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
        return {self.subject: on_tensors(*self.named)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what its tensors give."""
        from smpatch.proof.numbers import Kept, named

        inputs, outputs = self.named
        signatures[self.subject] = Kept("", named(inputs), named(outputs))

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
    """Put a signature that was built in its place, unless it is there."""
    key, signature = built.key, built.signature
    signatures = Signatures.of(meta_graph, context)
    outcome: Outcome = "unchanged"
    if not signatures.has(key, signature):
        outcome = "replaced" if key in meta_graph.entries else "added"
        signatures = signatures.put(key, signature)
    change = Change(key, outcome, signature)
    return Step(signatures.meta_graph, (change,), {key: built}, built.notes)
