"""Inputs that an edit drops although a node of the main graph takes them.

In a TensorFlow 2 export the main graph calls a function with all inputs of the signature. If none
of its results depends on an input, a new call of the function gets zeros instead, and the old call
stays. Otherwise the edit is refused, and the error names the outputs that need the input.

Sources: ``tensorflow/core/graph/subgraph.cc`` (a node runs with all of its inputs),
``tensorflow/core/common_runtime/function_utils.cc`` (``PruneFunctionGraph``: nodes that no result
and no effect needs do not run).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from smpatch import dtypes
from smpatch.display import quoted
from smpatch.errors import UnreachableOutputError
from smpatch.functions.calls import fresh_name, zeros
from smpatch.graph.bodies import FingerprintError
from smpatch.graph.index import CALLS, full, op_of
from smpatch.graph.reach import reach
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import Addition
from smpatch.signature import SignatureDef, Spec, TensorSpec, names_of
from smpatch.tensor_syntax import understood

_MOST_ELEMENTS = 4
"""The most elements of a value that a hint writes out."""


def missed(
    meta_graph: MetaGraph, dropped: Iterable[str], old: SignatureDef, signature: SignatureDef
) -> tuple[str, ...]:
    """Return the dropped inputs with a placeholder that TensorFlow still needs to run the outputs.

    Args:
        meta_graph: The MetaGraph, which has all tensors of the signature.
        dropped: The inputs that are dropped.
        old: The signature before the edit.
        signature: The signature after it.
    """
    walk = reach(meta_graph.graph, names_of(signature.outputs.values()), _fed(signature))
    unfed = {path[-1] for path in walk.unfed}
    return tuple(
        alias
        for alias in dict.fromkeys(dropped)
        if any(op_of(tensor.name) in unfed for tensor in old.inputs[alias].tensors())
    )


def without(
    meta_graph: MetaGraph, aliases: Sequence[str], old: SignatureDef, signature: SignatureDef
) -> tuple[MetaGraph, Mapping[str, str]]:
    """Add new calls of functions, with zeros in place of inputs on which no result depends.

    ``aliases`` are the inputs that are dropped; ``old`` is the signature before the edit.

    Returns:
        The MetaGraph with the new calls, and each tensor of an old call to the tensor of the new
        call; no tensors if this cannot be done.
    """
    graph, resolver = meta_graph.graph, meta_graph.resolver()
    specs = [resolver.resolve(name).spec for name in names_of(old.inputs[a] for a in aliases)]
    taken: set[str] = set()
    constants = {spec.name: fresh_name(f"{op_of(spec.name)}_zeros", graph, taken) for spec in specs}
    nodes = [zeros(constants[spec.name], spec) for spec in specs]
    moved: dict[str, str] = {}
    for caller in dict.fromkeys(map(op_of, names_of(signature.outputs.values()))):
        given = graph.wiring(caller).inputs
        if graph.wiring(caller).op not in CALLS or constants.keys().isdisjoint(map(full, given)):
            continue
        node = graph.node(caller).message()
        count = len(node.attr["Tout"].list.type)
        results = {str(place): [f"{caller}:{place}"] for place in range(count)}
        try:
            if _dependent(meta_graph, specs, _fed(old) | _fed(signature), results):
                return meta_graph, {}
        except FingerprintError:
            return meta_graph, {}
        node.name = fresh_name(node.op, graph, taken)
        node.input[:] = [constants.get(full(source), source) for source in given]
        nodes.append(node)
        moved |= {f"{caller}:{place}": f"{node.name}:{place}" for place in range(count)}
    if not moved:
        return meta_graph, {}
    serialized = tuple(node.SerializeToString(deterministic=True) for node in nodes)
    extended = Draft.of(meta_graph.parts).appended(Addition(nodes=serialized))
    return meta_graph.with_parts(extended), moved


def refusal(
    meta_graph: MetaGraph, key: str, alias: str, old: SignatureDef, signature: SignatureDef
) -> UnreachableOutputError:
    """Return the error for an input that cannot be dropped.

    ``old`` is the signature before the edit, and ``signature`` that after it.
    """
    spec = old.inputs[alias]
    outputs = {key: names_of([each]) for key, each in signature.outputs.items()}
    try:
        needing = _dependent(meta_graph, [spec], _fed(old) | _fed(signature), outputs)
    except FingerprintError:
        needing = _needing(list(outputs))
    hint = "keep it"
    can_bind = meta_graph.parts.can_change_graph and understood(alias, "x")
    if isinstance(spec, TensorSpec) and can_bind:
        shape = spec.shape
        others = (each for name, each in old.inputs.items() if name != alias)
        if shape and shape[0] is None and any(map(_is_open, others)):
            shape = shape[1:]  # the constant has as many rows as the others
        zero = f"{alias}={_zero(replace(spec, shape=shape))}"
        source = quoted(key)
        constant = f"--signature NEW --bind {quoted(zero)}"
        hint += f", or make it a constant: smpatch compose --from-signature {source} {constant}"
    if needing:
        found = f"{needing} it"
        hint += "; add-predict makes a signature of outputs that do not need it"
    else:
        found = "no output depends on it, but the function that computes them takes it"
    return UnreachableOutputError(found, where=f"input {alias!r}", hint=hint)


def _dependent(
    meta_graph: MetaGraph,
    inputs: Sequence[Spec],
    fed: Iterable[str],
    outputs: Mapping[str, Sequence[str]],
) -> str:
    """Return the outputs that depend on some inputs, in words such as ``the output 'y' needs``.

    Raises:
        FingerprintError: The graph refers to a node or function that is missing.
    """
    feeds = {name: f"kept {name}" for name in fed}
    once, again = (
        meta_graph.fingerprints.main({**feeds, **dict.fromkeys(names_of(inputs), label)}, outputs)
        for label in ("dropped", "dropped as well")
    )
    names = [alias for alias in outputs if once.outputs[alias] != again.outputs[alias]]
    if names or once.effects == again.effects:
        return _needing(names)
    return "an effect such as an assignment needs"


def _needing(outputs: Sequence[str]) -> str:
    if not outputs:
        return ""
    named = ", ".join(map(repr, outputs))
    return f"the outputs {named} need" if len(outputs) > 1 else f"the output {named} needs"


def _is_open(spec: Spec) -> bool:
    return isinstance(spec, TensorSpec) and (spec.shape or (0,))[0] is None


def _zero(spec: TensorSpec) -> str:
    """Return zeros for an input in the form of ``--bind``; ``VALUE`` if they are long or none."""
    base = dtypes.base(spec.dtype)
    value: object = {"bool": False, "string": ""}.get(base, 0.0 if "float" in base else 0)
    count = 1
    for size in reversed(spec.shape or ()):
        count *= size or 1
        if count > _MOST_ELEMENTS or size == 0:
            return "VALUE"
        value = [value] * (size or 1)
    return json.dumps(value, separators=(",", ":"))


def _fed(signature: SignatureDef) -> set[str]:
    return set(names_of(signature.inputs.values()))
