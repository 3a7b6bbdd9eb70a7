"""The report as Markdown: contests, then curves, then jobs.

It has no date: the numbers depend on the machine and on versions, which the report names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.results import Point, Rate, Report, Row

__all__ = ["BEGIN", "COMMAND", "END", "markdown", "number"]

COMMAND = "make bench ARGS=--write"
BEGIN = f"<!-- benchmarks: {COMMAND} -->"
END = "<!-- end of the benchmarks -->"


def markdown(report: Report) -> list[str]:
    """Return the lines of docs/evidence.md that show a report."""
    versions = dict(report.environment)
    machine = versions.pop("machine")
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"Measured by `{COMMAND}` on {machine}; {told}.", ""]
    sections = (
        _ratios("contest", report.contests),
        _points(report.curves),
        _ratios("judged of the curves", report.curve_bars),
        _rates(report.jobs),
        _ratios("judged of the jobs", report.job_bars),
        (f"Not measured: {each.what} ({each.reason})." for each in report.skipped),
    )
    for section in sections:
        found = list(section)
        lines += [*found, ""] if found else []
    return lines[:-1]


def number(value: float, unit: str) -> str:
    """Return a value with its unit, with meaningful digits alone."""
    digits = {"s": 3, "/s": 1}.get(unit, 0)
    return f"{value:,.{digits}f}" if unit == "each" else f"{value:,.{digits}f} {unit}"


def _ratios(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield f"| {title} | against | smpatch | rival | ratio | limit |"
        yield "|---|---|---|---|---|---|"
    last = ""
    for row in rows:
        what = "" if row.contest == last else row.contest
        last = row.contest
        verdict = {True: "", False: ", **missed**", None: ", not judged"}[row.holds]
        cells = (number(row.ours, row.unit), number(row.theirs, row.unit), f"{row.ratio:.2f}")
        yield f"| {what} | {row.rival} | {' | '.join(cells)} | {row.bar:g}{verdict} |"


def _points(points: Sequence[Point]) -> Iterator[str]:
    if points:
        yield "| curve | command | size | time | of a processor | peak memory |"
        yield "|---|---|---|---|---|---|"
    last = ("", "")
    for point in points:
        here = (point.curve, point.command)
        titles = ("", "") if here == last else (point.curve, f"`{point.command}`")
        last = here
        cells = (
            *titles,
            f"{point.size:,}",
            number(point.seconds, "s"),
            number(point.processor_seconds, "s"),
            number(point.peak_mb, "MB"),
        )
        yield f"| {' | '.join(cells)} |"


def _rates(rates: Sequence[Rate]) -> Iterator[str]:
    if rates:
        yield "| `apply` to | `--validate` | `--jobs` | models | as fast as with one |"
        yield "|---|---|---|---|---|"
    last = ("", "")
    for rate in rates:
        here = (rate.models, rate.validate)
        titles = ("", "") if here == last else here
        last = here
        speed = (number(rate.per_second, "/s"), f"{rate.speed_up:.2f}")
        yield f"| {' | '.join((*titles, str(rate.jobs), *speed))} |"
