"""Structural fingerprints of the computation of a tensor.

Two tensors with one fingerprint are computed in the same way from the same leaves. A leaf is
an input of the signature (by its alias), a variable, a table or another resource, or an argument
of a function. The walk follows calls into the bodies of functions. A fingerprint depends on
operations, attributes, constants, the order of arguments, control edges and leaves. It does not
depend on the names of nodes, functions and results, on devices, or on attributes that only
describe.

Equal nodes with effects are not one: two of them change a state twice, or yield two random
numbers. So the second gets another fingerprint than the first, in the order in which the walk of
one question visits them, and each call of a function has its own.

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
    InnerTensor,
    MainBody,
    Parts,
    Scope,
    Source,
    Value,
    digest,
    main_source,
    with_given,
)
from smpatch.graph.functions import READS, FunctionLibrary
from smpatch.graph.index import GraphIndex, op_of
from smpatch.graph.walks import after, before, components, needed, refined

__all__ = ["Computation", "FingerprintError", "Fingerprints", "InnerFeeds", "Met"]

_MOST_WORK = 2_000_000
"""The most visits of nodes in functions for one question; a body counts again for each call.
More take minutes. The main graph does not count: its nodes are visited once."""
_DEEPEST = 100
"""The most nested calls; Python's own stack allows no more."""

_SIZE, _FOR_A_RESULT = 20, b"?"
"""The length of a digest, and what follows the digest of an effect that only a result needs."""
_Called = tuple[tuple[bytes, ...], frozenset[bytes], frozenset[bytes]]
"""Fingerprints of a call: results, that for which a control edge from it waits, effects."""

Met = dict[bytes, int]
"""The fingerprints of the nodes with effects that one question has visited, with their numbers."""


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
        self._met: Met = {}
        self._runs = 0

    def main(
        self,
        feeds: Mapping[str, str],
        fetches: Mapping[str, Sequence[str]],
        bound: Mapping[str, bytes] | None = None,
        inner: Mapping[str, InnerTensor] | None = None,
    ) -> Computation:
        """Return the computation of tensors of the main graph, and inside functions.

        Args:
            feeds: The labels of the inputs, by the full names (``op:index``) of their tensors.
            fetches: The full names of the tensors of each output, by its label.
            bound: The fingerprints of known values, by the full names of the tensors they feed.
            inner: The outputs that are tensors inside functions, by label.

        Raises:
            FingerprintError: The graph refers to a node, call or function that is missing.
        """
        self._begin({})
        scope = self._fed(feeds, bound or {})
        found, inner = {}, inner or {}
        for calls, tensor in inner.values():
            scope.asked.setdefault(calls[0], []).append((calls[1:], tensor))
        for label in sorted({*fetches, *inner}):
            if label in inner:
                found[label] = self.whole([self._inside(scope, *inner[label])])
            else:
                found[label] = self.whole(self._tensors(scope, map(main_source, fetches[label])))
        return Computation(found, scope.effects)

    def _inside(self, scope: Scope, calls: Sequence[str], tensor: str) -> bytes:
        """Return the fingerprint of a tensor inside functions, which run as a whole."""
        passed: list[tuple[Parts, bytes]] = []
        for call in calls:
            self._compute(scope, [call])
            if call not in scope.called:
                raise FingerprintError(f"{call!r} calls no function")
            parts = scope.body.parts(call)
            passed.append((parts, after(scope.waits(parts))))
            scope = scope.called[call]
        node, _, port = tensor.rpartition(":")
        (found,) = self._tensors(scope, [Source(node, int(port))])
        for parts, behind in reversed(passed):
            found = self._returned(parts, behind, found)
        return found

    def inside(self, feeds: Mapping[str, str], calls: Sequence[str], tensor: str) -> bytes:
        """Return the fingerprint of an ``InnerTensor``; see ``main`` for feeds and errors."""
        return self.main(feeds, {}, inner={"": (calls, tensor)}).outputs[""]

    def function(
        self, name: str, arguments: Sequence[bytes], first: Sequence[int] = ()
    ) -> Computation:
        """Return the computation of the results of a function.

        Args:
            name: The function.
            arguments: The fingerprint of each argument, including the captured ones.
            first: The places of the results to compute before the others, in this order.

        Raises:
            FingerprintError: There is no such function, or it takes other arguments.
        """
        results, effects = self.results(name, arguments, {}, first)
        found = {str(place): self.whole([each]) for place, each in enumerate(results)}
        return Computation(found, effects)

    @staticmethod
    def leaf(kind: str, label: str) -> bytes:
        """Return the fingerprint of a leaf, such as the ``feed`` called ``x``."""
        return digest(kind.encode(), label.encode("utf-8", "surrogatepass"))

    def results(
        self, name: str, arguments: Sequence[bytes], met: Met, first: Sequence[int] = ()
    ) -> tuple[list[bytes], frozenset[bytes]]:
        """Return the fingerprints of the results of a call of a function, and of its effects.

        Args:
            name: The function.
            arguments: The fingerprint of each argument.
            met: The nodes with effects that the question has visited before.
            first: As for ``function``.

        Raises:
            FingerprintError: There is no such function, or it takes other arguments.
        """
        self._begin(met)
        body, scope = self._body(name), self._bound(name, arguments)
        found, _, effects = self._ran(name, scope, body.control_results, first=first)
        self._recursive = False
        if body.is_compiled:
            found = tuple(digest(b"compiled", each) for each in found)
            effects = frozenset(digest(b"compiled", e[:_SIZE]) + e[_SIZE:] for e in effects)
        return list(found), effects

    def tensors(
        self,
        names: Sequence[str],
        feeds: Mapping[str, str],
        bound: Mapping[str, bytes],
        inside: InnerFeeds,
        met: Met,
    ) -> tuple[list[bytes], frozenset[bytes]]:
        """Return the fingerprints of tensors of the main graph, and of the effects of calls.

        Args:
            names: Their full names.
            feeds: As for ``main``.
            bound: As for ``main``.
            inside: Tensors inside functions that are fed, too. Nodes that only they need do not
                count.
            met: The nodes with effects that the question has visited before.

        Raises:
            FingerprintError: The graph refers to a node or function that is missing.
        """
        self._begin(met)
        scope = self._fed(feeds, bound)
        self._place(scope, inside)
        found = self._tensors(scope, map(main_source, names))
        return found, scope.effects

    @staticmethod
    def whole(tensors: Sequence[bytes]) -> bytes:
        """Return the fingerprint of an output from the fingerprints of its tensors."""
        return digest(b"tensor", *tensors)

    def tensor(self, name: str) -> bytes:
        """Return the fingerprint of one tensor of the main graph if nothing is fed."""
        self._begin({})
        return self._tensors(self._fed({}, {}), [main_source(name)])[0]

    def _begin(self, met: Met) -> None:
        self._met, self._work = met, 0

    def _fed(self, feeds: Mapping[str, str], bound: Mapping[str, bytes]) -> Scope:
        """Return the main graph, with the fed tensors as leaves."""
        leaves = {name: self.leaf("feed", label) for name, label in feeds.items()}
        leaves.update(bound)
        body = MainBody(self._graph, self._library, self._main, frozenset(leaves))
        return Scope(body, leaves)

    def _tensors(self, scope: Scope, sources: Iterable[Source]) -> list[bytes]:
        wanted = list(sources)
        self._compute(scope, [each.node for each in wanted if scope.leaf(each) is None])
        return [scope.value(each) for each in wanted]

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
        waits = scope.waits(parts)
        if parts.op == "NoOp":
            return Value(digest(b"wait", *sorted(waits)), None, waits)
        given = tuple(scope.value(each) for each in scope.inputs(name, parts))
        if parts.function:
            inside = scope.inside.get(name)
            if inside is None:
                called = self._call(parts.function, given, scope, name)
            else:
                called = self._call_fed(parts, inside, given)
            outside = partial(self._returned, parts, after(waits))
            results, awaited, effects = called
            awaited = frozenset(map(outside, awaited))
            scope.ran[name] = [outside(each[:_SIZE]) + each[_SIZE:] for each in effects]
            scope.awaited.update(awaited)
            return Value(b"", tuple(map(outside, results)), awaited)
        own = digest(*self._head(parts), b"(", *given, b")", *sorted(waits))
        if parts.has_effects:
            own = self._run(own)
            scope.ran[name] = [own]
        if parts.has_effects or parts.op in READS:
            scope.awaited.add(own)
        return Value(own, None, frozenset() if parts.is_source else frozenset({own}))

    def _run(self, own: bytes) -> bytes:
        """Return the fingerprint of a node with effects: another one for each of several."""
        number = self._met[own] = self._met.get(own, 0) + 1
        self._runs += 1
        return own if number == 1 else digest(b"again", own, b"%d" % number)

    def _returned(self, parts: Parts, behind: bytes, result: bytes) -> bytes:
        """Return the fingerprint that a tensor of a called function has outside the call."""
        if parts.is_compiled or self._body(parts.function).is_compiled:
            result = digest(b"compiled", result)
        result = with_given(parts, result)
        return digest(b"after", result, behind) if behind else result

    def _head(self, parts: Parts) -> list[bytes]:
        functions = [self._function(each) for each in parts.functions]
        return [parts.op.encode(), parts.attributes, parts.identity.encode(), *functions]

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
                scope.value(source)
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
        digests = refined(scope, parts, fixed)
        runs = {name: self._run(digests[name]) for name in parts if parts[name].has_effects}
        if any(digests[name] != run for name, run in runs.items()):
            digests = refined(scope, parts, fixed | runs)
        cycle = digest(*sorted(set(digests.values())))
        for name in component:
            own = digest(b"loop", digests[name], cycle)
            results = None
            if parts[name].function:
                count = self._body(parts[name].function).result_count
                results = tuple(digest(own, b"%d" % place) for place in range(count))
            if name in runs:
                scope.ran[name] = [own]
                scope.awaited.add(own)
            scope.values[name] = Value(own, results, frozenset({own}))

    def _call(
        self, name: str, given: tuple[bytes, ...], caller: Scope | None = None, node: str = ""
    ) -> _Called:
        """Return the fingerprints of a called function; ``node`` of the caller calls it."""
        asked = [] if caller is None else caller.asked.get(node, [])
        known = None if asked else self._called.get((name, given))
        if known is not None:
            return known
        body = self._body(name)
        if name in self._active:
            self._recursive = True
            distance = b"%d" % (len(self._active) - self._active.index(name))
            head = digest(b"recursion", distance, *given)
            results = tuple(digest(head, b"%d" % place) for place in range(body.result_count))
            return results, frozenset({head}), frozenset({head})
        runs = self._runs
        scope = self._bound(name, given)
        if caller is not None:
            caller.called[node] = scope
        for calls, tensor in asked:
            if calls:
                scope.asked.setdefault(calls[0], []).append((calls[1:], tensor))
        more = [calls[0] if calls else op_of(tensor) for calls, tensor in asked]
        found = self._ran(name, scope, body.control_results, more)
        # A result that refers to an enclosing call is valid only in that call.
        if self._recursive:
            self._recursive = bool(self._active)
        elif runs == self._runs and not asked:  # else the next call runs these nodes again
            self._called[name, given] = found
        return found

    def _ran(
        self,
        name: str,
        scope: Scope,
        controls: Sequence[str],
        more: Sequence[str] = (),
        first: Sequence[int] = (),
    ) -> _Called:
        """Return the fingerprints of a function that runs, as those of a copy that yields more."""
        self._active.append(name)
        try:
            results = self._body(name).results
            self._tensors(scope, [results[place] for place in first if place < len(results)])
            found = tuple(self._tensors(scope, results))
            self._compute(scope, [*more, *controls])
        finally:
            self._active.pop()
        awaited = scope.awaited.union(*(scope.values[each].effects for each in controls))
        # The others run for a result, not by ``control_ret``, through any number of functions.
        kept = scope.effects_of(before(scope, controls) if scope.ran else ())
        others = {each[:_SIZE] + _FOR_A_RESULT for each in scope.effects - kept}
        return found, frozenset(awaited), kept | others

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
            nodes, _ = needed(self._opened(parts.function, deeper), body)
            taken = (n for n, name in enumerate(body.arguments) if name in nodes)
            scope.taken[call] = frozenset(taken)

    def _opened(self, function: str, inside: InnerFeeds) -> Scope:
        """Return a function in which tensors are fed; its arguments are leaves."""
        arguments = self._body(function).arguments
        scope = self._bound(function, [digest(b"not needed")] * len(arguments))
        self._place(scope, inside)
        return scope

    def _call_fed(self, parts: Parts, inside: InnerFeeds, given: Sequence[bytes]) -> _Called:
        """Return the same as ``_call`` if tensors inside the function are fed."""
        if len(self._active) >= _DEEPEST or parts.function in self._active:
            raise FingerprintError(f"the function {parts.function!r} calls itself")
        opened = self._opened(parts.function, inside)
        body = self._body(parts.function)
        self._bound(parts.function, [b""] * len(parts.inputs))  # refuses another number of them
        nodes, controls = needed(opened, body)
        opened.leaves = dict(zip(filter(nodes.__contains__, body.arguments), given, strict=True))
        return self._ran(parts.function, opened, controls)

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
        met, runs, self._met = self._met, self._runs, {}
        results, awaited, effects = self._call(name, given)
        self._met, self._runs = met, runs
        kind = b"compiled function" if self._body(name).is_compiled else b"function"
        whole = digest(kind, b"%d" % len(given), *results, b"effects", *sorted(awaited | effects))
        if not self._recursive:
            self._whole[name] = whole
        return whole

    def _body(self, name: str) -> FunctionBody:
        if name not in self._bodies:
            if name not in self._library:
                raise FingerprintError(f"the model does not have the function {name!r}")
            self._bodies[name] = FunctionBody(name, self._library)
        return self._bodies[name]
