"""Walks over the nodes of a body: its loops, and the nodes that its results need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from smpatch.graph.bodies import FunctionBody, Parts, Scope, digest


def components(
    roots: Iterable[str], needs: Callable[[str], Iterable[str]]
) -> Iterator[tuple[str, ...]]:
    """Yield the strongly connected components that roots need, each after those that it needs.

    Args:
        roots: The nodes from which the walk starts.
        needs: Returns the nodes that a node needs. It is called once for each node.
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
    """Remove the nodes from ``first`` on from the stack, and return them."""
    component: list[str] = []
    while not component or component[-1] != first:
        component.append(waiting.pop())
        del lowest[component[-1]]
    return tuple(component)


def refined(
    scope: Scope, parts: Mapping[str, Parts], fixed: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the digests of the nodes of a cycle, from those of the nodes outside it."""
    digests, classes = dict(fixed), 0
    for _ in range(len(parts) + 1):
        following = {}
        for name, each in parts.items():
            given = [
                digests[source.node] + b":%s" % str(source.port).encode()
                for source in each.inputs
                if scope.leaf(source) is None and source.node in parts
            ]
            waits = {digests[control] for control in scope.controls(each) if control in parts}
            following[name] = digest(fixed[name], b"(", *given, b")", *sorted(waits))
        digests = following
        if len(set(digests.values())) == classes:
            break
        classes = len(set(digests.values()))
    return digests


def before(scope: Scope, names: Iterable[str]) -> set[str]:
    """Return nodes and all nodes that they need; the values of all of them are computed."""
    waiting, found = [*names], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            parts = scope.body.parts(name)
            sources = scope.inputs(name, parts)
            waiting += [each.node for each in sources if scope.leaf(each) is None]
            waiting += scope.controls(parts)
    return found


def needed(scope: Scope, body: FunctionBody) -> tuple[set[str], list[str]]:
    """Return the needed nodes and arguments of a function, and its needed control results."""

    def walk(waiting: list[str], *, past: bool) -> set[str]:
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            if name in scope.leaves:
                continue
            parts = body.parts(name)
            given = list(parts.inputs) if past else scope.inputs(name, parts)
            waiting += [e.node for e in given if past or e[:2] not in scope.placed]
            waiting += scope.controls(parts)
        return found

    lost = [node for node, _ in scope.placed]
    for call, taken in scope.taken.items():
        sources = enumerate(body.parts(call).inputs)
        lost += [each.node for place, each in sources if place not in taken]
    lies_before = walk(lost, past=True)
    scope.lost = lies_before
    roots = [each.node for each in body.results if each[:2] not in scope.placed]
    roots += [each for each in body.control_results if each not in lies_before]
    needed = walk(roots, past=False)
    scope.lost = lies_before - needed
    return needed, [each for each in body.control_results if each in needed]


def after(waits: frozenset[bytes]) -> bytes:
    """Return one digest of all for which a call waits; empty if it waits for nothing."""
    return digest(*sorted(waits)) if waits else b""
