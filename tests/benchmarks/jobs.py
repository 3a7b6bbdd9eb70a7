"""``apply`` on many small models, against ``--jobs``.

There are two kinds of models, because their costs differ: one in the style of TensorFlow 1, which
TensorFlow's C runtime proves, and one of TensorFlow 2 with both halves, which ``--validate auto``
loads in Python as well. Each job starts its own TensorFlow, so the measured time contains the cost
of a job: the batch must be big enough for this cost.

The bar with the reload: two jobs take at most 0.77 of the time of one (1.3 times as fast). Without
the reload, jobs are threads of one interpreter and wait only for each other and for the disk. If
the disk is fast, they gain nothing, and they may lose a tenth. The bars need two processors. A busy
machine makes both sides slower, and within a round nearly equally. Four jobs have no bar.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.commands import ADD_X_TO_Y, SMPATCH
from tests.benchmarks.measure import Measured, run
from tests.benchmarks.results import Rate, Row
from tests.benchmarks.rounds import compared, rounds
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["JOBS", "STYLES", "Style", "throughput"]

JOBS = (1, 2, 4)
_TWO_JOBS = {"auto": 0.77, "none": 1.1}
_TWO_HALVES = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "module"
_BOTH_HALVES = """
version = 1
[[edit]]
add-predict = "bench"
from-signature = "serving_default"
outputs = { result = "StatefulPartitionedCall:0" }
"""


@dataclass(frozen=True, slots=True)
class Style:
    """A kind of small model, and the patch file that edits it."""

    name: str
    model: Path | None
    patch: str


STYLES = (
    Style("TensorFlow 1", None, ADD_X_TO_Y),
    Style("TensorFlow 2", _TWO_HALVES, _BOTH_HALVES),
)


def throughput(shop: Workshop, sizes: Sizes) -> Iterator[Rate | Row]:
    """Edit batches with one job, two and four."""
    patch = shop.root / "jobs.toml"
    for style in STYLES:
        patch.write_text(style.patch)
        models = f"{sizes.batch} small models, {style.name}"
        for mode, bar in _TWO_JOBS.items():

            def edited(jobs: int, style: Style = style, mode: str = mode) -> Measured:
                batch = shop.batch(sizes.batch, style.model)
                options = ("--jobs", str(jobs), "--validate", mode)
                return run([*SMPATCH, "apply", str(patch), *batch, *options])

            columns = rounds([partial(edited, jobs) for jobs in JOBS], sizes.job_rounds)
            times = dict(
                zip(JOBS, ([each.seconds for each in one] for one in columns), strict=True)
            )
            for jobs in JOBS:
                yield Rate(
                    models=models,
                    validate=mode,
                    jobs=jobs,
                    per_second=sizes.batch / statistics.median(times[jobs]),
                    speed_up=statistics.median(
                        alone / together
                        for alone, together in zip(times[1], times[jobs], strict=True)
                    ),
                )
            contest = f"`apply --validate {mode} --jobs 2`, {models}"
            pairs = list(zip(times[2], times[1], strict=True))
            judged = sizes.judged and _processors() > 1
            yield compared((contest, "`--jobs 1`", "s"), pairs, bar, judged=judged)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
