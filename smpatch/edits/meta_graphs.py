"""Edits of a MetaGraph as a whole: it gets other tags, or is removed.

Source: ``tensorflow/cc/saved_model/reader.cc`` (a loader takes the MetaGraph that has
exactly the tags that it is asked for).
"""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass
from typing import Any, ClassVar

from smpatch import arguments
from smpatch.editing.edit import Change, Context, Edit, MetaGraphEdit, Step
from smpatch.editing.tracking import Tracker
from smpatch.errors import TagSetError, UsageError
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.savedmodel.draft import Draft


@dataclass(frozen=True, slots=True)
class Retag(MetaGraphEdit):
    """Give a MetaGraph other tags.

    Attributes:
        source: The tags that it has, or its place among the MetaGraphs, from 0.
        target: The tags that it gets.
    """

    verb: ClassVar[str] = "retag"

    source: tuple[str, ...] | int
    target: tuple[str, ...]

    def __post_init__(self) -> None:
        place: Any = None if isinstance(self.source, bool) else self.source
        with contextlib.suppress(TypeError):
            self._take(source=operator.index(place))
        if type(self.source) is not int:
            self._take(source=arguments.texts(self.source, "the tags that it has"))
        self._take(target=arguments.texts(self.target, "the tags that it gets"))

    @property
    def subject(self) -> str:
        return str(self.source) if isinstance(self.source, int) else ",".join(self.source)

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (",".join(self.target),)

    @classmethod
    def read(cls, table: Table) -> Retag:
        place = table.take("retag")
        source: tuple[str, ...] | int
        if isinstance(place, int) and not isinstance(place, bool):
            source = place
            if place < 0:
                table.fault("MetaGraphs are counted from 0", at=("retag",))
        else:
            source = table.tags("retag", needed=True) or ()
        return cls(source, table.tags("to", needed=True) or ())

    def choose(self, meta_graphs: tuple[MetaGraph, ...]) -> int:
        if not self.target or not all(tag and tag.isprintable() for tag in self.target):
            raise UsageError("no usable tags", where="--to", hint="such as --to serve")
        now = ",".join(self.target)
        if len(set(self.target)) < len(self.target):
            raise UsageError(f"{now!r} names a tag twice", where="--to", hint="name each once")
        number = _place(meta_graphs, self.source)
        if meta_graphs[number].tags == self.target:
            return number
        for other, each in enumerate(meta_graphs):
            if other != number and set(each.tags) == set(self.target):
                found = f"MetaGraph {other} has the tag-set {now!r} already"
                raise TagSetError(found, hint="a loader would find only the first of them")
        return number

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Give the MetaGraph its new tags."""
        was, now = ",".join(meta_graph.tags), ",".join(self.target)
        if meta_graph.tags == self.target:
            return Step(meta_graph, (Change(now, "unchanged"),))
        tagged = meta_graph.with_parts(Draft.of(meta_graph.parts).tagged(self.target))
        return Step(tagged, (Change(now, "retagged", None, was),))

    def track(self, tracker: Tracker) -> None:
        target = frozenset(self.target)
        if not isinstance(self.source, int):
            source = frozenset(self.source)
            if source == target:
                tracker.conflict("it has these tags already")
            elif source in tracker.noted:
                by = tracker.noted[source]
                hint = f"write the final tags in edit[{by}]"
                tracker.conflict(f"edit[{by}] gives it the tags {','.join(sorted(source))}", hint)
        tracker.noted[target] = tracker.place

    @property
    def tags(self) -> tuple[tuple[str, ...] | int, tuple[str, ...]]:
        return self.source, self.target


@dataclass(frozen=True, slots=True)
class RemoveMetaGraph(MetaGraphEdit):
    """Remove a whole MetaGraph; the others of the model stay as they are.

    The same list cannot have an edit of another kind.

    Attributes:
        tag_set: The tags that it has.
    """

    verb: ClassVar[str] = "remove-meta-graph"

    tag_set: tuple[str, ...]

    def __post_init__(self) -> None:
        self._take(tag_set=arguments.texts(self.tag_set, "tag_set"))

    @property
    def subject(self) -> str:
        return ",".join(self.tag_set)

    @classmethod
    def read(cls, table: Table) -> RemoveMetaGraph:
        return cls(table.tags("remove-meta-graph", needed=True) or ())

    def choose(self, meta_graphs: tuple[MetaGraph, ...]) -> int:
        if not self.tag_set:
            raise UsageError("no tags are given", where="--tag-set", hint="such as --tag-set train")
        staying = tuple(each for each in meta_graphs if not each.is_removed)
        found = staying[_place(staying, self.tag_set)]
        tags = ",".join(found.tags)
        if sum(set(each.tags) == set(found.tags) for each in staying) > 1:
            text = f"several MetaGraphs have the tag-set {tags!r}"
            hint = "give one of them other tags: retag --from INDEX --to TAG,..."
            raise TagSetError(text, hint=hint)
        if len(staying) == 1:
            text = f"{tags!r} is the only MetaGraph, and a SavedModel needs one"
            raise TagSetError(text, hint="remove --signature KEY,... removes its signatures")
        return meta_graphs.index(found)

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Remove the MetaGraph."""
        gone = meta_graph.with_parts(Draft.of(meta_graph.parts).removed_as_a_whole())
        return Step(gone, (Change(",".join(meta_graph.tags), "meta-graph-removed"),))

    def excludes(self, other: Edit) -> str:
        """Return why an edit of another kind cannot be in the same list.

        The number of MetaGraphs decides which halves of an export are edited.
        """
        alike = isinstance(other, RemoveMetaGraph)
        return "" if alike else "removes a MetaGraph, and this edit changes one"

    def track(self, tracker: Tracker) -> None:
        by = tracker.noted.setdefault(frozenset(self.tag_set), tracker.place)
        if by != tracker.place:
            tracker.conflict(f"edit[{by}] removes this MetaGraph")

    @property
    def tags(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.tag_set, ()


def _place(meta_graphs: tuple[MetaGraph, ...], source: tuple[str, ...] | int) -> int:
    """Return the place of a MetaGraph, which is named by its tags or by its place.

    Raises:
        TagSetError: There is no such MetaGraph.
    """
    present = " | ".join(
        f"{number}: {','.join(each.tags)}" for number, each in enumerate(meta_graphs)
    )
    hint = f"MetaGraphs here: {present}"
    if isinstance(source, int):
        if 0 <= source < len(meta_graphs):
            return source
        raise TagSetError(f"there is no MetaGraph {source}", hint=hint)
    for number, each in enumerate(meta_graphs):
        if set(each.tags) == set(source):
            return number
    raise TagSetError(f"no MetaGraph has the tag-set {','.join(source)!r}", hint=hint)
