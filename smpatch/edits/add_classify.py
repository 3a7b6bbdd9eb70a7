"""A classify signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch.builder import Wanted
from smpatch.editing.adding import Adding, NamedTensors
from smpatch.edits.fields import take, text
from smpatch.patch_table import Table
from smpatch.signature import CLASSES, CLASSIFY, DEFAULT_KEY, EXAMPLES, SCORES
from smpatch.tensor_refs import TensorRef, tensor_ref

__all__ = ["AddClassify"]


@dataclass(frozen=True, slots=True)
class AddClassify(Adding):
    """Add a classify signature, as TF Serving's Classify takes it.

    Attributes:
        examples: The tensor of serialized ``tf.train.Example`` messages, a string.
        classes: The tensor of class labels, a string; None when only scores are served.
        scores: The tensor of scores, a float32; None when only classes are served.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add-classify"

    examples: TensorRef
    classes: TensorRef | None = None
    scores: TensorRef | None = None
    key: str = DEFAULT_KEY
    overwrite: bool = False

    def __post_init__(self) -> None:
        text(self.key, "the signature key")
        for name in ("examples", "classes", "scores"):
            given = getattr(self, name)
            if given is not None or name == "examples":
                take(self, **{name: tensor_ref(given, name)})

    @classmethod
    def read(cls, table: Table) -> AddClassify:
        given = {"classes", "scores"} & set(table.keys)
        if not given:
            table.fault("classes or scores must be there", hint="as Classify answers with them")
        return cls(
            table.tensor("examples"),
            table.tensor("classes") if "classes" in given else None,
            table.tensor("scores") if "scores" in given else None,
            table.text("add-classify"),
            table.flag("overwrite"),
        )

    @property
    def wanted(self) -> Wanted:
        named = {CLASSES: self.classes, SCORES: self.scores}
        outputs = {alias: ref for alias, ref in named.items() if ref is not None}
        return Wanted(self.key, {EXAMPLES: self.examples}, outputs, self.overwrite, CLASSIFY)

    @property
    def named(self) -> NamedTensors:
        outputs = {"classes": self.classes, "scores": self.scores}
        there = {alias: ref for alias, ref in outputs.items() if ref is not None}
        return {"inputs": self.examples}, there
