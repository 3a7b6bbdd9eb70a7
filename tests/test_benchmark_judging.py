"""The results that the benchmarks make of numbers: ratios, verdicts, the table; no test is timed.

A limit that no number exceeds limits nothing, so each is tested with numbers on both sides.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import curves, instructions, jobs, table
from tests.benchmarks.curves import bytes_curve, each_node, nodes_curve
from tests.benchmarks.instructions import start_up
from tests.benchmarks.measure import Measured
from tests.benchmarks.results import Point, Rate, Report, Result, Row, Skipped
from tests.benchmarks.rounds import compared, rounds
from tests.benchmarks.workshop import QUICK, Sizes, Workshop
from tests.evidence import EVIDENCE, between

ROOT = Path(__file__).resolve().parents[1]
SIZES = Sizes(
    constant_bytes=(10**6, 10**9),
    chain_nodes=(1_000, 10_000, 100_000, 1_000_000),
    variable_bytes=10**9,
    instant_rounds=1,
    short_rounds=1,
    long_rounds=1,
    curve_rounds=3,
    job_rounds=3,
    growth_rounds=3,
    batch=20,
    judged=True,
)
ADD = "`add-predict --validate none`"
LABELS = ("ours", "theirs", "s")


def rows(results: Iterable[Result]) -> dict[str, Row]:
    """Return the ratios among results, by their contest."""
    return {each.contest: each for each in results if isinstance(each, Row)}


class TestARatio:
    def test_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians(self) -> None:
        row = compared(LABELS, [(1.0, 1.0), (20.0, 10.0), (9.0, 3.0)], 2.0)
        assert (row.ratio, row.spread) == (2.0, (1.0, 3.0))
        assert (row.ours, row.theirs) == (9.0, 3.0)

    @pytest.mark.parametrize(("ours", "holds"), [(1.99, True), (2.0, True), (2.01, False)])
    def test_holds_up_to_its_bar(self, ours: float, *, holds: bool) -> None:
        assert compared(LABELS, [(ours, 1.0)], 2.0).holds is holds

    @pytest.mark.parametrize("theirs", [0.0, -0.1])
    def test_to_nothing_holds_no_bar(self, theirs: float) -> None:
        assert compared(LABELS, [(0.1, theirs)], 2.0).holds is False

    def test_that_means_nothing_is_neither_held_nor_missed(self) -> None:
        assert compared(LABELS, [(9.0, 1.0)], 2.0, judged=False).holds is None

    def test_that_is_missed_anywhere_makes_the_report_fail(self) -> None:
        held, missed = (compared(LABELS, [(ours, 1.0)], 1.0) for ours in (1.0, 2.0))
        for section in ("contests", "curve_bars", "job_bars"):
            report = Report({})
            getattr(report, section).append(held)
            assert not report.missed
            getattr(report, section).append(missed)
            assert report.missed


def test_rounds_take_turns_and_forget_the_first() -> None:
    called: list[str] = []

    def side(name: str) -> Callable[[], Measured]:
        def ran() -> Measured:
            called.append(name)
            return Measured(float(len(called)), 1)

        return ran

    first, second = rounds([side("a"), side("b")], 2)
    assert "".join(called) == "ababab"
    assert [each.seconds for each in first] == [3.0, 5.0]
    assert [each.seconds for each in second] == [4.0, 6.0]


class Machine:
    """A machine that runs no command: each command has the cost that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the functions that run the commands."""
        self.show: Callable[[int], float] = lambda _: 0.1
        self.add: Callable[[int], float] = lambda _: 0.2
        self.replace: Callable[[int], float] = lambda _: 0.01
        self.kernel: Callable[[int], float] = lambda _: 0.0
        self.peak: Callable[[int], float] = lambda _: 25e6
        self.instructions: Callable[[int], int] = lambda _: 10**9
        for module in (curves, instructions):
            monkeypatch.setattr(module, "can_count", lambda: True)
        monkeypatch.setattr(curves, "show", lambda model: self._cost(self.show, model))
        monkeypatch.setattr(
            curves, "_synced_edit", lambda _, model: self._cost(self.add, model, self.kernel)
        )
        monkeypatch.setattr(curves, "_replacement", lambda model: self._cost(self.replace, model))
        monkeypatch.setattr(curves, "counted", lambda argv: self.instructions(_size(argv)))
        for made in ("constants", "chain"):
            monkeypatch.setattr(Workshop, made, lambda shop, size: shop.root / f"m-{size}")

    def _cost(
        self,
        cost: Callable[[int], float],
        model: Path,
        kernel: Callable[[int], float] = lambda _: 0.0,
    ) -> Measured:
        size = _size([str(model)])
        # The wall time is as on a machine with a hundred other programs: no verdict may use it.
        wall = 1e9 / size
        return Measured(wall, int(self.peak(size)), cost(size) + kernel(size), cost(size))


def _size(argv: Iterable[str]) -> int:
    """Return the size of the model that a command line names."""
    return next(int(word.rpartition("m-")[2]) for word in argv if "m-" in word)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine on which each command has the same cost for each size of the model."""
    return Machine(monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """Return a workshop in which no model is made."""
    return Workshop(tmp_path, tmp_path)


class TestTheCurveOfBytes:
    def test_holds_where_an_edit_costs_its_bytes_and_no_more(
        self, machine: Machine, shop: Workshop
    ) -> None:
        machine.replace = lambda size: size * 4e-10
        machine.kernel = lambda size: size * 4e-10
        found = list(bytes_curve(shop, SIZES))
        assert {row.holds for row in rows(found).values()} == {True}
        points = [each for each in found if isinstance(each, Point)]
        assert [(each.command, each.size) for each in points] == [
            (command, size)
            for command in ("show", "add-predict --validate none", "cp, sync, mv")
            for size in SIZES.constant_bytes
        ]

    def test_misses_where_an_edit_looks_at_the_bytes(
        self, machine: Machine, shop: Workshop
    ) -> None:
        machine.replace = lambda size: size * 4e-10
        machine.kernel = lambda size: size * 4e-10
        machine.add = lambda size: 0.2 + size * 1e-10
        assert _missed(bytes_curve(shop, SIZES)) == [
            f"{ADD}, 1.0 GB of constants, time outside the kernel"
        ]

    def test_misses_where_show_looks_at_the_bytes(self, machine: Machine, shop: Workshop) -> None:
        machine.show = lambda size: 0.1 + size * 4e-11
        assert _missed(bytes_curve(shop, SIZES)) == ["`show`, 1.0 GB of constants, processor time"]

    def test_misses_where_memory_grows(self, machine: Machine, shop: Workshop) -> None:
        machine.peak = lambda size: 25e6 + size / 50
        assert _missed(bytes_curve(shop, SIZES)) == [
            f"`{command}`, peak memory, the highest of all sizes"
            for command in ("show", "add-predict --validate none")
        ]

    def test_misses_where_instructions_grow(self, machine: Machine, shop: Workshop) -> None:
        machine.instructions = lambda size: 10**9 + size // 10
        assert _missed(bytes_curve(shop, SIZES)) == [
            f"`{command}`, 1.0 GB of constants, instructions"
            for command in ("show", "add-predict --validate none")
        ]


class TestTheCurveOfNodes:
    def test_holds_where_each_node_costs_the_same(self, machine: Machine, shop: Workshop) -> None:
        machine.add = lambda size: 0.2 + size * 2e-6
        machine.peak = lambda size: 25e6 + size * 400
        machine.instructions = lambda size: 10**9 + size * 12_500
        found = rows(nodes_curve(shop, SIZES))
        assert {row.holds for row in found.values()} == {True}
        each = found[f"{ADD}, 1,000,000 nodes, processor time for each"]
        assert (each.ours, each.theirs) == pytest.approx((2000.0, 2000.0))
        assert found[f"{ADD}, 1,000,000 nodes, memory for each"].ours == pytest.approx(400.0)
        counts = found[f"{ADD}, 100,000 nodes, instructions for each"]
        assert (counts.ours, counts.theirs) == pytest.approx((12_500.0, 12_500.0))

    def test_misses_where_cost_is_quadratic(self, machine: Machine, shop: Workshop) -> None:
        machine.add = lambda size: 0.2 + size * 2e-6 + size**2 * 2e-12
        machine.peak = lambda size: 25e6 + size * 400 + size**2 * 4e-4
        machine.instructions = lambda size: 10**9 + size * 12_500 + size**2 // 50
        assert _missed(nodes_curve(shop, SIZES)) == [
            f"{ADD}, 1,000,000 nodes, processor time for each",
            f"{ADD}, 1,000,000 nodes, memory for each",
            f"{ADD}, 100,000 nodes, instructions for each",
        ]

    def test_misses_where_show_walks_the_nodes(self, machine: Machine, shop: Workshop) -> None:
        machine.add = lambda size: 0.2 + size * 2e-6
        machine.peak = lambda size: 25e6 + size * 400
        machine.instructions = lambda size: 10**9 + size * 12_500
        machine.show = lambda size: 0.1 + size * 1e-7
        assert _missed(nodes_curve(shop, SIZES)) == ["`show`, 1,000,000 nodes, processor time"]

    def test_takes_start_up_off(self) -> None:
        assert each_node(2.5, 0.5, 1000) == 0.002


class TestJobs:
    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch, shop: Workshop) -> dict[bool, list[Result]]:
        """Return the results for a batch in which more jobs speed up only edits with a reload.

        The key is whether the machine has several processors.
        """

        def apply(argv: list[str]) -> Measured:
            count = int(argv[argv.index("--jobs") + 1])
            alone = argv[argv.index("--validate") + 1] == "none"
            return Measured(10.0 * count if alone else 10.0 / count, 1)

        monkeypatch.setattr(jobs, "run", apply)
        monkeypatch.setattr(Workshop, "batch", lambda _, count, __: ["model"] * count)
        told: dict[bool, list[Result]] = {}
        for several in (True, False):
            monkeypatch.setattr(jobs, "_processors", lambda several=several: 1 + several)
            told[several] = list(jobs.throughput(shop, SIZES))
        return told

    def test_have_a_rate_for_each_number(self, found: dict[bool, list[Result]]) -> None:
        rates = [each for each in found[True] if isinstance(each, Rate)]
        assert [(each.jobs, each.per_second, each.speed_up) for each in rates[:3]] == [
            (1, 2.0, 1.0),
            (2, 4.0, 2.0),
            (4, 8.0, 4.0),
        ]
        assert len(rates) == 3 * 2 * 2

    def test_are_judged_where_two_processors_are(self, found: dict[bool, list[Result]]) -> None:
        for several, verdicts in ((True, [True, False]), (False, [None, None])):
            judged = rows(found[several]).values()
            assert [row.holds for row in judged] == verdicts * 2


def _missed(results: Iterable[Result]) -> list[str]:
    return [contest for contest, row in rows(results).items() if row.holds is False]


class TestInstructions:
    @pytest.mark.usefixtures("machine")
    def test_are_skipped_by_name_where_nothing_counts_them(
        self, monkeypatch: pytest.MonkeyPatch, shop: Workshop
    ) -> None:
        monkeypatch.setattr(Workshop, "small", lambda shop: shop.root)
        for module in (curves, instructions):
            monkeypatch.setattr(module, "can_count", lambda: False)
        skipped = [
            each
            for found in (start_up, bytes_curve, nodes_curve)
            for each in found(shop, SIZES)
            if isinstance(each, Skipped)
        ]
        assert [each.what for each in skipped] == [
            "`show`, small model, in instructions",
            "`add-predict --validate none`, small model, in instructions",
            "the curve of bytes, instructions",
            "the curve of nodes, instructions",
        ]

    @pytest.fixture
    def _counter(self) -> None:
        if not instructions.can_count():
            pytest.skip(instructions.NO_COUNTER)

    @pytest.mark.usefixtures("_counter")
    def test_of_more_work_are_more_and_of_the_same_work_the_same(self) -> None:
        loop = "i=0; while [ $i -lt {} ]; do i=$((i + 1)); done"
        little, again, much = (_count(loop.format(turns)) for turns in (1000, 1000, 5000))
        assert int(little.stdout) == pytest.approx(int(again.stdout), rel=0.01)
        assert int(much.stdout) > 2 * int(little.stdout)

    @pytest.mark.usefixtures("_counter")
    def test_of_a_program_that_fails_are_none(self) -> None:
        done = _count("exit 3")
        assert done.stdout == ""
        assert "ProgramError: exit code 3" in done.stderr


class TestTheTable:
    def test_tells_all_that_was_found(self) -> None:
        report = Report({"machine": "a machine", "Python": "3.11.7", "protobuf": "7"})
        report.contests.append(compared(("`show`", "imports", "s"), [(0.3, 0.2)], 1.6))
        report.contests.append(compared(("`show`", "others", "MB"), [(30.0, 10.0)], 2.0))
        report.curves.append(Point("bytes", 10**9, "show", 0.2, 0.1, 25.4))
        report.curves.append(Point("bytes", 2 * 10**9, "show", 0.2, 0.1, 25.6))
        report.curve_bars.append(compared(("each", "1", "ns"), [(1200.0, 1000.0)], 1.5))
        report.jobs.append(Rate("20 models", "auto", 2, 41.26, 1.9))
        report.job_bars.append(compared(("jobs", "1", "s"), [(1.0, 1.0)], 0.77, judged=False))
        report.skipped.append(Skipped("instructions", "no tool"))
        assert table.markdown(report) == [
            "Measured by `make bench ARGS=--write` on a machine; Python 3.11.7, protobuf 7.",
            "",
            "| contest | against | smpatch | rival | ratio | limit |",
            "|---|---|---|---|---|---|",
            "| `show` | imports | 0.300 s | 0.200 s | 1.50 | 1.6 |",
            "|  | others | 30 MB | 10 MB | 3.00 | 2, **missed** |",
            "",
            "| curve | command | size | time | of a processor | peak memory |",
            "|---|---|---|---|---|---|",
            "| bytes | `show` | 1,000,000,000 | 0.200 s | 0.100 s | 25 MB |",
            "|  |  | 2,000,000,000 | 0.200 s | 0.100 s | 26 MB |",
            "",
            "| judged of the curves | against | smpatch | rival | ratio | limit |",
            "|---|---|---|---|---|---|",
            "| each | 1 | 1,200 ns | 1,000 ns | 1.20 | 1.5 |",
            "",
            "| `apply` to | `--validate` | `--jobs` | models | as fast as with one |",
            "|---|---|---|---|---|",
            "| 20 models | auto | 2 | 41.3 /s | 1.90 |",
            "",
            "| judged of the jobs | against | smpatch | rival | ratio | limit |",
            "|---|---|---|---|---|---|",
            "| jobs | 1 | 1.000 s | 1.000 s | 1.00 | 0.77, not judged |",
            "",
            "Not measured: instructions (no tool).",
        ]

    def test_has_its_place_on_the_page_and_replaces_what_is_there(self) -> None:
        text = EVIDENCE.read_text(encoding="utf-8")
        once = between(table.BEGIN, table.END, text, ["one"])
        assert f"\n{table.BEGIN}\n\none\n\n{table.END}\n" in once
        assert between(table.BEGIN, table.END, once, ["two"]) == once.replace(
            "one\n\n<!-- end of the b", "two\n\n<!-- end of the b"
        )

    @pytest.mark.parametrize("text", ["nothing", "only <", "> before <"])
    def test_goes_nowhere_without_its_marks(self, text: str) -> None:
        with pytest.raises(ValueError, match="there is no"):
            between("<", ">", text, [])


def _python(*argv: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """Run Python as the child of a small process: it begins with the memory peak of its parent.

    The peak of pytest is too high for a harness that measures memory.
    """
    return subprocess.run(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, *argv],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _count(script: str) -> subprocess.CompletedProcess[str]:
    program = "from tests.benchmarks.instructions import counted; print(counted({!r}))"
    return _python("-c", program.format(["/bin/sh", "-c", script]))


def test_a_benchmark_runs_from_end_to_end_and_is_told_as_json(tmp_path: Path) -> None:
    """The curve of bytes needs no TensorFlow; the path lacks valgrind, which takes minutes."""
    for program in ("sh", "cp", "mv", "sync"):
        found = shutil.which(program)
        assert found
        (tmp_path / program).symlink_to(found)
    options = ("--quick", "--only", "bytes", "--json")
    done = _python("-m", "tests.benchmarks", *options, path=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, Any] = json.loads(done.stdout)
    assert [(each["command"], each["size"]) for each in told["curves"]] == [
        (command, size)
        for command in ("show", "add-predict --validate none", "cp, sync, mv")
        for size in QUICK.constant_bytes
    ]
    assert all(each["processor_seconds"] > 0 for each in told["curves"])
    assert all(1 < each["peak_mb"] < 100 for each in told["curves"])
    assert [each["holds"] for each in told["curve_bars"]] == [None] * 4
    assert [each["what"] for each in told["skipped"]] == ["the curve of bytes, instructions"]
    assert (told["contests"], told["jobs"], told["job_bars"]) == ([], [], [])


@pytest.mark.parametrize("options", [("--write", "--quick"), ("--write", "--only", "show")])
def test_the_page_gets_nothing_but_a_full_run(options: tuple[str, ...]) -> None:
    before = EVIDENCE.read_bytes()
    done = _python("-m", "tests.benchmarks", *options)
    assert done.returncode == 2
    assert "--write is for" in done.stderr
    assert EVIDENCE.read_bytes() == before
