"""The base of all edits, the context that an edit gets, and the step that it returns.

A kind of edit is a frozen dataclass in a module of ``edits``. All other modules use ``Edit`` alone.

``apply`` makes the signature. The proofs share no code with it but the search for inner tensors
(``functions.inner_tensors``), so that no mistake is in both: ``expected`` returns what the
signature computes, for the structural proof; ``follow`` what it gives, for the proof by numbers.
These use the fields of the edit and the model before it.
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

__all__ = [
    "Change",
    "Context",
    "Edit",
    "Expected",
    "InPatchFiles",
    "Making",
    "MetaGraphEdit",
    "NotAppliedError",
    "Outcome",
    "Proof",
    "Repetition",
    "Step",
]

Expected: TypeAlias = "Mapping[str, AnyRequest]"
"""Signature key to what the signature computes."""

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


class InPatchFiles(Protocol):
    """A kind of edit that stands in patch files; ``Edit`` describes its attributes."""

    verb: ClassVar[str]
    other_verb: ClassVar[str]
    mark: ClassVar[str]

    @classmethod
    def read(cls, table: Table) -> Edit | tuple[Edit, ...]:
        """Read it from the table of a patch file, which may stand for several edits."""
        ...


@dataclass(frozen=True, slots=True)
class Edit(ABC):
    """Base of all edits: anything that can be asked of a model.

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
        """Set fields that a caller gave in another form."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def subject(self) -> str:
        """The subject of the edit, as it is named beside the verb."""

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The keys of its signatures, as a receipt names them; of a MetaGraph its tags."""
        return (self.subject,)

    @property
    def composition(self) -> Composition | None:
        """The composition that it asks for; every mode but ``none`` compares its numbers."""
        return None

    def prepared(self, meta_graph: MetaGraph, context: Context) -> Edit:
        """Return the same with the answers of TensorFlow that it needs.

        Raises:
            RefusedError: TensorFlow has none.
        """
        return self

    @abstractmethod
    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Do it to a MetaGraph in memory.

        Raises:
            RefusedError: It cannot be done.
        """

    @abstractmethod
    def expected(self, before: MetaGraph) -> Expected:
        """Return the computations of the signatures that it makes or changes, by their new keys.

        Args:
            before: The MetaGraph before the edit, which was carried out without an error.
        """

    @abstractmethod
    def follow(self, signatures: KeptSignatures) -> None:
        """Change what each signature gives, in terms of the model before all edits."""

    @abstractmethod
    def track(self, tracker: Tracker) -> None:
        """Follow keys and aliases for the edits behind it, and report its conflicts."""

    @abstractmethod
    def repeated(self, again: Repetition) -> Edit | None:
        """Compare it with a model that may have its result; return what is left to do, or None.

        ``already_applied`` compares specs, method, defaults and fingerprints of the keys in
        ``again.touched``. If the edit changes anything else, it is compared here.

        Raises:
            NotAppliedError: The model does not have its result.
        """

    def excludes(self, other: Edit) -> str:
        """Return why another edit cannot stand in the same list; empty where it can."""
        return ""

    def makes(self) -> str | None:
        """Return the key under which it puts a signature; None where the model gives the key."""
        return None

    def removes(self, key: str) -> bool:
        """Return whether it takes away the signature of a key."""
        return False

    def key_after(self, key: str) -> str:
        """Return the key that a signature has after it."""
        return key

    def gone(self, before: MetaGraph) -> set[str]:
        """Return the keys of a MetaGraph that no signature may have after it."""
        return {key for key in before.keys if self.removes(key) or self.key_after(key) != key}

    def alias_after(self, kind: Kind, key: str, alias: str) -> str | None:
        """Return the name that an input or output of a signature has after it; None if it goes."""
        return alias


class Making(Edit):
    """Base of the edits that make a signature.

    Attributes:
        key: The signature key; None where the model gives it.
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
        """Put the key in."""
        (key,) = self.shown_keys
        tracker.make(key, overwrite=self.overwrite)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same, to be made in its own place."""
        again.make(self.key or "")
        made: Any = self  # each of these kinds is a dataclass with the field
        return cast("Edit", replace(made, overwrite=True))


class MetaGraphEdit(Edit):
    """Base of the edits that change no signature, but a MetaGraph that they name by its tags."""

    __slots__ = ()

    @abstractmethod
    def choose(self, meta_graphs: tuple[MetaGraph, ...]) -> int:
        """Return which MetaGraph it is about.

        Raises:
            TagSetError: There is none, or what is asked for cannot be done beside the others.
            UsageError: The tags are no tags.
        """

    @property
    @abstractmethod
    def tags(self) -> tuple[tuple[str, ...] | int, tuple[str, ...]]:
        """The tags that it has, or its place, and the tags that it gets; none where it goes."""

    def expected(self, before: MetaGraph) -> Expected:
        """Return nothing: no signature changes."""
        return {}

    def follow(self, signatures: KeptSignatures) -> None:
        """Change nothing."""

    def repeated(self, again: Repetition) -> Edit | None:
        """Return nothing: the tags are compared."""
        return None


class NotAppliedError(SmpatchError):
    """The model does not have the result of an edit (``already_applied``)."""


@dataclass
class Repetition:
    """A list of edits, carried out once more in memory on a model that may have their result.

    ``already_applied`` makes it, and each edit reads and changes it in ``Edit.repeated``.

    Attributes:
        present: The MetaGraph as it is.
        meta_graph: The same after the edits before this one.
        later: The edits behind this one.
        fresh: The keys of signatures that the repetition has made anew, so that later edits of the
            list are still to be done to them. For example, the list adds ``a`` and renames it to
            ``b``: ``a`` is made again, and the rename is done again. A signature that is not fresh
            may have been renamed by the list before.
        touched: The keys that are compared in the end.
        exact: Of these the ones for which an unknown shape is asked for.
    """

    present: MetaGraph
    meta_graph: MetaGraph
    later: Sequence[Edit] = ()
    fresh: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    exact: set[str] = field(default_factory=set)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are there now."""
        return self.meta_graph.keys

    def make(self, key: str) -> None:
        """Note that a signature is made again."""
        self.fresh.add(key)
        self.touched.add(key)

    def later_key(self, key: str) -> str:
        """Return the key that a signature gets from the edits that follow."""
        return self.by_now(key, "outputs", ())[0]

    def by_now(self, key: str, kind: Kind, aliases: Iterable[str]) -> tuple[str, dict[str, str]]:
        """Return the key that a signature has in the model, and alias to the alias there.

        Args:
            key: The key at this edit.
            kind: Which aliases are meant.
            aliases: The aliases at this edit.
        """
        names = {alias: alias for alias in aliases}
        for each in self.later:
            names = {old: each.alias_after(kind, key, now) or now for old, now in names.items()}
            key = each.key_after(key)
        return key, names

    def is_removed_later(self, key: str) -> bool:
        """Return whether an edit that follows removes a signature."""
        return any(each.removes(key) for each in self.later)

    def is_made_later(self, key: str) -> bool:
        """Return whether an edit that follows puts a signature under a key."""
        return any(each.makes() == key for each in self.later)
