"""A MetaGraph is taken away as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch import arguments
from smpatch.editing import Change, Context, Edit, MetaGraphEdit, Step
from smpatch.editing.tagging import place
from smpatch.editing.tracking import Tracker
from smpatch.edits.fields import take
from smpatch.errors import TagSetError, UsageError
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.savedmodel.draft import Draft

__all__ = ["RemoveMetaGraph"]


@dataclass(frozen=True, slots=True)
class RemoveMetaGraph(MetaGraphEdit):
    """Take a whole MetaGraph away; the others of the model stay as they are.

    No edit of another kind stands in the same list.

    Attributes:
        tag_set: The tags that it has.
    """

    verb: ClassVar[str] = "remove-meta-graph"

    tag_set: tuple[str, ...]

    def __post_init__(self) -> None:
        take(self, tag_set=arguments.texts(self.tag_set, "tag_set"))

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
        found = staying[place(staying, self.tag_set)]
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
        """Take the MetaGraph away."""
        gone = meta_graph.with_parts(Draft.of(meta_graph.parts).removed_as_a_whole())
        return Step(gone, (Change(",".join(meta_graph.tags), "meta-graph-removed"),))

    def excludes(self, other: Edit) -> str:
        """Return why an edit of another kind cannot stand in the same list.

        Which half of an export is edited depends on how many MetaGraphs there are.
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
