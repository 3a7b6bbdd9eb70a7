"""Which operations a graph is made of, and which of its nodes something needs.

This room knows no operation but the two that call a function.

Source: ``ops_used_by_graph_def`` in ``tensorflow/python/framework/meta_graph.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from smpatch.graph.functions import CALLS, FunctionLibrary
from smpatch.graph.index import GraphIndex, op_of

__all__ = ["needed", "operations"]


def operations(graph: GraphIndex, functions: FunctionLibrary) -> tuple[set[str], set[str]]:
    """Return the operations of a graph and those of the functions that it calls.

    As TensorFlow collects them for an op list: a function is called by a node that has its
    name for an operation, or by one of the two operations that call, and by no other.

    Args:
        graph: The main graph.
        functions: Its functions.

    Returns:
        The names of the operations in the main graph, and of those in functions.
    """
    used: set[str] = set()
    waiting: list[str] = []
    for name in graph:
        op = graph.wiring(name).op
        if op in functions:
            waiting.append(op)
        else:
            used.add(op)
        if op in CALLS:
            attribute = graph.node(name).attr("f")
            waiting += [attribute.func.name] if attribute is not None else []
    inside: set[str] = set()
    met: set[str] = set()
    while waiting:
        function = waiting.pop()
        if function in met or function not in functions:
            continue
        met.add(function)
        for node in functions[function].node_def:
            if node.op in functions:
                waiting.append(node.op)
            else:
                inside.add(node.op)
            if node.op in CALLS:
                waiting.append(node.attr["f"].func.name)
    return used, inside


def needed(graph: GraphIndex, names: Iterable[str]) -> set[str]:
    """Return the nodes that tensors need, whatever is fed; what is not there is left out.

    Args:
        graph: The graph.
        names: The tensors, ``op:index`` or ``op``.
    """
    waiting = [op_of(name) for name in names]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in graph:
            continue
        found.add(name)
        given = graph.sources(name)
        waiting += [op_of(each) for each in ((given,) if isinstance(given, str) else given)]
    return found
