"""Structural fingerprints of the computation of a tensor.

Two tensors with one fingerprint are computed in the same way from the same leaves. A leaf is
an input of the signature (by its alias), a variable, a table or another resource, or an argument
of a function. The walk follows calls into the bodies of functions. A fingerprint depends on
operations, attributes, constants, the order of arguments, control edges and leaves. It does not
depend on the names of nodes, functions and results, on devices, or on attributes that only
describe.

Different fingerprints do not prove different numbers: two graphs can compute the same numbers
in two ways. This module runs nothing and needs no TensorFlow.

Sources: ``tensorflow/core/framework/function.cc`` (names of tensors in a function body),
``tensorflow/core/graph/subgraph.cc`` (feeds, fetches and control edges),
``tensorflow/core/common_runtime/inline_function_utils.cc`` (a call is its body; the
nodes that ``control_ret`` names run with the call).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from smpatch.graph.bodies import (
    Computation,
    FingerprintError,
    FunctionBody,
    InnerFeeds,
    MainBody,
    Parts,
    Scope,
    Source,
    Value,
    components,
    digest,
    main_source,
    with_given,
)
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex

__all__ = ["Computation", "FingerprintError", "Fingerprints", "InnerFeeds"]

_MOST_WORK = 20_000_000
"""The most visits of nodes in functions for one question; a body counts again for each call.
TensorFlow cannot inline more. The main graph does not count: its nodes are visited once."""
_DEEPEST = 100
"""The most nested calls; Python's own stack allows no more."""

_Called = tuple[tuple[bytes, ...], frozenset[bytes]]
"""The fingerprints of the results of a call, and of its effects."""


class Fingerprints:
    """The fingerprints of tensors of one graph."""

    def __init__(self, graph: GraphIndex, library: FunctionLibrary) -> None:
        """Keep a main graph and its functions."""
        self._graph = graph
        self._library = library
        self._bodies: dict[str, FunctionBody] = {}
        self._main: dict[str, Parts] = {}
        self._called: dict[tuple[str, tuple[bytes, ...]], _Called] = {}
        self._whole: dict[str, bytes] = {}
        self._active: list[str] = []
        self._recursive = False
        self._work = 0

    def main(
        self,
        feeds: Mapping[str, str],
        fetches: Mapping[str, Sequence[str]],
        bound: Mapping[str, bytes] | None = None,
    ) -> Computation:
        """Return the computation of tensors of the main graph.

        Args:
            feeds: The labels of the inputs, by the full names (``op:index``) of their tensors.
            fetches: The full names of the tensors of each output, by its label.
            bound: The fingerprints of known values, by the full names of the tensors they feed.

        Raises:
            FingerprintError: The graph refers to a node or function that is missing.
        """
        scope = self._fed(feeds, bound or {})
        found = {
            label: self.whole(self._tensors(scope, map(main_source, names)))
            for label, names in fetches.items()
        }
        return Computation(found, frozenset(scope.effects))

    def inside(self, feeds: Mapping[str, str], calls: Sequence[str], tensor: str) -> bytes:
        """Return the fingerprint of a tensor inside the functions to which a call leads.

        Args:
            feeds: As for ``main``.
            calls: The call nodes that lead to the tensor, the main graph's first.
            tensor: The tensor in the last body, ``node:index``.

        Raises:
            FingerprintError: There is no such call or tensor.
        """
        scope = self._fed(feeds, {})
        passed: list[tuple[Parts, frozenset[bytes]]] = []
        for call in calls:
            parts = scope.body.parts(call)
            if not parts.function:
                raise FingerprintError(f"{call!r} calls no function")
            given = self._tensors(scope, parts.inputs)
            self._compute(scope, parts.controls)
            passed.append((parts, self._waits(scope, parts)))
            scope = self._bound(parts.function, given)
        node, _, port = tensor.rpartition(":")
        (found,) = self._tensors(scope, [Source(node, int(port))])
        for parts, waits in reversed(passed):
            found = self._returned(parts, waits, found)
        return digest(b"tensor", found)

    def function(self, name: str, arguments: Sequence[bytes]) -> Computation:
        """Return the computation of the results of a function.

        Args:
            name: The function.
            arguments: The fingerprint of each argument, including the captured ones.

        Raises:
            FingerprintError: There is no such function, or it takes other arguments.
        """
        results, effects = self.results(name, arguments)
        found = {str(place): self.whole([each]) for place, each in enumerate(results)}
        return Computation(found, effects)

    @staticmethod
    def leaf(kind: str, label: str) -> bytes:
        """Return the fingerprint of a leaf, such as the ``feed`` called ``x``."""
        return digest(kind.encode(), label.encode("utf-8", "surrogatepass"))

    def results(
        self, name: str, arguments: Sequence[bytes]
    ) -> tuple[list[bytes], frozenset[bytes]]:
        """Return the fingerprints of the results of a call of a function, and of its effects.

        Args:
            name: The function.
            arguments: The fingerprint of each argument.

        Raises:
            FingerprintError: There is no such function, or it takes other arguments.
        """
        self._work = 0
        found, effects = self._call(name, tuple(arguments))
        if self._body(name).is_compiled:
            found = tuple(digest(b"compiled", each) for each in found)
        return list(found), effects

    def tensors(
        self,
        names: Sequence[str],
        feeds: Mapping[str, str],
        bound: Mapping[str, bytes],
        inside: InnerFeeds | None = None,
    ) -> tuple[list[bytes], frozenset[bytes]]:
        """Return the fingerprints of tensors of the main graph, and of the effects of calls.

        Args:
            names: Their full names.
            feeds: As for ``main``.
            bound: As for ``main``.
            inside: Tensors inside functions that are fed, too. Nodes that only they need do not
                count.

        Raises:
            FingerprintError: The graph refers to a node or function that is missing.
        """
        scope = self._fed(feeds, bound)
        self._place(scope, inside or {})
        found = self._tensors(scope, map(main_source, names))
        return found, frozenset(scope.effects)

    @staticmethod
    def whole(tensors: Sequence[bytes]) -> bytes:
        """Return the fingerprint of an output from the fingerprints of its tensors."""
        return digest(b"tensor", *tensors)

    def tensor(self, name: str) -> bytes:
        """Return the fingerprint of one tensor of the main graph if nothing is fed."""
        return self._tensors(self._fed({}, {}), [main_source(name)])[0]

    def _fed(self, feeds: Mapping[str, str], bound: Mapping[str, bytes]) -> Scope:
        """Return the main graph, with the fed tensors as leaves, for a new question."""
        self._work = 0
        leaves = {name: self.leaf("feed", label) for name, label in feeds.items()}
        leaves.update(bound)
        body = MainBody(self._graph, self._library, self._main, frozenset(leaves))
        return Scope(body, leaves)

    def _tensors(self, scope: Scope, sources: Iterable[Source]) -> list[bytes]:
        wanted = list(sources)
        self._compute(scope, [each.node for each in wanted if scope.leaf(each) is None])
        return [self._source(scope, each) for each in wanted]

    @staticmethod
    def _source(scope: Scope, source: Source) -> bytes:
        leaf = scope.leaf(source)
        return leaf if leaf is not None else scope.values[source.node].output(source.port)

    def _compute(self, scope: Scope, wanted: Iterable[str]) -> None:
        """Compute the values of nodes and of all nodes that they need."""
        wanted = [each for each in wanted if each not in scope.values]
        for component in components(wanted, partial(self._needs, scope)):
            if len(component) == 1 and component[0] not in self._needs(scope, component[0]):
                scope.values[component[0]] = self._value(scope, component[0])
            else:
                self._loop(scope, component)

    def _needs(self, scope: Scope, name: str) -> list[str]:
        self._work += isinstance(scope.body, FunctionBody)
        if self._work > _MOST_WORK:
            raise FingerprintError("the functions of the graph make too many calls of each other")
        parts = scope.body.parts(name)
        given = scope.inputs(name, parts)
        needed = [each.node for each in given if scope.leaf(each) is None]
        return [each for each in (*needed, *scope.controls(parts)) if each not in scope.values]

    def _value(self, scope: Scope, name: str) -> Value:
        parts = scope.body.parts(name)
        waits = self._waits(scope, parts)
        if parts.op == "NoOp":
            return Value(digest(b"wait", *sorted(waits)), None, waits)
        inside = scope.inside.get(name)
        if inside is not None and parts.function:
            results, effects = self._call_fed(scope, parts, inside)
        elif parts.function:
            given = tuple(self._source(scope, each) for each in parts.inputs)
            results, effects = self._call(parts.function, given)
        if parts.function:
            results = tuple(self._returned(parts, waits, each) for each in results)
            effects = frozenset(_after(with_given(parts, each), waits) for each in effects)
            scope.effects |= effects
            return Value(b"", results, effects)
        given = tuple(self._source(scope, each) for each in parts.inputs)
        own = digest(*self._head(parts), b"(", *given, b")", *sorted(waits))
        return Value(own, None, frozenset() if parts.is_source else frozenset({own}))

    def _returned(self, parts: Parts, waits: frozenset[bytes], result: bytes) -> bytes:
        """Return the fingerprint that a tensor of a called function has outside the call."""
        if parts.is_compiled or self._body(parts.function).is_compiled:
            result = digest(b"compiled", result)
        return _after(with_given(parts, result), waits)

    def _head(self, parts: Parts) -> list[bytes]:
        functions = [self._function(each) for each in parts.functions]
        return [parts.op.encode(), parts.attributes, parts.identity.encode(), *functions]

    @staticmethod
    def _waits(scope: Scope, parts: Parts) -> frozenset[bytes]:
        waits: set[bytes] = set()
        for each in scope.controls(parts):
            waits |= scope.values[each].effects
        return frozenset(waits)

    def _loop(self, scope: Scope, component: Sequence[str]) -> None:
        """Compute the values of nodes in a cycle: refine until no more nodes can be distinguished.

        In each round a node gets a digest of itself and of the digests that its inputs had in the
        round before. At the end the digests of the whole cycle count for each node, because a
        round brings only the next nodes. If two results are equal, the unrolled loops are equal.
        """
        inside = set(component)
        parts = {name: scope.body.parts(name) for name in component}
        fixed: dict[str, bytes] = {}
        for name, each in parts.items():
            given = [
                self._source(scope, source)
                if scope.leaf(source) is not None or source.node not in inside
                else b"inside"
                for source in each.inputs
            ]
            waits: set[bytes] = set()
            for control in scope.controls(each):
                if control not in inside:
                    waits |= scope.values[control].effects
            called = [self._function(each.function)] if each.function else []
            fixed[name] = digest(*self._head(each), *called, b"(", *given, b")", *sorted(waits))
        digests, classes = dict(fixed), 0
        for _ in range(len(component) + 1):
            following = {}
            for name, each in parts.items():
                given = [
                    digests[source.node] + b":%s" % str(source.port).encode()
                    for source in each.inputs
                    if scope.leaf(source) is None and source.node in inside
                ]
                waits = {digests[control] for control in scope.controls(each) if control in inside}
                following[name] = digest(fixed[name], b"(", *given, b")", *sorted(waits))
            digests = following
            if len(set(digests.values())) == classes:
                break
            classes = len(set(digests.values()))
        cycle = digest(*sorted(set(digests.values())))
        for name in component:
            own = digest(b"loop", digests[name], cycle)
            results = None
            if parts[name].function:
                count = self._body(parts[name].function).result_count
                results = tuple(digest(own, b"%d" % place) for place in range(count))
            scope.values[name] = Value(own, results, frozenset({own}))

    def _call(self, name: str, given: tuple[bytes, ...]) -> _Called:
        """Return the fingerprints of the results of a called function, and of its effects."""
        known = self._called.get((name, given))
        if known is not None:
            return known
        body = self._body(name)
        if name in self._active:
            self._recursive = True
            distance = b"%d" % (len(self._active) - self._active.index(name))
            head = digest(b"recursion", distance, *given)
            places = range(body.result_count)
            return tuple(digest(head, b"%d" % place) for place in places), frozenset({head})
        scope = self._bound(name, given)
        self._active.append(name)
        try:
            results = tuple(self._tensors(scope, body.results))
            self._compute(scope, body.control_results)
        finally:
            self._active.pop()
        effects = set(scope.effects)
        for each in body.control_results:
            effects |= scope.values[each].effects
        found = results, frozenset(effects)
        # A result that refers to an enclosing call is valid only in that call.
        if not self._recursive:
            self._called[name, given] = found
        elif not self._active:
            self._recursive = False
        return found

    def _place(self, scope: Scope, inside: InnerFeeds) -> None:
        """Record the tensors that are fed in a body and in the functions that it calls."""
        for (calls, tensor), value in inside.items():
            if calls:
                scope.inside.setdefault(calls[0], {})[calls[1:], tensor] = value
            else:
                node, _, port = tensor.rpartition(":")
                scope.placed[node, int(port)] = value
        for call, deeper in scope.inside.items():
            parts = scope.body.parts(call)
            if not parts.function:
                raise FingerprintError(f"{call!r} calls no function")
            body = self._body(parts.function)
            needed, _ = self._needed(self._opened(parts.function, deeper), body)
            taken = (n for n, name in enumerate(body.arguments) if name in needed)
            scope.taken[call] = frozenset(taken)

    def _opened(self, function: str, inside: InnerFeeds) -> Scope:
        """Return a function in which tensors are fed; its arguments are leaves."""
        arguments = self._body(function).arguments
        scope = self._bound(function, [digest(b"not needed")] * len(arguments))
        self._place(scope, inside)
        return scope

    @staticmethod
    def _needed(scope: Scope, body: FunctionBody) -> tuple[set[str], list[str]]:
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

    def _call_fed(self, scope: Scope, parts: Parts, inside: InnerFeeds) -> _Called:
        """Return the same as ``_call`` if tensors inside the function are fed."""
        if len(self._active) >= _DEEPEST or parts.function in self._active:
            raise FingerprintError(f"the function {parts.function!r} calls itself")
        opened = self._opened(parts.function, inside)
        body = self._body(parts.function)
        self._bound(parts.function, [b""] * len(parts.inputs))  # refuses another number of them
        needed, controls = self._needed(opened, body)
        opened.leaves = {
            argument: self._source(scope, source)
            for argument, source in zip(body.arguments, parts.inputs, strict=True)
            if argument in needed
        }
        self._active.append(parts.function)
        try:
            results = tuple(self._tensors(opened, body.results))
            self._compute(opened, controls)
        finally:
            self._active.pop()
        effects = set(opened.effects)
        for each in controls:
            effects |= opened.values[each].effects
        return results, frozenset(effects)

    def _bound(self, name: str, given: Sequence[bytes]) -> Scope:
        body = self._body(name)
        if len(given) != len(body.arguments):
            found = f"the function {name!r} takes {len(body.arguments)} arguments"
            raise FingerprintError(f"{found}, and a call gives {len(given)}")
        if len(self._active) >= _DEEPEST:
            raise FingerprintError(f"more than {_DEEPEST} calls are nested")
        return Scope(body, dict(zip(body.arguments, given, strict=True)))

    def _function(self, name: str) -> bytes:
        """Return one fingerprint for a function as a whole, or for an operation of this name."""
        if name not in self._library:
            return digest(b"operation", name.encode())
        if name in self._whole:
            return self._whole[name]
        arguments = self._body(name).arguments
        given = tuple(digest(b"argument", b"%d" % place) for place in range(len(arguments)))
        results, effects = self._call(name, given)
        whole = digest(b"function", b"%d" % len(given), *results, b"effects", *sorted(effects))
        if not self._recursive:
            self._whole[name] = whole
        return whole

    def _body(self, name: str) -> FunctionBody:
        if name not in self._bodies:
            if name not in self._library:
                raise FingerprintError(f"the model does not have the function {name!r}")
            self._bodies[name] = FunctionBody(name, self._library)
        return self._bodies[name]


def _after(each: bytes, waits: frozenset[bytes]) -> bytes:
    return digest(b"after", each, *sorted(waits)) if waits else each
