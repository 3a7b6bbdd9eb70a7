"""Edits in hostile order: each kind after each other kind, and random sequences of them.

Each edit starts from the result of the edit before; at the end TensorFlow must give the right
number for every name.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.exporters.doing import Copy
from tests.exporters.numbers import Runner
from tests.exporters.subjects import EXPORTED
from tests.exporters.verbs import VERBS
from tests.prove.ledger import Count

EXAMPLES = 8
"""The number of sequences for each model."""

ALONE = {"rename-input", "rename-output", "method", "default", "add-input", "drop-input"}
"""Verbs that are like another verb, or change no tensors; only sequences have them."""

PAIRED = tuple(verb for verb in VERBS if verb not in ALONE)

IN_PYTHON = 4
"""One of this many pairs runs in Python's loader too; the name of the model decides which."""


@pytest.mark.proof("pairs of edits")
def test_each_edit_after_each_other_keeps_the_numbers(
    copied: Copy, runner: Runner, tmp_path: Path, count: Count
) -> None:
    if copied.subject.directory.parent != EXPORTED:
        pytest.skip("single edits and sequences are done to it")
    number = zlib.crc32(copied.subject.case.name.encode())
    count.add(models=1)
    for one in PAIRED:
        copied.start()
        if not copied.edit(one):
            continue
        held = tmp_path / "held"
        shutil.copytree(copied.directory, held)
        model = copied.model
        for other in PAIRED:
            number += 1
            loaders = ("runtime",) if number % IN_PYTHON else ("python", "runtime")
            with count.case(f"{one}, {other}"):
                if copied.edit(other):
                    count.add(edits=2)
                    assert list(copied.wrong(runner, loaders)) == []
            shutil.rmtree(copied.directory)
            shutil.copytree(held, copied.directory)
            copied.model = model
        shutil.rmtree(held)
    count.settle()
    assert count.numbers["edits"]


SEQUENCES = st.lists(st.sampled_from([*VERBS]), min_size=2, max_size=4) | st.lists(
    st.sampled_from([*VERBS]), min_size=5, max_size=8
)


@pytest.mark.proof("sequences of edits")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
@given(data=st.data())
def test_random_sequences_keep_the_numbers(
    data: st.DataObject, copied: Copy, runner: Runner, count: Count
) -> None:
    copied.start()
    for verb in data.draw(SEQUENCES):
        copied.edit(verb, lambda found: data.draw(st.sampled_from(list(found))))
    count.add(executions=1, edits=len(copied.done))
    assert list(copied.wrong(runner)) == [], copied.done
