"""Run the suite on every Python, and on the oldest and newest TensorFlow: ``make matrix``.

Each cell gets an environment of its own below ``build/matrix``, which is kept for the next
run. An interpreter that is not on this machine is skipped by name. A cell runs the whole suite,
which takes ten minutes; ``--quick`` runs the tests that look at the package from all sides once.

The old_releases are releases of TensorFlow that smpatch does not run with. They write models, the
smpatch of ``.venv`` edits copies, and they read these; ``tests/old_releases`` has it all.

This program needs nothing but Python, for it comes before the cells' environments.
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

QUICK = (
    *("tests/test_wire.py", "tests/test_wire_properties.py", "tests/test_text_fields.py"),
    *("tests/test_schema.py", "tests/test_signature.py", "tests/test_tensor_syntax.py"),
    *("tests/test_loader.py", "tests/test_builder.py", "tests/test_patcher.py"),
    *("tests/test_validator.py", "tests/test_bad_input.py", "tests/graph", "tests/runtime"),
    *("tests/cli", "tests/prove", "tests/fuzz", "tests/differential"),
)
"""Tests of each part that depends on the version of Python, protobuf or TensorFlow."""

_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema", "packaging", "hatchling>=1.27")
_VERSIONS = """
import importlib.metadata as m, platform
print(platform.python_version(), m.version("tensorflow"), m.version("protobuf"))
"""


@dataclass(frozen=True)
class Cell:
    """One combination of versions.

    Attributes:
        name: The name of the cell, and of its directory below ``build/matrix``.
        python: The version of Python, such as ``3.12``.
        requirements: The packages to install beside the tools; if empty, those of the lock file.
    """

    name: str
    python: str
    requirements: tuple[str, ...] = ()


CELLS = (
    *(Cell(f"locked-{python}", python) for python in ("3.10", "3.11", "3.12", "3.13")),
    Cell("oldest-3.10", "3.10", ("tensorflow==2.16.*", "protobuf==4.25.*", "typer==0.27.0")),
    Cell("oldest-3.12", "3.12", ("tensorflow==2.16.*", "protobuf==4.25.*", "typer==0.27.0")),
    Cell("newest-3.13", "3.13", ("tensorflow", "protobuf<8", "typer")),
)

SMPATCH = ROOT / ".venv" / "bin" / "python"
"""The Python whose smpatch edits the models of the old releases."""

_OLD = ("protobuf<3.21", "numpy<1.24")
_OLDEST = ("protobuf<3.21", "numpy<1.19")


@dataclass(frozen=True)
class OldRelease:
    """An old release of TensorFlow.

    Attributes:
        name: The name of the release here, and of its directory below ``build/matrix``.
        python: The newest Python for which it has wheels, or an older one.
        requirements: The packages to install.
        also: The names of other old releases that read its models.
        write: The programs of ``tests/old_releases`` that write its models.
    """

    name: str
    python: str
    requirements: tuple[str, ...]
    also: tuple[str, ...] = ()
    write: tuple[str, ...] = ("sessions", "objects")


OLD_RELEASES = (
    # This release cannot save objects yet.
    OldRelease("old-1.13", "3.7", ("tensorflow==1.13.*", *_OLDEST), ("old-2.15",), ("sessions",)),
    OldRelease("old-1.15", "3.7", ("tensorflow==1.15.*", *_OLDEST), ("old-1.13", "old-2.4")),
    OldRelease("old-2.1", "3.7", ("tensorflow==2.1.*", *_OLDEST), ("old-1.15",)),
    OldRelease("old-2.4", "3.8", ("tensorflow==2.4.*", *_OLD), ("old-2.1",)),
    OldRelease("old-2.8", "3.9", ("tensorflow==2.8.*", *_OLD), ("old-2.4",)),
    OldRelease("old-2.11", "3.9", ("tensorflow==2.11.*", *_OLD), ("old-2.8",)),
    OldRelease("old-2.15", "3.11", ("tensorflow==2.15.*", "numpy<2"), ("old-2.11",)),
)


def interpreter(python: str) -> Path | None:
    """Find a Python by its version, on the path or among those of pyenv."""
    found = shutil.which(f"python{python}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(found)] if found else []
    candidates += sorted(pyenv.glob(f"{python}.*/bin/python"), reverse=True)
    for each in candidates:
        # The program on the path may be a shim that does not have this version.
        told = subprocess.run([each, "--version"], capture_output=True, text=True, check=False)
        if told.returncode == 0 and re.match(rf"Python {re.escape(python)}\.", told.stdout):
            return each
    return None


def environment(cell: Cell | OldRelease, python: Path) -> Path:
    """Return the Python of a cell's environment; make the environment if it does not exist."""
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
        if isinstance(cell, OldRelease):
            subprocess.run([*install, *cell.requirements], check=True)
        elif cell.requirements:
            subprocess.run([*install, *_TOOLS, *cell.requirements], check=True)
        else:
            lock = ("--require-hashes", "--requirement", ROOT / "requirements.lock")
            subprocess.run([*install, *lock], check=True)
        if isinstance(cell, Cell):
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


def try_elder(old: OldRelease) -> str:
    """Let an old release write and read models; return the outcome in a few words."""
    if not SMPATCH.exists():
        return "failed: there is no .venv, whose smpatch edits the models; make demo makes it"
    readers: list[Path] = []
    missing: list[str] = []
    for each in (old, *(other for other in OLD_RELEASES if other.name in old.also)):
        python = interpreter(each.python)
        try:
            if python is not None:
                readers.append(environment(each, python))
                continue
            told = f"there is no python{each.python} here"
        except subprocess.CalledProcessError:
            told = "its environment could not be made"
        if each is old:
            return f"{'failed' if python else 'skipped'}: {told}"
        missing.append(f"; not read by {each.name}: {told}")
    print(f"== {old.name}", flush=True)  # noqa: T201 - a program
    place = PLACE / f"{old.name}-models"
    command: list[str | Path] = [SMPATCH, "-m", "tests.old_releases", place, *readers]
    done = subprocess.run(
        [*command, "--write", *old.write],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)  # noqa: T201 - a program
    last = done.stdout.splitlines()[-1:] if done.returncode == 0 else ["see above"]
    return f"{'failed' if done.returncode else 'passed'}: {''.join([*last, *missing])}"


def _chosen(names: Sequence[str]) -> Iterator[Cell | OldRelease]:
    every: tuple[Cell | OldRelease, ...] = (*CELLS, *OLD_RELEASES)
    unknown = set(names) - {cell.name for cell in every}
    if unknown:
        message = f"no such cell: {', '.join(sorted(unknown))}"
        raise SystemExit(message)
    yield from (cell for cell in every if not names or cell.name in names)


def main() -> int:
    """Run the cells that the command line names, and print the outcome of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run a choice of the tests")
    parser.add_argument("--tests", nargs="+", help="run these tests")
    names = ", ".join([*(cell.name for cell in CELLS), *(old.name for old in OLD_RELEASES)])
    parser.add_argument("cells", nargs="*", help=names)
    asked = parser.parse_args()
    tests = asked.tests or (QUICK if asked.quick else ["tests"])
    outcomes = {
        cell.name: try_elder(cell) if isinstance(cell, OldRelease) else run(cell, tests)
        for cell in _chosen(asked.cells)
    }
    for name, outcome in outcomes.items():
        print(f"{name:12} {outcome}")  # noqa: T201 - a program
    return any(outcome.startswith("failed") for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
