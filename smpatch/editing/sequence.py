"""A list of edits, done one after the other to the MetaGraphs of a model.

Each edit sees what those before it have made; the first that is refused ends the list, and
nothing was written.

This module knows no model on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smpatch.editing import adding, composing, init_op, naming, revising, tagging
from smpatch.editing.step import Context, Step
from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    AddSignature,
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
from smpatch.errors import ProofError, SmpatchError
from smpatch.functions.name_hints import leading
from smpatch.loader import MetaGraph
from smpatch.proof.sameness import prove
from smpatch.rules import Note

__all__ = ["Done", "described", "keys_of", "perform"]


@dataclass(frozen=True, slots=True)
class Done:
    """The MetaGraphs of a model after a list of edits.

    Attributes:
        place: The one that was edited.
        step: All that was done; of the others only tags can have changed, or they are removed.
        meta_graphs: All of them, in their order.
        edits: The edits as they were done: what they ask to trace is traced.
    """

    place: int
    step: Step
    meta_graphs: tuple[MetaGraph, ...]
    edits: tuple[Edit, ...] = ()

    @property
    def removes(self) -> bool:
        """Whether a MetaGraph is taken away as a whole."""
        return any(each.is_removed for each in self.meta_graphs)


_WAYS: Mapping[type, Callable[[MetaGraph, Any, Context], Step]] = {
    AddClassify: adding.add,
    AddPredict: adding.add,
    AddRegress: adding.add,
    AddSignature: adding.add,
    Compose: composing.compose,
    Copy: naming.copy,
    EditSignature: revising.revise,
    FromSignature: adding.derive,
    PromoteFunction: adding.promoted,
    Remove: naming.remove,
    Rename: naming.rename,
    SetInitOp: init_op.set_init_op,
}
"""Kind of edit to the function that applies it; tags are changed on the list of all MetaGraphs."""


_VERBS: Mapping[type, str] = {
    AddClassify: "add-classify",
    AddPredict: "add-predict",
    AddRegress: "add-regress",
    AddSignature: "add",
    Compose: "compose",
    Copy: "copy",
    EditSignature: "edit",
    FromSignature: "add-predict",
    PromoteFunction: "add-predict",
    Remove: "remove",
    RemoveMetaGraph: "remove-meta-graph",
    Rename: "rename",
    Retag: "retag",
    SetInitOp: "init-op",
}


def perform(
    meta_graphs: tuple[MetaGraph, ...],
    place: int | None,
    edits: Sequence[Edit],
    context: Context,
) -> Done:
    """Do a list of edits.

    Args:
        meta_graphs: All MetaGraphs of the model.
        place: The one that is edited; None where the edits themselves say which, by its tags.
        edits: What is asked for.
        context: What all edits are reported.

    Raises:
        RefusedError: One of them cannot be done.
    """
    whole: Step | None = None
    last = 0
    carried_out: list[Edit] = []
    for number, asked in enumerate(edits):
        edit = asked
        try:
            if isinstance(edit, Retag):
                last, done = tagging.retag(meta_graphs, edit)
            elif isinstance(edit, RemoveMetaGraph):
                last, done = tagging.remove(meta_graphs, edit)
            else:
                last = 0 if place is None else place
                if isinstance(edit, Compose):
                    edit = composing.traced(meta_graphs[last], edit, context)
                with leading(meta_graphs[last], edit):
                    done = _WAYS[type(edit)](meta_graphs[last], edit, context)
                done = _proved(meta_graphs[last], done, edit, context)
        except SmpatchError as error:
            error.edit = number
            if len(edits) > 1:  # of one edit it is known which it is
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
    """Return what an edit did, with a note where the structural proof cannot be made.

    Raises:
        ValidationError: A signature would compute something else.
        ProofError: The proof cannot be made, and it is required.
    """
    if context.proof == "omitted":
        return done
    try:
        prove(before, done.meta_graph, edit)
    except ProofError as error:
        if context.proof == "required":
            raise
        text = f"{error.where}: {error.found}"
        return replace(done, notes=(*done.notes, Note("not-proved", text)))
    return done


def described(edit: Edit) -> str:
    """Return an edit as a patch file begins it: its verb and its subject."""
    verb = _VERBS[type(edit)]
    subject: object = getattr(edit, "key", None) or getattr(edit, "source", "")
    if isinstance(edit, PromoteFunction):
        subject = edit.key or edit.function
    if isinstance(edit, Remove):
        subject = ", ".join(edit.keys)
    if isinstance(edit, Retag) and not isinstance(edit.source, int):
        subject = ",".join(edit.source)
    if isinstance(edit, SetInitOp):
        subject = ",".join(edit.operations) or "(none)"
    if isinstance(edit, RemoveMetaGraph):
        subject = ",".join(edit.tag_set)
    return f"{verb} {subject}"


def keys_of(edits: Iterable[Edit]) -> Iterator[str]:
    """Yield the key of the signature of each edit; of a ``Retag`` the new tags."""
    for edit in edits:
        match edit:
            case Remove(keys):
                yield from keys
            case Rename(_, target) | Copy(_, target):
                yield target
            case Retag(_, tags) | RemoveMetaGraph(tags):
                yield ",".join(tags)
            case SetInitOp(names):
                yield ",".join(names)
            case PromoteFunction(function=function, key=None):
                yield function.rpartition(".")[2]
            case Making(key=key) | EditSignature(key=key) if key is not None:
                yield key


def _after(before: Step, now: Step) -> Step:
    """Put two steps together; what the first built and the second took away is forgotten."""
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
        built,
        (*before.notes, *(note for note in now.notes if note not in before.notes)),
    )
