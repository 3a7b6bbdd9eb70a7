"""The models for the measurements: their sizes, their numbers, and the directory for them.

This module measures nothing.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import generate
from tests.benchmarks.measure import run

__all__ = ["FULL", "QUICK", "Sizes", "Workshop"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the models, and the numbers of rounds.

    Attributes:
        constant_bytes: The sizes of the files of constants, in bytes, two or more, rising; the
            contest uses the last.
        chain_nodes: The lengths of the chains, in nodes, three or more, rising; the contest uses
            the last.
        variable_bytes: The size of the variables of the model with many, in bytes.
        instant_rounds: The number of counted rounds if a run takes a tenth of a second.
        short_rounds: The number of counted rounds if a run takes about a second.
        long_rounds: The number of counted rounds on the big models.
        curve_rounds: The number of counted rounds of a curve, each at all its sizes.
        growth_rounds: The number of counted rounds of ``growth``, each at all its numbers.
        job_rounds: The number of counted rounds of many models, each with all numbers of jobs.
        batch: The number of small models that one command edits.
        judged: Whether the bars on the big models have a meaning at these sizes.
    """

    constant_bytes: tuple[int, ...]
    chain_nodes: tuple[int, ...]
    variable_bytes: int
    instant_rounds: int
    short_rounds: int
    long_rounds: int
    curve_rounds: int
    job_rounds: int
    growth_rounds: int
    batch: int
    judged: bool


FULL = Sizes(
    constant_bytes=(10**6, 10**7, 10**8, generate.CONSTANT_COUNT * 64 * 2**20),
    chain_nodes=(10**3, 10**4, 10**5, 10**6),
    variable_bytes=4 * 2**30,
    instant_rounds=31,
    short_rounds=9,
    long_rounds=7,
    curve_rounds=5,
    job_rounds=5,
    growth_rounds=3,
    batch=200,
    judged=True,
)
QUICK = Sizes(
    constant_bytes=(10**6, 10**7),
    chain_nodes=(10**3, 10**4, 10**5),
    variable_bytes=2**26,
    instant_rounds=9,
    short_rounds=3,
    long_rounds=2,
    curve_rounds=2,
    job_rounds=1,
    growth_rounds=1,
    batch=20,
    judged=False,
)


class Workshop:
    """The directory in which benchmarks make and edit models, and remove them."""

    def __init__(self, root: Path, small_model: Path) -> None:
        """Use ``root`` for everything big, and ``small_model`` as the small model."""
        self.root = root
        self._small_model = small_model
        self._numbers = itertools.count()

    def small(self, model: Path | None = None) -> Path:
        """Return a fresh copy of a small model; None means the model of TensorFlow 1."""
        return self._copied(model or self._small_model)

    def _copied(self, model: Path) -> Path:
        """Return a fresh copy of a model."""
        copy = self.root / "small"
        shutil.rmtree(copy, ignore_errors=True)
        # It copies contents without modes: the source may be read-only, and the copy is edited.
        shutil.copytree(model, copy, copy_function=shutil.copyfile)
        for directory in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        return copy

    def batch(self, count: int, model: Path | None = None) -> list[str]:
        """Return fresh copies of a model; None means the small model of TensorFlow 1."""
        home = self.root / "batch"
        shutil.rmtree(home, ignore_errors=True)
        first = self._copied(model or self._small_model)
        copies = [home / f"{number:04}" for number in range(count)]
        for copy in copies:
            shutil.copytree(first, copy)
        os.sync()  # a measured program then waits for its own bytes alone
        return [str(copy) for copy in copies]

    def constants(self, total_bytes: int) -> Path:
        """Return the model with ``total_bytes`` of constants, made once."""
        directory = self.root / f"constants-{total_bytes}"
        if not directory.exists():
            generate.constants(directory, total_bytes)
        return directory

    def chain(self, length: int, stride: int = 1) -> Path:
        """Return a model of which one node in ``stride`` is needed, made once."""
        directory = self.root / f"chain-{length}-{stride}"
        if not directory.exists():
            generate.chain(directory, length, stride)
        return directory

    def variables(self, total_bytes: int) -> Path:
        """Return the model with ``total_bytes`` of variables, made once."""
        directory = self.root / f"variables-{total_bytes}"
        if not directory.exists():
            program = "tests.benchmarks.variables_export"
            run([sys.executable, "-m", program, str(directory), str(total_bytes)])
        return directory

    def many(self, kind: str, number: int) -> Path:
        """Return the model with ``number`` more ``signatures``, ``functions`` or ``objects``."""
        directory = self.root / f"{kind}-{number}"
        if not directory.exists():
            program = "tests.benchmarks.growing_export"
            run([sys.executable, "-m", program, kind, str(number), str(directory)])
        return directory

    def resnet(self, name: str = "ResNet50") -> Path:
        """Return a fresh copy of a Keras export, which is made once.

        It has no ``fingerprint.pb``: TensorFlow would compute that, and the benchmarks measure
        smpatch alone.
        """
        made = self.root / f"{name}-made"
        if not made.exists():
            run([sys.executable, "-m", "tests.benchmarks.keras_export", name, str(made)])
            (made / "fingerprint.pb").unlink()
        copy = self.root / "resnet"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made, copy)
        return copy

    def new_key(self) -> str:
        """Return a signature key that no earlier edit used.

        With a new key, each edit of the same big model in place does all the work
        of a first edit.
        """
        return f"bench_{next(self._numbers)}"
