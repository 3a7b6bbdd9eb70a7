"""The MetaGraph that tags or a place name.

Source: ``tensorflow/cc/saved_model/reader.cc`` (a loader takes the MetaGraph that has
exactly the tags that it is asked for).
"""

from __future__ import annotations

from smpatch.errors import TagSetError
from smpatch.loader import MetaGraph

__all__ = ["place"]


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
