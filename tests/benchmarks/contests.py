"""The contests: who runs against whom, on what, and where the bar is.

A contest is rounds of A, B, A, B, ...: in each round every side runs once, one
after the other. The ratio that is held against the bar is the median of the
rounds' own ratios. Reason: on a busy machine the noise comes in stretches that
are longer than a run; within a round it hits both sides alike and cancels, and
the median drops the rounds in which it hit only one. (Each side's minimum
would pair the luckiest run of one with the luckiest of the other, and the disk
contests have no lower floor that a lucky run could show.) A first round is run
and forgotten: it fills the page cache and writes the bytecode.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks import generate
from tests.benchmarks.measure import Measured, ProgramError, run

__all__ = ["CONTESTS", "FULL", "QUICK", "Point", "Row", "Sizes", "Workshop", "curves"]

_RIVALS = Path(__file__).parent / "rivals"
_SMPATCH = (sys.executable, "-m", "smpatch")
_X_TO_Y = ("--inputs", "x:0", "--outputs", "y:0")
_PEAK_LIMIT = 80_000_000
_FLEET_PATCH = """
version = 1
[[edit]]
add-predict = "bench"
inputs = "x:0"
outputs = "y:0"
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How big and how often.

    Attributes:
        constant_bytes: The files of constants, in bytes, rising; the last is the contest's.
        chain_nodes: The chains, in nodes, rising; the last is the contest's.
        instant_rounds: Counted rounds where a run takes a tenth of a second.
        short_rounds: Counted rounds where a run takes a second or so.
        long_rounds: Counted rounds on the big models.
        fleet: So many small models are edited by one command.
        judged: Whether the bars on the big models mean anything at these sizes.
    """

    constant_bytes: tuple[int, ...]
    chain_nodes: tuple[int, ...]
    instant_rounds: int
    short_rounds: int
    long_rounds: int
    fleet: int
    judged: bool


FULL = Sizes(
    constant_bytes=(10**6, 10**7, 10**8, generate.CONSTANT_COUNT * 64 * 2**20),
    chain_nodes=(10**3, 10**4, 10**5, 10**6),
    instant_rounds=31,
    short_rounds=9,
    long_rounds=7,
    fleet=200,
    judged=True,
)
QUICK = Sizes(
    constant_bytes=(10**6, 10**7),
    chain_nodes=(10**3, 10**4),
    instant_rounds=9,
    short_rounds=3,
    long_rounds=2,
    fleet=20,
    judged=False,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        contest: What was done, to what.
        rival: What ours is divided by.
        unit: ``s``, ``MB`` or, of models, ``/s``.
        ours: Median of ours, in ``unit``.
        theirs: Median of theirs, or the limit, in ``unit``.
        ratio: Median of the rounds' ratios.
        spread: The lowest and the highest of the rounds' ratios.
        bar: What the ratio must not exceed.
        holds: Whether it does not; None where the sizes make the bar meaningless.
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
    """One point of a scale curve: the least of a few runs, no rival, no bar."""

    curve: str
    size: int
    command: str
    seconds: float
    peak_mb: float


class Workshop:
    """The directory in which models are made, edited and thrown away."""

    def __init__(self, root: Path, small_model: Path) -> None:
        """Use ``root`` for everything big, and ``small_model`` as the small model."""
        self.root = root
        self._small_model = small_model
        self._numbers = itertools.count()

    def small(self) -> Path:
        """Return a fresh copy of the small model."""
        copy = self.root / "small"
        shutil.rmtree(copy, ignore_errors=True)
        # Contents only: the source may be read-only, and its copy is to be edited.
        shutil.copytree(self._small_model, copy, copy_function=shutil.copyfile)
        for directory in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        return copy

    def fleet(self, count: int) -> list[str]:
        """Return fresh copies of the small model."""
        home = self.root / "fleet"
        shutil.rmtree(home, ignore_errors=True)
        first = self.small()
        copies = [home / f"{number:04}" for number in range(count)]
        for copy in copies:
            shutil.copytree(first, copy)
        os.sync()  # what is measured waits for its own bytes alone
        return [str(copy) for copy in copies]

    def constants(self, total_bytes: int) -> Path:
        """Return the model with that many bytes of constants, made once."""
        directory = self.root / f"constants-{total_bytes}"
        if not directory.exists():
            generate.constants(directory, total_bytes)
        return directory

    def chain(self, length: int) -> Path:
        """Return the model with a chain of that many nodes, made once."""
        directory = self.root / f"chain-{length}"
        if not directory.exists():
            generate.chain(directory, length)
        return directory

    def resnet(self) -> Path:
        """Return a fresh copy of a Keras export, made once.

        Without its ``fingerprint.pb``: TensorFlow computes that, and what is measured is
        smpatch alone.
        """
        made = self.root / "resnet-made"
        if not made.exists():
            run([sys.executable, "-m", "tests.benchmarks.keras_export", str(made)])
            (made / "fingerprint.pb").unlink()
        copy = self.root / "resnet"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made, copy)
        return copy

    def new_key(self) -> str:
        """Return a signature key that was not used before.

        A new key lets the same big model be edited in place again and again,
        each time with all the work of a first edit.
        """
        return f"bench_{next(self._numbers)}"


Side = Callable[[], Measured]
Sides = tuple[list[Measured], list[Measured]]


def add_predict_small(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict`` with its reload, against the Python script and the floor."""

    def ours() -> Measured:
        return run([*_SMPATCH, "add-predict", str(shop.small()), *_X_TO_Y, "--signature", "bench"])

    def script() -> Measured:
        program = str(_RIVALS / "python_script.py")
        return run([sys.executable, program, str(shop.small()), "bench"])

    def floor() -> Measured:
        program = str(_RIVALS / "floor.py")
        libraries = _tensorflow_directory()
        return run([sys.executable, "-I", "-S", program, libraries, str(shop.small())])

    mine, scripts, floors = _rounds((ours, script, floor), sizes.short_rounds)
    contest = "add-predict with reload, small model"
    yield _time_row(contest, "Python script", (mine, scripts), 0.15)
    yield _time_row(contest, "floor (C libraries)", (mine, floors), 1.5)


def show_small(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``show``, against TensorFlow's own and against the imports that it cannot do without."""
    model = str(shop.small())

    def ours() -> Measured:
        return run([*_SMPATCH, "show", model])

    def cli() -> Measured:
        module = "tensorflow.python.tools.saved_model_cli"
        return run([sys.executable, "-m", module, "show", "--all", "--dir", model])

    def imports() -> Measured:
        return run([sys.executable, "-c", "import typer, google.protobuf.message"])

    contest = "show, small model"
    mine, clis = _rounds((ours, cli), sizes.short_rounds)
    yield _time_row(contest, "saved_model_cli show --all", (mine, clis), 0.06)
    # Rounds of their own: in the seconds that the other rival takes the machine changes its
    # mood, and a tenth of a second is soon a third more.
    mine, bare = _rounds((ours, imports), sizes.instant_rounds)
    yield _time_row(contest, "bare imports", (mine, bare), 1.6)


def add_predict_constants(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict --validate none`` on a big file, against copying it to disk."""
    model = shop.constants(sizes.constant_bytes[-1])
    copy = shop.root / "copy.pb"

    def ours() -> Measured:
        copy.unlink(missing_ok=True)
        os.sync()
        return _add_predict_unvalidated(shop, model)

    def copy_and_sync() -> Measured:
        copy.unlink(missing_ok=True)
        os.sync()
        source = str(model / "saved_model.pb")
        commands = 'cp "$1" "$2" && sync "$2" "$3"'
        return run(["sh", "-c", commands, "sh", source, str(copy), str(shop.root)])

    mine, copies = _rounds((ours, copy_and_sync), sizes.long_rounds)
    copy.unlink()
    contest = f"add-predict --validate none, {_bytes_label(sizes.constant_bytes[-1])} of constants"
    yield _time_row(contest, "cp + sync", (mine, copies), 1.25, judged=sizes.judged)
    limit = [Measured(seconds=0.0, peak_bytes=_PEAK_LIMIT)] * len(mine)
    yield _memory_row(contest, "the limit", (mine, limit), 1.0, judged=sizes.judged)


def add_predict_chain(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``add-predict --validate none`` on a long chain, against TensorFlow's message classes."""
    model = shop.chain(sizes.chain_nodes[-1])
    written = shop.root / "written.pb"

    def ours() -> Measured:
        written.unlink(missing_ok=True)
        os.sync()
        return _add_predict_unvalidated(shop, model)

    def full_parse() -> Measured:
        program = str(_RIVALS / "full_parse.py")
        return run([sys.executable, program, str(model), str(written)], self_timed=True)

    mine, parses = _rounds((ours, full_parse), sizes.long_rounds)
    written.unlink()
    contest = f"add-predict --validate none, chain of {sizes.chain_nodes[-1]:,} nodes"
    yield _time_row(contest, "message classes", (mine, parses), 0.6, judged=sizes.judged)
    yield _memory_row(contest, "message classes", (mine, parses), 0.5, judged=sizes.judged)


def promote_keras(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """A function of a Keras export becomes a signature, without a reload; against a re-save."""
    key = ("--signature", "bench", "--validate", "none")

    def ours() -> Measured:
        model = str(shop.resnet())
        return run([*_SMPATCH, "add-predict", model, "--function", "serve", *key])

    def resave() -> Measured:
        program, output = str(_RIVALS / "resave.py"), shop.root / "resaved"
        shutil.rmtree(output, ignore_errors=True)
        return run([sys.executable, program, str(shop.resnet()), "serve", "bench", str(output)])

    mine, resaves = _rounds((ours, resave), sizes.short_rounds)
    contest = "add-predict --function --validate none, ResNet50"
    yield _time_row(contest, "load + re-save", (mine, resaves), 1.0)
    limits = [Measured(seconds=0.5, peak_bytes=150_000_000)] * len(mine)
    # No rival shares the machine's mood with a limit in seconds, so the best run counts.
    best = min(mine, key=lambda each: each.seconds)
    yield _time_row(contest, "the limit (best run)", ([best], limits[:1]), 1.0)
    yield _memory_row(contest, "the limit", (mine, limits), 1.0, judged=True)


def apply_fleet(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``apply`` on many small models, one at a time: models in a second, start included."""
    patch = shop.root / "patch.toml"
    patch.write_text(_FLEET_PATCH)
    for least, mode in ((10.0, "auto"), (60.0, "none")):

        def ours(mode: str = mode) -> Measured:
            options = ("--jobs", "1", "--validate", mode)
            return run([*_SMPATCH, "apply", str(patch), *shop.fleet(sizes.fleet), *options])

        (mine,) = _rounds((ours,), sizes.short_rounds)
        contest = f"apply --validate {mode} --jobs 1, {sizes.fleet} small models"
        # As above, no rival shares the machine's mood with a limit: the best run counts. What
        # a processor was busy for tells more than that where others are busy too.
        for limit, seconds in (
            ("the least (best run)", min(each.seconds for each in mine)),
            ("the least, of processor time", min(each.processor_seconds for each in mine)),
        ):
            rates = [(least, sizes.fleet / seconds)]
            row = _row((contest, limit, "/s"), rates, 1.0, judged=sizes.judged)
            yield replace(row, ours=row.theirs, theirs=row.ours)


def apply_one_by_one(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """``apply`` on many small models, against a command for each of them."""
    patch = shop.root / "patch.toml"
    patch.write_text(_FLEET_PATCH)
    several = max(2, sizes.fleet // 20)

    def ours() -> Measured:
        return run([*_SMPATCH, "apply", str(patch), *shop.fleet(several), "--jobs", "1"])

    def one_by_one() -> Measured:
        models = shop.fleet(several)
        loop = 'for model; do "$0" -m smpatch add-predict "$model" --inputs x:0 --outputs y:0; done'
        return run(["sh", "-c", loop, sys.executable, *models])

    mine, theirs = _rounds((ours, one_by_one), sizes.short_rounds)
    contest = f"apply --jobs 1 with reload, {several} small models"
    yield _time_row(contest, "add-predict for each", (mine, theirs), 0.5, judged=sizes.judged)


CONTESTS: dict[str, Callable[[Workshop, Sizes], Iterator[Row]]] = {
    "small": add_predict_small,
    "show": show_small,
    "constants": add_predict_constants,
    "chain": add_predict_chain,
    "keras": promote_keras,
    "apply": apply_fleet,
    "apply-each": apply_one_by_one,
}


def curves(shop: Workshop, sizes: Sizes) -> Iterator[Point]:
    """Cost against size, one dial at a time."""
    for curve, made, dial in (
        ("bytes", shop.constants, sizes.constant_bytes),
        ("nodes", shop.chain, sizes.chain_nodes),
    ):
        for size in dial:
            model = made(size)
            for command, side in (("show", _show), ("add-predict", _add_predict_unvalidated)):
                runs = [side(shop, model) for _ in range(3)]
                yield Point(
                    curve=curve,
                    size=size,
                    command=command,
                    seconds=min(each.seconds for each in runs),
                    peak_mb=min(each.peak_bytes for each in runs) / 1e6,
                )


def _show(_: Workshop, model: Path) -> Measured:
    """Show a model."""
    return run([*_SMPATCH, "show", str(model)])


def _add_predict_unvalidated(shop: Workshop, model: Path) -> Measured:
    """Edit a big model in place, under a new key, without a reload."""
    key = ("--signature", shop.new_key())
    return run([*_SMPATCH, "add-predict", str(model), *_X_TO_Y, *key, "--validate", "none"])


def _rounds(sides: tuple[Side, ...], count: int) -> list[list[Measured]]:
    """Run A, B, A, B, ... and return one list of results for each side."""
    for side in sides:
        side()
    rounds = [[side() for side in sides] for _ in range(count)]
    return [list(column) for column in zip(*rounds, strict=True)]


def _time_row(contest: str, rival: str, sides: Sides, bar: float, *, judged: bool = True) -> Row:
    """Compare seconds."""
    pairs = [(a.seconds, b.seconds) for a, b in zip(*sides, strict=True)]
    return _row((contest, rival, "s"), pairs, bar, judged=judged)


def _memory_row(contest: str, rival: str, sides: Sides, bar: float, *, judged: bool) -> Row:
    """Compare peak memory."""
    pairs = [(a.peak_bytes / 1e6, b.peak_bytes / 1e6) for a, b in zip(*sides, strict=True)]
    return _row((contest, rival, "MB"), pairs, bar, judged=judged)


def _row(
    labels: tuple[str, str, str], pairs: list[tuple[float, float]], bar: float, *, judged: bool
) -> Row:
    """Reduce the rounds to one line."""
    ratios = [a / b for a, b in pairs]
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


def _bytes_label(count: int) -> str:
    """Return a file size for a human."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


def _tensorflow_directory() -> str:
    """Return where the installed TensorFlow is, without importing it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        message = "TensorFlow is not installed, so there is nothing to measure against"
        raise ProgramError(message)
    return spec.submodule_search_locations[0]
