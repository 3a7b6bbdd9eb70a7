"""The keys and aliases of signatures, followed through a list of edits without a model.

There are two kinds of conflicts. The first kind is about names: an edit needs a name that an
earlier edit removed, or makes a name that an earlier edit needs. In the second kind, the model does
not show whether the list was applied already: an edit leaves no trace, or changes a signature that
an earlier edit reads. An exchange of names (a becomes b and b becomes a) is of the second kind: to
do it again undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["inputs", "outputs"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflict of one edit of a list with an earlier one, or with itself.

    Attributes:
        edit: The edit's place in the list, from 0.
        found: The conflict, in words.
        hint: The text to write instead; empty if no text would work.
    """

    edit: int
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A signature between two edits.

    Attributes:
        origin: The key that it had before all edits; None if an edit made it.
        inputs: Alias to the alias before all edits, for the inputs that were renamed.
        outputs: The same for the outputs.
        gone: Aliases that an edit renamed or dropped, with the kind.
    """

    origin: str | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[tuple[Kind, str]] = frozenset()


class Tracker:
    """Follows the keys and aliases through a list of edits.

    Attributes:
        made: The keys of signatures that an edit made.
        noted: A value that a kind of edit chooses, such as tags, to the place of the edit that
            noted it; later edits of the kind read it.
        place: The place of the edit that is followed, as conflicts name it.
    """

    def __init__(self) -> None:
        """Start without names."""
        self.made: set[str] = set()
        self.noted: dict[object, int] = {}
        self.place = 0
        self._found: list[Conflict] = []
        self._unproved: list[Conflict] = []
        self._signatures: dict[str, Tracked | None] = {}
        self._by: dict[str, int] = {}
        self._removed: list[str] = []
        self._copied: dict[str, int] = {}
        self._derived: dict[str, int] = {}
        self._of_itself: dict[str, str | None] = {}

    def conflicts(self) -> list[Conflict]:
        """Return the conflicts about names; if there are none, exchanges; if none, the others."""
        return self._found or [*self._exchanges()] or self._unproved

    def conflict(self, found: str, hint: str = "") -> None:
        """Record a conflict of the edit that is followed."""
        self._found.append(Conflict(self.place, found, hint))

    def make(self, key: str, *, overwrite: bool) -> None:
        """Record a signature that an edit makes."""
        self._changes_what_was_read(key)
        # A signature made of itself is the same one for exchanges of keys.
        self._put(key, Tracked(self._of_itself.pop(key, None)), overwrite=overwrite)
        self.made.add(key)

    def start_from(self, source: str, key: str, *, with_outputs: bool = False) -> None:
        """Record that an edit makes a signature from another one.

        Args:
            source: The key of the other signature.
            key: The key of the new signature.
            with_outputs: Whether the new signature has the output names of the other one.
        """
        known = self._take(source)
        if source == key:
            self._of_itself[key] = known.origin
        elif source not in self.made:
            self._derived[source] = self.place
            if with_outputs:
                self._copied[source] = self.place

    def move(self, source: str, target: str, *, overwrite: bool, copies: bool) -> None:
        """Record that a signature gets another key, or a second one."""
        moved = self._take(source)
        self._changes_what_was_read(target)
        self._put(target, moved, overwrite=overwrite)
        if copies:
            if source not in self.made:
                self._copied[source] = self.place
            self.made.add(target)
            return
        self._set(source, None)
        if source in self.made:
            self.made.add(target)
        self.made.discard(source)
        for readers in (self._copied, self._derived):
            if source in readers:
                readers[target] = readers.pop(source)

    def remove(self, patterns: Sequence[str]) -> None:
        """Record that signatures are removed."""
        for pattern in patterns:
            if self._known(pattern) is None and pattern in self._by:
                by = self._by[pattern]
                self.conflict(f"there is no {pattern!r} any more: edit[{by}] removed it")
        for key in [*self._signatures]:
            if matches(key, patterns) and self._signatures[key] is not None:
                self._set(key, None)
        for key in [*self._derived, *self._copied]:
            if matches(key, patterns):
                self._changes_what_was_read(key, copied=False)  # a copy and a removal are a rename
                self._derived.pop(key, None)
                self._copied.pop(key, None)
        for pattern in patterns:
            self._by.setdefault(pattern, self.place)
        self._removed += patterns

    def change(self, key: str, *, renames_outputs_alone: bool) -> Tracked:
        """Return a signature that an edit changes; ``changed`` records the result."""
        old = self._take(key)
        if not renames_outputs_alone or key in self._copied:
            self._changes_what_was_read(key)
        return old

    def changed(self, key: str, signature: Tracked) -> None:
        """Record a signature after the edit that changes it."""
        self._set(key, signature)

    def _exchanges(self) -> Iterator[Conflict]:
        """Yield the exchanges of names that the list as a whole makes."""
        origins = {
            key: each.origin for key, each in self._signatures.items() if each and each.origin
        }
        for ring in _rings(origins):
            yield _exchange("signatures", ring, max(self._by.get(key, 0) for key in ring))
        for key, each in self._signatures.items():
            if each is not None:
                for kind, names in (("inputs", each.inputs), ("outputs", each.outputs)):
                    for ring in _rings(names):
                        yield _exchange(kind, ring, self._by.get(key, 0))

    def _changes_what_was_read(self, key: str, *, copied: bool = True) -> None:
        """Record a conflict if an earlier edit starts from the signature that an edit changes."""
        readers = {**self._copied, **self._derived} if copied else self._derived
        if key in readers:
            found = f"edit[{readers[key]}] starts from {key!r}, which this edit changes"
            hint = "put this edit before that one, or into a patch file of its own"
            self._unproved.append(Conflict(self.place, found, hint))

    def _known(self, key: str) -> Tracked | None:
        """Return the signature of a key; None if an edit removed it."""
        if key in self._signatures:
            return self._signatures[key]
        fresh = Tracked(key)
        return None if matches(key, self._removed) else fresh

    def _take(self, key: str) -> Tracked:
        """Return the signature that an edit starts from; record a conflict if there is none."""
        known = self._known(key)
        if known is None:
            by = f": edit[{self._by[key]}] removed it" if key in self._by else ""
            self.conflict(f"there is no signature {key!r} any more{by}")
            known = Tracked(key)
        self._set(key, known)
        return known

    def _put(self, key: str, signature: Tracked, *, overwrite: bool) -> None:
        if self._signatures.get(key) is not None and not overwrite:
            by = f": edit[{self._by[key]}] needs it" if key in self._by else ""
            self.conflict(f"the key {key!r} is taken{by}", "overwrite = true replaces it")
        self._set(key, signature)

    def _set(self, key: str, signature: Tracked | None) -> None:
        self._signatures[key] = signature
        self._by[key] = self.place


def _exchange(kind: str, ring: Sequence[str], place: int) -> Conflict:
    names = " and ".join(map(repr, sorted(ring)))
    found = f"the {kind} {names} exchange their names: whether that is done already"
    return Conflict(place, f"{found} cannot be detected", "do it once, without a patch file")


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Return whether a key is one of the patterns or matches one."""
    return any(key == pattern or fnmatchcase(key, pattern) for pattern in patterns)


def _rings(origins: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the names of each exchange, such as a and b if a becomes b and b becomes a."""
    seen: set[str] = set()
    for start in origins:
        ring = [start]
        while ring[-1] in origins and origins[ring[-1]] not in ring:
            ring.append(origins[ring[-1]])
        closed = ring[-1] in origins and origins[ring[-1]] == start
        if closed and len(ring) > 1 and not seen.intersection(ring):
            seen.update(ring)
            yield ring
