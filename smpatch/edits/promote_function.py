"""A signature made of a traced function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from smpatch import arguments
from smpatch.builder import Wanted, build
from smpatch.editing.edit import Context, Edit, Expected, Making, Repetition, Step
from smpatch.editing.signatures import Signatures, placed
from smpatch.functions.function_signature import find_function, promote, training_remark
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import Kept, KeptNames, KeptSignatures
from smpatch.proof.requests import FunctionRequest
from smpatch.rules import Note


@dataclass(frozen=True, slots=True)
class PromoteFunction(Making):
    """Make a signature of a function that was traced but not exported.

    Attributes:
        function: Its path in the object graph (``encoder.call``), or the name of a concrete
            function.
        inputs: Alias to argument; None for all arguments under their own names. Arguments
            that are left out keep their names.
        outputs: Alias to structured output; None for all under TensorFlow's names.
        key: The signature key; None for the last part of the path.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add-predict"
    mark: ClassVar[str] = "function"

    function: str
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    key: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        arguments.instance(self.function, str, "the function")
        for name in ("inputs", "outputs"):
            given = getattr(self, name)
            if given is not None:
                self._take(**{name: arguments.names(given, name.removesuffix("s"))})

    @property
    def subject(self) -> str:
        return self.key or self.function

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (self.function.rpartition(".")[2] if self.key is None else self.key,)

    @classmethod
    def read(cls, table: Table) -> PromoteFunction:
        key, overwrite = table.text("add-predict"), table.flag("overwrite")
        if "from-signature" in table.keys:
            # A table may have each of these keys, but not both.
            table.take("from-signature")
            table.fault("it has function and from-signature", hint="one of them makes a signature")
        return cls(
            table.text("function"),
            table.pairs("inputs") if "inputs" in table.keys else None,
            table.pairs("outputs") if "outputs" in table.keys else None,
            key,
            overwrite,
        )

    def keys_in(self, meta_graph: MetaGraph) -> tuple[str, ...]:
        """Return the key; if none is given, the one that the model gives."""
        return (self.key or find_function(meta_graph, self.function).key,)

    def prepared(self, meta_graph: MetaGraph, context: Context) -> PromoteFunction:
        """Return the edit with its key."""
        return replace(self, key=self.keys_in(meta_graph)[0])

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Bring a call of the function into the main graph, and put in a signature on it."""
        found = find_function(meta_graph, self.function)
        key = self.key or found.key
        signatures = Signatures.of(meta_graph, context)
        bare = signatures.clear(key).meta_graph if self.overwrite else meta_graph
        extended, fed, fetched = promote(bare, self.function, self.inputs, self.outputs, key)
        wanted = Wanted(key, fed, fetched, self.overwrite, without_inputs=not fed)
        step = placed(extended, build(extended, wanted, context.inferred), context)
        remark = training_remark(meta_graph, found)
        if not remark:
            return step
        remarked = f"function {self.function!r} is a trace for training ({remark})"
        others = "; smpatch suggest lists the others first"
        return replace(step, notes=(*step.notes, Note("training-trace", remarked + others)))

    def expected(self, before: MetaGraph) -> Expected:
        """Return the computation of the function."""
        function = find_function(before, self.function)
        named = dict(self.inputs or {})
        others = {name: name for name in function.inputs if name not in named.values()}
        outputs = (
            {name: name for name in function.outputs} if self.outputs is None else self.outputs
        )
        request = FunctionRequest(function, {**named, **others}, dict(outputs))
        return {self.key or function.key: request}

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the results of the function."""
        key = self.key or self.function.rpartition(".")[2]
        there = KeptNames(self.inputs or {}), KeptNames(self.outputs or {})
        signatures[key] = Kept("", *there, complete=False, function=self.function)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same edit; if it has no key, with the key that the model gives."""
        key = self.key or find_function(again.meta_graph, self.function).key
        return Making.repeated(replace(self, key=key), again)
