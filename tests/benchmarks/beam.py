"""Many models on Apache Beam's local runner, against ``apply`` on the same models.

Beam itself needs two seconds for any models. An edit of all models in the style of TensorFlow 1
takes about as long. So only the other models, which take longer, are judged.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.commands import SMPATCH
from tests.benchmarks.jobs import STYLES, Style
from tests.benchmarks.measure import Measured, run
from tests.benchmarks.results import Result, Skipped
from tests.benchmarks.rounds import rounds, time_row
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["on_beam"]

_WORKERS = "2"
_BAR = 1.5
_JUDGED = "TensorFlow 2"


def on_beam(shop: Workshop, sizes: Sizes) -> Iterator[Result]:
    """Edit batches on two threads of the local runner, and with two jobs of ``apply``."""
    if importlib.util.find_spec("apache_beam") is None:
        yield Skipped("models on Apache Beam", "not installed: apache_beam")
        return
    patch, outcomes = shop.root / "beam.toml", shop.root / "outcomes.jsonl"

    def ours(style: Style) -> Measured:
        models = str(Path(shop.batch(sizes.batch, style.model)[0]).parent / "*")
        words = ("--patch", str(patch), "--models", models, "--outcomes", str(outcomes))
        beam = (sys.executable, "-m", "smpatch.beam")
        return run([*beam, *words, "--direct_num_workers", _WORKERS])

    def theirs(style: Style) -> Measured:
        batch = shop.batch(sizes.batch, style.model)
        return run([*SMPATCH, "apply", str(patch), *batch, "--jobs", _WORKERS])

    for style in STYLES:
        patch.write_text(style.patch)
        sides = rounds((partial(ours, style), partial(theirs, style)), sizes.job_rounds)
        contest = f"`python -m smpatch.beam`, {sizes.batch} small models, {style.name}"
        judged = sizes.judged and style.name == _JUDGED
        rival = f"`apply --jobs {_WORKERS}`"
        yield time_row(contest, rival, (sides[0], sides[1]), _BAR, judged=judged)
