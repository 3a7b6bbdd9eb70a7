"""The models that the tests of the writer share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smpatch.validator import Validator
from tests.writer import models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model without a fingerprint."""
    return models.linear(tmp_path / "model")


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with a fingerprint; a stand-in for TensorFlow refreshes it in an edit."""
    monkeypatch.setattr(Validator, "fingerprint", models.fake_fingerprint)
    return models.linear(tmp_path / "model", fingerprint=True)


@pytest.fixture
def as_root() -> None:
    """Skip a test that only root can run."""
    if os.geteuid() != 0:
        pytest.skip("only root can do this")
