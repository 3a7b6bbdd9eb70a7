"""The models that these tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpatch.validator import Validator
from tests.cli.conftest import call
from tests.oracle import client

__all__ = ["call"]


@pytest.fixture(scope="session")
def exported(oracle: client.Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models of ``tests.oracle.numbers``."""
    directory = tmp_path_factory.mktemp("numbers")
    for kind in ("twins", "fickle", "parser"):
        oracle.ask("build_numbers", directory=directory / kind, kind=kind)
    oracle.ask("build_numbers", directory=directory / "other", kind="twins", first=3.0)
    return directory


@pytest.fixture(scope="session")
def validator() -> Iterator[Validator]:
    """A validator whose child processes all tests of this folder share."""
    with Validator("run", (), 120.0) as opened:
        yield opened


@pytest.fixture
def twins(exported: Path, tmp_path: Path) -> Path:
    """A model with two functions of the same types over the same two variables."""
    return Path(shutil.copytree(exported / "twins", tmp_path / "twins"))


@pytest.fixture
def fickle(exported: Path, tmp_path: Path) -> Path:
    """A model with functions that are random, have a state, or yield NaN and infinity."""
    return Path(shutil.copytree(exported / "fickle", tmp_path / "fickle"))
