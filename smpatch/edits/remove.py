"""Signatures are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from smpatch import arguments
from smpatch.editing import Change, Context, Edit, Expected, Repetition, Step
from smpatch.editing.naming import matches, matching
from smpatch.editing.signatures import Signatures
from smpatch.editing.tracking import Tracker
from smpatch.edits.fields import take
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import KeptSignatures

__all__ = ["Remove"]


@dataclass(frozen=True, slots=True)
class Remove(Edit):
    """Take signatures away, with what was appended for them alone.

    Attributes:
        keys: Keys, or patterns of them (``*``, ``?``, ``[...]``) as file names have them.
    """

    verb: ClassVar[str] = "remove"

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        take(self, keys=arguments.texts(self.keys, "keys"))

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
        """Take the signatures away."""
        going = matching(meta_graph, self.keys)
        signatures = Signatures.of(meta_graph, context)
        notes = tuple(note for key in going for note in signatures.on_one_half(key))
        changes = tuple(Change(key, "removed") for key in going)
        return Step(signatures.remove(*going).meta_graph, changes, notes=notes)

    def expected(self, before: MetaGraph) -> Expected:
        """Return nothing: a signature that is gone computes nothing."""
        return {}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give nothing any more."""
        for wanted in self.keys:
            gone = [wanted]
            if wanted not in signatures:
                gone = [key for key in signatures if fnmatchcase(key, wanted)]
            for key in gone:
                del signatures[key]

    def track(self, tracker: Tracker) -> None:
        tracker.remove(self.keys)

    def removes(self, key: str) -> bool:
        return matches(key, self.keys)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the removal of what is there by now."""
        gone = [key for key in again.keys if self.removes(key)]
        again.fresh -= set(gone)
        again.touched |= set(gone)
        return Remove(tuple(gone)) if gone else None
