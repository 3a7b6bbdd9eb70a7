"""Edits that TensorFlow has to prove, and what is left of a model that it does not accept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import smpatch
from tests.writer import models

__all__ = ["add", "copied", "fails"]


def copied(name: str, tmp_path: Path) -> Path:
    """Copy a fixture."""
    return Path(shutil.copytree(models.FIXTURES / name, tmp_path / name))


def add(model: Path, **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Add a signature, proved by the C runtime unless the options say otherwise."""
    return models.add(model, **{"validate": "runtime", **options})


def fails(model: Path, **options: Any) -> smpatch.ValidationError:  # noqa: ANN401 - the fields of Options
    """Let a validation fail; the model must be as it was."""
    before = models.tree(model)
    with pytest.raises(smpatch.ValidationError) as caught:
        add(model, **options)
    assert models.tree(model) == before
    assert caught.value.exit_code == 5
    return caught.value
