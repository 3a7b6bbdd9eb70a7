"""A MetaGraph gets other tags.

Source: ``tensorflow/cc/saved_model/reader.cc`` (a loader takes the MetaGraph that has
exactly the tags that it is asked for).
"""

from __future__ import annotations

from smpatch.editing.step import Change, Step
from smpatch.edits import Retag
from smpatch.errors import TagSetError, UsageError
from smpatch.loader import MetaGraph
from smpatch.savedmodel.draft import Draft

__all__ = ["place", "retag"]


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
