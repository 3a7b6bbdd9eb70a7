"""Copy the signatures of one export to another export of the same graph.

Conversions lose signatures: the nodes keep their names, but the signatures are gone. A signature
can be copied if its tensors are in the other graph with the same types, shapes and operations, and
if it breaks no rule there. Weights may be different, but not the constants and the functions that
``compose`` has put in.

This module chooses the signatures; ``patcher`` makes the edit.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from smpatch import arguments
from smpatch.builder import build
from smpatch.edits import AddSignature, Edit
from smpatch.errors import RefusedError, SignatureExistsError
from smpatch.functions.composed_of import is_composed
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, GraphIndex, called, full, op_of
from smpatch.graph.resolve import OpDefMissingError
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.options import Options, check_options
from smpatch.patcher import patch
from smpatch.rules import Note
from smpatch.savedmodel.directory import writing
from smpatch.signature import SignatureDef, names_of
from smpatch.transaction import Receipt

_NUMBER = re.compile(r"_\d+$")


def unlike(
    one: tuple[GraphIndex, FunctionLibrary],
    other: tuple[GraphIndex, FunctionLibrary],
    fetched: Iterable[str],
    fed: Iterable[str],
) -> str:
    """Return why a fetched node does not compute the same in another graph.

    Args:
        one: A main graph and its functions.
        other: The other main graph and its functions.
        fetched: Names of fetched nodes that both graphs have.
        fed: Names of fed nodes.

    Returns:
        The reason in words; empty if no difference is found.
    """
    inputs = set(fed)
    for name in fetched:
        first, second = one[0].wiring(name), other[0].wiring(name)
        if first.op != second.op:
            return f"{name!r} is {second.op} here and {first.op} there"
        if first.op not in CALLS:
            continue
        prints = [_print(each, each.called_by(name)) for each in (one[1], other[1])]
        if prints[0] != prints[1]:
            return f"{name!r} calls a different function here, so its outputs may differ"
        if _leaves(one[0], name, inputs) != _leaves(other[0], name, inputs):
            return f"{name!r} takes other inputs or variables here, so its outputs may differ"
    return ""


def _leaves(graph: GraphIndex, name: str, fed: set[str]) -> list[tuple[int, str]]:
    """Return the places and names of inputs, variables, tables and constants that a node takes."""
    return [
        (place, full(source))
        for place, source in enumerate(graph.wiring(name).inputs)
        if (op := op_of(source)) in fed or (op in graph and not graph.wiring(op).inputs)
    ]


def _print(library: FunctionLibrary, function: str) -> str:
    """Return a fingerprint of a function, without the numbers in names and without values."""
    known: dict[str, str] = {}
    waiting = [(function, False)]
    while waiting:  # not by recursion: a file may have thousands of calls in each other
        name, called_are_known = waiting.pop()
        if called_are_known:
            known[name] = _digest(library[name], known)
        elif name not in known:
            known[name] = _NUMBER.sub("", name)  # also for a function that calls itself
            if name in library:
                waiting.append((name, True))
                waiting += ((e, False) for n in library[name].node_def for e in called(n)[1:])
    return known[function]


def _digest(definition: Any, known: Mapping[str, str]) -> str:  # noqa: ANN401 - a FunctionDef
    """Return the fingerprint of a function from those of the functions that it calls."""
    nodes = [
        (
            node.name,
            _NUMBER.sub("", node.op),
            list(node.input),
            [known[each] for each in called(node)[1:]],
        )
        for node in definition.node_def
    ]
    arguments = [arg.name for arg in definition.signature.input_arg]
    results = [(arg.name, definition.ret[arg.name]) for arg in definition.signature.output_arg]
    text = repr((arguments, nodes, results))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def copy_signatures(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    keys: Sequence[str] | str | None = None,
    options: Options | None = None,
) -> Receipt:
    """Give a model the signatures of another export of the same graph.

    A signature is left out if the model does not have its tensors, computes them with other
    functions or variables, or has a rule that the signature breaks. A note of the receipt names it.
    If ``keys`` names it, it is an error instead.

    Args:
        model: The model directory that lacks the signatures.
        source: The model directory that has the signatures.
        keys: Their keys; None for all that the model lacks, or with ``overwrite`` for all.
        options: The options of the edit; its tag-set chooses the MetaGraph in both models.

    Example:
        >>> smpatch.copy_signatures("export/1", "export/2", keys="serving_default").outcome
        'added'

    Raises:
        RefusedError: No signature can be copied, or a signature in ``keys`` cannot.
        SmpatchError: As ``patch``.
    """
    chosen = check_options(options)
    keys = None if keys is None else arguments.texts(keys, "keys")
    with writing(arguments.path(model, "model"), "edited"):
        edits, left_out = _chosen(load(source), load(model), keys, chosen)
        receipt = patch(model, edits, options=options)
    return replace(receipt, notes=(*receipt.notes, *left_out))


def _chosen(
    giver: SavedModel, taker: SavedModel, keys: Sequence[str] | None, chosen: Options
) -> tuple[list[Edit], list[Note]]:
    """Return edits that add the signatures that can be copied, and notes on the others.

    Raises:
        RefusedError: No signature can be copied, or a signature in ``keys`` cannot.
    """
    source = str(giver.directory)
    tags = chosen.tag_set
    origin = giver.meta_graph(tags if len(giver.meta_graphs) > 1 else None)
    offered = origin.signatures
    meta_graph = taker.meta_graph(tags if len(taker.meta_graphs) > 1 else None)
    wanted = list(offered) if keys is None else list(keys)
    edits: list[Edit] = []
    left_out: list[Note] = []
    for key in wanted:
        if key not in offered:
            hint = f"it has {', '.join(offered) or 'none'}"
            raise RefusedError(f"no signature {key!r}", where=source, hint=hint)
        edit = AddSignature(offered[key], key, chosen.overwrite)
        try:
            _check_alike(origin, meta_graph, offered[key])
            build(meta_graph, edit.wanted)
        except (OpDefMissingError, RefusedError) as error:
            if keys is not None and not isinstance(error, OpDefMissingError):
                raise
            if not isinstance(error, OpDefMissingError):
                left_out.append(Note("left-out", _why(key, error)))
                continue
        edits.append(edit)
    if not edits:
        reasons = "; ".join(note.text for note in left_out) or "there are none"
        raise RefusedError("no signature can be copied", where=source, hint=reasons)
    return edits, left_out


def _check_alike(origin: MetaGraph, meta_graph: MetaGraph, signature: SignatureDef) -> None:
    """Refuse tensors that have the same name in both graphs and are not the same."""
    fetched = [*map(op_of, names_of(signature.outputs.values()))]
    fed = [*map(op_of, names_of(signature.inputs.values()))]
    between = _appended(origin, fetched)
    named = dict.fromkeys([*fetched, *between])
    both = [name for name in named if name in origin.graph and name in meta_graph.graph]
    graphs = (origin.graph, origin.functions), (meta_graph.graph, meta_graph.functions)
    reason = unlike(*graphs, both, fed) or _composed_unlike(origin, meta_graph, between)
    if reason:
        raise RefusedError(reason, hint="are the two exports of one graph?")


def _appended(meta_graph: MetaGraph, fetched: Iterable[str]) -> list[str]:
    """Return the appended nodes that fetched nodes need.

    A graph without functions does not show which nodes are appended: there, names of values count.
    """
    graph, appended = meta_graph.graph, {*meta_graph.parts.appended_nodes}
    found: dict[str, None] = {}
    waiting = [*fetched]
    while waiting:
        name = waiting.pop()
        if name not in found and name in graph:
            found[name] = None
            waiting += map(op_of, graph.wiring(name).inputs)
    return [each for each in found if each in appended or is_composed(each)]


def _composed_unlike(one: MetaGraph, other: MetaGraph, names: Iterable[str]) -> str:
    """Return why parts that ``compose`` has put in are not the same; empty if they are."""
    appended = {*names}
    for name in names:
        if name not in other.graph:
            return f"there is no node {name!r} here"
        own = [
            [each for each in meta_graph.graph.wiring(name).inputs if op_of(each) in appended]
            for meta_graph in (one, other)
        ]
        if own[0] != own[1]:
            return f"{name!r} reads other nodes here"
        if is_composed(name) and _computed(one, name) != _computed(other, name):
            return f"{name!r}, which compose has put in, has other values or operations here"
    return ""


def _computed(meta_graph: MetaGraph, name: str) -> object:
    """Return a value that is equal for two nodes only if they compute the same."""
    if meta_graph.graph.wiring(name).op not in CALLS:
        attributes = meta_graph.graph.node(name).message().attr
        return {key: value.SerializeToString() for key, value in attributes.items()}
    function = meta_graph.functions.called_by(name)
    if function not in meta_graph.functions:
        return function
    count = len(meta_graph.functions[function].signature.input_arg)
    prints = meta_graph.fingerprints
    given = [prints.leaf("argument", str(place)) for place in range(count)]
    try:
        return prints.function(function, given).outputs
    except FingerprintError as error:
        return error  # unlike any other


def _why(key: str, error: RefusedError) -> str:
    if isinstance(error, SignatureExistsError):
        # The hint of the error suggests another key, which cannot be chosen here.
        return f"signature {key!r} was left out: the key is taken; replace it with --overwrite"
    return f"signature {key!r} was left out: {error}"
