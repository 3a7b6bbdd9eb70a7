"""Whether two exports mean the same by a name, where a name alone says little.

A node that an exporter named for what it computes says so itself. A call of a function does
not: ``StatefulPartitionedCall:0`` is only the first of its outputs in sorted order, and another
export has something else there. Such calls are compared by what their functions do.

This room compares structure: nodes, their operations and wiring, results; numbers that
TensorFlow appends to names of functions, and constants, may differ, for a model that was
trained further is another export of the same graph.

Source: ``tensorflow/core/framework/function.proto``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from smpatch.graph.functions import CALLS, FunctionLibrary, called
from smpatch.graph.index import GraphIndex, op_of

__all__ = ["unlike"]

_NUMBER = re.compile(r"_\d+$")


def unlike(
    one: tuple[GraphIndex, FunctionLibrary],
    other: tuple[GraphIndex, FunctionLibrary],
    fetched: Iterable[str],
    fed: Iterable[str],
) -> str:
    """Return why a node that is fetched means something else in another graph.

    Args:
        one: A main graph and its functions.
        other: The other.
        fetched: Names of nodes that both have.
        fed: Names of nodes that both have and that are fed.

    Returns:
        The reason in words; empty where nothing speaks against it.
    """
    inputs = set(fed)
    for name in fetched:
        first, second = one[0].wiring(name), other[0].wiring(name)
        if first.op != second.op:
            return f"{name!r} is {second.op} here and {first.op} there"
        if first.op not in CALLS:
            continue
        places = [
            [(place, source) for place, source in enumerate(each.inputs) if op_of(source) in inputs]
            for each in (first, second)
        ]
        functions = (_function(one[0], name), _function(other[0], name))
        prints = _print(one[1], functions[0], {}), _print(other[1], functions[1], {})
        if places[0] != places[1] or prints[0] != prints[1]:
            return f"{name!r} calls another function here, so its outputs may be others"
    return ""


def _print(library: FunctionLibrary, function: str, known: dict[str, str]) -> str:
    """Return a fingerprint of what a function does, without numbers and values.

    Args:
        library: The functions.
        function: Its name.
        known: Fingerprints that were taken; those on the way are added.
    """
    stem = _NUMBER.sub("", function)
    if function not in library:
        return stem
    if function not in known:
        known[function] = stem  # for one that calls itself
        definition = library[function]
        nodes = [
            (
                node.name,
                _NUMBER.sub("", node.op),
                list(node.input),
                [_print(library, each, known) for each in called(node)[1:]],
            )
            for node in definition.node_def
        ]
        arguments = [arg.name for arg in definition.signature.input_arg]
        results = [(arg.name, definition.ret[arg.name]) for arg in definition.signature.output_arg]
        text = repr((arguments, nodes, results))
        known[function] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return known[function]


def _function(graph: GraphIndex, name: str) -> str:
    value = graph.node(name).attr("f")
    return "" if value is None else str(value.func.name)
