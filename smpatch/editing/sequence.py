"""A list of edits: its conflicts, and its edits done one after another.

Each edit gets the result of the edits before it; the first edit that is refused ends the list.

This module reads no model on disk, and writes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from smpatch.editing.edit import Context, Edit, MetaGraphEdit, Step
from smpatch.editing.reshaping import still_wider
from smpatch.editing.tracking import Conflict, Tracker
from smpatch.errors import ProofError, SmpatchError, UsageError
from smpatch.functions.name_hints import leading
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import prove
from smpatch.rules import Note


@dataclass(frozen=True, slots=True)
class Done:
    """The MetaGraphs of a model after a list of edits.

    Attributes:
        place: The place of the MetaGraph that was edited.
        step: The results of all edits together. Of the other MetaGraphs only the tags can have
            changed, or they are removed.
        meta_graphs: All MetaGraphs, in their order.
        edits: The edits as they were done, with their functions traced.
    """

    place: int
    step: Step
    meta_graphs: tuple[MetaGraph, ...]
    edits: tuple[Edit, ...] = ()

    @property
    def removes(self) -> bool:
        """Whether a MetaGraph is removed as a whole."""
        return any(each.is_removed for each in self.meta_graphs)


def perform(
    meta_graphs: tuple[MetaGraph, ...], place: int | None, edits: Sequence[Edit], context: Context
) -> Done:
    """Do a list of edits.

    Args:
        meta_graphs: All MetaGraphs of the model.
        place: The place of the MetaGraph that is edited; None if the edits name it by its tags.
        edits: The edits, in their order.
        context: The context that all edits share.

    Raises:
        RefusedError: An edit cannot be done.
    """
    whole: Step | None = None
    last = 0
    carried_out: list[Edit] = []
    for number, asked in enumerate(edits):
        edit = asked
        try:
            last = edit.choose(meta_graphs) if isinstance(edit, MetaGraphEdit) else place or 0
            edit = edit.prepared(meta_graphs[last], context)
            with leading(meta_graphs[last], edit):
                done = edit.apply(meta_graphs[last], context)
            done = _proved(meta_graphs[last], done, edit, context)
        except SmpatchError as error:
            error.edit = number
            if len(edits) > 1:  # with a single edit, it is clear which one failed
                error.where = ": ".join(filter(None, (described(edit), error.where)))
            raise
        carried_out.append(edit)
        now = list(meta_graphs)
        now[last] = done.meta_graph
        meta_graphs = tuple(now)
        whole = done if whole is None else _after(whole, done)
    place = last if place is None else place
    whole = Step(meta_graphs[place]) if whole is None else whole  # there was nothing to do
    whole = replace(whole, meta_graph=meta_graphs[place])
    return Done(place, whole, meta_graphs, tuple(carried_out))


def _proved(before: MetaGraph, done: Step, edit: Edit, context: Context) -> Step:
    """Return the step of an edit, with a note if the structural proof cannot be made.

    Raises:
        ValidationError: A signature would compute something else.
        ProofError: The proof cannot be made, and it is required.
    """
    if context.proof == "omitted" or isinstance(edit, MetaGraphEdit):
        return done
    try:
        both = context.with_object_graph
        after, gone = done.meta_graph, edit.gone(before)
        prove(before, after, edit.expected(before), gone, with_object_graph=both)
    except ProofError as error:
        if context.proof == "required":
            raise
        text = f"{error.where}: {error.found}"
        return replace(done, notes=(*done.notes, Note("not-proved", text)))
    return done


def described(edit: Edit) -> str:
    """Return the verb and the subject of an edit, which name it in messages."""
    return f"{edit.verb} {edit.subject}"


def exclude_each_other(edits: Sequence[Edit]) -> bool:
    """Return whether an edit of a list cannot be in one list with another of them."""
    return any(each.excludes(other) for each in edits for other in edits)


def edit_list(edits: object) -> tuple[Edit, ...]:
    """Return one or several edits as a tuple.

    Raises:
        UsageError: One of them is not an edit, or they cannot be in one list.
    """
    given = tuple(edits) if isinstance(edits, Iterable) and not isinstance(edits, str) else (edits,)
    several = tuple(each for each in given if isinstance(each, Edit))
    for each in given:
        if not isinstance(each, Edit):
            found = f"{each!r} ({type(each).__name__}) is given, not an edit"
            raise UsageError(found, where="edits", hint="such as smpatch.edits.Rename('a', 'b')")
    if exclude_each_other(several):
        found = "a MetaGraph is removed by a list of edits that has other edits as well"
        raise UsageError(found, hint="remove it first, in a list of its own")
    return several


def repeatable(edits: object) -> tuple[Edit, ...]:
    """Return edits as ``edit_list`` does, if a model shows whether they were done already.

    Raises:
        UsageError: A value is not an edit, or there is a conflict (``conflicts``).
    """
    several = edit_list(edits)
    for each in conflicts(several):
        raise UsageError(each.found, where=f"edit[{each.edit}]", hint=each.hint)
    return several


def conflicts(edits: Sequence[Edit], places: Sequence[int] = ()) -> tuple[Conflict, ...]:
    """Return the conflicts in a list of edits, in its order.

    Args:
        edits: The edits.
        places: The place of each edit that conflicts name; its place in the list by default.
    """
    tracker = Tracker()
    excluded: list[Conflict] = []
    numbers = places or range(len(edits))
    for tracker.place, edit in zip(numbers, edits, strict=True):
        reasons = ((place, each.excludes(edit)) for place, each in zip(numbers, edits, strict=True))
        reason = next((f"edit[{place}] {why}" for place, why in reasons if why), "")
        if reason:
            hint = "put it into a patch file of its own"
            excluded.append(Conflict(tracker.place, reason, hint))
        else:
            edit.track(tracker)
    return tuple(sorted((*excluded, *tracker.conflicts()), key=lambda each: each.edit))


def _after(before: Step, now: Step) -> Step:
    """Join two steps, without the signatures that the first built and the second removed."""
    built = {**before.built, **now.built}
    for change in now.changes:
        if change.outcome == "removed":
            built.pop(change.key, None)
        elif change.outcome in {"renamed", "copied"}:
            again = built.get(change.was)
            if again is not None:
                built[change.key] = replace(again, key=change.key)
            if change.outcome == "renamed":
                built.pop(change.was, None)
    return Step(
        now.meta_graph,
        (*before.changes, *now.changes),
        still_wider(before.built, built),
        (*before.notes, *(note for note in now.notes if note not in before.notes)),
    )
