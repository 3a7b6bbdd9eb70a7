"""The base of edits that give a signature a key."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from smpatch.editing.edit import Edit, Expected, NotAppliedError, Repetition
from smpatch.editing.naming import Move, moved
from smpatch.editing.step import Context, Step
from smpatch.editing.tracking import Tracker
from smpatch.edits.fields import text
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.requests import kept

__all__ = ["Moving"]


@dataclass(frozen=True, slots=True)
class Moving(Edit):
    """Base of ``Rename`` and ``Copy``.

    Attributes:
        source: The key that the signature has.
        target: The key that it gets.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    copies: ClassVar[bool]
    source: str
    target: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        text(self.source, "the key that it has")
        text(self.target, "the key that it gets")

    @property
    def subject(self) -> str:
        """The key that the signature has."""
        return self.source

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The key that the signature gets."""
        return (self.target,)

    @classmethod
    def read(cls, table: Table) -> Moving:
        """Read the verb, with ``to``."""
        return cls(table.text(cls.verb), table.text("to"), table.flag("overwrite"))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Put the signature under the key, in the place of what has that.

        Raises:
            RefusedError: There is no such signature, or the key is taken or no key.
        """
        move = Move(self.source, self.target, self.overwrite, self.copies)
        return moved(meta_graph, move, context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return what the signature computes."""
        if self.source not in before.signatures:
            return {}
        return {self.target: kept(self.source, before.signatures[self.source])}

    def track(self, tracker: Tracker) -> None:
        """Take the key, and put the other in."""
        if self.source == self.target:
            tracker.conflict(f"source and target are both {self.source!r}")
        else:
            tracker.move(self.source, self.target, overwrite=self.overwrite, copies=self.copies)

    def makes(self) -> str | None:
        """Return the key that the signature gets."""
        return self.target

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same where the model has the source.

        Raises:
            NotAppliedError: Neither its source nor its target is there.
        """
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
