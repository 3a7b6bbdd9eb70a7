"""Suggestions: tensors and functions of a model that could become a signature.

Three kinds: an output of the main graph that nothing else consumes, with the placeholders
it needs; a traced function; and, for a signature that is there, the tensors inside the
functions that it calls.

This module proposes and checks nothing that an edit would not check again. It guesses no
names: an alias in a proposal is what the command line would make of the tensor.

Source: what people ask for when they have an export and no code ("how do I find the
outputs?"); ``tensorflow/python/tools/optimize_for_inference.py`` and
``summarize_graph_main.cc`` take the nodes that nothing consumes for outputs, too.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.errors import ModelUnreadableError, RefusedError, TensorNotFoundError
from smpatch.functions.function_signature import Promotable, promotable, promote, training_remark
from smpatch.functions.inner_tensors import Inner, inferred, inner_tensors
from smpatch.functions.shape_inference import Infer
from smpatch.graph.functions import CALLS
from smpatch.graph.index import GraphIndex, op_of
from smpatch.graph.operations import needed
from smpatch.graph.reach import reach
from smpatch.graph.resolve import OpDefMissingError, Resolver, nearest
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.savedmodel.changes import Changes
from smpatch.savedmodel.parts import SAVER_DEF
from smpatch.signature import SignatureDef, TensorSpec, compatible

__all__ = ["Function", "Output", "Suggestions", "suggest", "undefined"]

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

_UNFED = frozenset({"Placeholder", "PlaceholderV2"})
"""Placeholders without a default."""

_BOOKKEEPING = frozenset({"Const", "NoOp"})
"""Operations that nobody serves, though nothing consumes them; ``--all`` shows none either."""

_AUXILIARY = re.compile(
    r".*Summary(V2)?|(Ref)?(Switch|Merge|Enter|Exit|NextIteration)|LoopCond|Assert|Print(V2)?"
    r"|Shape(N)?|Size|Rank|CheckNumerics|BroadcastGradientArgs|(Ref)?Identity.*Grad|.*Grad(V2)?"
    r"|Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename"
    r"|Assign.*|.*Apply[A-Z].*|(Resource)?Scatter(Add|Sub|Update)|ReadVariableOp"
    r"|IsVariableInitialized|VarIsInitializedOp"
)
"""Operations of training, saving, watching and control flow."""

_AUXILIARY_SCOPE = re.compile(
    r"(gradients?|gradient_tape|save|assert_[a-z_]+|report_uninitialized.*|Adam|summaries)(_\d+)?"
)
"""Scopes of the same."""

_CONDITION = re.compile(r"(switch_[tf]|pred_id)(_\d+)?")
"""Names of the operations Identity that ``tf.cond`` puts around its condition."""

_WATCHING = re.compile(r".*Summary(V2)?|.*Grad(V2)?")
"""Operations that look at what a model yields; such a tensor may be its output."""

_UNINTERESTING = frozenset({"Const", "NoOp", "ReadVariableOp", "Placeholder", "VarHandleOp"})
"""Operations inside functions whose results are parameters, not what is computed."""

_HANDED_ON = _UNINTERESTING | CALLS | {"Identity"}
"""Operations of the main graph that hand on what others yield."""

_MOST = 50
"""So many outputs of the main graph are followed back; each costs a walk."""


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of the main graph that nothing consumes.

    Attributes:
        spec: The tensor.
        inputs: The placeholders that it needs, sorted by name.
    """

    spec: TensorSpec
    inputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that was traced.

    Attributes:
        traced: What its signature would show.
        name: What ``--function`` takes for it: the path, or the trace where there are several.
        refusal: Why it cannot become a signature; empty when it can.
        remark: By what it is a trace for training, such as ``training=True``; else empty.
    """

    traced: Promotable
    name: str
    refusal: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The tensors and functions that could become a signature.

    Attributes:
        placeholders: What the main graph can be fed.
        outputs: What it computes from that, the last of the graph first.
        more_outputs: How many further outputs were not looked at.
        functions: The traced functions that yield something, TensorFlow's own left out.
        inner: The tensors between a signature's inputs and outputs, when one was named: those
            of the main graph, without calls, and those inside its functions; handles and
            parameters are left out.
        deep: The keys of the signatures that have such tensors.
        ambiguous: The names that several tensors inside the signature's functions have, those
            that are left out included.
    """

    placeholders: tuple[TensorSpec, ...]
    outputs: tuple[Output, ...]
    more_outputs: int
    functions: tuple[Function, ...]
    inner: tuple[Inner, ...]
    deep: tuple[str, ...]
    ambiguous: frozenset[str] = frozenset()


def suggest(  # noqa: PLR0913 - the model and what to list of it, each with a default
    model: str | os.PathLike[str] | SavedModel | MetaGraph,
    signature: str | None = None,
    infer: Infer | None = None,
    *,
    match: str = "",
    everything: bool = False,
    tag_set: Sequence[str] | str | None = None,
) -> Suggestions:
    """Return tensors and functions of a model that could become a signature.

    Args:
        model: The model directory, a loaded model, or one of its MetaGraphs.
        signature: The key of a signature between whose inputs and outputs to look.
        infer: Asks TensorFlow for shapes; called only where the file leaves one unknown.
        match: A pattern such as ``*Relu*`` for names of tensors and functions; of the main
            graph, tensors that are consumed count then, too.
        everything: Whether to list what serves training, saving and watching, too.
        tag_set: The tags of the MetaGraph; None for the only one.

    Example:
        >>> [output.spec.name for output in smpatch.suggest("export/1", match="prod*").outputs]
        ['product:0']

    Raises:
        ModelUnreadableError: There is no readable SavedModel.
        TagSetError: No MetaGraph has the tags.
        TensorNotFoundError: There is no such signature.
        RefusedError: It has tensors inside, but the model's form takes no edit that they need.
    """
    meta_graph = _meta_graph(model, tag_set)
    form = _form_refusal(meta_graph)
    inner: tuple[Inner, ...] = ()
    ambiguous: frozenset[str] = frozenset()
    if signature is not None:
        source = meta_graph.signatures.get(signature)
        if source is None:
            hint = nearest(signature, meta_graph.signatures) or (
                f"signatures here: {', '.join(meta_graph.signatures) or 'none'}"
            )
            raise TensorNotFoundError(
                "no such signature", where=f"signature {signature!r}", hint=hint
            )
        inside = tuple(inner_tensors(meta_graph, source))
        counted = Counter(each.spec.name for each in inside)
        ambiguous = frozenset(name for name, count in counted.items() if count > 1)
        wanted = _matching(match)
        inner = tuple(
            each
            for each in inside
            if each.op not in _UNINTERESTING
            and _servable(each.spec)
            and (everything or not _auxiliary(each.op, op_of(each.spec.name)))
            and wanted(each.spec.name)
        )
        if inner and form is not None:
            raise form
        if infer is not None and any(each.spec.shape is None for each in inner):
            inner = inferred(meta_graph, inner, infer)
        between = _between(meta_graph, source, everything=everything)
        inner = (*(each for each in between if wanted(each.spec.name)), *inner)
    placeholders, outputs, more = _main_graph(meta_graph, match, everything=everything)
    wanted = _matching(match)
    functions = tuple(
        each for each in _functions(meta_graph, form) if wanted(each.traced.path or each.name)
    )
    deep = () if form is not None else tuple(_deep(meta_graph))
    return Suggestions(placeholders, outputs, more, functions, inner, deep, ambiguous)


def _matching(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a tensor or a function is of a pattern, with or without ``:0``."""
    if not pattern:
        return lambda _: True
    return lambda name: (
        fnmatch.fnmatchcase(name, pattern)
        or (name.endswith(":0") and fnmatch.fnmatchcase(name[:-2], pattern))
    )


def _auxiliary(op: str, name: str) -> bool:
    """Return whether a node serves training, saving, watching or control flow."""
    *scopes, last = name.split("/")
    condition = op == "Identity" and _CONDITION.fullmatch(last)
    return bool(_AUXILIARY.fullmatch(op) or condition) or any(
        map(_AUXILIARY_SCOPE.fullmatch, scopes)
    )


def _between(meta_graph: MetaGraph, source: SignatureDef, *, everything: bool) -> Iterator[Inner]:
    """Yield the tensors of the main graph that depend on a signature's inputs, its outputs do."""
    graph, resolver = meta_graph.graph, meta_graph.resolver()
    if not _agrees(meta_graph, source):
        return  # an addition with these inputs is refused
    own = {tensor.name for spec in source.outputs.values() for tensor in spec.tensors()}
    fed = {tensor.name for spec in source.inputs.values() for tensor in spec.tensors()}
    among = needed(graph, own)
    # What needs a placeholder that the signature does not feed cannot be its output.
    unfed = {f"{name}:0" for name in among if graph.wiring(name).op in _UNFED} - fed
    reached = _reached(graph, fed, among) - _reached(graph, unfed, among)
    for name in graph:
        op = graph.wiring(name).op
        if name in reached and op not in _HANDED_ON and (everything or not _auxiliary(op, name)):
            for spec in _fetchable(resolver, name):
                if spec.name not in own:
                    yield Inner((), "", op, spec, "")


def _agrees(meta_graph: MetaGraph, source: SignatureDef) -> bool:
    """Return whether the inputs of a signature are of the types and shapes of the graph."""
    resolver = meta_graph.resolver()
    for spec in (each for given in source.inputs.values() for each in given.tensors()):
        found = [each for each in _fetchable(resolver, op_of(spec.name)) if each.name == spec.name]
        for each in found:
            known = spec.shape is not None and each.shape is not None
            if dtypes.base(each.dtype) != dtypes.base(spec.dtype):
                return False
            if known and not compatible(spec.shape, each.shape):
                return False
    return True


def _reached(graph: GraphIndex, fed: Collection[str], among: set[str]) -> set[str]:
    """Return the nodes that depend on some tensors, of some."""
    consumers: dict[str, list[str]] = {}
    waiting: list[str] = []
    for name in among:
        for each in graph.wiring(name).inputs:
            consumers.setdefault(op_of(each), []).append(name)
            if (each if ":" in each else f"{each}:0") in fed:
                waiting.append(name)
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += consumers.get(name, ())
    return reached


def _meta_graph(
    model: str | os.PathLike[str] | SavedModel | MetaGraph, tag_set: Sequence[str] | str | None
) -> MetaGraph:
    if isinstance(model, MetaGraph):
        return model
    return (model if isinstance(model, SavedModel) else load(model)).meta_graph(tag_set)


def undefined(meta_graph: MetaGraph) -> tuple[str, ...]:
    """Return the operations that nothing defines; what they yield cannot be suggested."""
    graph, library = meta_graph.graph, meta_graph.functions
    ops = {graph.wiring(name).op for name in graph}
    ops.update(node.op for name in library for node in library[name].node_def)
    return tuple(sorted(op for op in ops if library.op_def(op) is None))


def _form_refusal(meta_graph: MetaGraph) -> RefusedError | None:
    """Return why nothing can be added to the main graph in this form, as the form says it."""
    try:
        meta_graph.parts.splices(Changes(nodes=(b"",)))
    except RefusedError as error:
        return error
    return None


def _deep(meta_graph: MetaGraph) -> Iterator[str]:
    for key, signature in meta_graph.signatures.items():
        if next(inner_tensors(meta_graph, signature), None) is not None:
            yield key


def _functions(meta_graph: MetaGraph, form: RefusedError | None) -> list[Function]:
    """Return the traced functions; of the traces of one path, those for training come last."""
    found: list[Function] = []
    traces = Counter(trace.path for trace in meta_graph.objects.traces)
    for traced in promotable(meta_graph):
        # What begins with an underscore is TensorFlow's own (initializers) or Keras's.
        if (traced.outputs or traced.refusal) and not _internal(traced.path):
            name = traced.path if traces[traced.path] == 1 else traced.function
            remark = training_remark(meta_graph, traced)
            try:
                promote(meta_graph, name)
                if form is not None:
                    raise form
            except RefusedError as error:
                found.append(Function(traced, name, error.found, remark))
            else:
                found.append(Function(traced, name, "", remark))

    paths = list(dict.fromkeys(each.traced.path for each in found))
    order = {path: place for place, path in enumerate(paths)}
    return sorted(found, key=lambda each: (order[each.traced.path], bool(each.remark)))


def _internal(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def _main_graph(
    meta_graph: MetaGraph, match: str, *, everything: bool
) -> tuple[tuple[TensorSpec, ...], tuple[Output, ...], int]:
    graph = meta_graph.graph
    consumed: set[str] = set()
    watched: set[str] = set()
    placeholders: list[str] = []
    candidates: list[str] = []
    own = _saver_nodes(meta_graph)
    for name in graph:
        wiring = graph.wiring(name)
        chosen = everything or not _auxiliary(wiring.op, name)
        watches = not everything and _WATCHING.fullmatch(wiring.op)
        (watched if watches else consumed).update(op_of(source) for source in wiring.inputs)
        if wiring.op in _PLACEHOLDERS and name not in own:
            placeholders.append(name)
        elif wiring.inputs and wiring.op not in _BOOKKEEPING and name not in own and chosen:
            candidates.append(name)
    wanted = _matching(match)
    sinks = [
        name
        for name in reversed(candidates)
        if (wanted(f"{name}:0") if match else name not in consumed)
    ]
    most = len(sinks) if everything else _MOST
    resolver = meta_graph.resolver()
    outputs = []
    for name in sinks[:most]:
        fetchable = [
            spec
            for spec in _fetchable(resolver, name)
            # A scalar that only a summary takes is a statistic of training.
            if match or spec.shape != () or name not in watched
        ]
        walk = reach(graph, [f"{name}:0"], ()) if fetchable else None
        needed_by = {path[-1] for path in walk.unfed} if walk is not None else set()
        if needed_by and not needed_by & own:
            inputs = tuple(resolver.resolve(f"{each}:0").spec for each in sorted(needed_by))
            outputs += [Output(spec, inputs) for spec in fetchable]
    specs = tuple(resolver.resolve(f"{name}:0").spec for name in placeholders)
    return specs, tuple(outputs), max(len(sinks) - most, 0)


def _fetchable(resolver: Resolver, name: str) -> list[TensorSpec]:
    """Return the outputs of a node that a session can fetch, the first few of many."""
    try:
        return [spec for spec in resolver.outputs(name, _MOST) if _servable(spec)]
    except OpDefMissingError:
        return []


def _servable(spec: TensorSpec) -> bool:
    return dtypes.base(spec.dtype) not in dtypes.UNSERVABLE


def _saver_nodes(meta_graph: MetaGraph) -> set[str]:
    """Return the nodes by which a session saves and restores; they are no model's outputs."""
    names = set()
    for saver in _savers(meta_graph):
        for name in (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name):
            names.add(op_of(name))
    return names


def _savers(meta_graph: MetaGraph) -> list[Any]:
    try:
        return [schema.SaverDef.FromString(each) for each in meta_graph.parts.pieces(SAVER_DEF)]
    except DecodeError as error:
        raise ModelUnreadableError(f"the saver cannot be decoded: {error}") from error
