"""The models that are measured: how big, how many, and where they are made and thrown away.

Nothing is measured here.
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
    """How big and how often.

    Attributes:
        constant_bytes: The files of constants, in bytes, two or more, rising; the last is
            the contest's.
        chain_nodes: The chains, in nodes, three or more, rising; the last is the contest's.
        variable_bytes: The variables of the model that has many.
        instant_rounds: Counted rounds where a run takes a tenth of a second.
        short_rounds: Counted rounds where a run takes a second or so.
        long_rounds: Counted rounds on the big models.
        curve_rounds: Counted rounds of a curve, each at all its sizes.
        growth_rounds: Counted rounds of what grows in number, each at all its sizes.
        job_rounds: Counted rounds of many models, each with all numbers of jobs.
        batch: So many small models are edited by one command.
        judged: Whether the bars on the big models mean anything at these sizes.
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
    """The directory in which models are made, edited and thrown away."""

    def __init__(self, root: Path, small_model: Path) -> None:
        """Use ``root`` for everything big, and ``small_model`` as the small model."""
        self.root = root
        self._small_model = small_model
        self._numbers = itertools.count()

    def small(self, model: Path | None = None) -> Path:
        """Return a fresh copy of a small model; None for the one of TensorFlow 1."""
        return self._copied(model or self._small_model)

    def _copied(self, model: Path) -> Path:
        """Return a fresh copy of a model."""
        copy = self.root / "small"
        shutil.rmtree(copy, ignore_errors=True)
        # Contents only: the source may be read-only, and its copy is to be edited.
        shutil.copytree(model, copy, copy_function=shutil.copyfile)
        for directory in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        return copy

    def batch(self, count: int, model: Path | None = None) -> list[str]:
        """Return fresh copies of a model; None for the small one."""
        home = self.root / "batch"
        shutil.rmtree(home, ignore_errors=True)
        first = self._copied(model or self._small_model)
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

    def chain(self, length: int, stride: int = 1) -> Path:
        """Return a model of which one node in ``stride`` is needed, made once."""
        directory = self.root / f"chain-{length}-{stride}"
        if not directory.exists():
            generate.chain(directory, length, stride)
        return directory

    def variables(self, total_bytes: int) -> Path:
        """Return the model with that many bytes of variables, made once."""
        directory = self.root / f"variables-{total_bytes}"
        if not directory.exists():
            program = "tests.benchmarks.variables_export"
            run([sys.executable, "-m", program, str(directory), str(total_bytes)])
        return directory

    def many(self, kind: str, number: int) -> Path:
        """Return the model with that many ``signatures``, ``functions`` or ``objects``."""
        directory = self.root / f"{kind}-{number}"
        if not directory.exists():
            program = "tests.benchmarks.growing_export"
            run([sys.executable, "-m", program, kind, str(number), str(directory)])
        return directory

    def resnet(self, name: str = "ResNet50") -> Path:
        """Return a fresh copy of a Keras export, made once.

        Without its ``fingerprint.pb``: TensorFlow computes that, and what is measured is
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
        """Return a signature key that was not used before.

        A new key lets the same big model be edited in place again and again,
        each time with all the work of a first edit.
        """
        return f"bench_{next(self._numbers)}"
