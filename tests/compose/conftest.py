"""Models with inputs to bind; each is exported once, and tests edit copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smpatch.validator import Validator
from tests.cli.conftest import call
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle

__all__ = ["call"]

Copied = Callable[[str], Path]
"""A function that makes a copy of a model."""


@pytest.fixture(scope="session")
def exported(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A TensorFlow 2 export (``module``) and a graph of TensorFlow 1 (``session``)."""
    directory = tmp_path_factory.mktemp("bindable")
    for kind in ("module", "session"):
        oracle.ask("build_bindable", directory=directory / kind, kind=kind)
    return {kind: directory / kind for kind in ("module", "session")}


@pytest.fixture(scope="session")
def composable(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models by name, for functions before and behind their signatures."""
    directory = tmp_path_factory.mktemp("composable")
    kinds = ("images", "ids", "small", "session_images", "session_ids", "session_small")
    for kind in kinds:
        oracle.ask("build_composable", directory=directory / kind, kind=kind)
    fixture = "keras_functional"
    return {fixture: FIXTURES / fixture, **{kind: directory / kind for kind in kinds}}


@pytest.fixture
def copied(exported: dict[str, Path], tmp_path: Path) -> Copied:
    """Return a function that copies one of the exported models."""

    def copy(kind: str) -> Path:
        shutil.copytree(exported[kind], tmp_path / kind)
        return tmp_path / kind

    return copy


@pytest.fixture(scope="session")
def quick() -> Iterator[Validator]:
    """A validator with the C runtime, in one process for all edits."""
    with Validator("runtime", [], 300.0) as opened:
        yield opened


@pytest.fixture(scope="session")
def whole() -> Iterator[Validator]:
    """A validator with all of TensorFlow in Python, in one process for all edits."""
    with Validator("run", [], 300.0) as opened:
        yield opened
