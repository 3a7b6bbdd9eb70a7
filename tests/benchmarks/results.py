"""What the benchmarks find out: the kinds of line that a report is made of.

Facts alone: nothing is measured here, and nothing printed. What the words are in says
Markdown, for the table in docs/evidence.md is made of the same lines as that on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Point", "Rate", "Report", "Result", "Row", "Skipped"]


@dataclass(frozen=True, slots=True)
class Row:
    """One ratio and its bar.

    Attributes:
        contest: What was done, to what.
        rival: What ours is divided by.
        unit: ``s``, ``MB``, ``kB``, of models ``/s``, of instructions ``M`` (millions), and of what
            one node costs ``ns``, ``B`` or (instructions) ``each``.
        ours: Median of ours, in ``unit``.
        theirs: Median of theirs, or the limit, in ``unit``.
        ratio: Median of the rounds' ratios.
        spread: The lowest and the highest of the rounds' ratios.
        bar: What the ratio must not exceed.
        holds: Whether it does not; None where sizes or machine make the bar meaningless.
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
    """One point of a scale curve.

    Attributes:
        curve: Which dial was turned: ``bytes`` or ``nodes``.
        size: How far.
        command: What was run.
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
    """How many models ``apply`` edits in a second with so many jobs.

    Attributes:
        models: What kind of models, and how many.
        validate: The mode of ``--validate``.
        jobs: The number of ``--jobs``.
        per_second: Models in a second of wall time, start included; median of the rounds.
        speed_up: So many times as fast as with one job; median of the rounds' own ratios.
    """

    models: str
    validate: str
    jobs: int
    per_second: float
    speed_up: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be measured on this machine, and why."""

    what: str
    reason: str


Result = Row | Point | Rate | Skipped


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run has found.

    Attributes:
        environment: What the numbers depend on, by name.
        contests: Ours against a rival.
        curves: Cost against size.
        curve_bars: What is judged of the curves.
        jobs: ``apply`` against ``--jobs``.
        job_bars: What is judged of that.
        skipped: What could not be measured.
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
        """Whether any bar is missed."""
        rows = (*self.contests, *self.curve_bars, *self.job_bars)
        return any(row.holds is False for row in rows)
