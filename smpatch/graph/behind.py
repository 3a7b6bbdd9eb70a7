"""The nodes behind tensors: of the main graph and, through calls, of the functions.

Functions that a loop or a branch names count as those that a call names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from smpatch.graph.functions import FunctionLibrary, called
from smpatch.graph.index import GraphIndex, op_of

__all__ = ["Behind", "behind"]


class Behind(NamedTuple):
    """A node behind a tensor.

    Attributes:
        node: The ``NodeDef``.
        function: The function in whose body it lies; empty for the main graph.
        find: Gives the node that an input of this one comes from; None where there is none.
    """

    node: Any
    function: str
    find: Callable[[str], Any]

    def __str__(self) -> str:
        """Return where it is, in words."""
        name = f"{self.node.name!r} ({self.node.op})"
        return f"{name} in the function {self.function!r}" if self.function else name


def behind(graph: GraphIndex, library: FunctionLibrary, tensors: Iterable[str]) -> Iterator[Behind]:
    """Yield the nodes behind tensors of the main graph, each once.

    Args:
        graph: The main graph.
        library: Its functions.
        tensors: Full names, ``op:index``.
    """

    def in_graph(source: str) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        name = op_of(source)
        return graph.node(name).message() if name in graph else None

    waiting = [op_of(name) for name in tensors]
    seen: set[str] = set()
    functions: list[str] = []
    while waiting:
        name = waiting.pop()
        if name not in seen and name in graph:
            seen.add(name)
            node = graph.node(name).message()
            yield Behind(node, "", in_graph)
            waiting += map(op_of, node.input)
            functions += called(node)
    met: set[str] = set()
    while functions:
        function = functions.pop()
        if function not in met and function in library:
            met.add(function)
            nodes = {node.name: node for node in library[function].node_def}
            for node in nodes.values():
                yield Behind(node, function, _finder(nodes))
                functions += called(node)


def _finder(nodes: dict[str, Any]) -> Callable[[str], Any]:
    return lambda source: nodes.get(source.partition(":")[0])
