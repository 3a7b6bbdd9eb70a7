"""The order trap in place: inputs and outputs of a signature get any other names.

An edit renames several at once, mostly so that they sort in another order. Each output is a
different number (``tests.oracle.factories.random``), so a value under the wrong name fails.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, reject, settings
from hypothesis import strategies as st

import smpatch
from smpatch import AliasError, load
from smpatch.edits import EditSignature
from tests.object_graph.conftest import UNPROVED, assert_values
from tests.object_graph.subjects import Asked, differences
from tests.object_graph.test_order import renamings
from tests.oracle.client import Oracle

EXAMPLES = 100 if os.environ.get("SMPATCH_PROVE") else 3
"""The number of examples; each builds a model, saves it again and converts it."""

KEY = "serving_default"
BOTH = ["python", "session"]


@st.composite
def chosen(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Draw inputs and outputs with their new aliases; some keep the old one."""
    inputs, outputs = draw(renamings())
    for names in (inputs, outputs):
        for alias in draw(st.sets(st.sampled_from(sorted(names)), max_size=len(names) - 1)):
            names[alias] = alias
        assume(len({*names.values()}) == len(names))
    return inputs, outputs


def _request(inputs: dict[str, str], outputs: dict[str, str]) -> EditSignature:
    return EditSignature(
        KEY,
        rename_inputs={old: new for old, new in inputs.items() if old != new},
        rename_outputs={old: new for old, new in outputs.items() if old != new},
    )


def _back(names: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


@pytest.mark.parametrize("halves", [1, 2])
@settings(
    max_examples=EXAMPLES,
    # An example takes seconds, so a failure is reported without a search for a smaller one.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=chosen())
def test_values_follow_their_names(
    oracle: Oracle, halves: int, names: tuple[dict[str, str], dict[str, str]]
) -> None:
    inputs, outputs = names
    with tempfile.TemporaryDirectory() as scratch:
        directory, again = Path(scratch) / "model", Path(scratch) / "again"
        told = oracle.ask("build_random", directory=directory, inputs=[*inputs], outputs=[*outputs])
        if halves == 1:
            oracle.ask("change", directory=directory, what="no_object_graph")
        before = (directory / "saved_model.pb").read_bytes()
        try:
            receipt = smpatch.edit_signature(directory, _request(inputs, outputs), options=UNPROVED)
        except AliasError:  # Python makes the same parameter of two names
            reject()
        feed = {inputs[name]: value for name, value in told["feed"].items()}
        asked = {KEY: Asked(feed, {outputs[name]: each for name, each in told["results"].items()})}
        assert load(directory).signatures[KEY].inputs.keys() == {*inputs.values()}
        about: dict[str, Any] = {"tags": ["serve"], "feeds": {KEY: feed}, "loaders": BOTH}
        toured = oracle.ask("tour", directory=directory, **about)
        assert_values(toured["python"], asked)
        assert_values(toured["session"], asked)
        if halves == 2:
            saved = oracle.ask("save_again", directory=directory, tags=["serve"], to=again)
            noted = "alias-not-resavable" in {note.code for note in receipt.notes}
            assert bool(saved) == noted, saved
            if noted:  # two names are equal in lower case
                return
            resaved = oracle.ask("tour", directory=again, **about)
            assert_values(resaved["python"], asked)
            assert_values(resaved["session"], asked)
            told = oracle.ask("tflite", directory=directory, key=KEY, feed=feed, tags=["serve"])
            assert differences(told, asked[KEY].results or {}) == []
        back = _request(_back(inputs), _back(outputs))
        smpatch.edit_signature(directory, back, options=UNPROVED)
        assert (directory / "saved_model.pb").read_bytes() == before
