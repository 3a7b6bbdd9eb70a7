"""Edits of one list that cannot stand beside each other, found before any model is opened.

Two kinds: an edit needs what an earlier one took away, or the other way round; and an edit
that leaves no trace, or that changes what an earlier edit reads, so that it could not be found out
from the model whether the list was applied already. An exchange of names (a becomes b and b
becomes a) is of the second kind: to do it again undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from smpatch.edits import (
    Compose,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    Making,
    Remove,
    RemoveMetaGraph,
    Rename,
    Retag,
    SetInitOp,
)

__all__ = ["Conflict", "conflicts"]

_Kind = Literal["inputs", "outputs"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflict of one edit of a list with an earlier one, or with itself.

    Attributes:
        edit: The edit's place in the list, from 0.
        found: The conflict, in words.
        hint: What to write instead; empty where nothing would do.
    """

    edit: int
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Signature:
    """A signature amid the edits.

    Attributes:
        origin: The key that it had before all edits; None where an edit made it.
        inputs: Alias to the alias before all edits, of the inputs that were renamed.
        outputs: The same of the outputs.
        gone: Aliases that an edit renamed or dropped, with the kind.
    """

    origin: str | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    gone: frozenset[tuple[_Kind, str]]


def conflicts(edits: Sequence[Edit]) -> tuple[Conflict, ...]:
    """Return the conflicts in a list of edits, in its order."""
    if any(isinstance(each, RemoveMetaGraph) for each in edits):
        return tuple(_beside_removals(edits))
    reader = _Reader()
    for place, edit in enumerate(edits):
        reader.read(place, edit)
    found = reader.found or [*reader.exchanges()] or reader.unproved
    return tuple(sorted(found, key=lambda each: each.edit))


def _beside_removals(edits: Sequence[Edit]) -> Iterator[Conflict]:
    """Yield the edits that cannot stand beside the removal of a MetaGraph."""
    first = next(place for place, each in enumerate(edits) if isinstance(each, RemoveMetaGraph))
    gone: dict[frozenset[str], int] = {}
    for place, edit in enumerate(edits):
        if not isinstance(edit, RemoveMetaGraph):
            found = f"edit[{first}] removes a MetaGraph, and this edit changes one"
            yield Conflict(place, found, "put it into a patch file of its own")
            continue
        by = gone.setdefault(frozenset(edit.tag_set), place)
        if by != place:
            yield Conflict(place, f"edit[{by}] removes this MetaGraph")


class _Reader:
    """Follows the keys and aliases through a list of edits."""

    def __init__(self) -> None:
        self.found: list[Conflict] = []
        self.unproved: list[Conflict] = []
        self._place = 0
        self._signatures: dict[str, _Signature | None] = {}
        self._by: dict[str, int] = {}
        self._removed: list[str] = []
        self._made: set[str] = set()
        self._copied: dict[str, int] = {}
        self._derived: dict[str, int] = {}
        self._tags: dict[frozenset[str], int] = {}
        self._init_op: int | None = None

    def read(self, place: int, edit: Edit) -> None:
        """Read one edit."""
        self._place = place
        if isinstance(edit, Rename | Copy):
            self._move(edit)
        elif isinstance(edit, Remove):
            self._remove(edit)
        elif isinstance(edit, EditSignature):
            self._change(edit)
        elif isinstance(edit, Retag):
            self._retag(edit)
        elif isinstance(edit, SetInitOp):
            self._set_init_op()
        elif isinstance(edit, Making):
            self._make(edit)

    def _set_init_op(self) -> None:
        if self._init_op is not None:
            found = f"edit[{self._init_op}] says what the init op is"
            self._conflict(found, "name all operations in one edit")
        self._init_op = self._place

    def _make(self, edit: Making) -> None:
        if isinstance(edit, FromSignature | Compose):
            self._take(edit.source)
            if isinstance(edit, Compose) and edit.source == edit.key not in self._made:
                found = f"{edit.key!r} would be made of itself, and a model does not show it"
                self._conflict(found, 'rename it before: rename = "KEY", to = "raw"')
            if edit.source != edit.key and edit.source not in self._made:
                self._derived[edit.source] = self._place
        # Without a key it is the last part of the function's path.
        key = getattr(edit, "function", "").rpartition(".")[2] if edit.key is None else edit.key
        made = _Signature(None, {}, {}, frozenset())
        self._changes_what_was_read(key)
        self._put(key, made, overwrite=edit.overwrite)
        self._made.add(key)

    def exchanges(self) -> Iterator[Conflict]:
        """Yield the exchanges of names that the list as a whole comes to."""
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

    def _conflict(self, found: str, hint: str = "") -> None:
        self.found.append(Conflict(self._place, found, hint))

    def _changes_what_was_read(self, key: str, *, copied: bool = True) -> None:
        """Note a change of what an earlier edit starts from; then it is not known what that was."""
        for readers in (self._copied, self._derived) if copied else (self._derived,):
            if key in readers:
                found = f"edit[{readers[key]}] starts from {key!r}, which this edit changes"
                hint = "put this edit before that one, or into a patch file of its own"
                self.unproved.append(Conflict(self._place, found, hint))

    def _move(self, edit: Rename | Copy) -> None:
        source, target = edit.source, edit.target
        if source == target:
            self._conflict(f"source and target are both {source!r}")
            return
        moved = self._take(source)
        self._changes_what_was_read(target)
        self._put(target, moved, overwrite=edit.overwrite)
        if isinstance(edit, Copy):
            if source not in self._made:
                self._copied[source] = self._place
            self._made.add(target)
            return
        self._set(source, None)
        if source in self._made:
            self._made.add(target)
        self._made.discard(source)
        for readers in (self._copied, self._derived):
            if source in readers:
                readers[target] = readers.pop(source)

    def _remove(self, edit: Remove) -> None:
        for pattern in edit.keys:
            if self._known(pattern) is None and pattern in self._by:
                by = self._by[pattern]
                self._conflict(f"there is no {pattern!r} any more: edit[{by}] took it away")
        for key in [*self._signatures]:
            if _matches(key, edit.keys) and self._signatures[key] is not None:
                self._set(key, None)
        for key in [*self._derived, *self._copied]:
            if _matches(key, edit.keys):
                self._changes_what_was_read(key, copied=False)  # a copy and a removal are a rename
                self._derived.pop(key, None)
                self._copied.pop(key, None)
        for pattern in edit.keys:
            self._by.setdefault(pattern, self._place)
        self._removed += edit.keys

    def _change(self, edit: EditSignature) -> None:
        old = self._take(edit.key)
        only_outputs = EditSignature(edit.key, rename_outputs=edit.rename_outputs)
        if edit != only_outputs or edit.key in self._copied:
            self._changes_what_was_read(edit.key)
        gone = set(old.gone)
        inputs = self._renamed("inputs", old.inputs, edit.rename_inputs, edit.drop_inputs, gone)
        outputs = self._renamed(
            "outputs", old.outputs, edit.rename_outputs, edit.drop_outputs, gone
        )
        self._check_names("input", edit.rename_inputs, edit.drop_inputs, edit.add_inputs)
        self._check_names("output", edit.rename_outputs, edit.drop_outputs, edit.add_outputs)
        gone -= {("inputs", alias) for alias in edit.add_inputs}
        gone -= {("outputs", alias) for alias in edit.add_outputs}
        self._set(edit.key, _Signature(old.origin, inputs, outputs, frozenset(gone)))

    def _renamed(
        self,
        kind: _Kind,
        before: Mapping[str, str],
        renames: Mapping[str, str],
        drops: Sequence[str],
        gone: set[tuple[_Kind, str]],
    ) -> dict[str, str]:
        """Return the aliases after an edit, each with its alias before all; update ``gone``."""
        for alias in renames:
            if (kind, alias) in gone:
                self._conflict(f"there is no {alias!r} any more", "an edit before took it away")
        kept = {alias: was for alias, was in before.items() if alias not in {*renames, *drops}}
        gone |= {(kind, alias) for alias in (*renames, *drops)}
        gone -= {(kind, alias) for alias in renames.values()}
        return kept | {new: before.get(was, was) for was, new in renames.items()}

    def _check_names(
        self,
        kind: str,
        renames: Mapping[str, str],
        drops: Sequence[str],
        adds: Iterable[str],
    ) -> None:
        targets = [*renames.values(), *adds]
        for alias in dict.fromkeys(targets):
            if targets.count(alias) > 1:
                self._conflict(f"two {kind}s are to be called {alias!r}")
        for alias in drops:
            if alias in renames:
                self._conflict(f"the {kind} {alias!r} is to be renamed and dropped")
        for old, new in renames.items():
            if old == new:
                self._conflict(f"the {kind} {old!r} is renamed to itself")

    def _retag(self, edit: Retag) -> None:
        target = frozenset(edit.target)
        if not isinstance(edit.source, int):
            source = frozenset(edit.source)
            if source == target:
                self._conflict("it has these tags already")
            elif source in self._tags:
                by = self._tags[source]
                hint = f"write the final tags in edit[{by}]"
                self._conflict(f"edit[{by}] gives it the tags {','.join(sorted(source))}", hint)
        self._tags[target] = self._place

    def _known(self, key: str) -> _Signature | None:
        """Return what is known of a key; None where an edit took it away."""
        if key in self._signatures:
            return self._signatures[key]
        fresh = _Signature(key, {}, {}, frozenset())
        return None if _matches(key, self._removed) else fresh

    def _take(self, key: str) -> _Signature:
        """Return the signature that an edit starts from."""
        known = self._known(key)
        if known is None:
            by = f": edit[{self._by[key]}] took it away" if key in self._by else ""
            self._conflict(f"there is no signature {key!r} any more{by}")
            known = _Signature(key, {}, {}, frozenset())
        self._set(key, known)
        return known

    def _put(self, key: str, signature: _Signature, *, overwrite: bool) -> None:
        if self._signatures.get(key) is not None and not overwrite:
            by = f": edit[{self._by[key]}] needs it" if key in self._by else ""
            self._conflict(f"the key {key!r} is taken{by}", "overwrite = true replaces it")
        self._set(key, signature)

    def _set(self, key: str, signature: _Signature | None) -> None:
        self._signatures[key] = signature
        self._by[key] = self._place


def _exchange(kind: str, ring: Sequence[str], place: int) -> Conflict:
    names = " and ".join(map(repr, sorted(ring)))
    found = f"the {kind} {names} exchange their names: whether that is done already"
    return Conflict(place, f"{found} cannot be detected", "do it once, without a patch file")


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(key == pattern or fnmatchcase(key, pattern) for pattern in patterns)


def _rings(origins: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield rings of names of which each was another's before."""
    seen: set[str] = set()
    for start in origins:
        ring = [start]
        while ring[-1] in origins and origins[ring[-1]] not in ring:
            ring.append(origins[ring[-1]])
        closed = ring[-1] in origins and origins[ring[-1]] == start
        if closed and len(ring) > 1 and not seen.intersection(ring):
            seen.update(ring)
            yield ring
