"""A signature gets a second key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from smpatch.editing import Edit, NotAppliedError, Repetition
from smpatch.edits.moving import Moving
from smpatch.proof.numbers import KeptSignatures

__all__ = ["Copy"]


@dataclass(frozen=True, slots=True)
class Copy(Moving):
    """Serve a signature under a second key.

    Attributes:
        source: The key that it has.
        target: The key that it gets as well.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    verb: ClassVar[str] = "copy"
    copies: ClassVar[bool] = True

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what the signature gives."""
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
