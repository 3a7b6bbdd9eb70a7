"""Two ways to run a command line: in this process, which is quick, and in a new process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpatch import schema
from smpatch.cli import guard
from smpatch.cli.main import application
from tests.oracle import programs

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
MODELS: list[dict[str, Any]] = json.loads((FIXTURES / "models" / "MANIFEST.json").read_text())
BROKEN: list[dict[str, Any]] = json.loads((FIXTURES / "broken" / "MANIFEST.json").read_text())

XY = ("--inputs", "x:0", "--outputs", "y:0")
"""A request that most fixtures can serve."""

QUICK = ("--validate", "none")
"""Options of tests that need no reload."""


def negated(placeholder: str) -> bytes:
    """Return a frozen graph in which ``y`` is the negative of a placeholder."""
    graph = schema.GraphDef()
    graph.node.add(name=placeholder, op="Placeholder").attr["dtype"].type = 1
    graph.node.add(name="y", op="Neg", input=[placeholder]).attr["T"].type = 1
    return bytes(graph.SerializeToString())


@dataclass(frozen=True, slots=True)
class Said:
    """The exit code and the output of a command line."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line on stderr, the error of a command that failed as expected."""
        (line,) = self.err.splitlines()
        assert line.startswith("smpatch: ")
        return line

    @property
    def document(self) -> dict[str, Any]:
        """The JSON on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        return document


Run = Callable[..., Said]


def refused(said: Said, words: str) -> None:
    """Assert that smpatch refused an edit, with one line that has these words."""
    assert (said.code, said.out) == (4, "")
    assert words in said.line


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line in this process."""

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["smpatch", *map(str, arguments)])
        capsys.readouterr()
        code = guard.run(application())
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture
def shell() -> Run:
    """Return a function that runs a command line in a new process; undecodable output fails."""

    def run(
        *arguments: str | Path | bytes,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        encoding: str = "utf-8",
        program: tuple[str, ...] = (sys.executable, "-m", "smpatch"),
        **more: Any,  # noqa: ANN401 - arguments of subprocess
    ) -> Said:
        done = subprocess.run(
            [*program, *arguments],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
            timeout=120,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )
        out, err = done.stdout or b"", done.stderr or b""
        return Said(done.returncode, out.decode(encoding), err.decode(encoding))

    return run


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a fixture for an edit."""

    def copy(name: str) -> Path:
        place = tmp_path / name
        shutil.copytree(FIXTURES / "models" / name, place, symlinks=True)
        return place

    return copy


def content(directory: Path) -> dict[str, bytes]:
    """Return the bytes of the files below a directory, with hidden files."""
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def tensorflow(program: str, *arguments: Path) -> str:
    """Run a Python program that imports TensorFlow, and return what it prints."""
    return programs.run("-c", program, *arguments)
