"""A predict signature on tensors of the main graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding, NamedTensors
from smpatch.edits.fields import take, text
from smpatch.signature import DEFAULT_KEY
from smpatch.tensor_refs import TensorRef, tensor_refs

if TYPE_CHECKING:
    from smpatch.patch_table import Table

__all__ = ["AddPredict"]


@dataclass(frozen=True, slots=True)
class AddPredict(Adding):
    """Add a predict signature.

    Attributes:
        inputs: Alias to the tensor that is fed.
        outputs: Alias to the tensor that is fetched.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
        without_inputs: Whether it is meant that nothing is fed, as with a function that
            takes nothing.
    """

    verb: ClassVar[str] = "add-predict"

    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    key: str = DEFAULT_KEY
    overwrite: bool = False
    without_inputs: bool = False

    def __post_init__(self) -> None:
        text(self.key, "the signature key")
        take(
            self,
            inputs=tensor_refs(self.inputs, "input"),
            outputs=tensor_refs(self.outputs, "output"),
        )

    @classmethod
    def read(cls, table: Table) -> AddPredict:
        key, overwrite = table.text("add-predict"), table.flag("overwrite")
        inputs = table.tensors("inputs", needed=True)
        return cls(inputs, table.tensors("outputs", needed=True), key, overwrite)

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            self.key,
            self.inputs,
            self.outputs,
            self.overwrite,
            without_inputs=self.without_inputs,
        )

    @property
    def named(self) -> NamedTensors:
        return self.inputs, self.outputs
