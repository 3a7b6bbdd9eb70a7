"""Values for the signatures of an edited model, and their counterparts before the edits.

The edits alone decide what each output must equal (``Edit.follow``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from smpatch.editing.edit import Edit
from smpatch.loader import MetaGraph
from smpatch.proof.numbers import Kept, KeptNames
from smpatch.runs.arrays import UnmakeableError
from smpatch.runs.feeds import Feeds, agreed
from smpatch.runs.pairs import Pair, Values
from smpatch.runs.values import Feeding, features, made_up
from smpatch.runtime.questions import Array
from smpatch.signature import Spec

MADE_UP = (Feeding("random", 0, (1,)), Feeding("random", 1, (3,)), Feeding("zeros", 0, (1,)))
"""The rules by which values are made up; each signature runs with the values of each rule."""


class SameValues:
    """Values for the signatures of an edited MetaGraph, by their present aliases.

    Attributes:
        unmakeable: Key to the reason why no values could be made up.
    """

    def __init__(
        self, before: MetaGraph, after: MetaGraph, file: str | os.PathLike[str] | None
    ) -> None:
        """Read the user's file, if there is one.

        Raises:
            UsageError: The file cannot be read, or names no input.
        """
        self.unmakeable: dict[str, str] = {}
        self._before = before.signatures
        self._after = after.signatures
        self._wanted = features(before)
        self._made: dict[str, list[Values]] = {}
        self._given: Feeds | None = None
        if file is not None:
            self._given = Feeds(Feeding(file=file), {**self._after, **self._before})

    def make(self, key: str, there: Kept) -> None:
        """Make the values of a signature.

        Args:
            key: Its present key.
            there: Its record, with its names before the edits.
        """
        old = self._before[there.was].inputs if there.was in self._before else {}
        was = there.inputs.was
        inputs = {
            alias: agreed(spec, old.get(was.get(alias, "")))
            for alias, spec in self._after[key].inputs.items()
        }
        made = self._made[key] = [*self._own(key, there, inputs)]
        try:
            made += [
                feed.values
                for rule in MADE_UP
                for feed in Feeds(rule, {}, self._wanted).of(key, inputs)
            ]
        except UnmakeableError as error:
            if not made:
                self.unmakeable[key] = str(error)

    def of(self, key: str) -> Sequence[Values]:
        """Return the values of a signature by its key; none if none were made."""
        return self._made.get(key, ())

    def with_dropped(self, there: Kept, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield pairs in which the reference is fed zeros for the inputs that were dropped.

        Python calls a signature with all its arguments; no result depends on those.

        Args:
            there: The record of the signature.
            pairs: The calls in Python.
        """
        old = self._before[there.was].inputs if there.was in self._before else {}
        taken = {*there.inputs.was.values(), *there.bound}
        left = {alias: spec for alias, spec in old.items() if alias not in taken}
        zeros: dict[str, Array] = {}
        with contextlib.suppress(UnmakeableError):  # then the reference does not run
            zeros = {alias: arrays[0] for alias, arrays in made_up(left, "zeros").items()}
        for pair in pairs:
            call = replace(pair.reference, feeds={**zeros, **pair.reference.feeds})
            yield replace(pair, reference=call)

    def _own(self, key: str, there: Kept, inputs: Mapping[str, Spec]) -> Iterator[Values]:
        """Yield the user's values, by the present names or the names before the edits."""
        if self._given is None:
            return
        was = {alias: there.inputs.was.get(alias, alias) for alias in inputs}
        had = {was[alias]: spec for alias, spec in inputs.items()}
        for name, wanted in ((key, inputs), (there.was, had)):
            try:
                feeds = [*self._given.of(name, wanted)]
            except UnmakeableError:
                continue
            for feed in feeds:
                yield {a: feed.values[a if wanted is inputs else was[a]] for a in inputs}
            return


def kept(
    edits: Sequence[Edit], before: Mapping[str, tuple[Sequence[str], Sequence[str]]]
) -> Mapping[str, Kept]:
    """Return the records of all signatures after edits, by key."""
    state = {
        key: Kept(key, KeptNames({a: a for a in inputs}), KeptNames({a: a for a in outputs}))
        for key, (inputs, outputs) in before.items()
    }
    for edit in edits:
        edit.follow(state)
    return state
