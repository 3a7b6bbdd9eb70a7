"""``python -m tests.benchmarks``: measure, print the ratios, and print which bars hold.

The exit code is 1 if a ratio exceeds its bar, and 2 if a program failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import table
from tests.benchmarks.beam import on_beam
from tests.benchmarks.contests import CONTESTS
from tests.benchmarks.curves import CURVES
from tests.benchmarks.growth import growth, large_export
from tests.benchmarks.instructions import start_up
from tests.benchmarks.jobs import throughput
from tests.benchmarks.measure import ProgramError
from tests.benchmarks.results import Point, Rate, Report, Result, Row, Skipped
from tests.benchmarks.stores import in_stores
from tests.benchmarks.workshop import FULL, QUICK, Sizes, Workshop
from tests.evidence import EVIDENCE, between

_FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "linear"
# The model, the copy that the writer stages and the copy of the rival exist at the same time.
_COPIES_AT_A_TIME = 4
_Benchmark = Callable[[Workshop, Sizes], Iterator[Result]]


def main() -> int:
    """Parse the command line, run the chosen benchmarks, and return the exit code."""
    contests: dict[str, _Benchmark] = {
        **CONTESTS,
        "stores": in_stores,
        "beam": on_beam,
        "instructions": start_up,
    }
    curves: dict[str, _Benchmark] = {**CURVES, "growth": growth, "large": large_export}
    names = [*contests, *curves, "jobs"]
    parser = _parser(names)
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    wanted = arguments.only or names
    if arguments.write and (arguments.quick or arguments.only):
        parser.error("--write is for a full run, so neither with --quick nor with --only")
    if not (arguments.small_model / "saved_model.pb").is_file():
        parser.error(f"{arguments.small_model} holds no saved_model.pb")

    talk = _Talk(_environment(), as_json=arguments.json)
    with tempfile.TemporaryDirectory(
        prefix="smpatch-bench-", dir=os.environ.get("SMPATCH_BENCH_DIR")
    ) as scratch:
        needed = _COPIES_AT_A_TIME * sizes.constant_bytes[-1]
        if shutil.disk_usage(scratch).free < needed:
            parser.error(f"{scratch} needs {needed / 1e9:.0f} GB free; set SMPATCH_BENCH_DIR")
        shop = Workshop(Path(scratch), arguments.small_model)
        chosen = [
            (benchmark, rows)
            for benchmarks, rows in (
                (contests, talk.report.contests),
                (curves, talk.report.curve_bars),
                ({"jobs": throughput}, talk.report.job_bars),
            )
            for name, benchmark in benchmarks.items()
            if name in wanted
        ]
        try:
            for benchmark, rows in chosen:
                for result in benchmark(shop, sizes):
                    talk.tell(result, rows)
        except ProgramError as error:
            sys.stderr.write(f"benchmark failed: {error}\n")
            return 2
    if arguments.write:
        text = EVIDENCE.read_text(encoding="utf-8")
        lines = table.markdown(talk.report)
        EVIDENCE.write_text(between(table.BEGIN, table.END, text, lines), encoding="utf-8")
    return talk.close()


def _parser(names: list[str]) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure smpatch against its rivals.",
        epilog="Big models are made in SMPATCH_BENCH_DIR (default: the temporary directory) "
        "and removed at the end. A tmpfs there would make the disk contest meaningless.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="small sizes; big bars not judged")
    parser.add_argument(
        "--only", action="append", choices=names, help="run this only; may be repeated"
    )
    parser.add_argument(
        "--write", action="store_true", help="write the table into docs/evidence.md as well"
    )
    parser.add_argument(
        "--small-model",
        type=Path,
        default=_FIXTURE,
        metavar="DIR",
        help="another small TF1-style SavedModel with tensors x:0 and y:0",
    )
    return parser


class _Talk:
    """Print each result at once, or keep all results for one JSON document."""

    def __init__(self, environment: dict[str, str], *, as_json: bool) -> None:
        self.report = Report(environment)
        self._as_json = as_json
        self._title = ""
        self._print("\n".join(f"{name}: {fact}" for name, fact in environment.items()))

    def tell(self, result: Result, rows: list[Row]) -> None:
        """Report one result; if it is a ratio, append it to ``rows``."""
        if isinstance(result, Row):
            rows.append(result)
            self._row(result)
        elif isinstance(result, Point):
            self.report.curves.append(result)
            self._point(result)
        elif isinstance(result, Rate):
            self.report.jobs.append(result)
            self._rate(result)
        else:
            self.report.skipped.append(result)
            self._skipped(result)

    def close(self) -> int:
        """Print the JSON document with ``--json``, and return the exit code."""
        if self._as_json:
            document = {"version": 2, **dataclasses.asdict(self.report)}
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return int(self.report.missed)

    def _row(self, row: Row) -> None:
        self._under(
            f"{'contest':<78} {'against':<36} {'ours':>10} {'theirs':>10}"
            f" {'ratio':>6} {'(range)':>14} {'bar':>5}"
        )
        ours, theirs = (table.number(value, row.unit) for value in (row.ours, row.theirs))
        spread = f"({row.spread[0]:.3f}-{row.spread[1]:.3f})"
        verdict = {True: "holds", False: "MISSES", None: "not judged here"}[row.holds]
        self._print(
            f"{row.contest:<78} {row.rival:<36} {ours:>10} {theirs:>10}"
            f" {row.ratio:>6.3f} {spread:>14} {row.bar:>5} {verdict}"
        )

    def _point(self, point: Point) -> None:
        self._under(
            f"{'curve':<7} {'size':>13} {'command':<27} {'time':>9} {'processor':>9} {'peak':>9}"
        )
        self._print(
            f"{point.curve:<7} {point.size:>13,} {point.command:<27} {point.seconds:>7.3f} s"
            f" {point.processor_seconds:>7.3f} s {point.peak_mb:>6.0f} MB"
        )

    def _rate(self, rate: Rate) -> None:
        self._under(
            f"{'apply to':<34} {'--validate':<10} {'--jobs':>6} {'models':>9} {'speed-up':>9}"
        )
        self._print(
            f"{rate.models:<34} {rate.validate:<10} {rate.jobs:>6}"
            f" {rate.per_second:>7.1f}/s {rate.speed_up:>9.2f}"
        )

    def _skipped(self, skipped: Skipped) -> None:
        self._print(f"not measured: {skipped.what} ({skipped.reason})")

    def _under(self, title: str) -> None:
        """Print the title of a kind of line, if the line before is of another kind."""
        if title != self._title:
            self._title = title
            self._print("\n" + title)

    def _print(self, line: str) -> None:
        if not self._as_json:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _environment() -> dict[str, str]:
    """Return the facts on which the numbers depend, by name."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    found = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
        f"{_processor()}, load {load} at the start",
        "Python": platform.python_version(),
    }
    for module, names in (
        ("TensorFlow", ("tensorflow", "tensorflow-cpu")),
        ("protobuf", ("protobuf",)),
        ("typer", ("typer",)),
    ):
        found[module] = "not installed"
        for name in names:
            try:
                found[module] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _processor() -> str:
    """Return the name of the processor in brackets, empty if the system does not give it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""


if __name__ == "__main__":
    sys.exit(main())
