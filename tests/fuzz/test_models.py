"""Mutated models in both forms: commands read and edit them, and TensorFlow judges the result.

TensorFlow's own classes are the oracle of the wire form: if they parse a model, smpatch shows it,
and an edit changes one signature and nothing else. If smpatch refuses a model, no byte changes.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import mutations, targets
from tests.fuzz.ledger import EXAMPLES
from tests.fuzz.seeds import BINARY, KEY, TEXT, Seed
from tests.oracle.client import Oracle
from tests.prove.ledger import Count

SOME = settings(
    max_examples=EXAMPLES or 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],
    print_blob=True,
)
DECISIONS = st.binary(min_size=24, max_size=160)
TIMES = st.integers(1, 4)


@pytest.mark.proof("fuzz: wire form")
@SOME
@given(seed=st.sampled_from(BINARY), decisions=DECISIONS, times=TIMES)
def test_mutated_model_is_shown_and_edited_as_tensorflow_parses_it_or_refused(
    seed: Seed, decisions: bytes, times: int, oracle: Oracle, count: Count
) -> None:
    count.add(executions=1)
    choices = mutations.Choices.of(decisions)
    which, reader = choices.below(len(seed.edits)), choices.one_of(targets.READERS)
    data = mutations.broken_wire(seed.data, choices, times)
    with tempfile.TemporaryDirectory() as directory:
        place, original = Path(directory) / "model", Path(directory) / "original"
        for each in (place, original):
            each.mkdir()
            (each / seed.file).write_bytes(data)
        readable = targets.shown(place, seed.directory, [reader])
        parsed = oracle.ask("parse_all", files=[base64.b64encode(data).decode()], form="binary")
        if parsed["good"][0] and not readable:
            assert targets.only_too_long(targets.run("show", str(place)).complaint)
        asked = seed.edits[which]
        if targets.edited(place, asked.do, seed.tags) and parsed["good"][0]:
            said = oracle.ask("compare", before=original, after=place)
            assert said["else_equal"] or asked.adds_nodes
            assert {key for _, key, _ in said["signatures"]} == {KEY}


@pytest.mark.proof("fuzz: text form")
@SOME
@given(seed=st.sampled_from(TEXT), decisions=DECISIONS, times=TIMES)
def test_mutated_text_is_shown_and_edited_or_refused(
    seed: Seed, decisions: bytes, times: int, count: Count
) -> None:
    count.add(executions=1)
    choices = mutations.Choices.of(decisions)
    reader = choices.one_of(targets.READERS)
    data = mutations.broken_text(seed.data, choices, times)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / seed.file).write_bytes(data)
        readable = targets.shown(place, seed.directory, [reader])
        for edit in seed.edits:
            assert readable or not targets.edited(place, edit.do, seed.tags)
