"""What a list of edits asks for in the end, whatever the model was.

The edits are followed with the signatures unknown: each key that they name ends up absent,
or with the signature that another key had, or with one that an edit made, and with changes
to it. That is all that can be held against a model to tell whether they are done already
(``converged``), and it shows contradictions that no model could resolve.

What only exchanges names (a becomes b and b becomes a) leaves no trace by which it could be
told from its contrary; it is a contradiction here, for to do it again would undo it.

This room looks at no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from smpatch.edits import (
    AddClassify,
    AddPredict,
    AddRegress,
    AddSignature,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
    Retag,
    TensorRef,
)
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    Shape,
)

__all__ = ["UNSAID", "Contradiction", "Expectation", "Slot", "Wanted", "expected", "matches"]

Made = AddPredict | AddClassify | AddRegress | AddSignature | PromoteFunction | FromSignature


class Unsaid:
    """The type of ``UNSAID``: nothing is asked for, which None cannot say."""


UNSAID = Unsaid()


@dataclass(frozen=True, slots=True)
class Slot:
    """One input or output of a signature, as the edits want it.

    Attributes:
        origin: The alias that it had before all edits; None where an edit added it.
        tensor: The tensor, where an edit names it.
        shape: The shape, where an edit says it.
        default: What it is where a request leaves it out, where an edit says it; None for none.
        sure: False where the alias may be meant on the other side, and be absent on this one.
    """

    origin: str | None
    tensor: TensorRef | None = None
    shape: Shape | Unsaid = UNSAID
    default: object = UNSAID
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signature that is to be there in the end.

    Attributes:
        origin: The key under which it was before all edits, or the edit that makes it.
        inputs: Alias to what is known of the input.
        outputs: Alias to what is known of the output.
        gone_inputs: Aliases that it no longer has, unless they are in ``inputs``.
        gone_outputs: Likewise.
        method_name: The method, where an edit says it.
        source: What it was made from, as that was then; None of other signatures.
    """

    origin: str | Made
    inputs: Mapping[str, Slot] = field(default_factory=dict)
    outputs: Mapping[str, Slot] = field(default_factory=dict)
    gone_inputs: frozenset[str] = frozenset()
    gone_outputs: frozenset[str] = frozenset()
    method_name: str | None = None
    source: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What no model could resolve.

    Attributes:
        edit: The edit's place in the list, from 0.
        found: What is wrong, in words.
        hint: What would work; empty when nothing would.
    """

    edit: int
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What holds when a list of edits is done.

    Attributes:
        signatures: Key to signature; None for a key that is to be absent.
        removed: Patterns of keys of which only those in ``signatures`` may be there.
        tags: Tag-sets and whether a MetaGraph is to have them.
        places: A MetaGraph's place to its tags.
        contradictions: What no model could resolve.
    """

    signatures: Mapping[str, Wanted | None]
    removed: tuple[str, ...]
    tags: Mapping[frozenset[str], bool]
    places: Mapping[int, frozenset[str]]
    contradictions: tuple[Contradiction, ...]


def expected(edits: Sequence[Edit]) -> Expectation:
    """Follow a list of edits."""
    follower = _Follower()
    for number, edit in enumerate(edits):
        follower.number = number
        follower.follow(edit)
    follower.find_exchanges()
    return Expectation(
        follower.signatures,
        tuple(follower.removed),
        follower.tags,
        follower.places,
        tuple(sorted(follower.contradictions, key=lambda each: each.edit)),
    )


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Tell whether a key is one of the patterns or matches one."""
    return any(key == pattern or fnmatchcase(key, pattern) for pattern in patterns)


class _Follower:
    """The state of the signatures after some edits."""

    def __init__(self) -> None:
        self.number = 0
        self.signatures: dict[str, Wanted | None] = {}
        self.removed: list[str] = []
        self.tags: dict[frozenset[str], bool] = {}
        self.places: dict[int, frozenset[str]] = {}
        self.contradictions: list[Contradiction] = []
        self._by: dict[str, int] = {}
        """Key to the last edit that put it there or took it away."""

    def follow(self, edit: Edit) -> None:
        """Do an edit to what is known."""
        if isinstance(edit, Rename):
            if self._distinct(edit.source, edit.target):
                wanted = self._take(edit.source)
                self._put(edit.target, wanted, overwrite=edit.overwrite)
                self._set(edit.source, None)
        elif isinstance(edit, Copy):
            if self._distinct(edit.source, edit.target):
                self._put(edit.target, self._take(edit.source), overwrite=edit.overwrite)
        elif isinstance(edit, Remove):
            self._remove(edit.keys)
        elif isinstance(edit, EditSignature):
            self._set(edit.key, self._changed(self._take(edit.key), edit))
        elif isinstance(edit, Retag):
            self._retag(edit)
        else:
            source = self._take(edit.source) if isinstance(edit, FromSignature) else None
            made = replace(_made(edit), source=source)
            self._put(_key(edit), made, overwrite=edit.overwrite)

    def find_exchanges(self) -> None:
        """Find names of which each only took another's place."""
        keys = {
            key: wanted.origin
            for key, wanted in self.signatures.items()
            if wanted is not None and isinstance(wanted.origin, str)
        }
        for ring in _rings(keys):
            place = max(self._by.get(key, 0) for key in ring)
            self._exchanged("signatures", ring, place)
        for key, wanted in self.signatures.items():
            if wanted is None or not isinstance(wanted.origin, str):
                continue
            for kind, slots in (("inputs", wanted.inputs), ("outputs", wanted.outputs)):
                names = {alias: slot.origin for alias, slot in slots.items() if slot.origin}
                for ring in _rings(names):
                    self._exchanged(kind, ring, self._by.get(key, 0))

    def _exchanged(self, kind: str, ring: Sequence[str], place: int) -> None:
        names = " and ".join(map(repr, sorted(ring)))
        found = f"the {kind} {names} only exchange their names, and a model does not show whether"
        hint = "do that by hand, once"
        self.contradictions.append(Contradiction(place, f"{found} they did", hint))

    def _contradict(self, found: str, hint: str = "") -> None:
        self.contradictions.append(Contradiction(self.number, found, hint))

    def _distinct(self, source: str, target: str) -> bool:
        if source == target:
            self._contradict(f"source and target are both {source!r}")
        return source != target

    def _known(self, key: str) -> Wanted | Unsaid | None:
        if key in self.signatures:
            return self.signatures[key]
        return None if matches(key, self.removed) else UNSAID

    def _take(self, key: str) -> Wanted:
        """Return the signature that an edit starts from."""
        known = self._known(key)
        if known is None:
            by = f": edit[{self._by[key]}] took it away" if key in self._by else ""
            self._contradict(f"there is no signature {key!r} any more{by}")
        if isinstance(known, Wanted):
            return known
        return self._set(key, Wanted(key)) or Wanted(key)

    def _put(self, key: str, wanted: Wanted, *, overwrite: bool) -> None:
        if isinstance(self._known(key), Wanted) and not overwrite:
            by = f": edit[{self._by[key]}] needs it" if key in self._by else ""
            self._contradict(f"the key {key!r} is taken{by}", "overwrite = true replaces it")
        self._set(key, wanted)

    def _set(self, key: str, wanted: Wanted | None) -> Wanted | None:
        self.signatures[key] = wanted
        self._by[key] = self.number
        return wanted

    def _remove(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            if self._known(pattern) is None and pattern in self._by:
                by = self._by[pattern]
                self._contradict(f"there is no {pattern!r} any more: edit[{by}] took it away")
        for key in [*self.signatures]:
            if matches(key, patterns) and self.signatures[key] is not None:
                self._set(key, None)
        for pattern in patterns:
            self._by.setdefault(pattern, self.number)
        self.removed += patterns

    def _changed(self, wanted: Wanted, edit: EditSignature) -> Wanted:
        inputs = self._renamed(wanted.inputs, wanted.gone_inputs, edit.rename_inputs)
        outputs = self._renamed(wanted.outputs, wanted.gone_outputs, edit.rename_outputs)
        gone_inputs = wanted.gone_inputs | {*edit.rename_inputs, *edit.drop_inputs}
        gone_outputs = wanted.gone_outputs | {*edit.rename_outputs, *edit.drop_outputs}
        for kind, slots, others, (names, drops, adds) in (
            ("input", inputs, outputs, (edit.rename_inputs, edit.drop_inputs, edit.add_inputs)),
            ("output", outputs, inputs, (edit.rename_outputs, edit.drop_outputs, edit.add_outputs)),
        ):
            self._check_names(kind, names, drops, adds)
            for alias in (*names, *drops):
                if alias in others and not others[alias].sure:
                    del others[alias]  # so it was meant on this side
            for alias in drops:
                if alias not in names.values():
                    slots.pop(alias, None)
            for alias, tensor in adds.items():
                slots[alias] = Slot(None, tensor)
        for name, shape in edit.shapes.items():
            self._say_shape(name, shape, inputs, outputs)
        for alias, value in edit.defaults.items():
            inputs[alias] = replace(inputs.get(alias, Slot(alias)), default=value, sure=True)
        return replace(
            wanted,
            inputs=inputs,
            outputs=outputs,
            gone_inputs=gone_inputs,
            gone_outputs=gone_outputs,
            method_name=edit.method_name or wanted.method_name,
        )

    def _renamed(
        self, slots: Mapping[str, Slot], gone: frozenset[str], names: Mapping[str, str]
    ) -> dict[str, Slot]:
        for old in names:
            if old in gone and old not in slots:
                self._contradict(f"there is no {old!r} any more", "an edit before took it away")
        found = {alias: slot for alias, slot in slots.items() if alias not in names}
        moved = {new: replace(slots.get(old, Slot(old)), sure=True) for old, new in names.items()}
        return found | moved

    def _check_names(
        self,
        kind: str,
        names: Mapping[str, str],
        drops: Sequence[str],
        adds: Mapping[str, TensorRef],
    ) -> None:
        targets = [*names.values(), *adds]
        for alias in dict.fromkeys(targets):
            if targets.count(alias) > 1:
                self._contradict(f"two {kind}s are to be called {alias!r}")
        for alias in drops:
            if alias in names:
                self._contradict(f"the {kind} {alias!r} is to be renamed and dropped")
        for old, new in names.items():
            if old == new:
                self._contradict(f"the {kind} {old!r} is renamed to itself")

    @staticmethod
    def _say_shape(
        name: str, shape: Shape, inputs: dict[str, Slot], outputs: dict[str, Slot]
    ) -> None:
        # A bare alias may be either; `inputs.` and `outputs.` say which.
        for prefix, slots in (("inputs.", inputs), ("outputs.", outputs)):
            if name.startswith(prefix) and name not in slots:
                alias = name.removeprefix(prefix)
                slots[alias] = replace(slots.get(alias, Slot(alias)), shape=shape)
                return
        known = [slots for slots in (inputs, outputs) if name in slots]
        for slots in known or (inputs, outputs):
            slot = slots.get(name, Slot(name, sure=False))
            slots[name] = replace(slot, shape=shape)

    def _retag(self, edit: Retag) -> None:
        target = frozenset(edit.target)
        if isinstance(edit.source, int):
            self.places[edit.source] = target
        elif frozenset(edit.source) == target:
            self._contradict("it has these tags already")
        else:
            self.tags[frozenset(edit.source)] = False
        self.tags[target] = True


def _key(edit: Made) -> str:
    if edit.key is None:  # of a function: the last part of its path
        return edit.function.rpartition(".")[2]
    return edit.key


def _made(edit: Made) -> Wanted:
    if isinstance(edit, AddPredict):
        return Wanted(edit, _slots(edit.inputs), _slots(edit.outputs), method_name=PREDICT)
    if isinstance(edit, AddClassify):
        named = {CLASSES: edit.classes, SCORES: edit.scores}
        given = {alias: tensor for alias, tensor in named.items() if tensor is not None}
        return Wanted(edit, _slots({EXAMPLES: edit.examples}), _slots(given), method_name=CLASSIFY)
    if isinstance(edit, AddRegress):
        fetched = _slots({PREDICTIONS: edit.predictions})
        return Wanted(edit, _slots({EXAMPLES: edit.examples}), fetched, method_name=REGRESS)
    if isinstance(edit, AddSignature):
        added = edit.signature
        inputs, outputs = _slots(added.inputs), _slots(added.outputs)
        return Wanted(edit, inputs, outputs, method_name=added.method_name)
    return Wanted(edit, method_name=PREDICT)


def _slots(tensors: Mapping[str, TensorRef]) -> dict[str, Slot]:
    return {alias: Slot(None, tensor) for alias, tensor in tensors.items()}


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
