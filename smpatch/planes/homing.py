"""Outputs go back to the exporter's own call where no inner tensor is fetched any more.

To fetch an inner tensor a signature is moved to a call of copies of its functions, which
yield the old results first. When only those are left, the old call computes the same from
the same inputs, and the copies are needed no longer.

This room tells where a tensor comes from; what is done with that is told elsewhere.

Source: ``planes.expose`` and ``planes.clone``, which make those calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smpatch.graph.functions import CALLS, FunctionLibrary
from smpatch.loader import MetaGraph

__all__ = ["homes"]

_NUMBER = re.compile(r"_\d+$")


def homes(meta_graph: MetaGraph, tensors: Iterable[str]) -> dict[str, str]:
    """Return the exporter's own tensors for those of calls that were appended.

    Args:
        meta_graph: The MetaGraph.
        tensors: All that a signature fetches, by full name.

    Returns:
        Tensor to the one that is the same; none of a call of which an inner tensor is
        fetched, for its results are not to be computed twice.
    """
    wanted: dict[str, set[int]] = {}
    for tensor in tensors:
        op, _, index = tensor.rpartition(":")
        wanted.setdefault(op, set()).add(int(index))
    found = {}
    for call in meta_graph.parts.appended_nodes:
        home = _home(meta_graph, call, max(wanted[call])) if call in wanted else None
        if home is not None:
            found.update({f"{call}:{index}": f"{home}:{index}" for index in wanted[call]})
    return found


def _home(meta_graph: MetaGraph, call: str, last: int) -> str | None:
    """Return the call that yields the same up to a result, when the graph has one."""
    graph, library = meta_graph.graph, meta_graph.functions
    if call not in graph or graph.wiring(call).op not in CALLS:
        return None
    inputs, function = graph.wiring(call).inputs, _function(meta_graph, call)
    for name in graph:
        wiring = graph.wiring(name)
        if name == call or wiring.op != graph.wiring(call).op or wiring.inputs != inputs:
            continue
        if _copied(library, _function(meta_graph, name), function, last):
            return name
    return None


def _copied(library: FunctionLibrary, source: str, copy: str, last: int) -> bool:
    """Tell whether a function is a copy of another that yields more."""
    if source == copy or _NUMBER.sub("", source) != _NUMBER.sub("", copy):
        return False
    if source not in library or copy not in library:
        return False
    one, other = library[source], library[copy]
    results = [each.name for each in one.signature.output_arg]
    return (
        last < len(results) < len(other.signature.output_arg)
        and results == [each.name for each in other.signature.output_arg[: len(results)]]
        and all(one.ret[name] == other.ret[name] for name in results)
        and [each.name for each in one.node_def] == [each.name for each in other.node_def]
    )


def _function(meta_graph: MetaGraph, call: str) -> str:
    called = meta_graph.graph.node(call).attr("f")
    return "" if called is None else str(called.func.name)
