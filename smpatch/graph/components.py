"""Strongly connected components of a directed graph: what a loop holds together.

Source: R. Tarjan, Depth-first search and linear graph algorithms (1972), without recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

__all__ = ["components"]


def components(
    roots: Iterable[str], needs: Callable[[str], Iterable[str]]
) -> Iterator[tuple[str, ...]]:
    """Yield the components that are reached, each after those that it needs.

    Args:
        roots: Where to begin.
        needs: Gives the nodes that a node needs. It is asked once for each node.
    """
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    path: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        waiting.append(name)
        path.append((name, iter(needs(name))))

    for root in roots:
        if root not in numbers:
            enter(root)
        while path:
            name, rest = path[-1]
            for each in rest:
                if each not in numbers:
                    enter(each)
                    break
                if each in lowest:  # its component is not complete yet
                    lowest[name] = min(lowest[name], numbers[each])
            else:
                path.pop()
                for above, _ in path[-1:]:
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == numbers[name]:
                    yield _taken(waiting, name, lowest)


def _taken(waiting: list[str], first: str, lowest: dict[str, int]) -> tuple[str, ...]:
    """Take the nodes from ``first`` on off the stack."""
    component: list[str] = []
    while not component or component[-1] != first:
        component.append(waiting.pop())
        del lowest[component[-1]]
    return tuple(component)
