"""``copy-signatures`` restores lost signatures from another export of the same graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import Options, RefusedError, load
from smpatch.other_export import copy_signatures
from tests.contract.editing import copy
from tests.contract.models import FIXTURES, Case, cases

UNPROVED = Options(validate="none")

MODELS = [each for each in cases() if not each.with_object_graph]

SAY_TOO_LITTLE = {"no_op_list", "text_form", "text_newer_writer"}
"""Models that do not record the outputs of their operations, so smpatch would ask TensorFlow."""

NOT_ALIKE = {
    "newer_writer": {"scale"},  # fields that the schema does not have are not copied
    "halves_disagree": {"plus"},  # only the object graph has it
}
"""Signatures that are restored with a difference."""


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_what_was_taken_away_comes_back(case: Case, tmp_path: Path) -> None:
    model = tmp_path / "model"
    copy(case.directory, model)
    (whole, *others) = load(model).meta_graphs
    too_little = case.name in SAY_TOO_LITTLE or "keras-multiple-2.0.0-alpha0" in case.name
    if not whole.signatures or too_little:
        pytest.skip("there is nothing to lose, or TensorFlow would have to be asked")
    options = replace(UNPROVED, tag_set=whole.tags if others else None)
    smpatch.remove_signatures(model, "*", options=options)
    assert load(model).meta_graphs[0].signatures == {}
    reasons = _reasons(model, case.directory, options)
    found = load(model).meta_graphs[0].signatures
    left_out = {key for key in whole.signatures if key not in found}
    assert {key for key in left_out if repr(key) not in reasons} == set()
    assert found == {key: each for key, each in whole.signatures.items() if key in found}
    difference = smpatch.diff(case.directory, model)
    keys = {each.key for each in difference.meta_graphs[0].signatures}
    assert keys == left_out | NOT_ALIKE.get(case.name, set())


def _reasons(model: Path, source: Path, options: Options) -> str:
    """Copy all signatures that can be copied, and return the reasons for the others."""
    try:
        receipt = copy_signatures(model, source, options=options)
    except RefusedError as error:
        return str(error)
    return "; ".join(note.text for note in receipt.notes if note.code == "left-out")


def test_what_breaks_a_rule_is_left_out_and_told(tmp_path: Path) -> None:
    copy(FIXTURES / "wrong_tensor_info", tmp_path / "model")
    smpatch.remove_signatures(tmp_path / "model", "*", options=UNPROVED)
    receipt = copy_signatures(tmp_path / "model", FIXTURES / "wrong_tensor_info", options=UNPROVED)
    told = {note.text for note in receipt.notes if note.code == "left-out"}
    offered = load(FIXTURES / "wrong_tensor_info").signatures
    assert len(told) == len(offered) - len(load(tmp_path / "model").signatures) > 0
    assert any("gone:0: no such node in the graph" in each for each in told)


@pytest.mark.parametrize(
    ("model", "source", "puts"),
    [
        (
            "models/keras_functional",
            "serving_default",
            [{"before": f"left=normalize({mean}, 2)"} for mean in (1, 5)],
        ),
        (
            "models/keras_functional",
            "serving_default",
            [{"bind": {"right": [1.0, value]}} for value in (0.5, 2.5)],
        ),
        ("exporters/tangled_session", "switched", [{"bind": {"flag": f}} for f in (False, True)]),
    ],
    ids=["function", "value", "value in a session"],
)
def test_a_composed_signature_got_the_values_of_another_one(
    model: str, source: str, puts: Sequence[Mapping[str, Any]], tmp_path: Path
) -> None:
    """Its tensors had the same names there, and its numbers came from the values there."""
    ours, theirs, alike = (tmp_path / name for name in ("ours", "theirs", "alike"))
    for place, put in ((ours, puts[0]), (theirs, puts[1]), (alike, puts[0])):
        copy(FIXTURES.parent / model, place)
        smpatch.compose_signature(place, source, signature="new", options=UNPROVED, **put)
    smpatch.rename_signature(ours, "new", "old", options=UNPROVED)
    with pytest.raises(RefusedError, match="which compose has put in, has other values"):
        copy_signatures(ours, theirs, keys="new", options=UNPROVED)
    assert copy_signatures(ours, alike, keys="new", options=UNPROVED).outcome == "added"
