"""``python -m tests.benchmarks``: run the contests, print the ratios, say which bars hold.

Exits with 1 when a bar is missed and with 2 when a contest could not be run.
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
from pathlib import Path

from tests.benchmarks import contests
from tests.benchmarks.measure import ProgramError

_FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "linear"
# The model, the copy that the writer stages and the rival's copy at one time.
_COPIES_AT_A_TIME = 4


def main() -> int:
    """Parse the command line, run what it asks for and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure smpatch against its rivals.",
        epilog="Big models are made in SMPATCH_BENCH_DIR (default: the temporary directory) "
        "and removed at the end. A tmpfs there would make the disk contest meaningless.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="small sizes; big bars not judged")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*contests.CONTESTS, "curves"],
        help="run this only; may be repeated",
    )
    parser.add_argument(
        "--small-model",
        type=Path,
        default=_FIXTURE,
        metavar="DIR",
        help="another small TF1-style SavedModel with tensors x:0 and y:0",
    )
    arguments = parser.parse_args()
    sizes = contests.QUICK if arguments.quick else contests.FULL
    wanted = arguments.only or [*contests.CONTESTS, "curves"]
    if not (arguments.small_model / "saved_model.pb").is_file():
        parser.error(f"{arguments.small_model} holds no saved_model.pb")

    with tempfile.TemporaryDirectory(
        prefix="smpatch-bench-", dir=os.environ.get("SMPATCH_BENCH_DIR")
    ) as scratch:
        needed = _COPIES_AT_A_TIME * sizes.constant_bytes[-1]
        if shutil.disk_usage(scratch).free < needed:
            parser.error(f"{scratch} needs {needed / 1e9:.0f} GB free; set SMPATCH_BENCH_DIR")
        shop = contests.Workshop(Path(scratch), arguments.small_model)
        talk = _Talk(as_json=arguments.json)
        try:
            talk.environment(_environment())
            for name, contest in contests.CONTESTS.items():
                if name in wanted:
                    for row in contest(shop, sizes):
                        talk.row(row)
            if "curves" in wanted:
                for point in contests.curves(shop, sizes):
                    talk.point(point)
        except ProgramError as error:
            sys.stderr.write(f"benchmark failed: {error}\n")
            return 2
    return talk.close()


class _Talk:
    """Print results as they come, or keep them for one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._environment: dict[str, str] = {}
        self._rows: list[contests.Row] = []
        self._points: list[contests.Point] = []

    def environment(self, facts: dict[str, str]) -> None:
        """Say on what this was measured."""
        self._environment = facts
        self._print("\n".join(f"{name}: {fact}" for name, fact in facts.items()))
        self._print(
            f"\n{'contest':<58} {'against':<27} {'ours':>9} {'theirs':>9}"
            f" {'ratio':>6} {'(range)':>14} {'bar':>5}"
        )

    def row(self, row: contests.Row) -> None:
        """Report one line of a contest."""
        self._rows.append(row)
        digits = {"MB": 0, "/s": 1}.get(row.unit, 3)
        ours, theirs = (f"{value:.{digits}f} {row.unit}" for value in (row.ours, row.theirs))
        spread = f"({row.spread[0]:.3f}-{row.spread[1]:.3f})"
        verdict = {True: "holds", False: "MISSES", None: "not judged at this size"}[row.holds]
        self._print(
            f"{row.contest:<58} {row.rival:<27} {ours:>9} {theirs:>9}"
            f" {row.ratio:>6.3f} {spread:>14} {row.bar:>5} {verdict}"
        )

    def point(self, point: contests.Point) -> None:
        """Report one point of a curve."""
        if not self._points:
            self._print(f"\n{'curve':<7} {'size':>13} {'command':<13} {'time':>9} {'peak':>9}")
        self._points.append(point)
        self._print(
            f"{point.curve:<7} {point.size:>13,} {point.command:<13}"
            f" {point.seconds:>7.3f} s {point.peak_mb:>6.0f} MB"
        )

    def close(self) -> int:
        """Print the document if one was asked for, and return the exit code."""
        if self._as_json:
            document = {
                "version": 1,
                "environment": self._environment,
                "contests": [dataclasses.asdict(row) for row in self._rows],
                "curves": [dataclasses.asdict(point) for point in self._points],
            }
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return int(any(row.holds is False for row in self._rows))

    def _print(self, line: str) -> None:
        if not self._as_json:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _environment() -> dict[str, str]:
    """Return what the numbers depend on."""
    versions = {}
    for module, names in (
        ("TensorFlow", ("tensorflow", "tensorflow-cpu")),
        ("protobuf", ("protobuf",)),
        ("typer", ("typer",)),
    ):
        versions[module] = "not installed"
        for name in names:
            try:
                versions[module] = f"{importlib.metadata.version(name)} ({name})"
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "machine": f"{platform.platform()}, {os.cpu_count()} processors, load {load}",
        "Python": sys.version.replace("\n", " "),
        **versions,
    }


if __name__ == "__main__":
    sys.exit(main())
