"""The models that these tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracle.client import Oracle


@pytest.fixture(scope="session")
def sized(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models of ``tests.oracle.sizes``."""
    directory = tmp_path_factory.mktemp("sizes")
    for kind in ("dense", "session", "text", "python", "lossy"):
        oracle.ask("build_sizes", directory=directory / kind, kind=kind)
    return directory


@pytest.fixture
def model(sized: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of one of them, by its kind."""
    return lambda kind: Path(shutil.copytree(sized / kind, tmp_path / kind))
