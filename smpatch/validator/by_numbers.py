"""The proof by numbers: the model before the edit and the edited model run on the same values.

Each output that the edits keep must have the same value as before, bit for bit, under its new name.
Each new output must have the value of the tensor that the edit names. ``kept`` has the counterpart
of each output. If Python's loader has signatures of its own, they are compared in the same way. A
new output without a counterpart before the edit must have the same value in both loaders.

A signature with bound inputs is compared with the signature that it is made of, which is fed the
same values. A signature with functions before or after it is compared with its parts. These two
comparisons are made in every mode but ``none``, in the C runtime alone.

A signature that does not run before the edit is reported and not compared, and so is an output that
is random or has a state.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from smpatch.editing.edit import Edit
from smpatch.errors import SmpatchError, ValidationError
from smpatch.functions.joining import Composition
from smpatch.loader import SavedModel, load
from smpatch.proof.numbers import Kept
from smpatch.rules import Note
from smpatch.runs.arrays import UnmakeableError
from smpatch.runs.feeds import Names, Target, in_c, in_python
from smpatch.runs.pairs import Outcome, Pair, Values, compare_pairs, pair_up
from smpatch.runs.sessions import CRuntime, NotLoadedError, Place, PythonLoader
from smpatch.runtime.process import ChildUnfit
from smpatch.signature import SignatureDef
from smpatch.validator.composed_values import Chain, composed_outcome, composed_values, with_bound
from smpatch.validator.kept import SameValues, kept
from smpatch.validator.opened_values import opened_chain, opened_outcome
from smpatch.validator.reload import Edited, Validator

_UNCHANGED = "the model is unchanged"
_REPORT = f"{_UNCHANGED}; please report this"

_Targets = Mapping[str, Target]
_Loaded = tuple[type[CRuntime | PythonLoader], Place]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The outputs that were run before and after an edit and are equal.

    Attributes:
        outputs: Key of a signature to its outputs that have, bit for bit, the same value as
            before, or as the tensors that the edits name.
        notes: Notes on the outputs that could not be compared, and why.
    """

    outputs: Mapping[str, tuple[str, ...]]
    notes: tuple[Note, ...] = ()


def same_numbers(
    validator: Validator,
    edited: Edited,
    model: SavedModel,
    edits: Sequence[Edit],
    feed: str | os.PathLike[str] | None = None,
) -> Numbers:
    """Run the model before the edit and the edited model, and compare their numbers.

    If the validator's mode is not ``run``, only composed signatures run.

    Args:
        validator: The validator that asks TensorFlow.
        edited: The edited model, which TensorFlow loads.
        model: The model before the edit.
        edits: The edits.
        feed: A ``.npz`` file with values, used in addition to those that are made up.

    Raises:
        UsageError: The file cannot be read, or names no input.
        ValidationError: A number differs, or a signature does not run any more.
    """
    proof = _Proof(validator, edited, model, feed)
    proof.of_composed(edits)
    if validator.mode != "run":
        return proof.of_bound(edits)
    try:
        proof.in_c(edits)
        proof.functions()
        if edited.before.has_object_graph and len(model.meta_graphs) == 1:
            proof.in_python(edits if edited.with_object_graph else ())
    except ChildUnfit as error:
        found = f"the signatures cannot be run: {error}"
        raise ValidationError(found, hint="validate without a run: --validate full") from error
    except NotLoadedError as error:
        raise ValidationError(str(error), hint=_UNCHANGED) from error
    return proof.numbers()


class _Proof:
    def __init__(
        self,
        validator: Validator,
        edited: Edited,
        model: SavedModel,
        feed: str | os.PathLike[str] | None,
    ) -> None:
        self._validator = validator
        self._before = edited.before
        self._model = model
        # Read from disk, because the written file is compared, not the MetaGraph in memory.
        self._after = load(edited.directory).meta_graph(edited.after.tags)
        self._was = Place(model.directory, edited.before.tags)
        self._now = Place(edited.directory, edited.after.tags)
        self._values = SameValues(self._before, self._after, feed)
        self._same: dict[str, dict[str, None]] = {}
        self._new: dict[str, list[str]] = {}
        self._functions: dict[str, Kept] = {}
        self._notes: dict[Note, None] = {}
        self._skipped: set[str] = set()
        self._feed = feed
        self._composed: dict[str, frozenset[str]] = {}
        self._composed_values: dict[str, list[Values]] = {}

    def numbers(self) -> Numbers:
        """Return the result of all comparisons."""
        for key, why in self._values.unmakeable.items():
            self._left_out(key, why)
        for key, aliases in self._new.items():
            left = [each for each in aliases if each not in self._composed.get(key, ())]
            if not left:
                continue
            names = ", ".join(map(repr, left))
            found = f"the model before the edit has nothing to compare {names} with"
            self._notes[Note("numbers-new", f"signature {key!r}: {found}")] = None
        outputs = {key: tuple(sorted(aliases)) for key, aliases in self._same.items() if aliases}
        return Numbers(outputs, tuple(self._notes))

    def of_bound(self, edits: Sequence[Edit]) -> Numbers:
        """Compare the results of signatures with bound inputs, if the C runtime can run them."""
        wanted = _kept(edits, in_c(self._before.signatures))
        keys = [key for key, there in wanted.items() if there.bound]
        for each in edits:
            made = each.composition
            if made is None or made.in_parts:
                continue
            if made.key in wanted and made.key not in keys:
                why = "another edit of the list makes or changes the signature that it is made of"
                self._left_out(made.key, why)
        try:
            self.in_c(edits, keys)
        except (ChildUnfit, NotLoadedError) as error:
            for key in keys:
                self._left_out(key, str(error))
        return self.numbers()

    def of_composed(self, edits: Sequence[Edit]) -> None:
        """Compare composed signatures with their parts, unless they only have bound inputs.

        Raises:
            ValidationError: Their numbers differ.
        """
        for place, edit in enumerate(each.composition for each in edits):
            if edit is None or not edit.in_parts:
                continue
            changed = _changed_later(edits[place + 1 :], edit.key)
            chain = None if changed else self._chain(edits[:place], edit)
            if chain is None:
                why = "another edit of the list makes or changes this signature or its source"
                self._left_out(edit.key, why)
                continue
            try:
                if edit.from_input:
                    self._opened(chain)
                else:
                    self._in_parts(chain)
            except (UnmakeableError, ChildUnfit, NotLoadedError) as error:
                self._left_out(edit.key, str(error))

    def _in_parts(self, chain: Chain, known: Sequence[Values] = ()) -> None:
        edit = chain.edit
        values = composed_values(edit, self._after, self._feed, known)
        outcome = composed_outcome(self._validator, chain, values)
        self._composed[edit.key] = frozenset(outcome.outputs)
        self._composed_values[edit.key] = values
        if outcome.not_run:
            self._left_out(edit.key, f"its parts, run in order, fail: {outcome.not_run}")
        self._record(edit.key, outcome, "it differs from the result of its parts, run in order")

    def _opened(self, chain: Chain) -> None:
        """Compare a signature in which tensors became inputs with the whole signature."""
        key = chain.edit.key
        with opened_chain(chain, self._model, self._before) as both:
            outcome, known = opened_outcome(self._validator, both, self._before)
            words = "fed the values of these tensors, it differs from the whole signature"
            if both.is_target:
                self._composed[key] = frozenset(outcome.outputs)
                self._record(key, outcome, words)
                return
            if outcome.not_run:
                why = f"the whole signature does not run before the edit: {outcome.not_run}"
                self._left_out(key, why)
            elif outcome.failure:
                found = f"fed what its tensors give, it does not run: {outcome.failure}"
                raise _refusal(key, found)
            _check(key, outcome, words)
            self._in_parts(both.chain, known)

    def _chain(self, earlier: Sequence[Edit], edit: Composition) -> Chain | None:
        """Return a composed signature with its parts; None if the model before lacks the source."""
        there = _kept(earlier, in_c(self._before.signatures)).get(edit.source)
        if (
            there is None
            or not there.complete
            or there.bound
            or there.was not in (known := self._before.signatures)
        ):
            return None
        old = known[there.was]
        if there.inputs.tensors or there.outputs.tensors:
            return None
        inputs = {alias: old.inputs[was] for alias, was in there.inputs.was.items()}
        outputs = {alias: old.outputs[was] for alias, was in there.outputs.was.items()}
        target = in_c({"": SignatureDef(inputs, outputs, "")})[""]
        source = SignatureDef(inputs, outputs, old.method_name)
        places = self._was, self._now, self._after.signatures[edit.key]
        return Chain(edit, source, target.inputs, target.outputs, *places, was=there.was)

    def in_c(self, edits: Sequence[Edit], keys: Sequence[str] | None = None) -> None:
        """Compare the results of the C runtime for these keys, or for all."""
        before, after = (in_c(each.signatures) for each in (self._before, self._after))
        wanted = _kept(edits, before)
        self._check_names(wanted, after)
        pairs: list[Pair] = []
        for key, target in after.items():
            if keys is not None and key not in keys:
                continue
            there = wanted.get(key, Kept(complete=False))
            self._values.make(key, there)
            graph = self._before.graph
            named = {
                alias: names
                for alias, names in there.outputs.tensors.items()
                if all(name.rpartition(":")[0] in graph for name in names)
            }
            reference = _reference(there, before, there.inputs.tensors, named)
            new = [alias for alias in target.outputs if alias not in reference.outputs]
            if new:
                self._new[key] = new
            if there.function:
                self._functions[key] = there
            pairs += self._bound(target, there, before, self._pairs(target, reference))
        self._compare(pairs, CRuntime)

    def functions(self) -> None:
        """Compare signatures in the C runtime with the functions of which they were made.

        Raises:
            ValidationError: Their numbers differ.
        """
        pairs: list[Pair] = []
        targets = in_c(self._after.signatures)
        for key, there in self._functions.items():
            target = targets[key]
            inputs, results = there.inputs.was, there.outputs.was
            function = Target(
                key,
                {alias: (inputs.get(alias, alias),) for alias in target.inputs},
                {alias: (results.get(alias, alias),) for alias in target.outputs},
                there.function,
            )
            pairs += self._pairs(target, function)
        outcomes = self._outcomes(pairs, (CRuntime, self._now), (PythonLoader, self._was))
        for key, outcome in outcomes.items():
            if outcome.failure:
                self._left_out(key, f"the C runtime does not run it: {outcome.failure}")
            elif not outcome.not_run:
                name = self._functions[key].function
                _check(key, outcome, f"it differs from the result of {name!r}")
                self._proved(key, outcome)

    def in_python(self, edits: Sequence[Edit]) -> None:
        """Compare the results of Python's loader, and new outputs in both loaders."""
        before, after = self._listed(self._was), self._listed(self._now)
        for key in after.keys() - self._after.signatures.keys():
            self._left_out(key, "it is only in the object graph")
        pairs: list[Pair] = []
        for key, there in _kept(edits, before).items():
            if key in after:
                both = self._pairs(after[key], _reference(there, before, {}, {}))
                both = self._values.with_dropped(there, both)
                pairs += self._bound(after[key], there, before, both)
        self._compare(pairs, PythonLoader)
        targets = in_c(self._after.signatures)
        pairs = [
            pair
            for key, aliases in self._new.items()
            if key in after
            for pair in pair_up(
                after[key],
                targets[key].yielding(aliases),
                self._composed_values.get(key) or self._values.of(key),
            )
        ]
        self._compare_halves(pairs)

    def _check_names(self, wanted: Mapping[str, Kept], after: _Targets) -> None:
        """Refuse a model whose keys and aliases are not those that follow from the edits."""
        for key, there in wanted.items():
            if not there.complete:
                continue
            where = f"signature {key!r}"
            if key not in after:
                raise ValidationError("it is not in the edited model", where=where, hint=_REPORT)
            target = after[key]
            for kind, found, names in (
                ("inputs", target.inputs, there.inputs),
                ("outputs", target.outputs, there.outputs),
            ):
                expected = names.was.keys() | names.tensors.keys()
                if found.keys() != expected:
                    text = f"it has the {kind} {sorted(found)}, not {sorted(expected)}"
                    raise ValidationError(text, where=where, hint=_REPORT)

    def _pairs(self, target: Target, reference: Target) -> Iterator[Pair]:
        return pair_up(target, reference, self._values.of(target.key), self._left_out)

    def _bound(
        self, target: Target, there: Kept, before: _Targets, pairs: Iterator[Pair]
    ) -> Iterator[Pair]:
        """Return pairs in which the reference is fed the bound values, if there are any."""
        if not there.bound:
            return pairs
        try:
            named = before[there.was].inputs
            return with_bound(pairs, target, there, self._before.signatures[there.was], named)
        except SmpatchError as error:  # another edit of the list has changed the inputs
            self._left_out(target.key, str(error))
            return iter(())

    def _listed(self, place: Place) -> _Targets:
        """Return the signatures that Python lists; none if it does not load the model."""
        loader = PythonLoader(self._validator, place)
        with loader, contextlib.suppress(NotLoadedError):
            loader.load()
        return in_python(loader.signatures)

    def _compare(self, pairs: Sequence[Pair], loader: type[CRuntime | PythonLoader]) -> None:
        """Make calls in the two models, and record the outcomes.

        Raises:
            ValidationError: A number differs, or a signature does not run any more.
        """
        outcomes = self._outcomes(pairs, (loader, self._now), (loader, self._was))
        for key, outcome in outcomes.items():
            words = f"it is not what it was before the edit ({loader.loader})"
            self._record(key, outcome, words, f" ({loader.loader})")

    def _outcomes(
        self, pairs: Sequence[Pair], one: _Loaded, other: _Loaded
    ) -> Mapping[str, Outcome]:
        asks = self._validator
        return compare_pairs(pairs, lambda: one[0](asks, one[1]), lambda: other[0](asks, other[1]))

    def _record(self, key: str, outcome: Outcome, different: str, loader: str = "") -> None:
        """Record the outcome of a signature.

        Raises:
            ValidationError: A number differs, or the signature does not run any more.
        """
        if outcome.not_run:
            self._left_out(key, f"it does not run before the edit: {outcome.not_run}")
        if outcome.failure:
            found = f"it runs before the edit and not after it{loader}"
            raise _refusal(key, f"{found}: {outcome.failure}")
        for alias in sorted(outcome.unstable):
            text = "is random or has a state, and is not compared: it differs in two runs"
            text = f"signature {key!r}: the output {alias!r} {text} before the edit"
            self._notes[Note("numbers-unstable", text)] = None
        _check(key, outcome, different)
        self._same.setdefault(key, {}).update(dict.fromkeys(outcome.outputs))

    def _compare_halves(self, pairs: Sequence[Pair]) -> None:
        """Compare new outputs in both loaders.

        Raises:
            ValidationError: Their numbers differ.
        """
        outcomes = self._outcomes(pairs, (PythonLoader, self._now), (CRuntime, self._now))
        for key, outcome in outcomes.items():
            if not outcome.not_run and not outcome.failure:
                _check(
                    key, outcome, "tf.saved_model.load and the C runtime compute different numbers"
                )
                self._proved(key, outcome)

    def _proved(self, key: str, outcome: Outcome) -> None:
        self._new[key] = [each for each in self._new[key] if each not in outcome.outputs]

    def _left_out(self, key: str, why: str) -> None:
        if key not in self._skipped:  # one note is enough if both loaders fail
            text = f"signature {key!r}: its numbers are not compared: {why}"
            self._notes[Note("numbers-not-compared", text)] = None
        self._skipped.add(key)


def _changed_later(edits: Sequence[Edit], key: str) -> bool:
    """Return whether later edits make, rename, change or remove a signature."""
    return any(
        key in each.shown_keys or each.removes(key) or each.key_after(key) != key for each in edits
    )


def _kept(edits: Sequence[Edit], targets: _Targets) -> Mapping[str, Kept]:
    return kept(edits, {key: ([*each.inputs], [*each.outputs]) for key, each in targets.items()})


def _reference(there: Kept, before: _Targets, inputs: Names, outputs: Names) -> Target:
    """Return the target before the edits that a signature must equal, with the present aliases.

    Args:
        there: The record of the signature.
        before: Key to target, before the edits.
        inputs: Alias to tensors, for the inputs that are tensors of the graph.
        outputs: Alias to tensors, for the outputs that are tensors of the graph.
    """
    old = before.get(there.was, Target("", {}, {}))
    had = ((there.inputs, old.inputs), (there.outputs, old.outputs))
    fed, fetched = (
        {alias: names[was] for alias, was in each.was.items() if was in names}
        for each, names in had
    )
    return Target(there.was, {**fed, **inputs}, {**fetched, **outputs})


def _check(key: str, outcome: Outcome, found: str) -> None:
    different = sorted(alias for alias, each in outcome.outputs.items() if not each.same)
    if different:
        alias, more = different[0], len(different) - 1
        found = f"{found}: {outcome.outputs[alias]}"
        found += f"; {more} more of its outputs differ" if more else ""
        raise _refusal(key, found, alias)


def _refusal(key: str, found: str, alias: str = "") -> ValidationError:
    where = f"signature {key!r}, output {alias!r}" if alias else f"signature {key!r}"
    return ValidationError(found, where=where, hint=_UNCHANGED)
