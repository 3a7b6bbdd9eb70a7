"""Cost against the number of signatures, of library functions and of objects.

Some commands read each of them and some do not; in both cases the cost must not grow faster than
their number. The bar is for the processor time for each one, ``(t(n) - t(least)) / (n - least)``:
at the largest number it is at most 1.3 times the value at the number before. (If a tenth of the
cost were quadratic, it would be 1.4 times.) If each one costs almost nothing, nothing is divided:
then the largest model may take 1.6 times the time of the least.

Other ratios compare commands on an export of ResNet152 without its weights with TensorFlow's own
``saved_model_cli show --all``. No command reloads the model, because a reload measures TensorFlow.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.commands import SMPATCH
from tests.benchmarks.measure import Measured, run
from tests.benchmarks.results import Row
from tests.benchmarks.rounds import compared, rounds
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["growth", "large_export"]

_SIZES = {
    "signatures": (400, 2_000, 10_000),
    "functions": (200, 1_000, 5_000),
    "objects": (2_000, 10_000, 50_000),
}
_LINEAR = 1.3
_FLAT = 1.6
_FLAT_SECONDS = 0.1
"""A smaller growth over all sizes is start-up and noise."""


def growth(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """Measure the commands on models with a growing number of signatures, functions or objects."""
    for kind, numbers in _SIZES.items():
        models = [shop.many(kind, number) for number in numbers]
        for name in _commands(shop.root, models[0], "score"):
            sides = [_side(shop.root, model, name, "score") for model in models]
            times = [
                [each.processor_seconds for each in column]
                for column in rounds(sides, sizes.growth_rounds)
            ]
            contest = f"`{name}`, {numbers[-1]:,} {kind}, processor time"
            medians = [statistics.median(column) for column in times]
            if medians[-1] - medians[0] < _FLAT_SECONDS:
                pairs = list(zip(times[-1], times[0], strict=True))
                yield compared((contest, f"{numbers[0]:,} {kind}", "s"), pairs, _FLAT)
                continue
            each = [
                (time - medians[0]) / (number - numbers[0]) * 1e6
                for time, number in zip(medians[1:], numbers[1:], strict=True)
            ]
            labels = (f"{contest} for each", f"{numbers[1]:,} {kind}", "us")
            yield compared(labels, [(each[1], each[0])], _LINEAR)


def large_export(shop: Workshop, sizes: Sizes) -> Iterator[Row]:
    """Commands on ResNet152, without a reload, against TensorFlow's own ``show``."""
    model = shop.resnet("ResNet152")

    def cli() -> Measured:
        module = "tensorflow.python.tools.saved_model_cli"
        return run([sys.executable, "-m", module, "show", "--all", "--dir", str(model)])

    names = [*_commands(shop.root, model, "output_0")]
    sides = [_side(shop.root, model, name, "output_0") for name in names]
    *columns, clis = rounds([*sides, cli], sizes.growth_rounds)
    for name, column in zip(names, columns, strict=True):
        pairs = [
            (ours.processor_seconds, theirs.processor_seconds)
            for ours, theirs in zip(column, clis, strict=True)
        ]
        labels = (f"`{name}`, ResNet152, processor time", "`saved_model_cli show --all`", "s")
        yield compared(labels, pairs, 0.2)


def _commands(root: Path, model: Path, output: str) -> dict[str, Sequence[str]]:
    """Return the words of each command."""
    where, key = str(model), "serving_default"
    new = ("--validate", "none", "--save-to", str(root / "grown"))
    return {
        "show": ("show", where),
        "suggest --signature": ("suggest", where, "--signature", key),
        "check --validate none": ("check", where, "--validate", "none"),
        "diff": ("diff", where, str(_fellow(model))),
        "edit --rename-output": (
            *("edit", where, "--signature", key, "--rename-output", f"{output}=renamed", *new),
        ),
        "copy": ("copy", where, "--from", key, "--to", "copied", *new),
    }


def _fellow(model: Path) -> Path:
    """Return a copy of a model, made once, to compare it with."""
    copy = model.with_name(f"{model.name}-copy")
    if not copy.exists():
        shutil.copytree(model, copy)
    return copy


def _side(root: Path, model: Path, name: str, output: str) -> Callable[[], Measured]:
    """Return a function that removes the new model of the last run and runs a command."""

    def side() -> Measured:
        words = _commands(root, model, output)[name]
        shutil.rmtree(root / "grown", ignore_errors=True)
        return run([*SMPATCH, *words])

    return side
