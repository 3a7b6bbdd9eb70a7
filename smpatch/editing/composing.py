"""Signatures put in that are made of another one, functions before and behind it, and constants.

Names, method and defaults are those of the other one as far as no function takes their place,
and so are shapes where the graph does not contradict them.

This module does not say how functions and constants get into the graph; that is the business of
``functions.joining``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from smpatch.builder import build
from smpatch.editing.adding import cleared, placed
from smpatch.editing.step import Change, Context, Step
from smpatch.edits import AddPredict, Compose
from smpatch.errors import RefusedError, TensorNotFoundError, UnreachableOutputError
from smpatch.fragments import Asked, Fragment, Mode, RecipeOf, Tracing
from smpatch.functions.joining import fragments, join, source_of
from smpatch.functions.stages import inputs_before, outputs_after
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import signature_computation
from smpatch.recipes import RECIPES
from smpatch.rules import Note, breaches
from smpatch.signature import PREDICT, SignatureDef, Spec, TensorSpec, compatible

__all__ = ["compose", "traced"]


_LACKING = {"1.15": frozenset({"DecodeImage", "DenseBincount", "ParseExampleV2"})}
"""Releases of TensorFlow to operations that they were seen to lack."""


def traced(meta_graph: MetaGraph, edit: Compose, context: Context) -> Compose:
    """Return an edit whose functions are traced, each for the signature that it meets.

    Raises:
        RefusedError: There is no such signature, or a function cannot be traced or does not fit.
    """
    if all(isinstance(each, Fragment) for each in (*edit.before, *edit.after)):
        return edit
    source = source_of(meta_graph, edit)
    _check_form(meta_graph, edit)
    inputs = {alias: spec for alias, spec in source.inputs.items() if alias not in edit.bind}
    before: list[Fragment] = []
    for each in reversed(edit.before):
        fragment = _fragment(each, "before", inputs, context)
        before.insert(0, fragment)
        inputs = inputs_before(inputs, fragment)
    outputs = dict(source.outputs)
    after: list[Fragment] = []
    for each in edit.after:
        fragment = _fragment(each, "after", {**inputs, **outputs}, context)
        after.append(fragment)
        outputs = outputs_after(outputs, inputs, fragment)
    return replace(edit, before=tuple(before), after=tuple(after))


def _fragment(asked: Asked, place: Mode, there: Mapping[str, Spec], context: Context) -> Fragment:
    if isinstance(asked, Fragment):
        return asked
    if isinstance(asked, RecipeOf):
        asked = _addressed(asked, place, there)
    if context.trace is None:
        raise RefusedError("TensorFlow is needed to trace it", where=f"{place} {asked}")
    return context.trace(Tracing(asked, place, there))


def _addressed(asked: RecipeOf, place: Mode, there: Mapping[str, Spec]) -> RecipeOf:
    """Return a recipe that says which input it yields, and whose names are there.

    Raises:
        TensorNotFoundError: The signature has no such input or output.
        RefusedError: It is not a dense tensor, or there are several.
    """
    kind, where = ("input" if place == "before" else "output"), f"{place} {asked}"
    recipe = next(each for each in RECIPES if (each.name, each.place) == (asked.name, place))
    named: list[str] = []
    for each in recipe.arguments:
        value = asked.arguments.get(each.name)
        if each.kind == "output" or (each.kind == "inputs" and value is not None):
            named += [value] if isinstance(value, str) else value  # type: ignore[arg-type] # names
        elif each.kind == "inputs":
            named += list(there)
    if place == "before" and recipe.takes_alias:
        if not asked.alias and len(there) != 1:
            found = f"the signature has {len(there)} inputs"
            hint = f"say which: INPUT={asked}; it has {', '.join(there) or 'none'}"
            raise RefusedError(found, where=where, hint=hint)
        asked = replace(asked, alias=asked.alias or next(iter(there)))
        named.append(asked.alias)
    for alias in named:
        if alias not in there:
            hint = nearest(alias, there) or f"it has {', '.join(there) or 'none'}"
            found = f"the signature has no {kind} {alias!r}"
            raise TensorNotFoundError(found, where=where, hint=hint)
        if not isinstance(there[alias], TensorSpec):
            found = f"the {kind} {alias!r} is a sparse or composite tensor"
            raise RefusedError(found, where=where, hint="only dense ones can be composed")
    return asked


def _check_form(meta_graph: MetaGraph, edit: Compose) -> None:
    if meta_graph.parts.can_change_graph:
        return
    found, hint = "a model in text form cannot be given new nodes", ""
    if edit.bind:
        hint = "smpatch edit --default INPUT=VALUE sets what TF Serving takes for it"
    raise RefusedError(found, where=f"signature {edit.key!r}", hint=hint)


def compose(meta_graph: MetaGraph, edit: Compose, context: Context) -> Step:
    """Put in a signature that is another one with functions before and behind it, and constants.

    Raises:
        RefusedError: There is no such signature or input, a value is not one of its input, or a
            function does not fit.
    """
    replaces = edit.overwrite and edit.key != edit.source
    bare = cleared(meta_graph, edit.key, context) if replaces else meta_graph
    composed = join(bare, edit)
    extended, wanted = composed.meta_graph, composed.signature
    _check_form(meta_graph, edit)
    inputs, outputs = ({a: _ref(s) for a, s in e.items()} for e in (wanted.inputs, wanted.outputs))
    request = AddPredict(inputs, outputs, edit.key, edit.overwrite, without_inputs=not inputs)
    try:
        built = build(extended, request, context.inferred)
    except UnreachableOutputError as error:
        hint = f"signature {edit.source!r} does not feed that: it cannot run, either"
        raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error
    signature = SignatureDef(
        _described(built.signature.inputs, wanted.inputs),
        _described(built.signature.outputs, wanted.outputs),
        wanted.method_name,
        wanted.defaults,
    )
    if any(breaches(signature)):  # a classify or regress signature has one input alone
        signature = replace(signature, method_name=PREDICT)
    notes = (*built.notes, *_remarks(meta_graph, edit))
    if composed.copied:
        on = "what is put in" if edit.before else "what is bound"
        text = f"{composed.copied:,} nodes that depend on {on} are copied"
        notes = (*notes, Note("copied-nodes", f"{text}, {composed.size:,} bytes"))
    if not context.with_object_graph and _is_there(meta_graph, edit.key, extended, signature):
        present = meta_graph.signatures[edit.key]
        return Step(meta_graph, (Change(edit.key, "unchanged", present),), {}, notes)
    return placed(extended, replace(built, signature=signature, notes=notes), context)


def _remarks(meta_graph: MetaGraph, edit: Compose) -> Iterator[Note]:
    """Yield what is worth knowing of the functions."""
    put = fragments((*edit.before, *edit.after))
    for each in put:
        yield from (Note("printed", f"{each}: {line}") for line in each.printed)
        if each.frozen_bytes:
            text = f"{each}: its variables became constants, {each.frozen_bytes:,} bytes"
            yield Note("frozen-variables", text)
    used = {op for each in put for op in each.ops}
    if not used:
        return
    graph, library = meta_graph.graph, meta_graph.functions
    new = used - {graph.wiring(name).op for name in graph} - set(library)
    new -= {node.op for name in library for node in library[name].node_def} if new else set()
    if new:
        text = f"operations that the model did not have: {', '.join(sorted(new))}"
        for release, lacking in _LACKING.items():
            if new & lacking:
                text += f"; TensorFlow {release} lacks {', '.join(sorted(new & lacking))}"
                text += ", and so does not load the model any more"
        yield Note("new-operations", text)


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
    """Return a signature without the names of its tensors, which are others when they are made."""
    described = [
        {alias: [replace(each, name="") for each in spec.tensors()] for alias, spec in each.items()}
        for each in (signature.inputs, signature.outputs)
    ]
    return replace(signature, inputs={}, outputs={}), described


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
