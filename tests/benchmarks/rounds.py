"""Rounds of A, B, A, B, ..., and the ratio that is computed from them.

In each round every side runs once, one after the other. The ratio that is compared with a
bar is the median of the rounds' own ratios. Reason: on a busy machine the noise lasts longer
than a run. Within a round it makes both sides slower by the same factor, so the ratio stays the
same. The median ignores the rounds in which the noise changed only one side. (The minimum of each
side would pair the best run of one side with the best run of the other, and the contests about the
disk have no least time that a good run could show.) The result of a first round is not used: it
fills the page cache and writes the bytecode.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from tests.benchmarks.measure import Measured
from tests.benchmarks.results import Row

__all__ = ["Side", "Sides", "compared", "memory_row", "rounds", "time_row"]

Side = Callable[[], Measured]
Sides = tuple[list[Measured], list[Measured]]


def rounds(sides: Sequence[Side], count: int) -> list[list[Measured]]:
    """Run A, B, A, B, ... and return one list of results for each side."""
    for side in sides:
        side()
    turns = [[side() for side in sides] for _ in range(count)]
    return [list(column) for column in zip(*turns, strict=True)]


def time_row(contest: str, rival: str, sides: Sides, bar: float, *, judged: bool = True) -> Row:
    """Compare seconds."""
    pairs = [(a.seconds, b.seconds) for a, b in zip(*sides, strict=True)]
    return compared((contest, rival, "s"), pairs, bar, judged=judged)


def memory_row(contest: str, rival: str, sides: Sides, bar: float, *, judged: bool) -> Row:
    """Compare peak memory."""
    pairs = [(a.peak_bytes / 1e6, b.peak_bytes / 1e6) for a, b in zip(*sides, strict=True)]
    return compared((contest, rival, "MB"), pairs, bar, judged=judged)


def compared(
    labels: tuple[str, str, str],
    pairs: Sequence[tuple[float, float]],
    bar: float,
    *,
    judged: bool = True,
) -> Row:
    """Reduce the rounds to one line.

    Args:
        labels: Contest, rival and unit.
        pairs: Ours and theirs, of each round.
        bar: The number that the ratio must not exceed.
        judged: Whether the bar has a meaning on this machine and at these sizes.

    Returns:
        The line. If theirs is 0 or, because start-up was subtracted, below 0, the ratio is
        infinite and the bar does not hold.
    """
    ratios = [a / b if b > 0 else math.inf for a, b in pairs]
    ratio = statistics.median(ratios)
    contest, rival, unit = labels
    return Row(
        contest=contest,
        rival=rival,
        unit=unit,
        ours=statistics.median(a for a, _ in pairs),
        theirs=statistics.median(b for _, b in pairs),
        ratio=ratio,
        spread=(min(ratios), max(ratios)),
        bar=bar,
        holds=ratio <= bar if judged else None,
    )
