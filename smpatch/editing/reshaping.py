"""New shapes of a signature's tensors, also shapes that are wider than those of the graph.

An output may promise less than the graph: a dimension is open in the signature and fixed in the
graph. An input may take less than the graph takes. If an input must take more, this module opens
the placeholder, and ``validator.wider`` runs the model with other sizes before the commit.

Sources: ``tensorflow/python/client/session.py`` (a session compares a value that is fed with the
placeholder's shape), ``tensorflow/core/ops/array_ops.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from smpatch import schema
from smpatch.builder import Built, Tensors, Wider
from smpatch.errors import AliasError, RefusedError, TensorNotFoundError
from smpatch.graph.index import full, op_of
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.savedmodel.draft import Draft
from smpatch.signature import (
    Shape,
    SignatureDef,
    TensorSpec,
    compatible,
    names_of,
    shape_from_proto,
    shape_proto,
    shape_text,
)

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})


def reshape(
    meta_graph: MetaGraph,
    shapes: Mapping[str, Shape],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    tensors: Tensors,
) -> tuple[dict[str, Wider], list[Note]]:
    """Set the shapes that a signature promises, unless the graph contradicts them.

    Args:
        meta_graph: The MetaGraph.
        shapes: Alias, or ``inputs.x`` and ``outputs.x``, to shape.
        inputs: Alias to ``TensorInfo``; changed here.
        outputs: The same for the outputs; changed here.
        tensors: The tensors of the graph.

    Returns:
        Alias to the shapes of each input that must take more than the graph takes, and notes.

    Raises:
        RefusedError: There is no such input or output, or the graph contradicts.
    """
    wider: dict[str, Wider] = {}
    notes: list[Note] = []
    for name, shape in shapes.items():
        there, alias = _meant(name, inputs, outputs)
        where = f"shape of {name!r}"
        info = there[alias]
        if info.WhichOneof("encoding") != "name":
            raise RefusedError("it is a sparse or composite tensor", where=where)
        own = tensors.spec(info.name, where)
        known = isinstance(own, TensorSpec) and own.name not in tensors.unknown_shapes
        graph = own.shape if isinstance(own, TensorSpec) and known else None
        is_placeholder = there is inputs and _is_placeholder(meta_graph, info.name)
        if is_placeholder:
            # From the file, because TensorFlow may have inferred a shape of the open placeholder.
            resolved = meta_graph.resolver().resolve(info.name)
            known, graph = resolved.shape_known, resolved.spec.shape
        if graph is not None and shape is not None and not compatible(shape, graph):
            found = f"the graph has {shape_text(graph)}, which {shape_text(shape)} contradicts"
            raise RefusedError(found, where=where, hint="-1 leaves a dimension open")
        there[alias] = _reshaped(info, shape)
        if not known or shape == graph:
            continue
        if there is inputs and _is_wider(shape, graph):
            wider[alias] = Wider(graph, shape)
            notes += _shared(meta_graph, info.name, name)
            if is_placeholder and not meta_graph.parts.can_change_graph:
                notes.append(_stays(name, graph))
        else:
            notes.append(_note(name, shape, graph, is_input=there is inputs))
    return wider, notes


def _is_wider(shape: Shape, graph: Shape) -> bool:
    """Return whether a shape leaves a dimension open that another one fixes."""
    if graph is None:
        return False
    pairs = zip(shape or (), graph, strict=False)
    return shape is None or any(a is None and b is not None for a, b in pairs)


def _note(name: str, shape: Shape, graph: Shape, *, is_input: bool) -> Note:
    narrower = not _is_wider(shape, graph)
    said = f"{name!r}: the graph has {shape_text(graph)}"
    if is_input:
        text = f"{said}; the signature asks clients for {shape_text(shape)}"
    elif narrower:
        text = f"{said}; only the signature promises {shape_text(shape)}"
    else:
        text = f"{said}; the signature promises less: {shape_text(shape)}"
    return Note("narrowed-shape" if narrower else "relaxed-shape", text)


def _stays(name: str, graph: Shape) -> Note:
    text = (
        f"{name!r}: the graph in saved_model.pbtxt is not changed, and its placeholder keeps "
        f"{shape_text(graph)}; servers and the C runtime take the wider shape, and sessions of "
        "TensorFlow 1 in Python refuse it"
    )
    return Note("placeholder-unchanged", text)


def _shared(meta_graph: MetaGraph, tensor: str, name: str) -> Iterator[Note]:
    """Report signatures that feed the same placeholder: it takes the wider shape for all."""
    others = [
        key
        for key, each in meta_graph.signatures.items()
        if full(tensor) in names_of(each.inputs.values())
    ]
    if len(others) > 1:
        text = f"{name!r}: the signatures {', '.join(map(repr, others))} feed the same {tensor}"
        yield Note("shared-placeholder", f"{text}, which takes the wider shape for all of them")


def _is_placeholder(meta_graph: MetaGraph, tensor: str) -> bool:
    op = op_of(tensor)
    return op in meta_graph.graph and meta_graph.graph.wiring(op).op in _PLACEHOLDERS


def widened(
    meta_graph: MetaGraph, signature: SignatureDef, wider: Mapping[str, Wider]
) -> MetaGraph:
    """Open the placeholders of inputs that must take more than the graph takes.

    The graph of a model in text form cannot be changed: its placeholders stay as they are, and
    ``reshape`` returns a note on this.
    """
    nodes: dict[str, bytes] = {}
    for alias in wider:
        spec = signature.inputs[alias]
        if isinstance(spec, TensorSpec) and _is_placeholder(meta_graph, spec.name):
            op = op_of(spec.name)
            node = meta_graph.graph.node(op).message()
            if _opened(node, wider[alias].shape):
                nodes[op] = bytes(node.SerializeToString(deterministic=True))
    if not nodes or not meta_graph.parts.can_change_graph:
        return meta_graph
    return meta_graph.with_parts(Draft.of(meta_graph.parts).rewritten(nodes))


def still_wider(before: Mapping[str, Built], now: Mapping[str, Built]) -> dict[str, Built]:
    """Return the signatures after an edit, with the wider inputs that edits before it asked for.

    If no signature has such an input of its own any more, all that feed the same tensor have it.

    ``before`` and ``now`` have the signatures that were built, by key.
    """
    made = dict(now)
    for key, old in before.items():
        opened = _wider_tensors(old)
        if opened and key in made:
            made[key] = _with_wider(made[key], opened)
        there = {name for each in made.values() for name in _wider_tensors(each)}
        left = {name: graph for name, graph in opened.items() if name not in there}
        if left:
            made = {other: _with_wider(each, left) for other, each in made.items()}
    return made


def _wider_tensors(built: Built) -> dict[str, Shape]:
    """Return tensor to its shape in the graph, for the inputs that must take more."""
    specs = ((built.signature.inputs[alias], each) for alias, each in built.wider.items())
    return {spec.name: each.graph for spec, each in specs if isinstance(spec, TensorSpec)}


def _with_wider(built: Built, graphs: Mapping[str, Shape]) -> Built:
    more = {
        alias: Wider(graphs[spec.name], spec.shape)
        for alias, spec in built.signature.inputs.items()
        if isinstance(spec, TensorSpec)
        and spec.name in graphs
        and _is_wider(spec.shape, graphs[spec.name])
    }
    return replace(built, wider={**built.wider, **more}) if more else built


def _opened(node: Any, shape: Shape) -> bool:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Open the dimensions of a placeholder that a shape leaves open; return whether any changed."""
    described = []
    if "shape" in node.attr:
        described.append(node.attr["shape"].shape)
    if "_output_shapes" in node.attr:
        described += node.attr["_output_shapes"].list.shape[:1]
    changed = False
    for each in described:
        old = shape_from_proto(each)
        if compatible(shape, old) and _is_wider(shape, old):
            changed = True
            if shape is None:
                each.CopyFrom(shape_proto(None))
            else:
                for dim, size in zip(each.dim, shape, strict=True):
                    dim.size = -1 if size is None else dim.size
    return changed


def _reshaped(info: Any, shape: Shape) -> Any:  # noqa: ANN401 - as above
    """Return a tensor with another shape; dimensions that stay keep their names."""
    copy = schema.TensorInfo()
    copy.CopyFrom(info)
    old, new = copy.tensor_shape, shape_proto(shape)
    if shape and len(old.dim) == len(new.dim):
        for dim, wanted in zip(old.dim, new.dim, strict=True):
            dim.size = wanted.size
    else:
        old.CopyFrom(new)
    return copy


def _meant(
    name: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Return the map that has the alias, and the alias without ``inputs.`` or ``outputs.``."""
    places = [each for each in (inputs, outputs) if name in each]
    if len(places) == 1:
        return places[0], name
    if places:
        hint = f"write inputs.{name} or outputs.{name}"
        raise AliasError("it is an input and an output", where=f"shape of {name!r}", hint=hint)
    kind, _, alias = name.partition(".")
    there = {"inputs": inputs, "outputs": outputs}.get(kind, {})
    if alias in there:
        return there, alias
    hint = nearest(name, [*inputs, *outputs]) or f"it has {', '.join([*inputs, *outputs])}"
    raise TensorNotFoundError("no such input or output", where=f"shape of {name!r}", hint=hint)
