"""A signature that is known as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding
from smpatch.editing.edit import Expected
from smpatch.loader import MetaGraph
from smpatch.proof.numbers import Kept, KeptSignatures, named
from smpatch.proof.requests import on_tensors
from smpatch.signature import SignatureDef

__all__ = ["AddSignature"]


@dataclass(frozen=True, slots=True)
class AddSignature(Adding):
    """Add a signature that is known as a whole, such as that of another export.

    Attributes:
        signature: The signature; its tensors must be in the graph as it describes them.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add"

    signature: SignatureDef
    key: str
    overwrite: bool = False

    @property
    def wanted(self) -> Wanted:
        """The signature that is to be built."""
        signature = self.signature
        return Wanted(
            self.key, signature.inputs, signature.outputs, self.overwrite, whole=signature
        )

    def expected(self, before: MetaGraph) -> Expected:
        """Return what its tensors compute."""
        del before
        return {self.key: on_tensors(self.signature.inputs, self.signature.outputs)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what its tensors give."""
        inputs, outputs = named(self.signature.inputs), named(self.signature.outputs)
        signatures[self.key] = Kept("", inputs, outputs)
