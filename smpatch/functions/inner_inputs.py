"""Signatures in which tensors between their inputs and outputs become inputs.

A tensor of the main graph can be fed as it is. For a tensor inside a function, the functions on the
way are copied (``opening``), and a new node of the main graph calls the copy.

The results of a function stay. The nodes that run with a call (``control_ret``) stay, too, unless
the tensor depends on them. If only the tensor depends on a node, the node is not computed, and no
node waits for it. An input that other nodes need must still be fed.

This module does not add the signature to the MetaGraph.

Source: ``tensorflow/core/framework/function.proto``, ``tensorflow/core/ops/functional_ops.cc``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from smpatch import dtypes
from smpatch.errors import AliasError, TensorUnservableError
from smpatch.functions.calls import check_call, function_of, named
from smpatch.functions.inner_tensors import Inner, find_inner, inferred, is_inner
from smpatch.functions.open_sizes import is_wider, with_open_sizes
from smpatch.functions.opening import Opening, tensor_of, unread
from smpatch.functions.shape_inference import Infer, Place, shapes
from smpatch.graph.index import CALLS, GraphIndex, full, op_of
from smpatch.graph.reach import conditional, in_frame
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, TensorSpec, names_of

_DEEPEST = 100
"""The most nested calls; no model has more."""


@dataclass(frozen=True, slots=True)
class Start:
    """A tensor that becomes an input.

    Attributes:
        spec: Its name, dtype and shape; inside a function ``node:index``.
        inner: Its place inside functions; None for a tensor of the main graph.
    """

    spec: TensorSpec
    inner: Inner | None = None


class Opened(NamedTuple):
    """A signature in which tensors have become inputs.

    Attributes:
        meta_graph: The MetaGraph with the nodes and functions that it needs.
        source: The signature, which no MetaGraph has.
        nodes: The nodes that were added, ``NodeDef`` messages.
        functions: The functions that were added, serialized.
    """

    meta_graph: MetaGraph
    source: SignatureDef
    nodes: tuple[Any, ...] = ()
    functions: tuple[bytes, ...] = ()


def starts(
    meta_graph: MetaGraph, key: str, wanted: Mapping[str, str], infer: Infer | None = None
) -> dict[str, Start]:
    """Return the tensors that become inputs, by alias.

    Args:
        meta_graph: The MetaGraph.
        key: The signature.
        wanted: The names of tensors of the main graph or of inner tensors, by alias.
        infer: Asks TensorFlow for shapes; None leaves shapes unknown that the file does not have.

    Raises:
        RefusedError: There is no such tensor, it is ambiguous, or it cannot be fed.
    """
    wider = is_wider(meta_graph, meta_graph.signatures[key])
    found: dict[str, Start] = {}
    for alias, name in wanted.items():
        where = f"input {alias!r}"
        if is_inner(meta_graph, name):
            inner = find_inner(meta_graph, key, name, asked=infer is not None, what=where)
            inner = _origin(meta_graph, inner)
            if infer is not None:
                (inner,) = inferred(meta_graph, [inner], infer)
            start = Start(inner.spec, inner)
        else:
            resolved = meta_graph.resolver().resolve(name)
            spec = resolved.spec
            _check_place(meta_graph.graph, spec.name, where)
            if not resolved.shape_known and infer is not None:
                op, _, output = spec.name.rpartition(":")
                (shape,) = shapes(meta_graph, [Place((), op, int(output))], infer)
                spec = replace(spec, shape=shape)
            start = Start(replace(spec, dtype=dtypes.base(spec.dtype)))
        if dtypes.base(start.spec.dtype) in dtypes.UNSERVABLE:
            words = f"{start.spec.name} is a {start.spec.dtype} handle, which cannot be fed"
            raise TensorUnservableError(words, where=where)
        found[alias] = replace(start, spec=with_open_sizes(start.spec)) if wider else start
    return found


def _check_place(graph: GraphIndex, tensor: str, where: str) -> None:
    """Refuse a tensor inside a loop or a branch: fed, it has a value in every run."""
    door = in_frame(graph, tensor)
    if door is not None:
        found = f"{tensor} lies inside the while loop that {door!r} enters"
        hint = "name a tensor before or after the loop, such as its Exit"
        raise TensorUnservableError(found, where=where, hint=hint)
    switch = conditional(graph, tensor)
    if switch is not None:
        found = f"{tensor} lies inside the branch of the conditional at {switch!r}"
        hint = "name a tensor before or after the conditional, such as its Merge"
        raise TensorUnservableError(found, where=where, hint=hint)


def _origin(meta_graph: MetaGraph, inner: Inner) -> Inner:
    """Return the tensor inside a called function, if a tensor is a result of the call.

    A call cannot lose a result; a function can lose the nodes that only a tensor inside needs.
    """
    library = meta_graph.functions
    for _ in range(len(inner.calls), _DEEPEST):
        op, _, output = inner.spec.name.rpartition(":")
        if inner.op not in CALLS:
            break
        node_of_call = named(library[inner.function], op)
        name = function_of(node_of_call)
        if name not in library:
            break
        body = library[name]
        check_call(node_of_call, body)
        node, colon, rest = tensor_of(
            body.ret.get(body.signature.output_arg[int(output)].name, "")
        ).partition(":")
        if not colon:  # an argument that is passed on
            break
        yielding = named(body, node)
        places = [f"{each.arg}:{each.index}" for each in library.outputs(yielding) or ()]
        if rest not in places:
            break
        spec = replace(inner.spec, name=f"{node}:{places.index(rest)}")
        inner = Inner((*inner.calls, op), name, str(yielding.op), spec, rest)
    return inner


def opened(
    meta_graph: MetaGraph, key: str, source: SignatureDef, found: Mapping[str, Start], prefix: str
) -> Opened:
    """Return a signature in which the found tensors are inputs.

    Args:
        meta_graph: The MetaGraph.
        key: The key of the signature, for errors.
        source: The signature.
        found: The tensors by alias.
        prefix: The beginning of the names of new nodes.

    Raises:
        RefusedError: No output depends on one of them, or an input that is still needed has the
            alias.
    """
    inner = {alias: each.inner for alias, each in found.items() if each.inner is not None}
    fed = {alias: full(each.spec.name) for alias, each in found.items() if each.inner is None}
    given = set(map(full, names_of(source.inputs.values())))
    _, computed = _walked(meta_graph.graph, source, given | {*fed.values()})
    # tf.saved_model.load takes no input that is one of several outputs of a node that runs.
    placed = {alias: tensor for alias, tensor in fed.items() if op_of(tensor) in computed}
    nodes: list[Any] = []
    functions: list[bytes] = []
    if inner or placed:
        specs = {alias: each.spec for alias, each in found.items()}
        opening = Opening(meta_graph, prefix, specs, keep_shapes=not is_wider(meta_graph, source))
        fed |= opening.put(inner, placed)
        meta_graph, source = opening.joined(source, given | {*fed.values()})
        nodes, functions = opening.nodes, opening.functions
    used, _ = _walked(meta_graph.graph, source, given | {*fed.values()})
    inputs = {
        alias: spec
        for alias, spec in source.inputs.items()
        if not used.isdisjoint(map(full, names_of([spec])))
    }
    for alias, tensor in fed.items():
        if tensor not in used:
            raise unread(alias, found[alias].spec)
        if alias in inputs:
            words = f"the signature {key!r} has an input of that name, which is still needed"
            raise AliasError(words, where=f"input {alias!r}", hint="choose another alias")
    defaults = {alias: value for alias, value in source.defaults.items() if alias in inputs}
    inputs |= {alias: replace(found[alias].spec, name=tensor) for alias, tensor in fed.items()}
    source = replace(source, inputs=inputs, defaults=defaults)
    return Opened(meta_graph, source, tuple(nodes), tuple(functions))


def _walked(
    graph: GraphIndex, source: SignatureDef, given: Collection[str]
) -> tuple[set[str], set[str]]:
    """Return the fed tensors that outputs need, and the nodes that run."""
    used: set[str] = set()
    seen: set[str] = set()
    waiting = [*map(full, names_of(source.outputs.values()))]
    while waiting:
        tensor = waiting.pop()
        if tensor in given:
            used.add(tensor)
            continue
        name = op_of(tensor)
        if name not in seen and name in graph:
            seen.add(name)
            waiting += map(full, graph.wiring(name).inputs)
    return used, seen
