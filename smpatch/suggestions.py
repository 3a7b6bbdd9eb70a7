"""What of a model could become a signature.

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

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.edits import PromoteFunction
from smpatch.errors import ModelUnreadableError, RefusedError, TensorNotFoundError
from smpatch.functions.function_signature import Promotable, promotable, promote
from smpatch.functions.inner_tensors import Inner, inferred, inner_tensors
from smpatch.functions.shape_inference import Infer
from smpatch.graph.index import op_of
from smpatch.graph.reach import reach
from smpatch.graph.resolve import OpDefMissingError, Resolver, nearest
from smpatch.loader import MetaGraph
from smpatch.savedmodel.changes import Changes
from smpatch.savedmodel.parts import SAVER_DEF
from smpatch.signature import TensorSpec

__all__ = ["Function", "Output", "Suggestions", "suggest", "undefined"]

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

_BOOKKEEPING = frozenset(
    {
        "Assign",
        "AssignVariableOp",
        "Const",
        "MergeV2Checkpoints",
        "NoOp",
        "ReadVariableOp",
        "RestoreV2",
        "SaveV2",
    }
)
"""Operations that are not served, though nothing consumes them."""

_UNINTERESTING = frozenset({"Const", "NoOp", "ReadVariableOp", "Placeholder", "VarHandleOp"})
"""Operations inside functions whose results are parameters, not what is computed."""

_GRADIENT = "gradients"
"""What ``tf.gradients`` calls the nodes of a training step."""

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
    """

    traced: Promotable
    name: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What could become a signature.

    Attributes:
        placeholders: What the main graph can be fed.
        outputs: What it computes from that, the last of the graph first, gradients after all
            others.
        more_outputs: How many further outputs were not looked at.
        functions: The traced functions that yield something, TensorFlow's own left out.
        inner: The tensors inside a signature's functions, when one was named; handles and
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


def suggest(
    meta_graph: MetaGraph, signature: str | None = None, infer: Infer | None = None
) -> Suggestions:
    """Look for what could become a signature.

    Args:
        meta_graph: The MetaGraph.
        signature: The key of a signature into whose functions to look.
        infer: Asks TensorFlow for shapes; called only where the file leaves one unknown.

    Raises:
        TensorNotFoundError: There is no such signature.
        RefusedError: It has tensors inside, but the model's form takes no edit that they need.
    """
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
        everything = tuple(inner_tensors(meta_graph, source))
        counted = Counter(each.spec.name for each in everything)
        ambiguous = frozenset(name for name, count in counted.items() if count > 1)
        inner = tuple(
            each for each in everything if each.op not in _UNINTERESTING and _servable(each.spec)
        )
        if inner and form is not None:
            raise form
        if infer is not None and any(each.spec.shape is None for each in inner):
            inner = inferred(meta_graph, inner, infer)
    placeholders, outputs, more = _main_graph(meta_graph)
    functions = tuple(_functions(meta_graph, form))
    deep = () if form is not None else tuple(_deep(meta_graph))
    return Suggestions(placeholders, outputs, more, functions, inner, deep, ambiguous)


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


def _functions(meta_graph: MetaGraph, form: RefusedError | None) -> Iterator[Function]:
    traces = Counter(trace.path for trace in meta_graph.objects.traces)
    for traced in promotable(meta_graph):
        # What begins with an underscore is TensorFlow's own (initializers) or Keras's.
        if (traced.outputs or traced.refusal) and not _internal(traced.path):
            name = traced.path if traces[traced.path] == 1 else traced.function
            try:
                promote(meta_graph, PromoteFunction(name))
                if form is not None:
                    raise form
            except RefusedError as error:
                yield Function(traced, name, error.found)
            else:
                yield Function(traced, name, "")


def _internal(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def _main_graph(
    meta_graph: MetaGraph,
) -> tuple[tuple[TensorSpec, ...], tuple[Output, ...], int]:
    graph = meta_graph.graph
    consumed: set[str] = set()
    placeholders: list[str] = []
    candidates: list[str] = []
    own = _saver_nodes(meta_graph)
    for name in graph:
        wiring = graph.wiring(name)
        consumed.update(op_of(source) for source in wiring.inputs)
        if wiring.op in _PLACEHOLDERS and name not in own:
            placeholders.append(name)
        elif wiring.inputs and wiring.op not in _BOOKKEEPING and name not in own:
            candidates.append(name)
    sinks = [name for name in reversed(candidates) if name not in consumed]
    resolver = meta_graph.resolver()
    outputs = []
    for name in sinks[:_MOST]:
        fetchable = _fetchable(resolver, name)
        walk = reach(graph, [f"{name}:0"], ()) if fetchable else None
        needed = {path[-1] for path in walk.unfed} if walk is not None else set()
        if needed and not needed & own:
            inputs = tuple(resolver.resolve(f"{each}:0").spec for each in sorted(needed))
            outputs += [Output(spec, inputs) for spec in fetchable]
    outputs.sort(key=lambda each: _GRADIENT in each.spec.name)
    specs = tuple(resolver.resolve(f"{name}:0").spec for name in placeholders)
    return specs, tuple(outputs), max(len(sinks) - _MOST, 0)


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
