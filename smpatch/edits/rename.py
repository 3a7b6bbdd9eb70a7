"""A signature gets another key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from smpatch.editing import Edit, NotAppliedError, Repetition
from smpatch.edits.moving import Moving
from smpatch.proof.numbers import KeptSignatures

__all__ = ["Rename"]


@dataclass(frozen=True, slots=True)
class Rename(Moving):
    """Give a signature another key.

    Attributes:
        source: The key that it has.
        target: The key that it gets.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    verb: ClassVar[str] = "rename"
    copies: ClassVar[bool] = False

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what the signature gives."""
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
        del again
        return None
