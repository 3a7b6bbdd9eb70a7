"""A fixed number of edits one after the other; the name of the model chooses them."""

from __future__ import annotations

import random
import zlib

from tests.exporters.doing import Copy
from tests.exporters.numbers import Runner
from tests.exporters.verbs import VERBS

EDITS = 4


def test_some_edits_one_after_the_other_keep_the_numbers(copied: Copy, runner: Runner) -> None:
    source = random.Random(zlib.crc32(copied.subject.case.name.encode()))  # noqa: S311 - no secret
    for verb in source.sample(list(VERBS), len(VERBS)):
        if len(copied.done) < EDITS:
            copied.edit(verb, source.choice)
    assert len(copied.done) == EDITS
    assert list(copied.wrong(runner, ("python", "runtime"))) == [], copied.done
