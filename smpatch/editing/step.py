"""The context and the result of an edit, beside the MetaGraph that it makes.

This module holds values and does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from smpatch.builder import Built, Inferred
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.signature import SignatureDef

if TYPE_CHECKING:
    from smpatch.fragments import Trace
    from smpatch.functions.shape_inference import Infer

__all__ = ["Change", "Context", "Outcome", "Proof", "Step"]

Outcome = Literal[
    "added",
    "replaced",
    "unchanged",
    "renamed",
    "copied",
    "removed",
    "edited",
    "retagged",
    "meta-graph-removed",
    "init-op-set",
    "init-op-removed",
]


Proof = Literal["required", "attempted", "omitted"]
"""Whether an edit needs the structural proof: where it cannot be made, an edit for which it is
``required`` fails, and one for which it is ``attempted`` goes on with a note."""


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome for one signature or, where it is about a MetaGraph, for that.

    Attributes:
        key: The signature key; of a MetaGraph that is ``retagged`` or removed its tags, with
            commas between them; of an init op the name of the operation.
        outcome: What became of it.
        signature: The signature; None where there is none any more.
        was: The key, or the tags, that it had before, or of which it is a copy; empty where
            that does not apply.
    """

    key: str
    outcome: Outcome
    signature: SignatureDef | None = None
    was: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """The context that all edits of a MetaGraph share.

    Attributes:
        with_object_graph: Whether the object graph is to be edited as well.
        inferred: What TensorFlow infers of the model, where it was asked.
        infer: Asks TensorFlow for the shapes of inner tensors; None where it is not to be asked.
        proof: Whether an edit needs the structural proof.
        trace: Lets TensorFlow trace a function; None where it is not to be asked.
    """

    with_object_graph: bool
    inferred: Inferred
    infer: Infer | None = None
    proof: Proof = "required"
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A MetaGraph after an edit.

    Attributes:
        meta_graph: The MetaGraph as it will be.
        changes: What became of the signatures that the edit is about.
        built: The signatures that were built, by key, which must hold when it is reloaded.
        notes: What is worth knowing.
    """

    meta_graph: MetaGraph
    changes: tuple[Change, ...] = ()
    built: Mapping[str, Built] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
