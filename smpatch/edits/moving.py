"""The base of edits that give a signature a key."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from smpatch.editing import Change, Context, Edit, Expected, NotAppliedError, Repetition, Step
from smpatch.editing.naming import keys, source_of
from smpatch.editing.signatures import Signatures
from smpatch.editing.step import Outcome
from smpatch.editing.tracking import Tracker
from smpatch.edits.fields import text
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.requests import kept
from smpatch.rules import check_free, check_key

__all__ = ["Moving"]


@dataclass(frozen=True, slots=True)
class Moving(Edit):
    """Base of ``Rename`` and ``Copy``."""

    copies: ClassVar[bool]
    source: str
    target: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        text(self.source, "the key that it has")
        text(self.target, "the key that it gets")

    @property
    def subject(self) -> str:
        return self.source

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (self.target,)

    @classmethod
    def read(cls, table: Table) -> Moving:
        return cls(table.text(cls.verb), table.text("to"), table.flag("overwrite"))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        source_of(meta_graph, self.source, "--from")
        signature = meta_graph.signatures.get(self.source)
        if self.source == self.target:
            return Step(meta_graph, (Change(self.source, "unchanged", signature),))
        check_key(self.target, "--to")
        check_free(meta_graph, self.target, overwrite=self.overwrite, option="--to")
        signatures = Signatures.of(meta_graph, context)
        notes = tuple(signatures.on_one_half(self.source))
        changes: tuple[Change, ...] = ()
        if self.target in keys(meta_graph):
            signatures = signatures.remove(self.target)
            changes = (Change(self.target, "removed"),)
        move = signatures.copy if self.copies else signatures.rename
        outcome: Outcome = "copied" if self.copies else "renamed"
        changes = (*changes, Change(self.target, outcome, signature, self.source))
        return Step(move(self.source, self.target).meta_graph, changes, notes=notes)

    def expected(self, before: MetaGraph) -> Expected:
        """Return what the signature computes."""
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
        """Return the same where the model has the source."""
        again.touched |= {self.source, self.target}
        if self.source in again.keys:
            return self._repeated_from_source(again)
        if again.later_key(self.target) not in again.keys:
            raise NotAppliedError("neither its source nor its target is there")
        return self._repeated_without_source(again)

    @abstractmethod
    def _repeated_from_source(self, again: Repetition) -> Edit | None:
        """Return what is to be done where the model has the source."""

    @abstractmethod
    def _repeated_without_source(self, again: Repetition) -> Edit | None:
        """Return what is to be done where the model has the target alone."""
