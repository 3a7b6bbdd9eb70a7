"""Calls of two models that must have the same results, with sessions that give any results."""

from __future__ import annotations

import contextlib
from typing import Any

from smpatch.runs.pairs import Pair, compare_pairs
from smpatch.runs.sessions import Call, Ran
from smpatch.runtime.questions import Array


def _ran(number: int) -> Ran:
    return Ran({"y": (Array(3, (), data=number.to_bytes(4, "little")),)})


class _Runs:
    """Sessions of a model; each run gives the next of some results."""

    def __init__(self, *results: Ran) -> None:
        self._results = iter(results)

    @property
    def session(self) -> Any:  # noqa: ANN401 - no session, but it runs calls like one
        return lambda: contextlib.nullcontext(self)

    def run(self, _: Call) -> Ran:
        return next(self._results)


CALL = Call("k", {}, {"y": ("y:0",)})


def test_a_difference_stays_one_if_the_reference_fails_the_second_time() -> None:
    hung = Ran(failure="TensorFlow gave no answer within 5 s")
    reference = _Runs(_ran(1), _ran(1), hung, hung, hung)
    model = _Runs(_ran(2), _ran(2))
    outcomes = compare_pairs([Pair("k", CALL, CALL)], model.session, reference.session)
    assert not outcomes["k"].same
    assert outcomes["k"].outputs["y"].different == 1


def test_a_difference_that_a_second_run_does_not_show_is_none() -> None:
    reference = _Runs(*[_ran(1)] * 5)
    model = _Runs(_ran(2), _ran(1))
    outcomes = compare_pairs([Pair("k", CALL, CALL)], model.session, reference.session)
    assert outcomes["k"].same
