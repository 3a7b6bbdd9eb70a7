"""A regress signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding, NamedTensors
from smpatch.edits.fields import take, text
from smpatch.patch_table import Table
from smpatch.signature import DEFAULT_KEY, EXAMPLES, PREDICTIONS, REGRESS
from smpatch.tensor_refs import TensorRef, tensor_ref

__all__ = ["AddRegress"]


@dataclass(frozen=True, slots=True)
class AddRegress(Adding):
    """Add a regress signature, as TF Serving's Regress takes it.

    Attributes:
        examples: The tensor of serialized ``tf.train.Example`` messages, a string.
        predictions: The tensor of predictions, a float32.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add-regress"

    examples: TensorRef
    predictions: TensorRef
    key: str = DEFAULT_KEY
    overwrite: bool = False

    def __post_init__(self) -> None:
        text(self.key, "the signature key")
        for name in ("examples", "predictions"):
            take(self, **{name: tensor_ref(getattr(self, name), name)})

    @classmethod
    def read(cls, table: Table) -> AddRegress:
        return cls(
            table.tensor("examples"),
            table.tensor("predictions"),
            table.text("add-regress"),
            table.flag("overwrite"),
        )

    @property
    def wanted(self) -> Wanted:
        inputs, outputs = {EXAMPLES: self.examples}, {PREDICTIONS: self.predictions}
        return Wanted(self.key, inputs, outputs, self.overwrite, REGRESS)

    @property
    def named(self) -> NamedTensors:
        return {"inputs": self.examples}, {"outputs": self.predictions}
