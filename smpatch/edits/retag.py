"""A MetaGraph gets other tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smpatch import arguments
from smpatch.editing import Change, Context, MetaGraphEdit, Step
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
        if not isinstance(self.source, int):
            take(self, source=arguments.texts(self.source, "the tags that it has"))
        take(self, target=arguments.texts(self.target, "the tags that it gets"))

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
