"""Operations of which one tensor is fed and another one is needed.

A session runs such an operation for the other tensor. Python's loader takes the fed tensor's
operation for a source, of which there is nothing but what is fed.

Source: ``lift_to_graph`` in ``tensorflow/python/eager/lift_to_graph.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from smpatch.graph.index import GraphIndex

__all__ = ["reads_besides"]


def reads_besides(
    graph: GraphIndex, outputs: Sequence[str], fed: Collection[str]
) -> tuple[str, ...]:
    """Return the tensors that are needed of operations of which others are fed.

    Args:
        graph: A graph in which ``reach`` has met no damage.
        outputs: Full names (``op:index``) of the tensors that are fetched.
        fed: Full names of the tensors that are fed.

    Returns:
        Full names, sorted; only what waits for such an operation needs nothing of it.
    """
    fed_nodes = {name.rpartition(":")[0] for name in fed}
    if all(graph.marked.get(name) == "Placeholder" for name in fed_nodes):
        return ()  # the common case: a placeholder has one tensor
    besides: set[str] = set()
    seen: set[str] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        name = tensor.rpartition(":")[0]
        if tensor in fed:
            continue
        if name in fed_nodes:
            besides.add(tensor)
            continue
        if name in seen or name not in graph:
            continue
        seen.add(name)
        given = graph.sources(name)
        for source in (given,) if isinstance(given, str) else given:
            if source.startswith("^"):
                if source[1:] not in fed_nodes:
                    waiting.append(f"{source[1:]}:0")
            else:
                waiting.append(source if ":" in source else f"{source}:0")
    return tuple(sorted(besides))
