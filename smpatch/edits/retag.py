"""A MetaGraph gets other tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from smpatch import arguments
from smpatch.editing.edit import MetaGraphEdit
from smpatch.editing.step import Change, Context, Step
from smpatch.editing.tagging import place
from smpatch.editing.tracking import Tracker
from smpatch.edits.fields import take
from smpatch.errors import TagSetError, UsageError
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.savedmodel.draft import Draft

__all__ = ["Retag"]


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
        """Take values of other forms, as ``arguments`` describes them."""
        if not isinstance(self.source, int):
            take(self, source=arguments.texts(self.source, "the tags that it has"))
        take(self, target=arguments.texts(self.target, "the tags that it gets"))

    @property
    def subject(self) -> str:
        """The tags that it has, or its place."""
        return str(self.source) if isinstance(self.source, int) else ",".join(self.source)

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The tags that it gets."""
        return (",".join(self.target),)

    @classmethod
    def read(cls, table: Table) -> Retag:
        """Read ``retag`` with ``to``."""
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
        """Return which MetaGraph has the tags or the place.

        Raises:
            UsageError: The new tags are no tags.
            TagSetError: There is no such MetaGraph, or another one has the new tags.
        """
        if not self.target or not all(tag and tag.isprintable() for tag in self.target):
            raise UsageError("no usable tags", where="--to", hint="such as --to serve")
        now = ",".join(self.target)
        if len(set(self.target)) < len(self.target):
            raise UsageError(f"{now!r} names a tag twice", where="--to", hint="name each once")
        number = place(meta_graphs, self.source)
        if meta_graphs[number].tags == self.target:
            return number
        for other, each in enumerate(meta_graphs):
            if other != number and set(each.tags) == set(self.target):
                found = f"MetaGraph {other} has the tag-set {now!r} already"
                raise TagSetError(found, hint="a loader would find only the first of them")
        return number

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Give the MetaGraph its tags."""
        del context
        was, now = ",".join(meta_graph.tags), ",".join(self.target)
        if meta_graph.tags == self.target:
            return Step(meta_graph, (Change(now, "unchanged"),))
        tagged = meta_graph.with_parts(Draft.of(meta_graph.parts).tagged(self.target))
        return Step(tagged, (Change(now, "retagged", None, was),))

    def track(self, tracker: Tracker) -> None:
        """Report tags that it has already, or gets from an earlier edit."""
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

    def tag(self, tags: list[frozenset[str]]) -> bool:
        """Put the new tags in the place of the old ones; False if neither are there."""
        target = frozenset(self.target)
        if isinstance(self.source, int):
            if self.source >= len(tags):
                return False
            tags[self.source] = target
        elif frozenset(self.source) in tags:
            tags[tags.index(frozenset(self.source))] = target
        return target in tags

    def remaining_tags(self, meta_graphs: Sequence[MetaGraph]) -> tuple[str, ...]:
        """Return the new tags."""
        del meta_graphs
        return self.target

    def tags_before(self, tags: Sequence[str]) -> Sequence[str]:
        """Return the old tags for the new ones, where it says them."""
        if isinstance(self.source, int) or set(tags) != set(self.target):
            return tags
        return self.source

    def tags_after(self, tags: Sequence[str]) -> Sequence[str]:
        """Return the new tags for the old ones, where it says them."""
        if isinstance(self.source, int) or set(tags) != set(self.source):
            return tags
        return self.target

    @property
    def tags_by_place(self) -> tuple[str, ...]:
        """The new tags of one of the first two MetaGraphs."""
        return self.target if self.source in {0, 1} else ()
