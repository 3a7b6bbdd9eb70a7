"""Edits of keys alone: a signature gets another key, gets a second key, or is removed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from typing import ClassVar

from smpatch import arguments
from smpatch.editing.edit import (
    Change,
    Context,
    Edit,
    Expected,
    NotAppliedError,
    Outcome,
    Repetition,
    Step,
)
from smpatch.editing.signatures import Signatures, check_there, matching
from smpatch.editing.tracking import Tracker, matches
from smpatch.errors import RefusedError, UsageError
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import KeptSignatures
from smpatch.proof.requests import kept
from smpatch.rules import check_free, check_key


@dataclass(frozen=True, slots=True)
class _Moving(Edit):
    """Base of ``Rename`` and ``Copy``."""

    copies: ClassVar[bool]
    source: str
    target: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        arguments.instance(self.source, str, "the key that it has")
        arguments.instance(self.target, str, "the key that it gets")

    @property
    def subject(self) -> str:
        return self.source

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (self.target,)

    @classmethod
    def read(cls, table: Table) -> _Moving:
        return cls(table.text(cls.verb), table.text("to"), table.flag("overwrite"))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        check_there(meta_graph, self.source, "--from", in_python=context.with_object_graph)
        signature = meta_graph.signatures.get(self.source)
        if self.source == self.target:
            return Step(meta_graph, (Change(self.source, "unchanged", signature),))
        check_key(self.target, "--to")
        check_free(meta_graph, self.target, overwrite=self.overwrite, option="--to")
        self._check_halves(meta_graph, in_python=context.with_object_graph)
        signatures = Signatures.of(meta_graph, context)
        notes = tuple(signatures.on_one_half(self.source))
        changes: tuple[Change, ...] = ()
        there = meta_graph.keys if context.with_object_graph else meta_graph.signatures
        if self.target in there:
            signatures = signatures.remove(self.target)
            changes = (Change(self.target, "removed"),)
        move = signatures.copy if self.copies else signatures.rename
        outcome: Outcome = "copied" if self.copies else "renamed"
        changes = (*changes, Change(self.target, outcome, signature, self.source))
        return Step(move(self.source, self.target).meta_graph, changes, notes=notes)

    def _check_halves(self, meta_graph: MetaGraph, *, in_python: bool) -> None:
        """Refuse to replace a signature in a half that has nothing to put in its place."""
        halves = {"signature_def": meta_graph.entries.keys()}
        if in_python:
            halves["the object graph"] = meta_graph.objects.signatures.keys()
        for half, there in halves.items():
            if self.target in there and self.source not in there:
                found = f"{half} has no {self.source!r} to take its place"
                hint = "remove it before, in an edit of its own"
                raise RefusedError(found, where=f"signature {self.target!r}", hint=hint)

    def expected(self, before: MetaGraph) -> Expected:
        """Return the computation of the signature."""
        if self.source not in before.signatures:
            return {}
        return {self.target: kept(self.source, before.signatures[self.source])}

    def track(self, tracker: Tracker) -> None:
        if self.source == self.target:
            tracker.conflict(f"source and target are both {self.source!r}")
        else:
            tracker.move(self.source, self.target, overwrite=self.overwrite, copies=self.copies)

    def makes(self) -> str | None:
        return self.target

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the edit that is left to do; it depends on whether the model has the source."""
        again.touched |= {self.source, self.target}
        if self.source in again.keys:
            return self._repeated_from_source(again)
        if again.later_key(self.target) not in again.keys:
            raise NotAppliedError("neither its source nor its target is there")
        return self._repeated_without_source(again)

    @abstractmethod
    def _repeated_from_source(self, again: Repetition) -> Edit | None:
        """Return the edit for a model that has the source."""

    @abstractmethod
    def _repeated_without_source(self, again: Repetition) -> Edit | None:
        """Return the edit for a model that has the target alone."""


@dataclass(frozen=True, slots=True)
class Rename(_Moving):
    """Give a signature another key.

    Attributes:
        source: The key that it has.
        target: The key that it gets.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    verb: ClassVar[str] = "rename"
    copies: ClassVar[bool] = False

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the outputs of the signature under its new key."""
        if self.source in signatures:
            signatures[self.target] = signatures.pop(self.source)

    def key_after(self, key: str) -> str:
        return self.target if key == self.source else key

    def _repeated_from_source(self, again: Repetition) -> Edit | None:
        if again.later_key(self.target) in again.keys and self.source not in again.fresh:
            if not again.is_made_later(self.source):
                raise NotAppliedError("its source and its target are there")
            return None
        again.fresh.discard(self.source)
        again.make(self.target)
        return replace(self, overwrite=True)

    def _repeated_without_source(self, again: Repetition) -> Edit | None:
        return None


@dataclass(frozen=True, slots=True)
class Copy(_Moving):
    """Give a signature a second key.

    Attributes:
        source: The key that it has.
        target: The key that it gets as well.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    verb: ClassVar[str] = "copy"
    copies: ClassVar[bool] = True

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the outputs of the signature under its second key as well."""
        if self.source in signatures:
            signatures[self.target] = signatures[self.source]

    def _repeated_from_source(self, again: Repetition) -> Edit | None:
        again.make(self.target)
        return replace(self, overwrite=True)

    def _repeated_without_source(self, again: Repetition) -> Edit | None:
        later = again.later_key(self.source)
        if later in again.keys:
            again.make(self.target)
            return Copy(later, self.target, overwrite=True)
        if not again.is_removed_later(self.source):
            raise NotAppliedError("its source is not there")
        return None


@dataclass(frozen=True, slots=True)
class Remove(Edit):
    """Remove signatures, and the parts of the model that were appended for them alone.

    Attributes:
        keys: Keys, or patterns of keys with the wildcards of file names (``*``, ``?``, ``[...]``).
    """

    verb: ClassVar[str] = "remove"

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        self._take(keys=arguments.texts(self.keys, "keys"))
        if not self.keys:
            raise UsageError("no key is given", where="keys", hint="such as 'old,new_*'")

    @property
    def subject(self) -> str:
        return ", ".join(self.keys)

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return self.keys

    @classmethod
    def read(cls, table: Table) -> Remove:
        return cls(table.names("remove", needed=True))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Remove the signatures."""
        going = matching(meta_graph, self.keys, in_python=context.with_object_graph)
        signatures = Signatures.of(meta_graph, context)
        notes = tuple(note for key in going for note in signatures.on_one_half(key))
        changes = tuple(Change(key, "removed") for key in going)
        return Step(signatures.remove(*going).meta_graph, changes, notes=notes)

    def expected(self, before: MetaGraph) -> Expected:
        """Return no computation: the signatures are removed."""
        return {}

    def follow(self, signatures: KeptSignatures) -> None:
        """Remove the record of the signatures."""
        for wanted in self.keys:
            gone = [wanted]
            if wanted not in signatures:
                gone = [key for key in signatures if fnmatchcase(key, wanted)]
            for key in gone:
                del signatures[key]

    def track(self, tracker: Tracker) -> None:
        tracker.remove(self.keys)

    def gone(self, before: MetaGraph) -> set[str]:
        return set(self._removed(before.keys))

    def _removed(self, present: Sequence[str]) -> list[str]:
        """Return the keys that are removed: a pattern that is itself a key there names it alone."""
        patterns = tuple(each for each in self.keys if each not in present)
        return [key for key in present if key in self.keys or matches(key, patterns)]

    def removes(self, key: str) -> bool:
        return matches(key, self.keys)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the removal of the signatures that are there now."""
        gone = self._removed(again.keys)
        again.fresh -= set(gone)
        again.touched |= set(gone)
        return Remove(tuple(map(escape, gone))) if gone else None
