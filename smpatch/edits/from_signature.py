"""A signature made of another one, with other outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from smpatch import arguments
from smpatch.builder import Wanted, build
from smpatch.editing.edit import Context, Edit, Expected, Making, Repetition, Step
from smpatch.editing.signatures import Signatures, placed
from smpatch.editing.tracking import Kind, Tracker
from smpatch.errors import UnreachableOutputError
from smpatch.functions.inner_outputs import expose
from smpatch.functions.inner_tensors import Inner
from smpatch.functions.open_sizes import is_wider, with_open_sizes
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import Kept, KeptNames, KeptSignatures, tensor
from smpatch.proof.requests import Names, Request, output, tensor_names


@dataclass(frozen=True, slots=True)
class FromSignature(Making):
    """Make a signature from another one, with other outputs.

    Attributes:
        source: The key of the signature to start from; its inputs are kept.
        outputs: Alias to an output of the source (by alias), to a tensor of the main graph, or to
            an inner tensor of the functions that the source calls (``node:index``, followed by
            ``@call+call`` if that is ambiguous).
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "add-predict"
    mark: ClassVar[str] = "from-signature"

    source: str
    outputs: Mapping[str, str]
    key: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        arguments.instance(self.source, str, "the signature key")
        arguments.instance(self.key, str, "the signature key")
        self._take(outputs=arguments.names(self.outputs, "output"))

    @classmethod
    def read(cls, table: Table) -> FromSignature:
        key, overwrite = table.text("add-predict"), table.flag("overwrite")
        source = table.text("from-signature")
        return cls(source, table.pairs("outputs", needed=True), key, overwrite)

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Bring inner tensors into the main graph, and put in a signature on them."""
        replaces = self.overwrite and self.key != self.source
        signatures = Signatures.of(meta_graph, context)
        bare = signatures.clear(self.key).meta_graph if replaces else meta_graph
        extended, fed, fetched = expose(bare, self.source, self.outputs, context.infer)
        wanted = Wanted(
            self.key, fed, fetched, self.overwrite, without_inputs=not fed, narrower=True
        )
        try:
            built = build(extended, wanted, context.inferred)
        except UnreachableOutputError as error:
            # The source decides the inputs; none can be added here.
            hint = (
                f"signature {self.source!r} does not feed that; name something that it computes, "
                "or name all inputs with --inputs in place of --from-signature"
            )
            raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error
        source = meta_graph.signatures[self.source]
        if is_wider(meta_graph, source):
            signature = built.signature
            outputs = {
                alias: spec if self.outputs[alias] in source.outputs else with_open_sizes(spec)
                for alias, spec in signature.outputs.items()
            }
            built = replace(built, signature=replace(signature, outputs=outputs))
        return placed(extended, built, context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return the computation of the named outputs of the source, or of the named tensors."""
        source = before.signatures[self.source]
        outputs: dict[str, Names | Inner] = {}
        for alias, wanted in self.outputs.items():
            if wanted in source.outputs:
                outputs[alias] = tensor_names(source.outputs[wanted])
            else:
                outputs[alias] = output(before, self.source, wanted)
        inputs = {alias: tensor_names(each) for alias, each in source.inputs.items()}
        return {self.key: Request(inputs, outputs)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the outputs of the source, or the named tensors."""
        source = signatures.get(self.source)
        if source is None:
            return  # only the other half has it
        if source.function:
            signatures[self.key] = Kept(complete=False)
            return
        had = source.outputs
        was = {alias: had.was[ref] for alias, ref in self.outputs.items() if ref in had.was}
        tensors = {
            alias: had.tensors.get(ref, (tensor(ref),))
            for alias, ref in self.outputs.items()
            if alias not in was
        }
        signatures[self.key] = replace(source, outputs=KeptNames(was, tensors))

    def alias_after(self, kind: Kind, key: str, alias: str) -> str | None:
        if kind == "inputs" or alias in self.outputs or not key == self.key == self.source:
            return alias
        return next((new for new, old in self.outputs.items() if old == alias), None)

    def track(self, tracker: Tracker) -> None:
        tracker.start_from(self.source, self.key)
        if self.source == self.key not in tracker.made:
            for alias, ref in self.outputs.items():
                if ref != alias and ref in self.outputs:
                    found = f"the new {alias!r} is the old {ref!r}, and the new {ref!r} is another"
                    found += ": whether that is done already cannot be detected"
                    tracker.conflict(found, "do it once, without a patch file")
                    break
        Making.track(self, tracker)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same edit, with the present names of the source and of its outputs."""
        made = self
        if self.source not in again.fresh and self.key != self.source:
            source, now = again.by_now(self.source, "outputs", self.outputs.values())
            outputs = {alias: now[wanted] for alias, wanted in self.outputs.items()}
            made = replace(self, source=source, outputs=outputs)
        return Making.repeated(made, again)
