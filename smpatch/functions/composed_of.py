"""The parts of the composed signatures of a model, as far as the model shows them.

``compose`` appends nodes after the function library, where TensorFlow writes none. Their names
have these forms (``functions/joining.py``, ``functions/binding.py``):

    KEY_before/NAME   a call of a function before the signature
    KEY/bound/INPUT   the value of an input
    KEY/NODE          a copy of the node NODE, which depends on a replaced input
    KEY_after/NAME    a call of a function after it

``KEY`` is the key that the signature had first. The arguments of recipes, and the files, are not in
a model. A tool that writes a new graph, or renames nodes, removes all of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smpatch.graph.index import CALLS, op_of
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, names_of

_CALL = re.compile(r"[^/]+_(before|after)(?:_\d+)?/([^/]+?)(?:_\d+)?")
_BOUND = re.compile(r"[^/]+/bound/([^/]+)")
_COPY = re.compile(r"[^/]+/(.+)")


@dataclass(frozen=True, slots=True)
class ComposedOf:
    """The parts of a composed signature.

    Attributes:
        before: The names of the functions before it, in the order in which they run.
        signatures: The keys of the signatures that it is made of, or that have the same outputs.
            Empty if none is left.
        bound: The inputs that are constants.
        after: The names of the functions after it, in the order in which they run.
    """

    before: tuple[str, ...]
    signatures: tuple[str, ...]
    bound: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        """Return the parts in one line."""
        parts = {
            "before": self.before,
            "signature": self.signatures or ("none is left",),
            "bound": self.bound,
            "after": self.after,
        }
        return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in parts.items() if names)


def compositions(meta_graph: MetaGraph) -> dict[str, ComposedOf]:
    """Return the composed signatures of a MetaGraph, by key."""
    named = {key: _ops(each) for key, each in meta_graph.signatures.items()}
    # The outputs of a composed signature are copies, or results of functions.
    if not any("/" in op for ops in named.values() for op in ops):
        return {}
    appended = dict.fromkeys(meta_graph.parts.appended_nodes)
    found = {key: _composed_of(meta_graph, key, named, appended) for key in named}
    return {key: each for key, each in found.items() if each is not None}


def is_composed(name: str) -> bool:
    """Return whether an appended node has the name of a value or of a call of a function."""
    return _CALL.fullmatch(name) is not None or _BOUND.match(name) is not None


def _composed_of(
    meta_graph: MetaGraph,
    key: str,
    named: Mapping[str, frozenset[str]],
    appended: Mapping[str, None],
) -> ComposedOf | None:
    graph = meta_graph.graph
    own = _own(meta_graph, named[key], appended)
    reached: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    continued: set[str] = set()  # the nodes that the functions after it read
    waiting = [(name, True) for name in named[key]]
    while waiting:
        name, at_end = place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        call = _CALL.fullmatch(name)
        still = at_end and name in own and call is not None and call[1] == "after"
        if at_end and not still:
            copy = _COPY.fullmatch(name) if name in own else None
            continued.add(copy[1] if copy is not None and copy[1] in graph else name)
        if name in own:
            reached.add(name)
            waiting += [(op_of(each), still) for each in graph.wiring(name).inputs]
    calls: dict[str, list[str]] = {"before": [], "after": []}
    bound: list[str] = []
    for name in appended:
        if name in reached:
            op, call, value = graph.wiring(name).op, _CALL.fullmatch(name), _BOUND.fullmatch(name)
            if call is not None and op in CALLS:
                calls[call[1]].append(call[2])
            elif value is not None and op == "Const":
                bound.append(value[1])
    if not (calls["before"] or calls["after"] or bound):
        return None
    signature = meta_graph.signatures[key]
    fed = set(map(op_of, names_of(signature.inputs.values())))
    sources = [
        other for other, ops in named.items() if other != key and ops <= continued <= ops | fed
    ]
    inputs = [alias for each in sources for alias in meta_graph.signatures[each].inputs]
    parts = calls["before"], sources, _aliases(bound, inputs), calls["after"]
    return ComposedOf(*map(tuple, parts))


def _own(
    meta_graph: MetaGraph, outputs: frozenset[str], appended: Mapping[str, None]
) -> frozenset[str]:
    """Return the nodes that were appended together with the last one that outputs need."""
    reached: set[str] = set()
    waiting = [each for each in outputs if each in appended]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            sources = map(op_of, meta_graph.graph.wiring(name).inputs)
            waiting += [each for each in sources if each in appended]
    stems = {name: _stem(name) for name in appended if name in reached and "/" in name}
    if not stems:
        return frozenset()
    last = [*stems.values()][-1]
    numbered = re.compile(rf"{re.escape(last)}_\d+")
    return frozenset(
        name
        for name, stem in stems.items()
        if stem == last or numbered.fullmatch(stem) or re.fullmatch(rf"{re.escape(stem)}_\d+", last)
    )


def _stem(name: str) -> str:
    top = name.partition("/")[0]
    return re.sub(r"_(before|after)(_\d+)?$", "", top)


def _ops(signature: SignatureDef) -> frozenset[str]:
    return frozenset(map(op_of, names_of(signature.outputs.values())))


def _aliases(names: Iterable[str], inputs: Iterable[str]) -> list[str]:
    """Return the aliases of inputs from the forms that these have in the names of nodes."""
    written = {re.sub(r"[^A-Za-z0-9_.]", "_", alias): alias for alias in inputs}
    return [written.get(name, name) for name in names]
