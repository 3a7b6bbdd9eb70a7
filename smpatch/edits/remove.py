"""Signatures are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from smpatch import arguments
from smpatch.editing.edit import Edit, Expected, Repetition
from smpatch.editing.naming import matches, removed
from smpatch.editing.step import Context, Step
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
        """Take values of other forms, as ``arguments`` describes them."""
        take(self, keys=arguments.texts(self.keys, "keys"))

    @property
    def subject(self) -> str:
        """The keys and patterns."""
        return ", ".join(self.keys)

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The keys and patterns."""
        return self.keys

    @classmethod
    def read(cls, table: Table) -> Remove:
        """Read ``remove``."""
        return cls(table.names("remove", needed=True))

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Take the signatures away.

        Raises:
            RefusedError: No signature has one of the keys, or it is TensorFlow's own.
        """
        return removed(meta_graph, self.keys, context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return nothing: a signature that is gone computes nothing."""
        del before
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
        """Take the keys away."""
        tracker.remove(self.keys)

    def removes(self, key: str) -> bool:
        """Return whether a key is one of these, or matches one."""
        return matches(key, self.keys)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the removal of what is there by now."""
        gone = [key for key in again.keys if self.removes(key)]
        again.fresh -= set(gone)
        again.touched |= set(gone)
        return Remove(tuple(gone)) if gone else None
