"""The results of the benchmarks: the kinds of line in a report.

This module has facts alone: it measures nothing and prints nothing. The texts are Markdown, because
the table in docs/evidence.md has the same lines as the table on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Point", "Rate", "Report", "Result", "Row", "Skipped"]


@dataclass(frozen=True, slots=True)
class Row:
    """One ratio and its bar.

    Attributes:
        contest: The command and its model.
        rival: The name of the value by which ours is divided.
        unit: ``s``, ``MB``, ``kB``; ``/s`` for models in a second; ``M`` for millions of
            instructions; for the cost of one node or object ``ns``, ``us``, ``B`` or, for
            instructions, ``each``.
        ours: Median of ours, in ``unit``.
        theirs: Median of theirs, or the limit, in ``unit``.
        ratio: Median of the rounds' ratios.
        spread: The lowest and the highest of the rounds' ratios.
        bar: The number that the ratio must not exceed.
        holds: Whether the ratio does not exceed it; None if the sizes or the machine make the bar
            meaningless.
    """

    contest: str
    rival: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]
    bar: float
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve of cost against size.

    Attributes:
        curve: The kind of size: ``bytes`` or ``nodes``.
        size: The size.
        command: The name of the command.
        seconds: Wall time, the least of the rounds.
        processor_seconds: Time on a processor, median of the rounds.
        peak_mb: Peak memory, median of the rounds, in megabytes.
    """

    curve: str
    size: int
    command: str
    seconds: float
    processor_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Rate:
    """The number of models that ``apply`` edits in a second with a number of jobs.

    Attributes:
        models: The kind and the number of the models.
        validate: The mode of ``--validate``.
        jobs: The number of ``--jobs``.
        per_second: Models in a second of wall time, with the start; median of the rounds.
        speed_up: The speed divided by the speed with one job; median of the rounds' own ratios.
    """

    models: str
    validate: str
    jobs: int
    per_second: float
    speed_up: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """A measurement that this machine could not do, and the reason."""

    what: str
    reason: str


Result = Row | Point | Rate | Skipped


@dataclass(frozen=True, slots=True)
class Report:
    """All results of one run.

    Attributes:
        environment: The facts on which the numbers depend, by name.
        contests: Ratios of smpatch against a rival.
        curves: Cost against size.
        curve_bars: Ratios of the curves, with their bars.
        jobs: Speed of ``apply`` against ``--jobs``.
        job_bars: Ratios of these speeds, with their bars.
        skipped: Measurements that this machine could not do.
    """

    environment: dict[str, str]
    contests: list[Row] = field(default_factory=list)
    curves: list[Point] = field(default_factory=list)
    curve_bars: list[Row] = field(default_factory=list)
    jobs: list[Rate] = field(default_factory=list)
    job_bars: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def missed(self) -> bool:
        """Whether any ratio exceeds its bar."""
        rows = (*self.contests, *self.curve_bars, *self.job_bars)
        return any(row.holds is False for row in rows)
