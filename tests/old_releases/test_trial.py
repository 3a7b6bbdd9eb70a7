"""The comparison of answers finds wrong ones; ``make matrix`` runs the old releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.old_releases.arrays import array, plain
from tests.old_releases.edits import CASES, PREDICT, Call
from tests.old_releases.trial import Subject, judged

GAP, HIDDEN = plain(np.array([1.5], np.float32)), plain(np.array([2.0], np.float32))
RECORD = {"feeds": {}, "truth": {"gap": GAP, "hidden": HIDDEN}}
CALLS = {"mixing": Call({"a": "a"}, {"gap": "gap", "z": "hidden"})}
WRITTEN = Subject("module", Path("written"), ["serve"], CALLS, RECORD, plain=True)
EDITED = Subject("module: edited", Path("edited"), ["serve"], CALLS, RECORD)
RIGHT = {
    "mixing": {"inputs": ["a"], "method": PREDICT, "outputs": {"gap": GAP, "z": HIDDEN}},
}


def _but(**changes: object) -> dict[str, Any]:
    return {"mixing": {**RIGHT["mixing"], **changes}}


def test_what_holds_is_counted() -> None:
    outcome = judged("session", [WRITTEN, EDITED], [RIGHT, RIGHT], own=True)
    assert (outcome.good, outcome.wrong, outcome.beyond) == (2, (), ())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_but(outputs={"gap": HIDDEN, "z": GAP}), "mixing: "),
        (_but(outputs={"gap": GAP, "hidden": HIDDEN}), "mixing: "),
        (_but(outputs={"gap": GAP, "z": {**HIDDEN, "dtype": "float64"}}), "mixing: "),
        (_but(inputs=["b"]), "mixing: "),
        (_but(method="mine"), "mixing: "),
        ({"mixing": {"refused": "ValueError: no"}}, "ValueError: no"),
        ({"refused": "KeyError: f"}, "KeyError: f"),
        ({}, "mixing is missing"),
        ({**RIGHT, "more": {}}, "more is not expected"),
    ],
)
def test_what_does_not_hold_is_told(answer: dict[str, Any], why: str) -> None:
    (line,) = judged("session", [WRITTEN, EDITED], [RIGHT, answer], own=False).wrong
    assert line.startswith("session, module: edited: ")
    assert why in line


def test_what_another_release_cannot_read_anyway_is_not_counted() -> None:
    refused = {"refused": "NotFoundError: op"}
    outcome = judged("session", [WRITTEN, EDITED], [refused, refused], own=False)
    assert (outcome.good, outcome.wrong) == (0, ())
    assert outcome.beyond == ("session, module: NotFoundError: op",)


def test_the_writer_must_read_what_it_wrote() -> None:
    refused = {"refused": "NotFoundError: op"}
    outcome = judged("session", [WRITTEN, EDITED], [refused, RIGHT], own=True)
    assert (outcome.good, len(outcome.wrong)) == (1, 1)


@pytest.mark.parametrize("value", [np.float32(0.5), np.array([[b"\xff", b""]], dtype=object)])
def test_arrays_come_back_as_they_were(value: Any) -> None:  # noqa: ANN401 - arrays and scalars
    again = array(plain(value))
    assert plain(again) == plain(value)
    assert np.shape(again) == np.shape(value)


def test_each_case_says_what_it_is_about_once() -> None:
    names = [(model, case.name) for case in CASES for model in case.models]
    assert len(names) == len(set(names))
