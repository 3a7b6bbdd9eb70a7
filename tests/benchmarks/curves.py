"""Cost against one size at a time, and the bars for it.

``bytes``: the file grows, and the number of nodes stays the same. A signature adds a few hundred
bytes, so the work of smpatch itself must not grow:

* ``show`` on the largest file takes at most 1.3 times the processor time that it takes on
  the smallest.
* ``add-predict`` must write a new file. The kernel does this work, for ``cp`` as well. The bar is
  for the time outside the kernel, which is everything but the write: on the largest file it is at
  most 1.3 times the time on the smallest. The curve also shows a bare replacement of the same
  file: ``cp`` to a new file, ``sync``, ``mv`` over the old file (which frees the blocks of the
  old file, as the commit does), ``sync`` of the directory.
  (The difference of both has no bar: to copy 1.6 GB, the kernel took between 0.6 and 1.4 s of
  processor time, which depended on the use of disk and memory by other programs. The total at the
  largest size has its bar in wall time: the contest ``constants``.)
* The highest peak of memory at any size is at most 1.6 times the lowest. (Pages of the
  mapped file count while they are resident. Around each page that is read, the system maps more
  pages, and it alone decides how many: some ten megabytes, and more at 10 MB than at 1 GB.)

``nodes``: every node is on the path that ``add-predict`` walks. The cost must be linear:

* The processor time for each node is ``(t(n) - t(least)) / (n - least)``. At the largest size it
  is at most 1.5 times the value at the size before. The least size measures the start-up. (A
  quadratic cost would give ten times, and a cost with a quadratic tenth 1.9 times.) The bar is
  1.5 and not 1 because of the caches of the processor.
* The memory for each node, in the same way, is at most 1.3 times: tables grow by doubling.
* ``show`` walks no node: on the longest chain it takes at most 1.3 times the time of the shortest.

The bars compare processor time, and medians of ratios within a round. Reason: with four processes
waiting for each processor, wall time was four times as long and proved nothing, but processor time
changed by a tenth. If instructions can be counted, they are counted too: neither the disk nor other
programs change their number, so their bars are near 1. For nodes, only the three least sizes are
counted; the tool would take minutes for a million nodes.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.commands import SMPATCH, X_TO_Y, add_predict, bytes_label, show
from tests.benchmarks.instructions import NO_COUNTER, can_count, counted
from tests.benchmarks.measure import Measured, run
from tests.benchmarks.results import Point, Row, Skipped
from tests.benchmarks.rounds import compared, rounds
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["CURVES", "bytes_curve", "each_node", "nodes_curve"]

_ADD = "add-predict --validate none"
_REPLACE = "cp, sync, mv"
_FLAT = 1.3
_FLAT_MEMORY = 1.6
_FLAT_INSTRUCTIONS = 1.05
_LINEAR = 1.5
_LINEAR_MEMORY = 1.3
_LINEAR_INSTRUCTIONS = 1.1


@dataclass(frozen=True, slots=True)
class _Line:
    """The cost of one command at each size, in each round."""

    curve: str
    command: str
    sizes: tuple[int, ...]
    runs: list[list[Measured]]

    def points(self) -> Iterator[Point]:
        """Yield a point of the report for each size."""
        for size, runs in zip(self.sizes, self.runs, strict=True):
            yield Point(
                curve=self.curve,
                size=size,
                command=self.command,
                seconds=min(each.seconds for each in runs),
                processor_seconds=statistics.median(each.processor_seconds for each in runs),
                peak_mb=statistics.median(each.peak_bytes for each in runs) / 1e6,
            )

    def busy(self, index: int) -> list[float]:
        """Return the processor time of each round at the size with an index, in seconds."""
        return [each.processor_seconds for each in self.runs[index]]

    def outside_kernel(self, index: int) -> list[float]:
        """Return the part of the processor time that was spent outside the kernel."""
        return [each.user_seconds for each in self.runs[index]]

    def peaks(self, index: int) -> list[float]:
        """Return the peak of memory of each round at the size with an index, in bytes."""
        return [float(each.peak_bytes) for each in self.runs[index]]


def bytes_curve(shop: Workshop, sizes: Sizes) -> Iterator[Point | Row | Skipped]:
    """Measure the commands on files of growing size."""
    dial = sizes.constant_bytes
    models = [shop.constants(size) for size in dial]
    edit = partial(_synced_edit, shop)
    shown = _Line("bytes", "show", dial, _runs([show], models, sizes)[0])
    edits, replacements = _runs([edit, _replacement], models, sizes)
    added, replaced = (
        _Line("bytes", _ADD, dial, edits),
        _Line("bytes", _REPLACE, dial, replacements),
    )
    for line in (shown, added, replaced):
        yield from line.points()

    least, most = (f"{bytes_label(size)} of constants" for size in (dial[0], dial[-1]))
    judged = sizes.judged
    pairs = list(zip(shown.busy(-1), shown.busy(0), strict=True))
    labels = (f"`show`, {most}, processor time", least, "s")
    yield compared(labels, pairs, _FLAT, judged=judged)
    pairs = list(zip(added.outside_kernel(-1), added.outside_kernel(0), strict=True))
    labels = (f"`{_ADD}`, {most}, time outside the kernel", least, "s")
    yield compared(labels, pairs, _FLAT, judged=judged)
    for line in (shown, added):
        peaks = [point.peak_mb for point in line.points()]
        labels = (f"`{line.command}`, peak memory, the highest of all sizes", "the lowest", "MB")
        yield compared(labels, [(max(peaks), min(peaks))], _FLAT_MEMORY, judged=judged)
    if not can_count():
        yield Skipped("the curve of bytes, instructions", NO_COUNTER)
        return
    for command, argv in (("show", _show_argv), (_ADD, partial(_add_argv, shop))):
        large, small = (counted(argv(model)) / 1e6 for model in (models[-1], models[0]))
        labels = (f"`{command}`, {most}, instructions", least, "M")
        yield compared(labels, [(large, small)], _FLAT_INSTRUCTIONS)


def nodes_curve(shop: Workshop, sizes: Sizes) -> Iterator[Point | Row | Skipped]:
    """Measure the commands on graphs of growing length."""
    dial = sizes.chain_nodes
    models = [shop.chain(size) for size in dial]
    shown = _Line("nodes", "show", dial, _runs([show], models, sizes)[0])
    added = _Line("nodes", _ADD, dial, _runs([partial(_synced_edit, shop)], models, sizes)[0])
    for line in (shown, added):
        yield from line.points()

    before, last = dial[-2:]
    judged = sizes.judged
    pairs = list(zip(shown.busy(-1), shown.busy(0), strict=True))
    labels = (f"`show`, {last:,} nodes, processor time", f"{dial[0]:,} nodes", "s")
    yield compared(labels, pairs, _FLAT, judged=judged)
    for what, unit, scale, bar, cost in (
        ("processor time", "ns", 1e9, _LINEAR, added.busy),
        ("memory", "B", 1.0, _LINEAR_MEMORY, added.peaks),
    ):
        costs = zip(cost(-1), cost(-2), cost(0), strict=True)
        pairs = [
            (
                scale * each_node(high, start, last - dial[0]),
                scale * each_node(low, start, before - dial[0]),
            )
            for high, low, start in costs
        ]
        contest = f"`{_ADD}`, {last:,} nodes, {what} for each"
        yield compared((contest, f"{before:,} nodes", unit), pairs, bar, judged=judged)
    if not can_count():
        yield Skipped("the curve of nodes, instructions", NO_COUNTER)
        return
    start, low, high = (counted(_add_argv(shop, model)) for model in models[:3])
    least, fewer, more = dial[:3]
    labels = (f"`{_ADD}`, {more:,} nodes, instructions for each", f"{fewer:,} nodes", "each")
    pairs = [(each_node(high, start, more - least), each_node(low, start, fewer - least))]
    yield compared(labels, pairs, _LINEAR_INSTRUCTIONS)


def each_node(cost: float, start: float, more: int) -> float:
    """Return the cost of one node.

    Args:
        cost: The cost of the larger model.
        start: The cost of the least model, which measures the start-up.
        more: The number of nodes that the larger model has more than the least one.
    """
    return (cost - start) / more


CURVES: dict[str, Callable[[Workshop, Sizes], Iterator[Point | Row | Skipped]]] = {
    "bytes": bytes_curve,
    "nodes": nodes_curve,
}


def _runs(
    commands: Sequence[Callable[[Path], Measured]], models: Sequence[Path], sizes: Sizes
) -> list[list[list[Measured]]]:
    """Run commands on all models in each round; return the runs by command and model."""
    sides = [partial(command, model) for model in models for command in commands]
    columns = rounds(sides, sizes.curve_rounds)
    return [columns[index :: len(commands)] for index in range(len(commands))]


def _synced_edit(shop: Workshop, model: Path) -> Measured:
    """Edit a model after all earlier writes have reached the disk."""
    os.sync()
    return add_predict(model, shop.new_key())


def _replacement(model: Path) -> Measured:
    """Replace the file of a model with a copy of it, as safely as an edit does."""
    os.sync()
    commands = 'cp "$1" "$2" && sync "$2" && mv "$2" "$1" && sync "$3"'
    file, copy = str(model / "saved_model.pb"), str(model / "copy.pb")
    return run(["sh", "-c", commands, "sh", file, copy, str(model)])


def _show_argv(model: Path) -> list[str]:
    return [*SMPATCH, "show", str(model)]


def _add_argv(shop: Workshop, model: Path) -> list[str]:
    key = ("--signature", shop.new_key())
    return [*SMPATCH, "add-predict", str(model), *X_TO_Y, *key, "--validate", "none"]
