"""The nodes that outputs need: a walk backwards through the graph, as a session prunes it.

The walk starts at the outputs and stops at the tensors that are fed. A placeholder that it
reaches is not fed by a request. The walk follows control inputs, too, and enters a cycle (a while
loop of TensorFlow 1) once.

It also finds tensors inside a while loop's frame, which no session can feed or fetch,
and outputs that only one branch of a conditional yields.

This module runs nothing: a complete graph may still fail when it runs.

Sources: ``tensorflow/core/graph/subgraph.cc`` (``RewriteGraphForExecution``: what feeding
and fetching do), ``tensorflow/core/ops/control_flow_ops.cc``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from smpatch.errors import ModelUnreadableError
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, GraphIndex, called, full, op_of

if TYPE_CHECKING:
    from smpatch.graph.numbered import Numbered


class Behind(NamedTuple):
    """A node that a tensor needs.

    Attributes:
        node: The ``NodeDef``.
        function: The function in whose body it is; empty for the main graph.
        find: Returns the node of an input of this node; None if there is none.
    """

    node: Any
    function: str
    find: Callable[[str], Any]

    def __str__(self) -> str:
        """Return its name, operation and function, in words."""
        name = f"{self.node.name!r} ({self.node.op})"
        return f"{name} in the function {self.function!r}" if self.function else name


def behind(
    graph: GraphIndex,
    library: FunctionLibrary,
    tensors: Iterable[str],
    fed: Collection[str] = (),
) -> Iterator[Behind]:
    """Yield the nodes that tensors of the main graph need, each once.

    All nodes of a called function count.

    Args:
        graph: The main graph.
        library: Its functions.
        tensors: Full names, ``op:index``.
        fed: Full names of tensors at which the walk stops.
    """
    find = in_graph(graph)
    waiting = [op_of(name) for name in tensors if name not in fed]
    seen: set[str] = set()
    functions: list[str] = []
    while waiting:
        name = waiting.pop()
        if name not in seen and name in graph:
            seen.add(name)
            node = graph.node(name).message()
            yield Behind(node, "", find)
            sources = [each for each in node.input if full(each) not in fed] if fed else node.input
            waiting += map(op_of, sources)
            functions += called(node)
    for function in library.reached(functions):
        nodes = {node.name: node for node in library[function].node_def}
        for node in nodes.values():
            yield Behind(node, function, in_body(nodes))


def in_graph(graph: GraphIndex) -> Callable[[str], Any]:
    """Return a function that returns the node of an input in the main graph, or None."""

    def find(source: str) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
        name = op_of(source)
        return graph.node(name).message() if name in graph else None

    return find


def in_body(nodes: dict[str, Any]) -> Callable[[str], Any]:
    """Return a function that returns the node of an input in a function's body, or None."""
    return lambda source: nodes.get(source.partition(":")[0])


_MUST_BE_FED = frozenset({"Placeholder", "PlaceholderV2"})
_ENTER = frozenset({"Enter", "RefEnter"})
_EXIT = frozenset({"Exit", "RefExit"})
_SWITCH = frozenset({"Switch", "RefSwitch", "_SwitchN"})
_MERGE = frozenset({"Merge", "RefMerge"})


@dataclass(frozen=True, slots=True)
class Reach:
    """The result of a walk from the outputs.

    Attributes:
        unfed: Placeholders that are not fed, with the nodes that lead from the output
            to them (the output's node first, the placeholder last).
        used: The fed tensors on which some output depends.
        partly_fed: Nodes that run although one of their tensors is fed.
        loops: Whether the walk met an ``Enter``; without one, no output can be in a loop's frame.
        branches: Whether it met a ``Switch``; without one, no output is conditional.
        calls: The nodes that it met and that only call a function.
    """

    unfed: tuple[tuple[str, ...], ...]
    used: frozenset[str]
    partly_fed: tuple[str, ...]
    loops: bool
    branches: bool
    calls: tuple[str, ...] = ()


def reach(  # noqa: C901, PLR0912 - one loop that a million nodes pass through; calls would double its time
    graph: GraphIndex, outputs: Sequence[str], fed: Collection[str]
) -> Reach:
    """Walk back from the outputs to the fed tensors.

    Args:
        graph: The graph.
        outputs: Full names (``op:index``) of the tensors that are fetched.
        fed: Full names of the tensors that are fed.

    Returns:
        The placeholders that are not fed, the fed tensors that are used, and other findings.

    Raises:
        ModelUnreadableError: A node names an input that the graph does not have.
    """
    nodes = graph.numbered
    if nodes is not None and (found := _by_number(graph, nodes, outputs, fed)) is not None:
        return found
    fed_nodes = {name.rpartition(":")[0] for name in fed}
    used: set[str] = set()
    unfed: list[str] = []
    parent: dict[str, str | None] = {}
    stack: list[str] = []
    for output in outputs:
        if output in fed:
            used.add(output)
            continue
        op = output.rpartition(":")[0]
        if op not in parent:
            parent[op] = None
            stack.append(op)
    ops: set[str] = set()
    (numbers, sources), marked = graph.tables, graph.marked
    while stack:
        name = stack.pop()
        while True:
            try:
                given = sources[numbers[name]]
            except KeyError:
                raise _missing(name, parent[name]) from None
            if name in marked:
                ops.add(marked[name])
                if marked[name] in _MUST_BE_FED:
                    unfed.append(name)
            # The common case, without the stack: one input, the first output of a new node.
            if (
                type(given) is not str
                or given in parent
                or given in fed_nodes
                or given not in numbers
            ):
                break
            parent[given] = name
            name = given
        for source in (given,) if type(given) is str else given:
            op = source
            if source[:1] == "^":  # a damaged graph may have an empty name
                op = source[1:]
                # A fed placeholder also satisfies the nodes that only wait for it (subgraph.cc).
                if op in fed_nodes and marked.get(op) in _MUST_BE_FED:
                    continue
            else:
                if ":" in source:
                    op = source.rpartition(":")[0]
                if op in fed_nodes:
                    tensor = source if ":" in source else f"{source}:0"
                    if tensor in fed:
                        used.add(tensor)
                        continue
            if op not in parent:
                parent[op] = name
                stack.append(op)
    paths = tuple(_path(name, parent) for name in sorted(unfed))
    return Reach(
        unfed=paths,
        used=frozenset(used),
        partly_fed=tuple(sorted(fed_nodes & parent.keys())),
        loops=not ops.isdisjoint(_ENTER),
        branches=not ops.isdisjoint(_SWITCH),
        calls=() if ops.isdisjoint(CALLS) else tuple(n for n in parent if marked.get(n) in CALLS),
    )


def _by_number(  # noqa: C901 - one loop, as in ``reach``
    graph: GraphIndex, nodes: Numbered, outputs: Sequence[str], fed: Collection[str]
) -> Reach | None:
    """Walk over the numbers of a large graph, and decode only the nodes that need it.

    Returns:
        The result; None if something is missing, which the walk over names reports, or if this
        walk saves no time.
    """
    from smpatch.graph.numbered import DONE, SEVERAL  # noqa: PLC0415 - NumPy, for large graphs alone

    fed_nodes = {name: graph.number(name) for name in {each.rpartition(":")[0] for each in fed}}
    following = nodes.following([each for each in fed_nodes.values() if each is not None])
    if following is None:
        return None
    placeholders = {
        number
        for name, number in fed_nodes.items()
        if number is not None and graph.wiring(name).op in _MUST_BE_FED
    }
    used = {output for output in outputs if output in fed}
    waiting = [graph.number(each.rpartition(":")[0]) for each in outputs if each not in fed]
    looked_at: dict[int, str] = {}
    while waiting:
        at = waiting.pop()
        if at is None:
            return None
        while (ahead := following[at]) >= 0:  # a million nodes pass through here
            following[at] = DONE
            at = ahead
        following[at] = DONE
        if ahead == SEVERAL:
            waiting += nodes.sources(at)
        elif ahead != DONE:
            wiring = graph.wiring_at(nodes.start(at))
            looked_at[at] = wiring.op
            for source in wiring.inputs:
                control = source.startswith("^")
                name = source[1:] if control else op_of(source)
                if full(source) in fed:
                    used.add(full(source))
                elif not (control and fed_nodes.get(name) in placeholders):
                    waiting.append(graph.number(name))
    ops = set(looked_at.values())
    if not ops.isdisjoint(_MUST_BE_FED):
        return None
    partly_fed = sorted(name for name, number in fed_nodes.items() if number in looked_at)
    loops, branches = not ops.isdisjoint(_ENTER), not ops.isdisjoint(_SWITCH)
    calls = (nodes.start(number) for number, op in looked_at.items() if op in CALLS)
    called_at = tuple(graph.wiring_at(each).name for each in calls)
    return Reach((), frozenset(used), tuple(partly_fed), loops, branches, called_at)


def reads_besides(
    graph: GraphIndex, outputs: Sequence[str], fed: Collection[str]
) -> tuple[str, ...]:
    """Return the needed tensors of nodes that have another tensor that is fed.

    Args:
        graph: A graph in which ``reach`` has found no damage.
        outputs: Full names (``op:index``) of the tensors that are fetched.
        fed: Full names of the tensors that are fed.

    Returns:
        Full names, sorted. A control input from such a node does not count.
    """
    fed_nodes = {name.rpartition(":")[0] for name in fed}
    if all(name in graph and graph.wiring(name).op == "Placeholder" for name in fed_nodes):
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
        for source in graph.sources(name):
            if source.startswith("^"):
                if source[1:] not in fed_nodes:
                    waiting.append(f"{source[1:]}:0")
            else:
                waiting.append(full(source))
    return tuple(sorted(besides))


def in_frame(graph: GraphIndex, tensor: str) -> str | None:
    """Return whether a tensor is inside a while loop's frame.

    On the way back, an ``Exit`` leads into a loop that is already over, and an ``Enter`` leads out
    of a loop. An ``Enter`` without an ``Exit`` belongs to the loop in which the tensor is.

    ``tensor`` is a full name (``op:index``).

    Returns:
        The name of the ``Enter`` node of the frame, or None if the tensor is outside.
    """
    depth = {tensor.rpartition(":")[0]: 0}
    stack = list(depth)
    while stack:
        name = stack.pop()
        if name not in graph:
            continue
        op = graph.marked.get(name)
        level = depth[name]
        if op in _ENTER:
            if level == 0:
                return name
            level -= 1
        elif op in _EXIT:
            level += 1
        for source in graph.sources(name):
            op = op_of(source)
            if op not in depth:
                depth[op] = level
                stack.append(op)
    return None


def framed(graph: GraphIndex, among: Collection[str]) -> set[str]:
    """Return the nodes whose tensors are inside a while loop's frame.

    Args:
        graph: The graph.
        among: The nodes to examine; a loop must be among them as a whole.
    """
    doors = [name for name in among if graph.marked.get(name) in _ENTER]
    if not doors:
        return set()
    consumers: dict[str, list[str]] = {}
    for name in among:
        for source in graph.sources(name):
            consumers.setdefault(op_of(source), []).append(name)
    seen: set[tuple[str, int]] = set()
    stack = [(name, 1) for name in doors]
    while stack:
        place = stack.pop()
        name, level = place
        if level == 0 or place in seen or level > len(doors):
            continue
        seen.add(place)
        for each in consumers.get(name, ()):
            op = graph.marked.get(each)
            stack.append((each, level + (op in _ENTER) - (op in _EXIT)))
    return {name for name, _ in seen}


def conditional(graph: GraphIndex, tensor: str) -> str | None:
    """Return whether a tensor outside loops has a value only if a conditional takes one branch.

    ``tensor`` is a full name (``op:index``).

    Returns:
        The name of the ``Switch`` node that decides, or None.
    """
    seen = {tensor.rpartition(":")[0]}
    stack = list(seen)
    while stack:
        name = stack.pop()
        if name not in graph:
            continue
        op = graph.marked.get(name)
        if op in _SWITCH:
            return name
        if op in _MERGE or op in _EXIT:
            continue
        for source in graph.sources(name):
            op = op_of(source)
            if op not in seen:
                seen.add(op)
                stack.append(op)
    return None


def _path(name: str, parent: dict[str, str | None]) -> tuple[str, ...]:
    path = [name]
    while (above := parent[path[-1]]) is not None:
        path.append(above)
    return tuple(reversed(path))


def _missing(name: str, consumer: str | None) -> ModelUnreadableError:
    found = f"node {consumer!r} has an input {name!r} that is not in the graph"
    return ModelUnreadableError(found, hint="the graph is damaged")
