"""The data flow of a signature: its nodes, with the tensors that each of them reads.

Calls are opened: a node in a function reads the tensors that the caller passes, and an output of a
call is a result of the function. So every path from the inputs to a tensor leads through the nodes
that compute it. Loops and branches stay nodes; control inputs are left out.

Source: ``tensorflow/core/framework/function.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from smpatch.errors import TensorNotFoundError
from smpatch.functions.inner_tensors import inner_tensors
from smpatch.graph.index import CALLS, full, op_of
from smpatch.graph.resolve import OpDefMissingError, parse
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, Spec, TensorSpec

_MOST_OUTPUTS = 1 << 16
"""The most outputs of a node that are read."""

_Calls = tuple[str, ...]
_Item = tuple[_Calls, str, str, str, tuple[TensorSpec, ...]]
"""The calls that lead to a node, the function that it is in, its name, operation and outputs."""


class Port(NamedTuple):
    """An output of a node.

    Attributes:
        node: The place of the node in ``Dataflow.nodes``.
        output: The number of the output.
    """

    node: int
    output: int


@dataclass(frozen=True, slots=True)
class DataNode:
    """One node, reached by one path of calls.

    Attributes:
        calls: The call nodes that lead to it, the main graph's first.
        function: The function in whose body it is; empty in the main graph.
        name: Its name there.
        op: Its operation.
        outputs: The tensors that it yields; empty if nothing defines its operation.
        inputs: The tensors that it reads.
        hands_on: Whether it is a call that is opened; then output i is input i.
    """

    calls: _Calls
    function: str
    name: str
    op: str
    outputs: tuple[TensorSpec, ...]
    inputs: tuple[Port, ...]
    hands_on: bool = False

    @property
    def path(self) -> str:
        """Its name, with the path of calls after it."""
        return f"{self.name}@{'+'.join(self.calls)}" if self.calls else self.name

    def tensor(self, output: int) -> str:
        """Return the name of an output, with the path of calls after it."""
        name = f"{self.name}:{output}"
        return f"{name}@{'+'.join(self.calls)}" if self.calls else name


@dataclass(frozen=True, slots=True)
class Dataflow:
    """The data flow of a signature.

    Attributes:
        nodes: The nodes of the main graph between inputs and outputs, and before each call those
            of the functions to which it leads.
        inputs: The tensors that the signature feeds, with their aliases.
        outputs: The tensors that it fetches, with their aliases.
        untold: The number of inputs of nodes for which the file does not show a tensor.
    """

    nodes: tuple[DataNode, ...]
    inputs: Mapping[Port, str]
    outputs: Mapping[Port, str]
    untold: int


def dataflow(meta_graph: MetaGraph, source: SignatureDef) -> Dataflow:
    """Return the data flow of a signature.

    Raises:
        RefusedError: A call leads to too many tensors, or calls are nested too deeply.
    """
    return _Building(meta_graph, source).flow()


class _Building:
    def __init__(self, meta_graph: MetaGraph, source: SignatureDef) -> None:
        self._meta_graph = meta_graph
        self._library = meta_graph.functions
        self._graph = meta_graph.graph
        self._source = source
        self._fed = dict(_named(source.inputs))
        self._numbers: dict[tuple[_Calls, str], int] = {}
        self._bodies: dict[str, _Body] = {}
        self._called: dict[_Calls, _Body | None] = {}
        self._arguments: dict[_Calls, Sequence[Port | None]] = {}
        self._running: frozenset[str] = frozenset()
        self._untold = 0

    def flow(self) -> Dataflow:
        found: list[_Item] = []
        inner = inner_tensors(self._meta_graph, self._source)
        inside: dict[str, list[_Item]] = {}
        for (calls, name), group in groupby(inner, key=lambda each: (each.calls, each.node)):
            tensors = list(group)
            specs = tuple(each.spec for each in tensors)
            first = tensors[0]
            item = (calls, first.function, name, first.op, specs)
            inside.setdefault(calls[0], []).append(item)
        resolver = self._meta_graph.resolver()
        reached = self._reached()
        for name in self._graph:
            if name in reached:
                try:
                    yielded = tuple(resolver.outputs(name, _MOST_OUTPUTS))
                except OpDefMissingError:
                    yielded = ()
                found += inside.pop(name, [])
                found.append(((), "", name, self._graph.wiring(name).op, yielded))
        for number, (calls, _, name, _, _) in enumerate(found):
            self._numbers.setdefault((calls, name), number)
        nodes = []
        for calls, function, name, op, specs in found:
            hands_on = op in CALLS and self._callee((*calls, name)) is not None
            sources = self._results((*calls, name)) if hands_on else self._operands(calls, name)
            if hands_on and (None in sources or len(sources) != len(specs)):
                hands_on = False  # output i would not be input i
            ports = tuple(each for each in sources if each is not None)
            self._untold += len(sources) - len(ports)
            nodes.append(DataNode(calls, function, name, op, specs, ports, hands_on))
        inputs = dict(self._ports(self._fed))
        outputs = dict(self._ports(dict(_named(self._source.outputs))))
        return Dataflow(tuple(nodes), inputs, outputs, self._untold)

    def _reached(self) -> set[str]:
        """Return the nodes of the main graph that run, and the fed ones."""
        graph = self._graph
        waiting = [name for name, _ in _named(self._source.outputs)]
        found: set[str] = set()
        while waiting:
            tensor = waiting.pop()
            name = op_of(tensor)
            if name in found or name not in graph or tensor in self._fed:
                continue
            found.add(name)
            waiting += [full(each).removeprefix("^") for each in graph.sources(name)]
        self._running = frozenset(found)  # a node does not run if all its needed tensors are fed
        return found | {op_of(name) for name in self._fed if op_of(name) in graph}

    def _ports(self, tensors: Mapping[str, str]) -> Iterator[tuple[Port, str]]:
        for name, alias in tensors.items():
            port = self._main_port(name)
            if port is not None:
                yield port, alias

    def _main_port(self, tensor: str) -> Port | None:
        try:
            parsed = parse(full(tensor))
        except TensorNotFoundError:  # a damaged signature, which the check reports
            return None
        number = self._numbers.get(((), parsed.op))
        return None if number is None else Port(number, parsed.index or 0)

    def _callee(self, calls: _Calls) -> _Body | None:
        """Return the function that the last of some calls calls; None if missing or recursive."""
        if calls not in self._called:
            *outer, call = calls
            above = tuple(outer)
            if not above:
                name = self._library.called_by(call)
            else:
                holder = self._callee(above)
                node = None if holder is None else holder.nodes.get(call)
                name = "" if node is None else str(node.attr["f"].func.name)
            ways = (self._called.get(calls[:depth]) for depth in range(1, len(calls)))
            known = name in self._library and all(
                each is None or each.name != name for each in ways
            )
            self._called[calls] = self._body(name) if known else None
        return self._called[calls]

    def _body(self, name: str) -> _Body:
        if name not in self._bodies:
            self._bodies[name] = _Body(self._meta_graph, name)
        return self._bodies[name]

    def _operands(self, calls: _Calls, name: str) -> list[Port | None]:
        """Return the tensors that a node reads."""
        if not calls:
            inputs = self._graph.wiring(name).inputs if name in self._running else ()
            return [self._main_port(each) for each in inputs if not each.startswith("^")]
        body = self._callee(calls)
        node = None if body is None else body.nodes.get(name)
        if body is None or node is None:
            return []
        return [self._port(calls, body, each) for each in node.input if not each.startswith("^")]

    def _results(self, calls: _Calls) -> list[Port | None]:
        body = self._callee(calls)
        return [] if body is None else [self._port(calls, body, each) for each in body.results]

    def _port(self, calls: _Calls, body: _Body, tensor: str) -> Port | None:
        """Return a tensor of a function, from its name in the function."""
        if ":" in tensor:
            node, output = body.place(tensor)
            number = self._numbers.get((calls, node))
            return None if number is None or output is None else Port(number, output)
        place = body.arguments.get(tensor)
        if place is None:
            return None
        if calls not in self._arguments:
            self._arguments[calls] = self._operands(calls[:-1], calls[-1])
        given = self._arguments[calls]
        return given[place] if len(given) == len(body.arguments) else None


class _Body:
    """A function, with the numbers of its arguments and of the outputs of its nodes."""

    def __init__(self, meta_graph: MetaGraph, name: str) -> None:
        self.name = name
        self._library = meta_graph.functions
        definition = self._library[name]
        signature = definition.signature
        self.nodes: dict[str, Any] = {node.name: node for node in definition.node_def}
        self.arguments = {arg.name: place for place, arg in enumerate(signature.input_arg)}
        self.results = [str(definition.ret.get(arg.name, "")) for arg in signature.output_arg]
        self._ports: dict[str, dict[str, int]] = {}

    def place(self, tensor: str) -> tuple[str, int | None]:
        """Return the node and the number of the output that ``node:arg:index`` means."""
        node, _, rest = tensor.partition(":")
        if node not in self.nodes:
            return node, None
        if node not in self._ports:
            yielded = self._library.outputs(self.nodes[node]) or []
            self._ports[node] = {
                f"{each.arg}:{each.index}": place for place, each in enumerate(yielded)
            }
        return node, self._ports[node].get(rest if ":" in rest else f"{rest}:0")


def _named(specs: Mapping[str, Spec]) -> Iterator[tuple[str, str]]:
    """Yield the tensors of inputs or outputs by name, with their aliases."""
    for alias, spec in specs.items():
        for tensor in spec.tensors():
            yield full(tensor.name), alias
