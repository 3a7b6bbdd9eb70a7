"""The edits of a list whose result a model has already.

A list is done again in memory, on the present model, without the renames, removals and changes of
aliases that the model already has. If the result equals the present model, nothing is left to do.
Signatures are compared by their specs and by the structural fingerprints of their outputs, in both
halves of an export.

This module writes nothing. If it cannot prove that an edit was applied, the edit counts as not
applied: it is then done, or refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from smpatch.builder import Inferred
from smpatch.editing.edit import Context, Edit, MetaGraphEdit, Repetition
from smpatch.editing.sequence import exclude_each_other, perform
from smpatch.errors import SmpatchError, TagSetError
from smpatch.fragments import Trace
from smpatch.functions.compare import disagreements
from smpatch.loader import MetaGraph, SavedModel
from smpatch.proof.sameness import python_computation, signature_computation
from smpatch.signature import Spec, TensorSpec


class Remaining(NamedTuple):
    """The edits that are left for a model.

    Attributes:
        edits: The edits after the longest beginning of the list that is already applied.
        tag_set: The tags of the MetaGraph to edit, as they are now; None for the only one.
    """

    edits: tuple[Edit, ...]
    tag_set: tuple[str, ...] | None


def remaining(
    model: SavedModel,
    edits: Sequence[Edit],
    *,
    tag_set: Sequence[str] | None = None,
    with_object_graph: bool = True,
    trace: Trace | None = None,
) -> Remaining:
    """Return the edits of a list that are left to do.

    Args:
        model: The model.
        edits: The edits, in their order.
        tag_set: The tags of the MetaGraph to edit, before or after the edits; None for the
            only one.
        with_object_graph: Whether the edits change the object graph, if there is one.
        trace: The function with which TensorFlow traces the functions of edits, if there are any.
    """
    chosen = None if tag_set is None else tuple(tag_set)
    for count in range(len(edits), 0, -1):
        done = edits[:count]
        halves = with_object_graph
        if is_applied(model, done, tag_set=tag_set, with_object_graph=halves, trace=trace):
            tags = [target for _, target in _tagging(done)]
            if tags and not tags[-1]:  # a MetaGraph was removed: name one that stays
                chosen = model.meta_graphs[0].tags
            elif tags and (chosen is not None or len(model.meta_graphs) > 1):
                chosen = _chosen_or(model, done, tag_set, tags[-1])
            return Remaining(tuple(edits[count:]), chosen)
    return Remaining(tuple(edits), chosen)


def is_applied(
    model: SavedModel,
    edits: Sequence[Edit],
    *,
    tag_set: Sequence[str] | None = None,
    with_object_graph: bool = True,
    trace: Trace | None = None,
) -> bool:
    """Return whether a model has the result of a whole list; arguments as for ``remaining``."""
    others = [each for each in edits if not isinstance(each, MetaGraphEdit)]
    if not _is_tagged(model, edits) or exclude_each_other(edits):
        return False
    if not others:
        return True
    try:
        meta_graph = _chosen(model, edits, tag_set)
        # With several MetaGraphs Python takes its signatures from signature_def (load.py).
        halves = with_object_graph and meta_graph.has_object_graph and meta_graph.is_only
        context = Context(halves, Inferred(), proof="omitted", trace=trace)
        return _may_be_applied(meta_graph, others) and _shows_again(meta_graph, others, context)
    except SmpatchError:
        return False  # the edit itself fails with it again, and reports it


def _shows_again(present: MetaGraph, edits: Sequence[Edit], context: Context) -> bool:
    """Return whether a model stays the same when the edits are done again.

    Raises:
        SmpatchError: An edit cannot be done.
    """
    again = Repetition(present, present, with_object_graph=context.with_object_graph)
    there = again.keys
    for place, edit in enumerate(edits):
        again.later = edits[place + 1 :]
        todo = edit.repeated(again)
        if todo is not None:
            done = perform((again.meta_graph,), 0, [todo], context)
            again.meta_graph = done.step.meta_graph
    return again.keys == there and all(
        _are_equal(present, again.meta_graph, key, exact=key in again.exact)
        and (not context.with_object_graph or _are_equal_in_python(present, again.meta_graph, key))
        for key in sorted(again.touched & {*there})
    )


def _are_equal_in_python(one: MetaGraph, other: MetaGraph, key: str) -> bool:
    """Return whether Python takes a signature from functions that compute the same."""
    if key not in one.objects.signatures or key not in other.objects.signatures:
        return False
    if any(each.key == key for each in disagreements(one)):
        return False
    if one.objects is other.objects and one.graph is other.graph:
        return True
    first = python_computation(one, key, by_tensor=False)
    return first == python_computation(other, key, by_tensor=False)


def _are_equal(one: MetaGraph, other: MetaGraph, key: str, *, exact: bool) -> bool:
    """Return whether ``signature_def`` has the same signature in two MetaGraphs.

    Args:
        one: The present MetaGraph.
        other: The MetaGraph after the repetition.
        key: The signature key.
        exact: Whether an edit asks for an unknown shape; else a shape that is unknown after the
            repetition equals any present shape.
    """
    first, second = one.signatures.get(key), other.signatures.get(key)
    if first is None or second is None or one.parts is other.parts:
        return first is second
    if first == second and one.graph is other.graph:
        return True  # the same tensors, even if the signature is broken
    if (first.method_name, dict(first.defaults)) != (second.method_name, dict(second.defaults)):
        return False
    for ours, theirs in ((first.inputs, second.inputs), (first.outputs, second.outputs)):
        if ours.keys() != theirs.keys() or not all(
            _is_spec(ours[alias], theirs[alias], exact=exact) for alias in ours
        ):
            return False
    return signature_computation(one, first) == signature_computation(other, second)


def _is_spec(present: Spec, made: Spec, *, exact: bool) -> bool:
    """Return whether specs have the same type and shape; names of dense tensors may differ."""
    if isinstance(present, TensorSpec) and isinstance(made, TensorSpec):
        shapes = present.shape == made.shape or (made.shape is None and not exact)
        return present.dtype == made.dtype and shapes
    return present == made


def _may_be_applied(meta_graph: MetaGraph, edits: Sequence[Edit]) -> bool:
    """Return whether the model has each key that the list makes and keeps: a cheap test."""
    made: set[str] = set()
    for edit in edits:
        made = {edit.key_after(key) for key in made if not edit.removes(key)}
        made |= {key for key in (edit.makes(),) if key is not None}
    return made <= set(meta_graph.keys)


def _tagging(edits: Sequence[Edit]) -> list[tuple[tuple[str, ...] | int, tuple[str, ...]]]:
    return [each.tags for each in edits if isinstance(each, MetaGraphEdit)]


def _is_tagged(model: SavedModel, edits: Sequence[Edit]) -> bool:
    """Return whether the MetaGraphs have the tags that they have after the edits."""
    present = [frozenset(each.tags) for each in model.meta_graphs]
    now = list(present)
    for source, target in _tagging(edits):
        if isinstance(source, int):
            if source >= len(now):
                return False
            now[source] = frozenset(target)
        elif frozenset(source) in now:
            if not target:
                return False  # the edit removes it, and it is there
            now[now.index(frozenset(source))] = frozenset(target)
        elif target and frozenset(target) not in now:
            return False
    return now == present


def _chosen_or(
    model: SavedModel, done: Sequence[Edit], tag_set: Sequence[str] | None, target: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the tags of the MetaGraph that the edits change, even if they only change tags."""
    try:
        return _chosen(model, done, tag_set).tags
    except TagSetError:
        return target


def _chosen(model: SavedModel, edits: Sequence[Edit], tag_set: Sequence[str] | None) -> MetaGraph:
    """Return the MetaGraph that the edits change, which may have its new tags already."""
    if tag_set is None:
        return model.meta_graph()
    tags = set(tag_set)
    for source, target in _tagging(edits):
        if not isinstance(source, int):
            tags = set(target) if set(source) == tags else tags
    try:
        return model.meta_graph(sorted(tags))
    except TagSetError:
        by_place = [target for source, target in _tagging(edits) if isinstance(source, int)]
        if not by_place:
            raise
        return model.meta_graph(by_place[-1])
