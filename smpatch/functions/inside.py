"""The tensors between the inputs and outputs of a signature that could be outputs of it.

This module only proposes tensors; an edit checks them again.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from smpatch import dtypes
from smpatch.errors import RefusedError
from smpatch.functions.inner_tensors import Inner, inferred, inner_tensors
from smpatch.functions.shape_inference import Infer
from smpatch.graph.index import CALLS, GraphIndex, full, op_of
from smpatch.graph.operations import auxiliary, needed
from smpatch.graph.reach import framed
from smpatch.graph.resolve import OpDefMissingError, Resolver
from smpatch.loader import MetaGraph
from smpatch.savedmodel.parts import Changes
from smpatch.signature import SignatureDef, TensorSpec, compatible, names_of

_UNFED = frozenset({"Placeholder", "PlaceholderV2"})
"""Placeholders without a default."""

PARAMETERS = frozenset({"Const", "NoOp", "ReadVariableOp", "Placeholder", "VarHandleOp"})
"""Operations inside functions whose results are parameters, not computed values."""

_HANDED_ON = PARAMETERS | CALLS | {"Identity"}
"""Operations of the main graph whose results are parameters, or results of other nodes."""

_MOST_OUTPUTS = 50
"""The most outputs of one node of the main graph that are listed."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The tensors between the inputs and outputs of a signature.

    Attributes:
        tensors: Those of the main graph, without results of calls, and those inside its functions;
            handles and parameters are left out.
        ambiguous: The names that several tensors inside its functions have, including those that
            are left out.
    """

    tensors: tuple[Inner, ...]
    ambiguous: frozenset[str]


def inside(
    meta_graph: MetaGraph,
    signature: str,
    infer: Infer | None = None,
    *,
    match: str = "",
    everything: bool = False,
) -> Inside:
    """Return the tensors between the inputs and outputs of a signature.

    Args:
        meta_graph: The MetaGraph.
        signature: The signature key.
        infer: Asks TensorFlow for shapes; called only if the file leaves one unknown.
        match: A pattern for names of tensors.
        everything: Whether to list the tensors for training, saving and watching, too.

    Raises:
        TensorNotFoundError: There is no such signature.
        RefusedError: It has inner tensors, but the model's form does not allow edits for them.
    """
    source = meta_graph.signature(signature)
    within = tuple(inner_tensors(meta_graph, source))
    counted = Counter(each.spec.name for each in within)
    ambiguous = frozenset(name for name, count in counted.items() if count > 1)
    wanted = matching(match)
    inner = tuple(
        each
        for each in within
        if each.op not in PARAMETERS
        and servable(each.spec)
        and (everything or not auxiliary(each.op, each.node))
        and wanted(each.spec.name)
    )
    if inner and (form := form_refusal(meta_graph)) is not None:
        raise form
    if infer is not None and any(each.spec.shape is None for each in inner):
        inner = inferred(meta_graph, inner, infer)
    between = _between(meta_graph, source, everything=everything)
    return Inside((*(each for each in between if wanted(each.spec.name)), *inner), ambiguous)


def spelled(
    meta_graph: MetaGraph, signature: str, tensors: Iterable[Inner], ambiguous: Collection[str]
) -> dict[Inner, str]:
    """Return the text for each tensor: its name, with its calls if the name is not enough.

    ``ambiguous`` has the names that several tensors inside the signature's functions have.
    """
    outputs, graph = meta_graph.signatures[signature].outputs, meta_graph.graph
    found: dict[Inner, str] = {}
    for each in tensors:
        name = each.spec.name
        # A name is looked up outside the functions first.
        unclear = name in ambiguous or name in outputs or op_of(name) in graph
        found[each] = each.path if each.calls and unclear else name
    return found


def matching(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a name matches a pattern, with or without ``:0``."""
    if not pattern:
        return lambda _: True
    return lambda name: (
        fnmatch.fnmatchcase(name, pattern)
        or (name.endswith(":0") and fnmatch.fnmatchcase(name[:-2], pattern))
    )


def _between(meta_graph: MetaGraph, source: SignatureDef, *, everything: bool) -> Iterator[Inner]:
    """Yield the tensors of the main graph between a signature's inputs and its outputs."""
    graph, resolver = meta_graph.graph, meta_graph.resolver()
    if not _agrees(meta_graph, source):
        return  # an addition with these inputs is refused
    own = set(names_of(source.outputs.values()))
    fed = set(names_of(source.inputs.values()))
    among = needed(graph, own)
    # A tensor that needs a placeholder that the signature does not feed cannot be its output.
    unfed = {f"{name}:0" for name, op in graph.marked.items() if op in _UNFED} - fed
    reached = _reached(graph, fed, among) - _reached(graph, unfed, among) - framed(graph, among)
    for name in graph:
        if name not in reached:
            continue
        op = graph.wiring(name).op
        if op not in _HANDED_ON and (everything or not auxiliary(op, name)):
            for spec in fetchable(resolver, name):
                if spec.name not in own:
                    yield Inner((), "", op, spec, "")


def _agrees(meta_graph: MetaGraph, source: SignatureDef) -> bool:
    """Return whether the inputs of a signature have the types and shapes of the graph."""
    resolver = meta_graph.resolver()
    for spec in (each for given in source.inputs.values() for each in given.tensors()):
        found = [each for each in fetchable(resolver, op_of(spec.name)) if each.name == spec.name]
        for each in found:
            known = spec.shape is not None and each.shape is not None
            if dtypes.base(each.dtype) != dtypes.base(spec.dtype):
                return False
            if known and not compatible(spec.shape, each.shape):
                return False
    return True


def _reached(graph: GraphIndex, fed: Collection[str], among: set[str]) -> set[str]:
    """Return the nodes among ``among`` that depend on the tensors ``fed``."""
    consumers: dict[str, list[str]] = {}
    waiting: list[str] = []
    for name in among:
        for each in graph.sources(name):
            consumers.setdefault(op_of(each), []).append(name)
            if full(each) in fed:
                waiting.append(name)
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += consumers.get(name, ())
    return reached


def form_refusal(meta_graph: MetaGraph) -> RefusedError | None:
    """Return the error with which the model's form refuses new nodes of the main graph, or None."""
    try:
        meta_graph.parts.splices(Changes(nodes=(b"",)))
    except RefusedError as error:
        return error
    return None


def fetchable(resolver: Resolver, name: str) -> list[TensorSpec]:
    """Return the outputs of a node that a session can fetch, from the first ``_MOST_OUTPUTS``."""
    try:
        return [spec for spec in resolver.outputs(name, _MOST_OUTPUTS) if servable(spec)]
    except OpDefMissingError:
        return []


def servable(spec: TensorSpec) -> bool:
    """Return whether a session can fetch a tensor: it is not a handle."""
    return dtypes.base(spec.dtype) not in dtypes.UNSERVABLE
