"""The edits of a list that a model already shows.

A list is carried out once more in memory, on the model as it is now: what a rename, a removal
or a change of aliases already did is left out, what makes a signature makes it again. Where
the result is the model as it is, nothing is left to do. Signatures are compared by their
specs and by the structural fingerprints of their outputs, in both halves of an export, so
that a signature of the right name that computes something else does not count.

This module writes nothing. What it cannot prove is not applied; the edit is then carried out,
or refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from smpatch.builder import Inferred
from smpatch.editing import init_op, naming, tagging
from smpatch.editing.sequence import perform
from smpatch.editing.step import Context
from smpatch.edits import (
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    Making,
    PromoteFunction,
    Remove,
    RemoveMetaGraph,
    Rename,
    Retag,
    SetInitOp,
)
from smpatch.errors import SmpatchError, TagSetError
from smpatch.fragments import Trace
from smpatch.functions.compare import disagreements
from smpatch.functions.function_signature import promoted_key
from smpatch.loader import MetaGraph, SavedModel
from smpatch.proof.sameness import python_computation, signature_computation
from smpatch.signature import SignatureDef, Spec, TensorSpec

__all__ = ["Remaining", "is_applied", "remaining"]


class Remaining(NamedTuple):
    """The edits that are left for a model.

    Attributes:
        edits: The edits after the longest beginning that is already applied.
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
    """Return what of a list of edits is left to do.

    Args:
        model: The model.
        edits: The edits, in their order.
        tag_set: The tags of the MetaGraph to edit, before or after the edits; None for the
            only one.
        with_object_graph: Whether the edits change the object graph, where there is one.
        trace: Lets TensorFlow trace functions, where edits have any.
    """
    chosen = None if tag_set is None else tuple(tag_set)
    for count in range(len(edits), 0, -1):
        done = edits[:count]
        halves = with_object_graph
        if is_applied(model, done, tag_set=tag_set, with_object_graph=halves, trace=trace):
            if isinstance(done[-1], RemoveMetaGraph):  # one that stays stands for all of them
                return Remaining(tuple(edits[count:]), model.meta_graphs[0].tags)
            retags = [each for each in done if isinstance(each, Retag)]
            if retags and (chosen is not None or len(model.meta_graphs) > 1):
                chosen = _chosen_or(model, done, tag_set, retags[-1].target)
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
    """Return whether a model already is what a whole list of edits makes of it.

    Args:
        model: The model.
        edits: The edits, in their order.
        tag_set: As for ``remaining``.
        with_object_graph: As for ``remaining``.
        trace: As for ``remaining``.
    """
    if any(isinstance(each, RemoveMetaGraph) for each in edits):
        return tagging.are_gone(model.meta_graphs, edits)
    others = [each for each in edits if not isinstance(each, Retag)]
    if not _is_tagged(model, [each for each in edits if isinstance(each, Retag)]):
        return False
    try:
        return not others or _is_repeated(
            model,
            _chosen(model, edits, tag_set),
            others,
            trace,
            with_object_graph=with_object_graph,
        )
    except SmpatchError:
        return False  # the edit itself meets it again, and reports it


def _is_repeated(
    model: SavedModel,
    meta_graph: MetaGraph,
    edits: Sequence[Edit],
    trace: Trace | None,
    *,
    with_object_graph: bool,
) -> bool:
    # With several MetaGraphs Python takes its signatures from signature_def (load.py).
    halves = with_object_graph and meta_graph.has_object_graph and len(model.meta_graphs) == 1
    if not _may_be_applied(meta_graph, edits) or not init_op.are_set(meta_graph, edits):
        return False
    context = Context(halves, Inferred(), proof="omitted", trace=trace)
    return _Repetition(meta_graph, edits, context).changes_nothing()


class _NotAppliedError(SmpatchError):
    """An edit that is not applied, whatever the others are."""


class _Repetition:
    """A list of edits, carried out once more in memory.

    ``_fresh`` holds the keys of signatures that the repetition has made: those are to be
    changed, renamed and taken away as the list says. Of all others the list has, where it is
    applied, done so already.
    """

    def __init__(self, present: MetaGraph, edits: Sequence[Edit], context: Context) -> None:
        self._present = present
        self._edits = edits
        self._context, self._both_halves = context, context.with_object_graph
        self._meta_graph = present
        self._fresh: set[str] = set()
        self._touched: set[str] = set()

    def changes_nothing(self) -> bool:
        """Return whether the result is the model as it is.

        Raises:
            SmpatchError: An edit cannot be carried out.
        """
        for place, edit in enumerate(self._edits):
            todo = self._todo(place, edit)
            if todo is not None:
                done = perform((self._meta_graph,), 0, [todo], self._context)
                self._meta_graph = done.step.meta_graph
        if naming.keys(self._meta_graph) != naming.keys(self._present):
            return False
        exact = {
            each.key
            for each in self._edits
            if isinstance(each, EditSignature) and None in each.shapes.values()
        }
        return all(
            _are_equal(self._present, self._meta_graph, key, exact=key in exact)
            and (not self._both_halves or self._is_equal_in_python(key))
            for key in sorted(self._touched & set(naming.keys(self._present)))
        )

    def _is_equal_in_python(self, key: str) -> bool:
        """Return whether Python takes a signature from functions that compute the same."""
        one, other = self._present, self._meta_graph
        if key not in one.objects.signatures or key not in other.objects.signatures:
            return False
        if not _names_agree(one, key):
            return False
        if one.objects is other.objects and one.graph is other.graph:
            return True
        first = python_computation(one, key, by_tensor=False)
        return first == python_computation(other, key, by_tensor=False)

    def _todo(self, place: int, edit: Edit) -> Edit | None:
        """Return what is to be repeated of an edit; None where there is nothing."""
        if isinstance(edit, Rename | Copy):
            return self._moved(place, edit)
        if isinstance(edit, Remove):
            return self._removed(edit)
        if isinstance(edit, EditSignature):
            return self._changed(place, edit)
        if isinstance(edit, Retag | SetInitOp):
            return None
        if isinstance(edit, FromSignature | Compose):
            edit = self._from_later_names(place, edit)
        if isinstance(edit, PromoteFunction):
            edit = replace(edit, key=promoted_key(self._meta_graph, edit))
        self._make(str(getattr(edit, "key", "")))
        made: Any = edit  # each of these kinds has the field
        return cast("Edit", replace(made, overwrite=True))

    def _from_later_names(self, place: int, edit: FromSignature | Compose) -> Edit:
        """Return the same with the names that its source has by now, and what it has of them."""
        if edit.source in self._fresh or edit.key == edit.source:
            return edit
        used = edit.bind if isinstance(edit, Compose) else edit.outputs.values()
        names = {alias: alias for alias in used}
        key = edit.source
        for each in self._edits[place + 1 :]:
            if isinstance(each, EditSignature) and each.key == key:
                renamed = each.rename_inputs if isinstance(edit, Compose) else each.rename_outputs
                names = {old: renamed.get(new, new) for old, new in names.items()}
            elif isinstance(each, Rename) and each.source == key:
                key = each.target
        if isinstance(edit, Compose):
            bind = {names[alias]: value for alias, value in edit.bind.items()}
            return replace(edit, source=key, bind=bind)
        outputs = {alias: names[wanted] for alias, wanted in edit.outputs.items()}
        return replace(edit, source=key, outputs=outputs)

    def _make(self, key: str) -> None:
        self._fresh.add(key)
        self._touched.add(key)

    def _moved(self, place: int, edit: Rename | Copy) -> Edit | None:
        keys = naming.keys(self._meta_graph)
        self._touched |= {edit.source, edit.target}
        if edit.source not in keys:
            if self._later_name(place, edit.target) not in keys:
                raise _NotAppliedError("neither its source nor its target is there")
            if isinstance(edit, Rename):
                return None
            later = self._later_name(place, edit.source)
            if later in keys:
                self._make(edit.target)
                return Copy(later, edit.target, overwrite=True)
            if not self._is_removed_later(place, edit.source):
                raise _NotAppliedError("its source is not there")
            return None
        renames = isinstance(edit, Rename)
        if renames and edit.target in keys and edit.source not in self._fresh:
            if not self._is_made_later(place, edit.source):
                raise _NotAppliedError("its source and its target are there")
            return None
        if renames:
            self._fresh.discard(edit.source)
        self._make(edit.target)
        return replace(edit, overwrite=True)

    def _removed(self, edit: Remove) -> Edit | None:
        keys = naming.keys(self._meta_graph)
        gone = [key for key in keys if naming.matches(key, edit.keys)]
        self._fresh -= set(gone)
        self._touched |= set(gone)
        return Remove(tuple(gone)) if gone else None

    def _changed(self, place: int, edit: EditSignature) -> Edit | None:
        key = edit.key
        if key not in naming.keys(self._meta_graph):
            key = self._later_name(place, key)
            edit = replace(edit, key=key)
        self._touched.add(key)
        if key in self._fresh:
            return edit
        signature = self._meta_graph.signatures.get(key)
        if signature is None:
            raise _NotAppliedError("there is no such signature")
        inputs = _left_to_do(
            signature.inputs, edit.rename_inputs, edit.drop_inputs, edit.add_inputs
        )
        outputs = _left_to_do(
            signature.outputs, edit.rename_outputs, edit.drop_outputs, edit.add_outputs
        )
        return replace(
            edit,
            rename_inputs=inputs[0],
            drop_inputs=inputs[1],
            rename_outputs=outputs[0],
            drop_outputs=outputs[1],
            defaults={
                alias: value
                for alias, value in edit.defaults.items()
                if value is not None or alias in signature.defaults
            },
        )

    def _later_name(self, place: int, key: str) -> str:
        """Return the key that a signature gets from the renames that follow."""
        for each in self._edits[place + 1 :]:
            if isinstance(each, Rename) and each.source == key:
                key = each.target
        return key

    def _is_removed_later(self, place: int, key: str) -> bool:
        return any(
            isinstance(each, Remove) and naming.matches(key, each.keys)
            for each in self._edits[place + 1 :]
        )

    def _is_made_later(self, place: int, key: str) -> bool:
        return any(
            key == (each.target if isinstance(each, Rename | Copy) else getattr(each, "key", None))
            and not isinstance(each, EditSignature)
            for each in self._edits[place + 1 :]
        )


def _left_to_do(
    present: Mapping[str, Spec],
    renames: Mapping[str, str],
    drops: Sequence[str],
    adds: Mapping[str, object],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the renames and drops that are left; what is added is dropped first, to be compared.

    Raises:
        SmpatchError: A name is there neither before nor after its rename.
    """
    left: dict[str, str] = {}
    for old, new in renames.items():
        if old in present and old not in adds and old not in renames.values():
            left[old] = new
        elif new not in present:
            raise _NotAppliedError(f"neither {old!r} nor {new!r} is there")
    gone = {alias for alias in (*drops, *adds) if alias in present}
    return left, tuple(sorted(gone - left.keys() - (set(renames.values()) - set(adds))))


def _are_equal(one: MetaGraph, other: MetaGraph, key: str, *, exact: bool) -> bool:
    """Return whether ``signature_def`` has the same signature in two MetaGraphs.

    Args:
        one: The MetaGraph as it is.
        other: The same after the repetition.
        key: The signature key.
        exact: Whether a shape that is not known after the repetition is asked for.
    """
    first, second = one.signatures.get(key), other.signatures.get(key)
    if first is None or second is None or one.parts is other.parts:
        return first is second
    if first == second and one.graph is other.graph:
        return True  # the same tensors, even of a signature that is broken
    if (first.method_name, dict(first.defaults)) != (second.method_name, dict(second.defaults)):
        return False
    for ours, theirs in ((first.inputs, second.inputs), (first.outputs, second.outputs)):
        if ours.keys() != theirs.keys() or not all(
            _is_spec(ours[alias], theirs[alias], exact=exact) for alias in ours
        ):
            return False
    return _computed(one, first) == _computed(other, second)


def _is_spec(present: Spec, made: Spec, *, exact: bool) -> bool:
    """Return whether two specs are of one type and shape, whatever their tensors are called."""
    if isinstance(present, TensorSpec) and isinstance(made, TensorSpec):
        shapes = present.shape == made.shape or (made.shape is None and not exact)
        return present.dtype == made.dtype and shapes
    return present == made


def _computed(meta_graph: MetaGraph, signature: SignatureDef) -> object:
    inputs = {
        alias: tuple(each.name for each in spec.tensors())
        for alias, spec in signature.inputs.items()
    }
    outputs = {
        alias: tuple(each.name for each in spec.tensors())
        for alias, spec in signature.outputs.items()
    }
    return signature_computation(meta_graph, inputs, outputs)


def _names_agree(meta_graph: MetaGraph, key: str) -> bool:
    return all(each.key != key for each in disagreements(meta_graph))


def _may_be_applied(meta_graph: MetaGraph, edits: Sequence[Edit]) -> bool:
    """Return whether each key is there that the list makes and leaves: it costs next to nothing."""
    made: set[str] = set()
    for edit in edits:
        if isinstance(edit, Rename | Copy):
            made.add(edit.target)
            if isinstance(edit, Rename):
                made.discard(edit.source)
        elif isinstance(edit, Remove):
            made = {key for key in made if not naming.matches(key, edit.keys)}
        elif isinstance(edit, Making) and edit.key is not None:
            made.add(edit.key)
    return made <= set(naming.keys(meta_graph))


def _is_tagged(model: SavedModel, retags: Sequence[Retag]) -> bool:
    """Return whether the MetaGraphs have the tags that the retags leave them."""
    present = [frozenset(each.tags) for each in model.meta_graphs]
    now = list(present)
    for edit in retags:
        target = frozenset(edit.target)
        if isinstance(edit.source, int):
            if edit.source >= len(now):
                return False
            now[edit.source] = target
        elif frozenset(edit.source) in now:
            now[now.index(frozenset(edit.source))] = target
        elif target not in now:
            return False
    return now == present


def _chosen_or(
    model: SavedModel,
    done: Sequence[Edit],
    tag_set: Sequence[str] | None,
    target: tuple[str, ...],
) -> tuple[str, ...]:
    """Return the tags of the MetaGraph that the edits change, even where they only change tags."""
    try:
        return _chosen(model, done, tag_set).tags
    except TagSetError:
        return target


def _chosen(model: SavedModel, edits: Sequence[Edit], tag_set: Sequence[str] | None) -> MetaGraph:
    """Return the MetaGraph that the edits change, which may have other tags since."""
    if tag_set is None:
        return model.meta_graph()
    tags = set(tag_set)
    for edit in edits:
        if isinstance(edit, Retag) and not isinstance(edit.source, int):
            tags = set(edit.target) if set(edit.source) == tags else tags
    try:
        return model.meta_graph(sorted(tags))
    except TagSetError:
        places = [each for each in edits if isinstance(each, Retag) and each.source in {0, 1}]
        if not places:
            raise
        return model.meta_graph(places[-1].target)
