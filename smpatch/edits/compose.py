"""A signature made of another one, of functions before and after it, and of constants.

It has the names, method and defaults of the other signature, unless a function replaces them. It
has the shapes of the other signature, unless the graph contradicts them.

This module does not put functions and constants into the graph (``functions.joining``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

from smpatch import arguments
from smpatch.arguments import Constant
from smpatch.builder import Wanted, build
from smpatch.display import quoted
from smpatch.editing.edit import Change, Context, Edit, Expected, Making, Repetition, Step
from smpatch.editing.signatures import Signatures, placed
from smpatch.editing.tracking import Kind, Tracker
from smpatch.edits.keys import Rename
from smpatch.errors import RefusedError, TensorNotFoundError, UnreachableOutputError
from smpatch.fragments import Asked, Fragment, Mode, RecipeOf, SignatureOf, Tracing, asked_list
from smpatch.functions.binding import bound_inputs
from smpatch.functions.fitting import addressed, inputs_before, outputs_after
from smpatch.functions.inner_inputs import Start, starts
from smpatch.functions.joining import Composition, fragments, join, source_of
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.composed import still_needed
from smpatch.proof.numbers import Kept, KeptSignatures
from smpatch.proof.requests import ComposedRequest, Request, full, tensor_names
from smpatch.proof.sameness import signature_computation
from smpatch.recipes import RECIPES
from smpatch.rules import Note, breaches
from smpatch.signature import PREDICT, SignatureDef, Spec, TensorSpec, compatible

_ASKED = ("before", "after", "bind", "from-input", "dummy-input")
_LACKING = {"1.15": frozenset({"DecodeImage", "DenseBincount", "ParseExampleV2"})}
"""Release of TensorFlow to operations that were found to be missing in it."""


@dataclass(frozen=True, slots=True)
class Compose(Making):
    """Make a signature of another one, with functions before and after it, and with constants.

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: Input of the source to its value; the new signature does not have this input.
        overwrite: Whether a signature that has the key already may be replaced.
        before: The functions that yield inputs of the source, in the order in which they run.
        after: The functions that take outputs of the source, in the order in which they run.
        from_input: Alias to a tensor between the source's inputs and outputs, which becomes an
            input. The computation before it is left out, and so are the inputs that only this
            computation needs.
        dummy_input: An input that no operation reads, for a signature without other inputs; empty
            for none.
        starts: The tensors of ``from_input``, after they are found.
    """

    verb: ClassVar[str] = "compose"

    source: str
    key: str
    bind: Mapping[str, Constant] = field(default_factory=dict)
    overwrite: bool = False
    before: tuple[Asked, ...] = ()
    after: tuple[Asked, ...] = ()
    from_input: Mapping[str, str] = field(default_factory=dict)
    dummy_input: str = ""
    starts: Mapping[str, Start] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        arguments.instance(self.source, str, "the signature key")
        arguments.instance(self.key, str, "the signature key")
        self._take(
            bind=arguments.constants(self.bind, "bind"),
            before=asked_list(self.before, "before"),
            after=asked_list(self.after, "after"),
            from_input=arguments.names(self.from_input, "input"),
        )
        if self.dummy_input:
            arguments.instance(self.dummy_input, str, "the input")

    @classmethod
    def read(cls, table: Table) -> tuple[Edit, ...]:
        if {*_ASKED}.isdisjoint(table.keys):
            found = f"{', '.join(_ASKED[:-1])} and {_ASKED[-1]} are missing"
            table.fault(found, hint="write bind = { INPUT = VALUE }")
        edit = cls(
            table.text("from-signature"),
            table.text("compose"),
            arguments.constants(table.constants("bind"), "bind"),
            table.flag("overwrite"),
            table.fragments("before"),
            table.fragments("after"),
            table.pairs("from-input"),
            table.text("dummy-input") if "dummy-input" in table.keys else "",
        )
        return edit.keeping(table.text("keep-as")) if "keep-as" in table.keys else (edit,)

    def keeping(self, key: str) -> tuple[Edit, ...]:
        """Return two edits: a rename of the signature that has the key of this edit, and this edit.

        Args:
            key: The key that the renamed signature gets; this signature may be the source.
        """
        moved = key if self.source == self.key else self.source
        return Rename(self.key, key), replace(self, source=moved)

    @property
    def composition(self) -> Compose:
        return self

    @property
    def in_parts(self) -> bool:
        """Whether its numbers are compared with the numbers of its parts."""
        return bool(self.before or self.after or self.from_input or self.dummy_input)

    def prepared(self, meta_graph: MetaGraph, context: Context) -> Compose:
        """Return the same edit with its functions traced, each for the signature at its place."""
        found = self.starts
        if self.from_input:
            meta_graph.signature(self.source)
            found = starts(meta_graph, self.source, self.from_input, context.infer)
        if all(isinstance(each, Fragment) for each in (*self.before, *self.after)):
            return replace(self, starts=found)
        source = source_of(meta_graph, self, found).source
        _check_form(meta_graph, self)
        inputs = {alias: spec for alias, spec in source.inputs.items() if alias not in self.bind}
        before: list[Fragment] = []
        for each in reversed(self.before):
            fragment = _fragment(each, "before", inputs, context)
            before.insert(0, fragment)
            inputs = inputs_before(inputs, fragment)
        outputs = dict(source.outputs)
        after: list[Fragment] = []
        for each in self.after:
            # Another model takes outputs, even if an input has the same name as one of them.
            there = outputs if isinstance(each, SignatureOf) else {**inputs, **outputs}
            fragment = _fragment(each, "after", there, context)
            after.append(fragment)
            outputs = outputs_after(outputs, inputs, fragment)
        return replace(self, before=tuple(before), after=tuple(after), starts=found)

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Put in the signature that is made of the source, of functions and of constants."""
        replaces = self.overwrite and self.key != self.source
        signatures = Signatures.of(meta_graph, context)
        bare = signatures.clear(self.key).meta_graph if replaces else meta_graph
        composed = join(bare, self, self.starts)
        extended, wanted = composed.meta_graph, composed.signature
        _check_form(meta_graph, self)
        halves = wanted.inputs, wanted.outputs
        inputs, outputs = ({alias: _ref(s) for alias, s in each.items()} for each in halves)
        request = Wanted(
            self.key, inputs, outputs, self.overwrite, without_inputs=not inputs, narrower=True
        )
        try:
            built = build(extended, request, context.inferred)
        except UnreachableOutputError as error:
            hint = f"signature {self.source!r} does not feed it either, so it cannot run"
            raise UnreachableOutputError(error.found, where=error.where, hint=hint) from error
        signature = SignatureDef(
            _described(built.signature.inputs, wanted.inputs),
            _described(built.signature.outputs, wanted.outputs),
            wanted.method_name,
            wanted.defaults,
        )
        if any(breaches(signature)):  # such as two inputs, or another name, with classify
            signature = replace(signature, method_name=PREDICT)
        meant = {"unused-input"} if self.dummy_input else set()
        notes = (*(n for n in built.notes if n.code not in meant), *_remarks(meta_graph, self))
        if composed.copied:
            on = "what is bound" if self.bind and not self.before else "what is put in"
            text = f"{composed.copied:,} nodes that depend on {on} are copied"
            if composed.copied == 1:
                text = f"1 node that depends on {on} is copied"
            notes = (*notes, Note("copied-nodes", f"{text}, {composed.size:,} bytes"))
        if not signatures.in_python and _is_there(meta_graph, self.key, extended, signature):
            present = meta_graph.signatures[self.key]
            return Step(meta_graph, (Change(self.key, "unchanged", present),), {}, notes)
        return placed(extended, replace(built, signature=signature, notes=notes), context)

    def expected(self, before: MetaGraph) -> Expected:
        """Return the computation of the source, fed with constants and results of functions."""
        source = before.signatures[self.source]
        fetched = {alias: tensor_names(each) for alias, each in source.outputs.items()}
        opened = {
            alias: each.inner or (full(each.spec.name),) for alias, each in self.starts.items()
        }
        inputs = {a: each for a, each in source.inputs.items() if a not in opened}
        fed = {alias: tensor_names(each) for alias, each in source.inputs.items()}
        spare: frozenset[str] = frozenset()
        if opened:
            spare = frozenset(inputs) - still_needed(before, fed, fetched, opened)
        fed = {alias: fed[alias] for alias in inputs}
        specs = {alias: spec for alias, spec in inputs.items() if alias not in spare}
        specs |= {alias: each.spec for alias, each in self.starts.items()}
        bound = bound_inputs(replace(source, inputs=specs), self.source, self.bind)
        if not self.in_parts:
            unbound = {alias: each for alias, each in fed.items() if alias not in self.bind}
            values = {full(each.spec.name): each for each in bound.values()}
            return {self.key: Request(unbound, fetched, bound=values)}
        first = tuple(each for each in self.before if isinstance(each, Fragment))
        then = tuple(each for each in self.after if isinstance(each, Fragment))
        taken = specs.keys() - self.bind.keys()
        outputs = set(source.outputs)
        for each in reversed(first):
            taken = (taken - each.outputs.keys()) | each.inputs.keys()
        for each in then:
            outputs = (outputs - each.inputs.keys()) | each.outputs.keys()
        if self.dummy_input:
            taken = {self.dummy_input}
        request = ComposedRequest(
            frozenset(taken), frozenset(outputs), fed, fetched, first, then, bound, opened, spare
        )
        return {self.key: request}

    def follow(self, signatures: KeptSignatures) -> None:
        """Record the outputs of the source, fed with the bound values."""
        source = signatures.get(self.source)
        if source is None:
            return  # only the other half has it
        had = source.inputs
        if self.in_parts:
            signatures[self.key] = Kept(complete=False)  # it is compared with its parts
            return
        if source.function or source.bound or not had.was.keys() >= self.bind.keys():
            # The model before the edits has no such input that can be fed the value.
            signatures[self.key] = Kept(complete=False)
            return
        left = {alias: was for alias, was in had.was.items() if alias not in self.bind}
        bound = {had.was[alias]: value for alias, value in self.bind.items()}
        signatures[self.key] = replace(source, inputs=replace(had, was=left), bound=bound)

    def alias_after(self, kind: Kind, key: str, alias: str) -> str | None:
        bound = kind == "inputs" and key == self.key == self.source and alias in self.bind
        return None if bound else alias

    def track(self, tracker: Tracker) -> None:
        tracker.start_from(self.source, self.key, with_outputs=True)
        if self.source == self.key not in tracker.made:
            found = (
                f"source and key are both {self.key!r}, so a model does not show "
                "whether this edit was applied"
            )
            tracker.conflict(found, 'rename it before: rename = "KEY", to = "raw"')
        Making.track(self, tracker)

    def repeated(self, again: Repetition) -> Edit | None:
        """Return the same edit, with the present names of the source and of its inputs."""
        made = self
        if self.source not in again.fresh and self.key != self.source:
            source, now = again.by_now(self.source, "inputs", self.bind)
            bind = {now[alias]: value for alias, value in self.bind.items()}
            made = replace(self, source=source, bind=bind)
        return Making.repeated(made, again)


def _fragment(asked: Asked, place: Mode, there: Mapping[str, Spec], context: Context) -> Fragment:
    if isinstance(asked, Fragment):
        return asked
    if isinstance(asked, RecipeOf):
        asked = _addressed(asked, place, there)
    if isinstance(asked, SignatureOf):
        asked = addressed(asked, place, there)
    if context.trace is None:
        raise RefusedError("TensorFlow is needed to trace it", where=f"{place} {asked}")
    return context.trace(Tracing(asked, place, there))


def _addressed(asked: RecipeOf, place: Mode, there: Mapping[str, Spec]) -> RecipeOf:
    """Return a recipe with the input that it yields; check that the names in it exist.

    Raises:
        TensorNotFoundError: The signature has no such input or output.
        RefusedError: A named tensor is not dense, or the recipe names no input and there is not
            exactly one.
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
            hint = f"name the input: INPUT={asked}; it has {', '.join(there) or 'none'}"
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


def _check_form(meta_graph: MetaGraph, edit: Composition) -> None:
    if meta_graph.parts.can_change_graph:
        return
    found, hint = "a model in text form cannot be given new nodes", ""
    if edit.bind and not edit.in_parts:
        source = quoted(edit.source)
        hint = (
            f"smpatch edit --signature {source} --default INPUT=VALUE sets what TF Serving takes "
            "for it"
        )
    raise RefusedError(found, where=f"signature {edit.key!r}", hint=hint)


def _remarks(meta_graph: MetaGraph, edit: Composition) -> Iterator[Note]:
    """Yield notes on the functions."""
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
    """Return whether the key has such a signature already, so that no nodes are copied again."""
    present = meta_graph.signatures.get(key)
    if present is None or _nameless(present) != _nameless(signature):
        return False
    with suppress(FingerprintError):
        theirs = signature_computation(extended, signature)
        return signature_computation(meta_graph, present) == theirs
    return False


def _nameless(signature: SignatureDef) -> tuple[SignatureDef, object]:
    """Return the facts of a signature except its tensors' names, which differ after each edit."""
    described = [
        {alias: [replace(each, name="") for each in spec.tensors()] for alias, spec in each.items()}
        for each in (signature.inputs, signature.outputs)
    ]
    return replace(signature, inputs={}, outputs={}), described


def _ref(spec: Spec) -> str | Spec:
    return spec.name if isinstance(spec, TensorSpec) else spec


def _described(found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> dict[str, Spec]:
    """Return specs with the wanted shapes, unless the graph contradicts them."""
    specs: dict[str, Spec] = {}
    for alias, spec in found.items():
        asked = wanted[alias]
        specs[alias] = spec
        if isinstance(spec, TensorSpec) and isinstance(asked, TensorSpec):
            fits = compatible(spec.shape, asked.shape)
            specs[alias] = replace(spec, shape=asked.shape) if fits else spec
    return specs
