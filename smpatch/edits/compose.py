"""Signatures put in that are made of another one, some inputs of which are constants.

Names, method and defaults are those of the other one, and so are shapes where the graph does not
contradict them.

This module does not say how the constants get into the graph; that is the business of
``functions.binding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

from smpatch import arguments
from smpatch.arguments import Constant
from smpatch.builder import Wanted, build
from smpatch.editing import Change, Context, Edit, Expected, Making, Repetition, Step, Tracker
from smpatch.editing.adding import placed
from smpatch.editing.signatures import Signatures
from smpatch.edits.fields import take, text
from smpatch.errors import RefusedError, UnreachableOutputError
from smpatch.functions import binding
from smpatch.graph.bodies import FingerprintError
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import Kept, KeptSignatures
from smpatch.proof.requests import Request, full, tensor_names
from smpatch.proof.sameness import signature_computation
from smpatch.rules import Note, breaches
from smpatch.signature import PREDICT, SignatureDef, Spec, TensorSpec, compatible

__all__ = ["Compose"]


@dataclass(frozen=True, slots=True)
class Compose(Making):
    """Make a signature of another one, some inputs of which become constants.

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: Input of the source to its value; it is no input of the new signature.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    verb: ClassVar[str] = "compose"
    runs_always: ClassVar[bool] = True

    source: str
    key: str
    bind: Mapping[str, Constant]
    overwrite: bool = False

    def __post_init__(self) -> None:
        text(self.source, "the signature key")
        text(self.key, "the signature key")
        take(self, bind=arguments.constants(self.bind, "bind"))

    @classmethod
    def read(cls, table: Table) -> Compose:
        if "bind" not in table.keys:
            table.fault("bind is missing", hint="write bind = { INPUT = VALUE }")
        return cls(
            table.text("from-signature"),
            table.text("compose"),
            arguments.constants(table.constants("bind"), "bind"),
            table.flag("overwrite"),
        )

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Put in a signature that is another one with constants in the place of inputs."""
        replaces = self.overwrite and self.key != self.source
        signatures = Signatures.of(meta_graph, context)
        bare = signatures.clear(self.key).meta_graph if replaces else meta_graph
        composed = binding.bind(bare, self)
        extended, wanted = composed.meta_graph, composed.signature
        if not meta_graph.parts.can_change_graph:
            found = "a model in text form cannot be given new nodes"
            hint = "smpatch edit --default INPUT=VALUE sets what TF Serving takes for it"
            raise RefusedError(found, where=f"signature {self.key!r}", hint=hint)
        inputs, outputs = (
            {a: _ref(s) for a, s in e.items()} for e in (wanted.inputs, wanted.outputs)
        )
        request = Wanted(self.key, inputs, outputs, self.overwrite, without_inputs=not inputs)
        try:
            built = build(extended, request, context.inferred)
        except UnreachableOutputError as error:
            hint = f"signature {self.source!r} does not feed that: it cannot run, either"
            raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error
        signature = SignatureDef(
            _described(built.signature.inputs, wanted.inputs),
            _described(built.signature.outputs, wanted.outputs),
            wanted.method_name,
            wanted.defaults,
        )
        if any(breaches(signature)):  # a classify or regress signature has one input alone
            signature = replace(signature, method_name=PREDICT)
        notes = built.notes
        if composed.copied:
            text = f"{composed.copied:,} nodes that depend on what is bound are copied"
            notes = (*notes, Note("copied-nodes", f"{text}, {composed.size:,} bytes"))
        if not signatures.in_python and _is_there(meta_graph, self.key, extended, signature):
            present = meta_graph.signatures[self.key]
            return Step(meta_graph, (Change(self.key, "unchanged", present),), {}, notes)
        return placed(extended, replace(built, signature=signature, notes=notes), context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return what the source computes where it is fed the values that are bound."""
        source = before.signatures[self.source]
        bound = binding.bound_inputs(source, self.source, self.bind)
        inputs = {a: tensor_names(s) for a, s in source.inputs.items() if a not in self.bind}
        outputs = {alias: tensor_names(each) for alias, each in source.outputs.items()}
        values = {full(each.spec.name): each for each in bound.values()}
        return {self.key: Request(inputs, outputs, bound=values)}

    def follow(self, signatures: KeptSignatures) -> None:
        """Give what the source gives where it is fed the values."""
        source = signatures.get(self.source)
        if source is None:
            return  # the other half has it
        had = source.inputs
        if source.function or source.bound or not had.was.keys() >= self.bind.keys():
            # Nothing before the edits can be fed the value.
            signatures[self.key] = Kept(complete=False)
            return
        left = {alias: was for alias, was in had.was.items() if alias not in self.bind}
        bound = {had.was[alias]: value for alias, value in self.bind.items()}
        signatures[self.key] = replace(source, inputs=replace(had, was=left), bound=bound)

    def track(self, tracker: Tracker) -> None:
        tracker.start_from(self.source, self.key)
        if self.source == self.key not in tracker.made:
            found = f"{self.key!r} would be made of itself, and a model does not show it"
            tracker.conflict(found, 'rename it before: rename = "KEY", to = "raw"')
        Making.track(self, tracker)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same, made of the source and its inputs as they are called by now."""
        made = self
        if self.source not in again.fresh and self.key != self.source:
            source, now = again.by_now(self.source, "inputs", self.bind)
            bind = {now[alias]: value for alias, value in self.bind.items()}
            made = replace(self, source=source, bind=bind)
        return Making.repeated(made, again)


def _is_there(
    meta_graph: MetaGraph, key: str, extended: MetaGraph, signature: SignatureDef
) -> bool:
    """Return whether a signature of the key computes the same; copies are not made again then."""
    present = meta_graph.signatures.get(key)
    if present is None or _nameless(present) != _nameless(signature):
        return False
    with suppress(FingerprintError):
        ours, theirs = (
            signature_computation(graph, *map(_names, (each.inputs, each.outputs)))
            for graph, each in ((meta_graph, present), (extended, signature))
        )
        return ours == theirs
    return False


def _nameless(signature: SignatureDef) -> tuple[SignatureDef, object]:
    """Return a signature without the names of its outputs' tensors, which copies change."""
    outputs = {
        alias: [replace(each, name="") for each in spec.tensors()]
        for alias, spec in signature.outputs.items()
    }
    return replace(signature, outputs={}), outputs


def _names(specs: Mapping[str, Spec]) -> dict[str, tuple[str, ...]]:
    return {alias: tuple(each.name for each in spec.tensors()) for alias, spec in specs.items()}


def _ref(spec: Spec) -> str | Spec:
    return spec.name if isinstance(spec, TensorSpec) else spec


def _described(found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> dict[str, Spec]:
    """Return specs with the shapes that are wanted, where the graph has nothing else."""
    specs: dict[str, Spec] = {}
    for alias, spec in found.items():
        asked = wanted[alias]
        specs[alias] = spec
        if isinstance(spec, TensorSpec) and isinstance(asked, TensorSpec):
            fits = compatible(spec.shape, asked.shape)
            specs[alias] = replace(spec, shape=asked.shape) if fits else spec
    return specs
