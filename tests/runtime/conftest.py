"""The models and children that the tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpatch.runtime import installation
from smpatch.runtime.process import Child, Program
from tests.oracle import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Facts = dict[str, tuple[int, tuple[int | None, ...] | None]]


@pytest.fixture(scope="session")
def installed() -> installation.Wheel:
    """The installed TensorFlow."""
    found = installation.find()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models of ``export_models.py``."""
    directory = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("export_models.py")
    programs.run(script, directory)
    return directory


@pytest.fixture(scope="session")
def facts(models: Path) -> Facts:
    """The dtype and shape of every tensor in the model ``kinds``, from TensorFlow's Python."""
    told = json.loads((models / "kinds.json").read_text())
    return {
        name: (dtype, None if shape is None else tuple(shape))
        for name, (dtype, shape) in told.items()
    }


@pytest.fixture(scope="session")
def capi(installed: installation.Wheel) -> Iterator[Child]:
    """A child with the C API, for tests that do not harm it."""
    with Child.start(Program.CAPI, installed) as child:
        yield child


@pytest.fixture(scope="session")
def python(installed: installation.Wheel) -> Iterator[Child]:
    """A child with the Python loader, for tests that do not harm it."""
    with Child.start(Program.PYTHON, installed) as child:
        yield child


@pytest.fixture
def pretend(tmp_path: Path) -> Callable[[str], installation.Wheel]:
    """Return a function that writes a stand-in for TensorFlow, with faults that are rare there."""

    def write(source: str) -> installation.Wheel:
        root = tmp_path / "tensorflow"
        root.mkdir()
        (root / "__init__.py").write_text(source)
        return installation.Wheel(root, None, None, None)

    return write
