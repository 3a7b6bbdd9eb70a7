"""Suggestions: tensors and functions of a model that could become a signature.

There are three kinds: an output of the main graph that nothing consumes, with the placeholders
that it needs; a traced function; and, for a signature of the model, the tensors between its inputs
and outputs.

An edit checks a suggestion again. No names are guessed: the alias in a suggestion is the alias that
the command line makes of the tensor.

Source: ``tensorflow/python/tools/optimize_for_inference.py`` and ``summarize_graph_main.cc`` also
take the nodes that nothing consumes as outputs.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smpatch import arguments
from smpatch.errors import RefusedError
from smpatch.functions.composed_of import ComposedOf, compositions
from smpatch.functions.function_signature import (
    Promotable,
    is_internal,
    promotable,
    promote,
    training_remark,
)
from smpatch.functions.inner_tensors import Inner, inner_tensors
from smpatch.functions.inside import fetchable, form_refusal, inside, matching
from smpatch.functions.shape_inference import Infer
from smpatch.graph.index import op_of
from smpatch.graph.operations import auxiliary
from smpatch.graph.reach import reach
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.signature import TensorSpec

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

_BOOKKEEPING = frozenset({"Const", "NoOp"})
"""Operations that are not suggested as outputs, not even with ``--all``."""

_WATCHING = re.compile(r".*Summary(V2)?|.*Grad(V2)?")
"""Operations that only record a tensor, which can be an output of the model nevertheless."""

_MOST = 50
"""The largest number of outputs of the main graph that are examined; each costs a walk."""


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
        traced: The function as its signature would show it.
        name: Its name for ``--function``: the path, or the trace if the path has several.
        refusal: The reason why it cannot become a signature; empty if it can.
        remark: The sign of a trace for training, such as ``training=True``; else empty.
    """

    traced: Promotable
    name: str
    refusal: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The tensors and functions that could become a signature.

    Attributes:
        placeholders: The placeholders of the main graph.
        outputs: The outputs that it computes from them, the last node of the graph first.
        more_outputs: The number of further outputs, which were not examined.
        functions: The traced functions that have outputs, without TensorFlow's own functions.
        inner: The tensors between the inputs and outputs of the signature, if one was named:
            tensors of the main graph, without calls, and tensors inside its functions; handles
            and parameters are left out.
        deep: The keys of the signatures that have tensors inside functions.
        ambiguous: The names that several tensors inside the signature's functions have; tensors
            that are left out count too.
        composed: Key of a composed signature to its parts.
    """

    placeholders: tuple[TensorSpec, ...]
    outputs: tuple[Output, ...]
    more_outputs: int
    functions: tuple[Function, ...]
    inner: tuple[Inner, ...]
    deep: tuple[str, ...]
    ambiguous: frozenset[str] = frozenset()
    composed: Mapping[str, ComposedOf] = field(default_factory=dict)


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
        signature: The key of a signature, whose inner tensors are returned too.
        infer: The function that asks TensorFlow for shapes; it is called only if the file leaves
            a shape unknown.
        match: A pattern such as ``*Relu*`` for names of tensors and functions; with a pattern,
            tensors of the main graph that other operations consume are listed too.
        everything: Whether to list also summaries, gradients, savers, assertions, shapes and
            switches.
        tag_set: The tags of the MetaGraph; None for the only one.

    Example:
        >>> [output.spec.name for output in smpatch.suggest("export/1", match="prod*").outputs]
        ['product:0']

    Raises:
        ModelUnreadableError: There is no readable SavedModel.
        TagSetError: No MetaGraph has the tags.
        TensorNotFoundError: There is no such signature.
        RefusedError: The signature has tensors inside functions, but no edit can add their nodes
            to a model in this form.
    """
    arguments.instance(match, str, "match")
    if signature is not None:
        arguments.instance(signature, str, "signature")
    meta_graph = _meta_graph(model, tag_set)
    form = form_refusal(meta_graph)
    inner: tuple[Inner, ...] = ()
    ambiguous: frozenset[str] = frozenset()
    if signature is not None:
        found = inside(meta_graph, signature, infer, match=match, everything=everything)
        inner, ambiguous = found.tensors, found.ambiguous
    placeholders, outputs, more = _main_graph(meta_graph, match, everything=everything)
    wanted = matching(match)
    functions = tuple(
        each for each in _functions(meta_graph, form) if wanted(each.traced.path or each.name)
    )
    deep = () if form is not None else tuple(_deep(meta_graph))
    composed = compositions(meta_graph)
    return Suggestions(placeholders, outputs, more, functions, inner, deep, ambiguous, composed)


def _meta_graph(
    model: str | os.PathLike[str] | SavedModel | MetaGraph, tag_set: Sequence[str] | str | None
) -> MetaGraph:
    if isinstance(model, MetaGraph):
        return model
    return (model if isinstance(model, SavedModel) else load(model)).meta_graph(tag_set)


def undefined(meta_graph: MetaGraph) -> tuple[str, ...]:
    """Return the operations that have no definition, so that their outputs are not suggested."""
    graph, library = meta_graph.graph, meta_graph.functions
    ops = {graph.wiring(name).op for name in graph}
    ops.update(node.op for name in library for node in library[name].node_def)
    return tuple(sorted(op for op in ops if library.op_def(op) is None))


def _deep(meta_graph: MetaGraph) -> Iterator[str]:
    for key, signature in meta_graph.signatures.items():
        if next(inner_tensors(meta_graph, signature), None) is not None:
            yield key


def _functions(meta_graph: MetaGraph, form: RefusedError | None) -> list[Function]:
    """Return the traced functions; of the traces of one path, those for training come last."""
    found: list[Function] = []
    traces = Counter(trace.path for trace in meta_graph.objects.traces)
    for traced in promotable(meta_graph):
        # A name with an underscore before it is TensorFlow's own (initializers) or Keras's.
        if (traced.outputs or traced.refusal) and not is_internal(traced.path):
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
        chosen = everything or not auxiliary(wiring.op, name)
        watches = not everything and _WATCHING.fullmatch(wiring.op)
        (watched if watches else consumed).update(op_of(source) for source in wiring.inputs)
        if wiring.op in _PLACEHOLDERS and name not in own:
            placeholders.append(name)
        elif wiring.inputs and wiring.op not in _BOOKKEEPING and name not in own and chosen:
            candidates.append(name)
    wanted = matching(match)
    sinks = [
        name
        for name in reversed(candidates)
        if (wanted(f"{name}:0") if match else name not in consumed)
    ]
    most = len(sinks) if everything else _MOST
    resolver = meta_graph.resolver()
    outputs = []
    for name in sinks[:most]:
        specs = [
            spec
            for spec in fetchable(resolver, name)
            # A scalar that only a summary takes is a statistic of training.
            if match or spec.shape != () or name not in watched
        ]
        walk = reach(graph, [f"{name}:0"], ()) if specs else None
        needed_by = {path[-1] for path in walk.unfed} if walk is not None else set()
        if needed_by and not needed_by & own:
            inputs = tuple(resolver.resolve(f"{each}:0").spec for each in sorted(needed_by))
            outputs += [Output(spec, inputs) for spec in specs]
    fed = tuple(resolver.resolve(f"{name}:0").spec for name in placeholders)
    return fed, tuple(outputs), max(len(sinks) - most, 0)


def _saver_nodes(meta_graph: MetaGraph) -> set[str]:
    """Return the nodes with which a session saves and restores; they are not outputs."""
    saver = meta_graph.saver
    names = saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name
    return set(map(op_of, names))
