"""Run the suite on every Python, and on the oldest and newest TensorFlow: ``make matrix``.

Each cell gets an environment of its own below ``build/matrix``, which is kept for the next
run. An interpreter that is not on this machine is skipped by name. By default the tests run
that look at the package from all sides and take a few minutes; ``--whole`` runs all of them.

This program needs nothing but Python, for it comes before any environment.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "build" / "matrix"

FAST = (
    *("tests/test_wire.py", "tests/test_wire_properties.py", "tests/test_text.py"),
    *("tests/test_schema.py", "tests/test_signature.py", "tests/test_notation.py"),
    *("tests/test_loader.py", "tests/test_builder.py", "tests/test_patcher.py"),
    *("tests/test_validator.py", "tests/test_bad_input.py", "tests/graph", "tests/runtime"),
    *("tests/cli", "tests/fuzz", "tests/differential"),
)
"""What depends on the versions of Python, protobuf or TensorFlow, from every side once."""

_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema", "packaging", "hatchling>=1.27")
_VERSIONS = """
import importlib.metadata as m, platform
print(platform.python_version(), m.version("tensorflow"), m.version("protobuf"))
"""


@dataclass(frozen=True)
class Cell:
    """One combination of versions.

    Attributes:
        name: What it is called here and below ``build/matrix``.
        python: Such as ``3.12``.
        requirements: What to install beside the tools; nothing for the lock file.
    """

    name: str
    python: str
    requirements: tuple[str, ...] = ()


CELLS = (
    *(Cell(f"locked-{python}", python) for python in ("3.10", "3.11", "3.12", "3.13")),
    Cell("oldest-3.10", "3.10", ("tensorflow==2.16.*", "protobuf==4.25.*", "typer==0.27.*")),
    Cell("oldest-3.12", "3.12", ("tensorflow==2.16.*", "protobuf==4.25.*", "typer==0.27.*")),
    Cell("newest-3.13", "3.13", ("tensorflow", "protobuf<8", "typer<0.29")),
)


def interpreter(python: str) -> Path | None:
    """Find a Python by its version, on the path or among those of pyenv."""
    found = shutil.which(f"python{python}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(found)] if found else []
    candidates += sorted(pyenv.glob(f"{python}.*/bin/python"), reverse=True)
    for each in candidates:
        # What is on the path may be a shim that knows no such version.
        told = subprocess.run([each, "--version"], capture_output=True, text=True, check=False)
        if told.returncode == 0 and re.match(rf"Python {re.escape(python)}\.", told.stdout):
            return each
    return None


def environment(cell: Cell, python: Path) -> Path:
    """Return the Python of the cell's environment, which is made where there is none."""
    place = PLACE / cell.name
    ready = place / "ready"
    inside = place / "bin" / "python"
    if not ready.exists():
        subprocess.run([python, "-m", "venv", "--clear", place], check=True)
        install: list[str | Path] = [
            inside,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        if cell.requirements:
            subprocess.run([*install, *_TOOLS, *cell.requirements], check=True)
        else:
            lock = ("--require-hashes", "--requirement", ROOT / "requirements.lock")
            subprocess.run([*install, *lock], check=True)
        editable = ("--no-deps", "--no-build-isolation", "--editable", ROOT)
        subprocess.run([*install, *editable], check=True)
        ready.touch()
    return inside


def run(cell: Cell, tests: Sequence[str]) -> str:
    """Run tests in a cell; return the outcome in a few words."""
    python = interpreter(cell.python)
    if python is None:
        return f"skipped: there is no python{cell.python} here"
    try:
        inside = environment(cell, python)
    except subprocess.CalledProcessError:
        return "failed: its environment could not be made"
    versions = subprocess.run(
        [inside, "-c", _VERSIONS], capture_output=True, text=True, check=True
    ).stdout.split()
    told = "Python {}, TensorFlow {}, protobuf {}".format(*versions)
    print(f"== {cell.name}: {told}", flush=True)  # noqa: T201 - a program
    command: list[str | Path] = [
        inside,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    done = subprocess.run(command, cwd=ROOT, check=False)
    return f"{'passed' if done.returncode == 0 else 'failed'}: {told}"


def _chosen(names: Sequence[str]) -> Iterator[Cell]:
    unknown = set(names) - {cell.name for cell in CELLS}
    if unknown:
        message = f"no such cell: {', '.join(sorted(unknown))}"
        raise SystemExit(message)
    yield from (cell for cell in CELLS if not names or cell.name in names)


def main() -> int:
    """Run the cells that were asked for, and print what became of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--whole", action="store_true", help="run the whole suite")
    parser.add_argument("--tests", nargs="+", help="run these tests")
    parser.add_argument("cells", nargs="*", help=", ".join(cell.name for cell in CELLS))
    asked = parser.parse_args()
    tests = asked.tests or (["tests"] if asked.whole else FAST)
    outcomes = {cell.name: run(cell, tests) for cell in _chosen(asked.cells)}
    for name, outcome in outcomes.items():
        print(f"{name:12} {outcome}")  # noqa: T201 - a program
    return any(outcome.startswith("failed") for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
