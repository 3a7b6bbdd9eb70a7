"""A signature that is known as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding, NamedTensors
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
        signature = self.signature
        return Wanted(
            self.key, signature.inputs, signature.outputs, self.overwrite, whole=signature
        )

    @property
    def named(self) -> NamedTensors:
        return self.signature.inputs, self.signature.outputs
