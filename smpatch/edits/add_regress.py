"""A regress signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding
from smpatch.editing.edit import Expected
from smpatch.edits.fields import take, text
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import Kept, KeptSignatures, named
from smpatch.proof.requests import on_tensors
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
        """Take values of other forms, as ``arguments`` describes them."""
        text(self.key, "the signature key")
        for name in ("examples", "predictions"):
            take(self, **{name: tensor_ref(getattr(self, name), name)})

    @classmethod
    def read(cls, table: Table) -> AddRegress:
        """Read ``add-regress = KEY`` with ``examples`` and ``predictions``."""
        return cls(
            table.tensor("examples"),
            table.tensor("predictions"),
            table.text("add-regress"),
            table.flag("overwrite"),
        )

    @property
    def wanted(self) -> Wanted:
        """The signature that is to be built."""
        inputs, outputs = {EXAMPLES: self.examples}, {PREDICTIONS: self.predictions}
        return Wanted(self.key, inputs, outputs, self.overwrite, REGRESS)

    def expected(self, before: MetaGraph) -> Expected:
        """Return what its tensors compute."""
        del before
        return {self.key: on_tensors({EXAMPLES: self.examples}, {PREDICTIONS: self.predictions})}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what its tensors give."""
        outputs = named({"outputs": self.predictions})
        signatures[self.key] = Kept("", named({"inputs": self.examples}), outputs)
