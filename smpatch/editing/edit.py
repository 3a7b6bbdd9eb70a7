"""The base of all edits, the context that an edit gets, and the step that it returns.

A kind of edit is a frozen dataclass in a module of ``edits``. All other modules use ``Edit`` alone.

``apply`` makes the signature. The proofs share no code with it except the search for inner tensors
(``functions.inner_tensors``), so that they do not repeat its mistakes. ``expected`` returns the
computation that the signature must have, for the structural proof. ``follow`` records the outputs
that its outputs must equal, for the proof by numbers. Both methods use the fields of the edit and
the model before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, cast

from smpatch.builder import Built, Inferred
from smpatch.errors import SmpatchError
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.signature import SignatureDef

if TYPE_CHECKING:
    from smpatch.editing.tracking import Kind, Tracker
    from smpatch.fragments import Trace
    from smpatch.functions.joining import Composition
    from smpatch.functions.shape_inference import Infer
    from smpatch.patch_table import Table
    from smpatch.proof.numbers import KeptSignatures
    from smpatch.proof.requests import AnyRequest

Expected: TypeAlias = "Mapping[str, AnyRequest]"
"""Signature key to the computation that the signature must have."""

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
"""Whether the structural proof is made. If it cannot be made, an edit with ``required`` fails, and
an edit with ``attempted`` succeeds with a note. With ``omitted``, the proof is not tried."""


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of an edit for one signature, or for a MetaGraph or its init op.

    Attributes:
        key: The signature key. For a MetaGraph that is retagged or removed, its tags, joined by
            commas; for an init op, the name of the operation.
        outcome: The outcome.
        signature: The signature after the edit; None if there is none.
        was: The key, the tags or the init op before the edit, or the key of the signature that
            was copied; empty if there is none.
    """

    key: str
    outcome: Outcome
    signature: SignatureDef | None = None
    was: str = ""

    @property
    def unchanged(self) -> Change:
        """The outcome for a model that has the result of the change already."""
        # If an init op stays, both names are the same.
        same = {"unchanged": self.was, "init-op-set": self.key}
        return replace(self, outcome="unchanged", was=same.get(self.outcome, ""))


@dataclass(frozen=True, slots=True)
class Context:
    """The context that all edits of a MetaGraph share.

    Attributes:
        with_object_graph: Whether the edits change the object graph as well.
        inferred: The facts that TensorFlow inferred; empty if it was not asked.
        infer: The function that asks TensorFlow for the shapes of inner tensors; None if
            TensorFlow must not be asked.
        proof: Whether the structural proof is made.
        trace: The function with which TensorFlow traces a function; None if TensorFlow must not
            be asked.
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
        meta_graph: The MetaGraph after the edit.
        changes: The outcome for each signature that the edit is about.
        built: Key to signature, of those that were built; they must work when the model is
            reloaded.
        notes: The notes on the edit.
    """

    meta_graph: MetaGraph
    changes: tuple[Change, ...] = ()
    built: Mapping[str, Built] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


class InPatchFiles(Protocol):
    """A kind of edit that patch files can have; ``Edit`` describes its attributes."""

    verb: ClassVar[str]
    other_verb: ClassVar[str]
    mark: ClassVar[str]

    @classmethod
    def read(cls, table: Table) -> Edit | tuple[Edit, ...]:
        """Read the edit from a table of a patch file; one table may make several edits."""
        ...


@dataclass(frozen=True, slots=True)
class Edit(ABC):
    """Base of all edits; an edit is a request to change a model.

    A list of edits is done in one commit.

    Attributes:
        verb: The command, and the key with which its table in a patch file begins.
        other_verb: A second such key, such as ``no-init-op``; empty if there is none.
        mark: A key of that table that no other kind with this verb has; empty for the default
            kind, for a table without such a key.
    """

    verb: ClassVar[str]
    other_verb: ClassVar[str] = ""
    mark: ClassVar[str] = ""

    def _take(self, **fields: object) -> None:
        """Set fields to their final values; the caller may have given them in another form."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def subject(self) -> str:
        """The subject of the edit, such as a key, which messages name after the verb."""

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The keys of its signatures, for a receipt; for a MetaGraph, its tags."""
        return (self.subject,)

    def keys_in(self, meta_graph: MetaGraph) -> tuple[str, ...]:
        """Return ``shown_keys`` for a model, which gives a key if the edit has none.

        Args:
            meta_graph: The MetaGraph before the edit.
        """
        return self.shown_keys

    @property
    def composition(self) -> Composition | None:
        """The composition that it makes, or None; every mode but ``none`` compares its numbers."""
        return None

    def prepared(self, meta_graph: MetaGraph, context: Context) -> Edit:
        """Return the edit with the answers that it needs from TensorFlow.

        Args:
            meta_graph: The MetaGraph before the edit.
            context: The context that all edits of the MetaGraph share.

        Raises:
            RefusedError: TensorFlow gives no answer.
        """
        return self

    @abstractmethod
    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Apply the edit to a MetaGraph in memory.

        Args:
            meta_graph: The MetaGraph before the edit.
            context: The context that all edits of the MetaGraph share.

        Returns:
            The MetaGraph after the edit, with the changes and the notes.

        Raises:
            RefusedError: The edit cannot be done.
        """

    @abstractmethod
    def expected(self, before: MetaGraph) -> Expected:
        """Return the computations of the signatures that the edit makes or changes, by new key.

        Args:
            before: The MetaGraph before the edit, which was carried out without an error.
        """

    @abstractmethod
    def follow(self, signatures: KeptSignatures) -> None:
        """Update the outputs of the model before all edits that each signature must equal.

        Args:
            signatures: The record of these outputs, which the edits before this one have updated.
        """

    @abstractmethod
    def track(self, tracker: Tracker) -> None:
        """Update the keys and aliases for later edits, and report conflicts of this edit.

        Args:
            tracker: The keys and aliases after the edits before this one.
        """

    @abstractmethod
    def repeated(self, again: Repetition) -> Edit | None:
        """Compare the edit with a model that may have its result; return the edit left to do.

        ``already_applied`` compares specs, method, defaults and fingerprints of the keys in
        ``again.touched``. If the edit changes anything else, this method compares it.

        Args:
            again: The list of edits that is done again, up to this edit.

        Returns:
            The edit that is done again; None if nothing is left to do.

        Raises:
            NotAppliedError: The model does not have the result.
        """

    def excludes(self, other: Edit) -> str:
        """Return why another edit cannot be in the same list; empty if it can.

        Args:
            other: Another edit of the list.
        """
        return ""

    def makes(self) -> str | None:
        """Return the key of the signature that it makes; None if none, or if the model gives it."""
        return None

    def removes(self, key: str) -> bool:
        """Return whether the edit removes the signature with this key.

        Args:
            key: The key before the edit.
        """
        return False

    def key_after(self, key: str) -> str:
        """Return the key that a signature has after the edit.

        Args:
            key: The key before the edit.
        """
        return key

    def gone(self, before: MetaGraph) -> set[str]:
        """Return the keys of the signatures that the edit removes or gives another key.

        Args:
            before: The MetaGraph before the edit.
        """
        return {key for key in before.keys if self.removes(key) or self.key_after(key) != key}

    def alias_after(self, kind: Kind, key: str, alias: str) -> str | None:
        """Return the alias of an input or output after the edit; None if the edit drops it.

        Args:
            kind: Whether it is an input or an output.
            key: The key of its signature before the edit.
            alias: The alias before the edit.
        """
        return alias


class Making(Edit):
    """Base of the edits that make a signature.

    Attributes:
        key: The signature key; None if the model gives it.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    __slots__ = ()
    key: str | None
    overwrite: bool

    @property
    def subject(self) -> str:
        """The signature key."""
        return self.key or ""

    def makes(self) -> str | None:
        """Return the signature key."""
        return self.key

    def track(self, tracker: Tracker) -> None:
        """Record the key of the signature that the edit makes."""
        (key,) = self.shown_keys
        tracker.make(key, overwrite=self.overwrite)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same edit, which may replace the signature that it made before."""
        again.make(self.key or "")
        made: Any = self  # each of these kinds is a dataclass with the field
        return cast("Edit", replace(made, overwrite=True))


class MetaGraphEdit(Edit):
    """Base of the edits that change a MetaGraph, which they name by its tags, and no signature."""

    __slots__ = ()

    @abstractmethod
    def choose(self, meta_graphs: tuple[MetaGraph, ...]) -> int:
        """Return the place of the MetaGraph that the edit changes, from 0.

        Raises:
            TagSetError: There is no such MetaGraph, or the other MetaGraphs do not permit the edit.
            UsageError: The tags cannot be used.
        """

    @property
    @abstractmethod
    def tags(self) -> tuple[tuple[str, ...] | int, tuple[str, ...]]:
        """The tags or place of the MetaGraph, and its new tags; no new tags if it is removed."""

    def expected(self, before: MetaGraph) -> Expected:
        """Return no computation: no signature changes."""
        return {}

    def follow(self, signatures: KeptSignatures) -> None:
        """Change nothing."""

    def repeated(self, again: Repetition) -> Edit | None:
        """Return None: ``already_applied`` compares the tags itself."""
        return None


class NotAppliedError(SmpatchError):
    """The model does not have the result of an edit (``already_applied``)."""


@dataclass
class Repetition:
    """A list of edits that is done again, in memory, on a model that may have its result.

    ``already_applied`` makes it, and each edit reads and changes it in ``Edit.repeated``.

    Attributes:
        present: The MetaGraph of the model, unchanged.
        meta_graph: The MetaGraph after the repetition of the edits before this one.
        later: The edits after this one.
        fresh: The keys of signatures that the repetition has made again, so that the later edits
            of the list must be done to them as well. For example, the list adds ``a`` and renames
            it to ``b``: ``a`` is made again, and the rename is done again. A signature that is not
            fresh may have its new key already.
        touched: The keys of the signatures that are compared at the end.
        exact: The keys of the signatures for which an edit asks for an unknown shape.
        with_object_graph: Whether the edits change the object graph as well.
    """

    present: MetaGraph
    meta_graph: MetaGraph
    later: Sequence[Edit] = ()
    fresh: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    exact: set[str] = field(default_factory=set)
    with_object_graph: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The signature keys of ``meta_graph``, in the halves that the edits change."""
        one_half = tuple(self.meta_graph.signatures)
        return self.meta_graph.keys if self.with_object_graph else one_half

    def make(self, key: str) -> None:
        """Record that a signature is made again."""
        self.fresh.add(key)
        self.touched.add(key)

    def later_key(self, key: str) -> str:
        """Return the key that a signature has after the later edits."""
        return self.by_now(key, "outputs", ())[0]

    def by_now(self, key: str, kind: Kind, aliases: Iterable[str]) -> tuple[str, dict[str, str]]:
        """Return the key after the later edits, and each alias at this edit to that after them.

        Args:
            key: The key at this edit.
            kind: Whether the aliases are inputs or outputs.
            aliases: The aliases at this edit.
        """
        names = {alias: alias for alias in aliases}
        for each in self.later:
            names = {old: each.alias_after(kind, key, now) or now for old, now in names.items()}
            key = each.key_after(key)
        return key, names

    def is_removed_later(self, key: str) -> bool:
        """Return whether a later edit removes a signature."""
        return any(each.removes(key) for each in self.later)

    def is_made_later(self, key: str) -> bool:
        """Return whether a later edit puts a signature under a key."""
        return any(each.makes() == key for each in self.later)
