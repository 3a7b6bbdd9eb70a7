"""A MetaGraph gets other tags, or goes.

Source: ``tensorflow/cc/saved_model/reader.cc`` (a loader takes the MetaGraph that has
exactly the tags that it is asked for).
"""

from __future__ import annotations

from collections.abc import Sequence

from smpatch.editing.step import Change, Step
from smpatch.edits import Edit, RemoveMetaGraph, Retag
from smpatch.errors import TagSetError, UsageError
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft

__all__ = ["are_gone", "check_alone", "place", "remove", "retag"]


def place(meta_graphs: tuple[MetaGraph, ...], source: tuple[str, ...] | int) -> int:
    """Return which MetaGraph is meant, by its tags or its place.

    Raises:
        TagSetError: There is none.
    """
    present = " | ".join(
        f"{number}: {','.join(each.tags)}" for number, each in enumerate(meta_graphs)
    )
    hint = f"MetaGraphs here: {present}"
    if isinstance(source, int):
        if 0 <= source < len(meta_graphs):
            return source
        found = f"there is no MetaGraph {source}"
        raise TagSetError(found, hint=hint)
    for number, each in enumerate(meta_graphs):
        if set(each.tags) == set(source):
            return number
    raise TagSetError(f"no MetaGraph has the tag-set {','.join(source)!r}", hint=hint)


def check_alone(edits: Sequence[Edit]) -> None:
    """Refuse a list that removes a MetaGraph and edits another one.

    Which half of an export is edited depends on how many MetaGraphs there are.

    Raises:
        UsageError: The list has both.
    """
    removals = [each for each in edits if isinstance(each, RemoveMetaGraph)]
    if removals and len(removals) < len(edits):
        found = "a MetaGraph is removed by a list of edits that has other edits as well"
        raise UsageError(found, hint="remove it first, in a list of its own")


def are_gone(meta_graphs: tuple[MetaGraph, ...], edits: Sequence[Edit]) -> bool:
    """Return whether a list of edits only removes MetaGraphs, and none of them is there."""
    present = {frozenset(each.tags) for each in meta_graphs}
    return all(
        isinstance(each, RemoveMetaGraph) and frozenset(each.tag_set) not in present
        for each in edits
    )


def remove(meta_graphs: tuple[MetaGraph, ...], edit: RemoveMetaGraph) -> tuple[int, Step]:
    """Take a MetaGraph away.

    Returns:
        Its place among the MetaGraphs, and what was done.

    Raises:
        UsageError: No tags are given.
        TagSetError: No MetaGraph has the tags, several have them, or it is the last one.
    """
    if not edit.tag_set:
        raise UsageError("no tags are given", where="--tag-set", hint="such as --tag-set train")
    staying = tuple(each for each in meta_graphs if not each.is_removed)
    found = staying[place(staying, edit.tag_set)]
    tags = ",".join(found.tags)
    if sum(set(each.tags) == set(found.tags) for each in staying) > 1:
        text = f"several MetaGraphs have the tag-set {tags!r}"
        raise TagSetError(text, hint="give one of them other tags: retag --from INDEX --to TAG,...")
    if len(staying) == 1:
        text = f"{tags!r} is the only MetaGraph, and a SavedModel needs one"
        raise TagSetError(text, hint="remove --signature KEY,... removes its signatures")
    gone = found.with_parts(Draft.of(found.parts).removed_as_a_whole())
    return meta_graphs.index(found), Step(gone, (Change(tags, "meta-graph-removed"),))


def retag(meta_graphs: tuple[MetaGraph, ...], edit: Retag) -> tuple[int, Step]:
    """Give a MetaGraph other tags.

    Returns:
        Its place among the MetaGraphs, and what was done.

    Raises:
        UsageError: The new tags are no tags.
        TagSetError: There is no such MetaGraph, or another one has the new tags.
    """
    if not edit.target or not all(tag and tag.isprintable() for tag in edit.target):
        raise UsageError("no usable tags", where="--to", hint="such as --to serve")
    if len(set(edit.target)) < len(edit.target):
        found = f"{','.join(edit.target)!r} names a tag twice"
        raise UsageError(found, where="--to", hint="name each once")
    number = place(meta_graphs, edit.source)
    meta_graph = meta_graphs[number]
    was, now = ",".join(meta_graph.tags), ",".join(edit.target)
    if meta_graph.tags == edit.target:
        return number, Step(meta_graph, (Change(now, "unchanged"),))
    for other, each in enumerate(meta_graphs):
        if other != number and set(each.tags) == set(edit.target):
            found = f"MetaGraph {other} has the tag-set {now!r} already"
            raise TagSetError(found, hint="a loader would find only the first of them")
    meta_graph = meta_graph.with_parts(Draft.of(meta_graph.parts).tagged(edit.target))
    return number, Step(meta_graph, (Change(now, "retagged", None, was),))
