"""Whether a model is already what a list of edits asks for.

Applying a patch file twice is the same as applying it once: before anything is edited, what
holds when all is done (``postconditions``) is held against the model. Where a list has
grown since it was applied, its beginning is done and its rest is not.

This room asks no TensorFlow and changes nothing. What it cannot tell it takes for not done;
then the edits are done, or refused, as if they stood alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeVar

from smpatch.edits import AddSignature, Edit, FromSignature, PromoteFunction, Retag
from smpatch.errors import SmpatchError, TagSetError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.planes.compare import disagreements
from smpatch.planes.follow import names, promoted, same
from smpatch.postconditions import UNSAID, Expectation, Slot, Wanted, expected, matches
from smpatch.signature import SignatureDef, Spec
from smpatch.values import holds

__all__ = ["Remaining", "converged", "remaining"]


def converged(
    model: SavedModel,
    edits: Sequence[Edit],
    *,
    tag_set: Sequence[str] | None = None,
    both_planes: bool = True,
) -> bool:
    """Tell whether a model is what a whole list of edits asks for.

    Args:
        model: The model.
        edits: The edits, in their order.
        tag_set: The tags of the MetaGraph to edit, before or after the edits; None for the
            only one.
        both_planes: Whether the object graph has to follow, where there is one.
    """
    expectation = expected(edits)
    if expectation.contradictions or not _tagged(model, expectation):
        return False
    if not expectation.signatures and not expectation.removed:
        return True
    try:
        meta_graph = _chosen(model, edits, tag_set)
        return _Check(meta_graph, expectation, both_planes=both_planes and _python(model)).passes()
    except SmpatchError:
        return False  # whoever does the edits will meet it again, and say it


class Remaining(NamedTuple):
    """What is still to be done to a model.

    Attributes:
        edits: The edits after the longest beginning that is done.
        tag_set: The tags of the MetaGraph to edit, as they are now; None for the only one.
    """

    edits: tuple[Edit, ...]
    tag_set: tuple[str, ...] | None


def remaining(
    model: SavedModel,
    edits: Sequence[Edit],
    *,
    tag_set: Sequence[str] | None = None,
    both_planes: bool = True,
) -> Remaining:
    """Tell what of a list of edits is still to be done.

    Args:
        model: The model.
        edits: The edits, in their order.
        tag_set: As for ``converged``.
        both_planes: As for ``converged``.
    """
    chosen = None if tag_set is None else tuple(tag_set)
    for count in range(len(edits), 0, -1):
        done = edits[:count]
        if converged(model, done, tag_set=tag_set, both_planes=both_planes):
            retags = [each for each in done if isinstance(each, Retag)]
            if retags and (chosen is not None or len(model.meta_graphs) > 1):
                chosen = _chosen_or(model, done, tag_set, retags[-1].target)
            return Remaining(tuple(edits[count:]), chosen)
    return Remaining(tuple(edits), chosen)


def _chosen_or(
    model: SavedModel,
    done: Sequence[Edit],
    tag_set: Sequence[str] | None,
    target: tuple[str, ...],
) -> tuple[str, ...]:
    """Return the tags of the MetaGraph that the edits are about, be it only about its tags."""
    try:
        return _chosen(model, done, tag_set).tags
    except TagSetError:
        return target


def _python(model: SavedModel) -> bool:
    """Tell whether Python takes its signatures from the object graph (``load.py``)."""
    return len(model.meta_graphs) == 1


def _tagged(model: SavedModel, expectation: Expectation) -> bool:
    present = [frozenset(each.tags) for each in model.meta_graphs]
    return all((tags in present) is wanted for tags, wanted in expectation.tags.items()) and all(
        place < len(present) and present[place] == tags
        for place, tags in expectation.places.items()
    )


def _chosen(model: SavedModel, edits: Sequence[Edit], tag_set: Sequence[str] | None) -> MetaGraph:
    """Return the MetaGraph that the edits are about, which may have got other tags from them."""
    if tag_set is None:
        return model.meta_graph()
    tags = set(tag_set)
    for edit in edits:
        if isinstance(edit, Retag) and not isinstance(edit.source, int):
            tags = set(edit.target) if set(edit.source) == tags else tags
    try:
        return model.meta_graph(sorted(tags))
    except TagSetError:
        places = [each for each in edits if isinstance(each, Retag) and each.source in {0, 1}]
        if not places:
            raise
        return model.meta_graph(places[-1].target)


class _Check:
    """One MetaGraph against what is expected of it."""

    def __init__(
        self, meta_graph: MetaGraph, expectation: Expectation, *, both_planes: bool
    ) -> None:
        self._meta_graph = meta_graph
        self._wanted = expectation.signatures
        self._removed = expectation.removed
        self._both_planes = both_planes and meta_graph.has_object_graph

    def passes(self) -> bool:
        """Tell whether all of it holds; what is cheap to see comes first."""
        present = self._meta_graph.signatures
        for key, wanted in self._wanted.items():
            if (key in present) is not (wanted is not None):
                return False
        for key in present:
            if key not in self._wanted and matches(key, self._removed):
                return False
        return (
            all(self._signature(key, wanted) for key, wanted in self._named())
            and self._copies()
            and not (self._both_planes and self._disagree())
        )

    def _named(self) -> Iterator[tuple[str, Wanted]]:
        for key, wanted in self._wanted.items():
            if wanted is not None:
                yield key, wanted

    def _disagree(self) -> bool:
        return any(
            each.key in self._wanted or matches(each.key, self._removed)
            for each in disagreements(self._meta_graph)
        )

    def _signature(self, key: str, wanted: Wanted) -> bool:
        signature = self._meta_graph.signatures[key]
        return (
            wanted.method_name in {None, signature.method_name}
            and self._side(signature.inputs, wanted.inputs, wanted.gone_inputs)
            and self._side(signature.outputs, wanted.outputs, wanted.gone_outputs)
            and _somewhere(signature, wanted)
            and all(_default(signature, *each) for each in wanted.inputs.items())
            and self._made(signature, wanted)
        )

    def _made(self, signature: SignatureDef, wanted: Wanted) -> bool:
        """Check that a signature is as a whole what an edit makes."""
        made = wanted.origin
        if isinstance(made, str):
            return True
        if isinstance(made, PromoteFunction):
            return self._promoted(made, signature, wanted)
        if isinstance(made, FromSignature):
            return self._derived(made, signature, wanted)
        # Whatever it had by default when it was added, later edits may have changed.
        changed = {alias for alias, slot in wanted.inputs.items() if slot.default is not UNSAID}
        added = made.signature.defaults if isinstance(made, AddSignature) else {}
        return (
            set(signature.inputs) == set(wanted.inputs)
            and set(signature.outputs) == set(wanted.outputs)
            and _rest(signature.defaults, changed) == _rest(added, changed)
        )

    def _side(
        self, specs: Mapping[str, Spec], slots: Mapping[str, Slot], gone: frozenset[str]
    ) -> bool:
        """Check what edits said of the inputs, or the outputs, of a signature."""
        if any(alias in specs and alias not in slots for alias in gone):
            return False
        for alias, slot in slots.items():
            spec = specs.get(alias)
            if spec is None:
                if slot.sure:
                    return False
                continue
            if slot.shape is not UNSAID and getattr(spec, "shape", UNSAID) != slot.shape:
                return False
            if slot.tensor is not None and not names(self._meta_graph, slot.tensor, spec):
                return False
        return True

    def _promoted(self, edit: PromoteFunction, signature: SignatureDef, wanted: Wanted) -> bool:
        found = promoted(self._meta_graph, edit)
        inputs = _final(found.inputs, wanted.inputs, wanted.gone_inputs)
        outputs = _final(found.outputs, wanted.outputs, wanted.gone_outputs)
        added = {alias for alias, slot in wanted.inputs.items() if slot.tensor is not None}
        if set(signature.inputs) != {*inputs, *added}:
            return False
        added = {alias for alias, slot in wanted.outputs.items() if slot.tensor is not None}
        return set(signature.outputs) == {*outputs, *added} and all(
            found.yields(signature.outputs[alias], place) for alias, place in outputs.items()
        )

    def _derived(self, edit: FromSignature, signature: SignatureDef, wanted: Wanted) -> bool:
        outputs = _final(edit.outputs, wanted.outputs, wanted.gone_outputs)
        added = {alias for alias, slot in wanted.outputs.items() if slot.tensor is not None}
        if set(signature.outputs) != {*outputs, *added}:
            return False
        source = self._untouched(edit.source)
        untouched = not wanted.inputs and not wanted.gone_inputs
        if source is not None and untouched and {**signature.inputs} != {**source.inputs}:
            return False
        known = {} if wanted.source is None else self._then(wanted.source)
        # What took the place of its own source kept the outputs that it names as they were.
        kept = edit.key == edit.source
        return all(
            same(self._meta_graph, signature.outputs[alias], known[name])
            if name in known
            else names(self._meta_graph, name, signature.outputs[alias])
            or (kept and alias == name)
            or self._lost(wanted.source, name)
            for alias, name in outputs.items()
        )

    def _lost(self, source: Wanted | None, name: str) -> bool:
        """Tell whether a later edit took the output away by which another one is known.

        Then nothing of the model tells any more which tensor it was, and all else has to do.
        """
        if source is None or not isinstance(source.origin, str):
            return False
        slot = source.outputs.get(name)
        original = name if slot is None or slot.origin is None else slot.origin
        left = [now for _, now in self._named() if now.origin == source.origin]
        return all({original, name} & now.gone_outputs for now in left)

    def _then(self, source: Wanted) -> Mapping[str, Spec]:
        """Return the outputs of a signature under the names that it had amid the edits.

        Those that an edit took away since are left out: nothing tells which they were.
        """
        named_then = {slot.origin: alias for alias, slot in source.outputs.items() if slot.origin}
        found: dict[str, Spec] = {}
        for key, now in self._named():
            if now.origin != source.origin or not isinstance(now.origin, str):
                continue
            for alias, spec in self._meta_graph.signatures[key].outputs.items():
                slot = now.outputs.get(alias)
                original = alias if slot is None else slot.origin
                if original in named_then:
                    found[named_then[original]] = spec
                elif original is not None and original not in source.gone_outputs:
                    found[original] = spec
        return found

    def _untouched(self, key: str) -> SignatureDef | None:
        """Return a signature of the model that is as it was before all edits."""
        if self._wanted.get(key) != Wanted(key):
            return None
        return self._meta_graph.signatures.get(key)

    def _copies(self) -> bool:
        """Check that what comes from one signature is alike where no edit made it differ."""
        for (one_key, one), (other_key, other) in combinations(self._named(), 2):
            if one.origin != other.origin or not isinstance(one.origin, str):
                continue
            first, second = (self._meta_graph.signatures[key] for key in (one_key, other_key))
            if one == other:
                if first != second:
                    return False
                continue
            touched = {*one.inputs, *one.gone_inputs, *other.inputs, *other.gone_inputs}
            if _rest(first.inputs, touched) != _rest(second.inputs, touched):
                return False
            touched = {*one.outputs, *one.gone_outputs, *other.outputs, *other.gone_outputs}
            if _rest(first.outputs, touched) != _rest(second.outputs, touched):
                return False
        return True


def _somewhere(signature: SignatureDef, wanted: Wanted) -> bool:
    """Check that an alias that is meant on one side or the other is there at all."""
    return all(
        slot.sure or alias in signature.inputs or alias in signature.outputs
        for alias, slot in (*wanted.inputs.items(), *wanted.outputs.items())
    )


def _default(signature: SignatureDef, alias: str, slot: Slot) -> bool:
    if slot.default is UNSAID:
        return True
    if slot.default is None:
        return alias not in signature.defaults
    return alias in signature.defaults and holds(signature.defaults[alias], slot.default)


_Place = TypeVar("_Place", int, str)
_Any = TypeVar("_Any")


def _final(
    made: Mapping[str, _Place], slots: Mapping[str, Slot], gone: frozenset[str]
) -> dict[str, _Place]:
    """Return what an edit made under the aliases that later edits gave it."""
    found = {alias: each for alias, each in made.items() if alias not in {*gone, *slots}}
    for alias, slot in slots.items():
        if slot.origin is not None and slot.origin in made:
            found[alias] = made[slot.origin]
    return found


def _rest(known: Mapping[str, _Any], touched: set[str]) -> dict[str, _Any]:
    return {alias: each for alias, each in known.items() if alias not in touched}
