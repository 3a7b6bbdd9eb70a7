"""Signatures on tensors of the main graph: predict, classify, regress, or known as a whole.

This module does not check the rules that a signature must keep (``builder``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from smpatch import arguments
from smpatch.builder import Wanted, build
from smpatch.editing.edit import Context, Expected, Making, Step
from smpatch.editing.signatures import placed
from smpatch.loader import MetaGraph
from smpatch.proof.requests import on_tensors
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    DEFAULT_KEY,
    EXAMPLES,
    PREDICTIONS,
    REGRESS,
    SCORES,
    SignatureDef,
)
from smpatch.tensor_refs import TensorRef, tensor_ref, tensor_refs

if TYPE_CHECKING:
    from smpatch.patch_table import Table
    from smpatch.proof.numbers import KeptSignatures

NamedTensors = tuple[Mapping[str, TensorRef], Mapping[str, TensorRef]]
"""Alias to tensor, for the inputs and for the outputs."""


class Adding(Making):
    """Base of the edits that name the tensors of a whole signature."""

    __slots__ = ()

    @property
    @abstractmethod
    def wanted(self) -> Wanted:
        """The request for the signature that the edit builds."""

    @property
    @abstractmethod
    def named(self) -> NamedTensors:
        """The tensors that the edit names, for the proofs, which do not use ``wanted``."""

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Build the signature and put it in."""
        return placed(meta_graph, build(meta_graph, self.wanted, context.inferred), context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return the computation of its tensors."""
        return {self.subject: on_tensors(*self.named)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the tensors that its inputs and outputs must equal."""
        from smpatch.proof.numbers import Kept, named

        inputs, outputs = self.named
        signatures[self.subject] = Kept("", named(inputs), named(outputs))


@dataclass(frozen=True, slots=True)
class AddPredict(Adding):
    """Add a predict signature.

    Attributes:
        inputs: Alias to the tensor that is fed.
        outputs: Alias to the tensor that is fetched.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
        without_inputs: Whether the signature has no inputs, for example because its outputs
            come from a function without arguments.
    """

    verb: ClassVar[str] = "add-predict"

    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    key: str = DEFAULT_KEY
    overwrite: bool = False
    without_inputs: bool = False

    def __post_init__(self) -> None:
        arguments.instance(self.key, str, "the signature key")
        self._take(
            inputs=tensor_refs(self.inputs, "input"), outputs=tensor_refs(self.outputs, "output")
        )

    @classmethod
    def read(cls, table: Table) -> AddPredict:
        key, overwrite = table.text("add-predict"), table.flag("overwrite")
        inputs = table.tensors("inputs", needed=True)
        return cls(inputs, table.tensors("outputs", needed=True), key, overwrite)

    @property
    def wanted(self) -> Wanted:
        named, nothing_fed = (self.inputs, self.outputs), self.without_inputs
        return Wanted(self.key, *named, self.overwrite, without_inputs=nothing_fed)

    @property
    def named(self) -> NamedTensors:
        return self.inputs, self.outputs


@dataclass(frozen=True, slots=True)
class AddClassify(Adding):
    """Add a classify signature, for TF Serving's Classify.

    Attributes:
        examples: The tensor of serialized ``tf.train.Example`` messages, a string.
        classes: The tensor of class labels, a string; None if only scores are served.
        scores: The tensor of scores, a float32; None if only classes are served.
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
        arguments.instance(self.key, str, "the signature key")
        for name in ("examples", "classes", "scores"):
            given = getattr(self, name)
            if given is not None or name == "examples":
                self._take(**{name: tensor_ref(given, name)})

    @classmethod
    def read(cls, table: Table) -> AddClassify:
        given = {"classes", "scores"} & set(table.keys)
        if not given:
            table.fault(
                "classes or scores must be there",
                hint="Classify answers with classes, scores or both",
            )
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


@dataclass(frozen=True, slots=True)
class AddRegress(Adding):
    """Add a regress signature, for TF Serving's Regress.

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
        arguments.instance(self.key, str, "the signature key")
        for name in ("examples", "predictions"):
            self._take(**{name: tensor_ref(getattr(self, name), name)})

    @classmethod
    def read(cls, table: Table) -> AddRegress:
        named = table.tensor("examples"), table.tensor("predictions")
        return cls(*named, table.text("add-regress"), table.flag("overwrite"))

    @property
    def wanted(self) -> Wanted:
        inputs, outputs = {EXAMPLES: self.examples}, {PREDICTIONS: self.predictions}
        return Wanted(self.key, inputs, outputs, self.overwrite, REGRESS)

    @property
    def named(self) -> NamedTensors:
        return {"inputs": self.examples}, {"outputs": self.predictions}


@dataclass(frozen=True, slots=True)
class AddSignature(Adding):
    """Add a signature that is known as a whole, such as a signature of another export.

    Attributes:
        signature: The signature; its tensors must be in the graph as it describes them.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add"

    signature: SignatureDef
    key: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        arguments.instance(self.signature, SignatureDef, "the signature")
        arguments.instance(self.key, str, "the signature key")

    @property
    def wanted(self) -> Wanted:
        whole = self.signature
        return Wanted(self.key, whole.inputs, whole.outputs, self.overwrite, whole=whole)

    @property
    def named(self) -> NamedTensors:
        return self.signature.inputs, self.signature.outputs
