"""Calls of two models that must have the same results, and the comparison of the results.

An output that differs between two runs of the reference is random or has a state, and is not
compared. A difference counts only if both calls show it again when they are made once more, each as
the first call of a model that was just loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from smpatch.runs.comparing import EXACT, Comparison, Tolerance, compare, worst
from smpatch.runs.feeds import Target
from smpatch.runs.sessions import Call, Ran, Session
from smpatch.runtime.questions import Array

Open = Callable[[], Session]

Values = Mapping[str, tuple[Array, ...]]

_CONFIRMED = 8
"""The most pairs that differ and are called once more."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A call, and the call that must have the same results.

    Attributes:
        key: The key of the outcome; pairs of one key have one outcome.
        call: The call in the model in question.
        reference: The call in the reference model. Both calls fetch the same aliases.
    """

    key: str
    call: Call
    reference: Call


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of all pairs of one key.

    Attributes:
        outputs: Alias to the comparison of its values in all runs, without those in ``unstable``.
        unstable: Aliases of outputs that differ in two runs of the reference.
        failure: Why a call failed although its reference ran; empty if there is no such call.
        not_run: Why no reference ran; empty if one ran.
        refused: Why a reference failed although its call ran; empty if there is no such reference.
    """

    outputs: Mapping[str, Comparison] = field(default_factory=dict)
    unstable: frozenset[str] = frozenset()
    failure: str = ""
    not_run: str = ""
    refused: str = ""

    @property
    def same(self) -> bool:
        """Whether no compared output differs, and no call failed although its reference ran."""
        return not self.failure and all(each.same for each in self.outputs.values())


def pair_up(
    target: Target,
    reference: Target,
    values: Iterable[Values],
    left_out: Callable[[str, str], object] = lambda *_: None,
) -> Iterator[Pair]:
    """Yield a pair of calls for each of the values that fit, if both have the same inputs.

    Args:
        target: The signature in question, whose key the pairs get.
        reference: The signature with which it is compared, on the outputs that both have.
        values: Alias to the tensors of which an input consists, for each pair.
        left_out: Is called with the key and the reason, in words, for values that do not fit.
    """
    both = [alias for alias in target.outputs if alias in reference.outputs]
    if not both:
        return
    needed, also_needed = (
        {a: len(n) for a, n in each.inputs.items()} for each in (target, reference)
    )
    for each in values:
        given = {alias: len(arrays) for alias, arrays in each.items()}
        if needed == also_needed == given:
            calls = (one.yielding(both).call(each) for one in (target, reference))
            yield Pair(target.key, *calls)
        else:
            takes, other, fed = map(sorted, (needed, also_needed, given))
            left_out(
                target.key, f"its inputs are {takes} and {other}, and the values are for {fed}"
            )


def compare_pairs(
    pairs: Sequence[Pair], model: Open, reference: Open, tolerance: Tolerance = EXACT
) -> dict[str, Outcome]:
    """Make all calls in their order, and compare their results; return the outcomes by key.

    Raises:
        NotLoadedError: TensorFlow does not load one of the two models.
        ChildUnfit: This TensorFlow does not have the loader.
    """
    with reference() as session:
        first = [session.run(pair.reference) for pair in pairs]
        again = [session.run(pair.reference) for pair in pairs]
    with model() as session:
        ran = [session.run(pair.call) for pair in pairs]
    each = [outcome_of(*results, tolerance) for results in zip(ran, first, again, strict=True)]
    suspects = [place for place, outcome in enumerate(each) if not outcome.same]
    for place in suspects[:_CONFIRMED]:
        confirmed = _confirmed(pairs[place], model, reference, tolerance)
        if not confirmed.not_run:  # a reference that fails now says nothing of the difference
            each[place] = confirmed
    found: dict[str, list[Outcome]] = {}
    for pair, outcome in zip(pairs, each, strict=True):
        found.setdefault(pair.key, []).append(outcome)
    return {key: merged(outcomes) for key, outcomes in found.items()}


def outcome_of(ran: Ran, first: Ran, again: Ran, tolerance: Tolerance) -> Outcome:
    """Return the outcome of one call, compared with two calls of its reference."""
    if first.failure:
        return Outcome(not_run=first.failure, refused="" if ran.failure else first.failure)
    unstable = {
        alias
        for alias, value in first.outputs.items()
        if again.failure or not compare(again.outputs[alias], value, tolerance).same
    }
    if ran.failure:
        return Outcome(unstable=frozenset(unstable), failure=ran.failure)
    outputs = {
        alias: compare(ran.outputs[alias], value, tolerance)
        for alias, value in first.outputs.items()
        if alias not in unstable
    }
    return Outcome(outputs, frozenset(unstable))


def _confirmed(pair: Pair, model: Open, reference: Open, tolerance: Tolerance) -> Outcome:
    """Make the calls of a pair once more, each as the first call of a newly loaded model."""
    with reference() as session:
        first, again = session.run(pair.reference), session.run(pair.reference)
    with reference() as session:
        anew = session.run(pair.reference)
    with model() as session:
        ran = session.run(pair.call)
    found = outcome_of(ran, first, again, tolerance)
    unstable = found.unstable | outcome_of(ran, first, anew, tolerance).unstable
    stable = {alias: each for alias, each in found.outputs.items() if alias not in unstable}
    return replace(found, outputs=stable, unstable=unstable)


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of several calls of one key."""
    ran = [each for each in outcomes if not each.not_run]
    if not ran:
        return next((each for each in outcomes if each.refused), outcomes[0])
    unstable = frozenset(alias for each in ran for alias in each.unstable)
    aliases = dict.fromkeys(alias for each in ran for alias in each.outputs)
    return Outcome(
        {
            alias: worst(each.outputs[alias] for each in ran if alias in each.outputs)
            for alias in aliases
            if alias not in unstable
        },
        unstable,
        next((each.failure for each in ran if each.failure), ""),
        refused=next((each.refused for each in outcomes if each.refused), ""),
    )
