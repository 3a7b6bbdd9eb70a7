"""Edits that TensorFlow has to prove, and a check of the model after a failed validation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import smpatch
from tests.writer import models

__all__ = ["add", "copied", "fails"]


def copied(name: str, tmp_path: Path) -> Path:
    """Copy a fixture; return the copy."""
    return Path(shutil.copytree(models.FIXTURES / name, tmp_path / name))


def add(model: Path, **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Add a signature, which the C runtime proves unless the options name another way."""
    return models.add(model, **{"validate": "runtime", **options})


def fails(model: Path, **options: Any) -> smpatch.ValidationError:  # noqa: ANN401 - the fields of Options
    """Add a signature, check that the validation fails and the model stays; return the error."""
    before = models.tree(model)
    with pytest.raises(smpatch.ValidationError) as caught:
        add(model, **options)
    assert models.tree(model) == before
    assert caught.value.exit_code == 5
    return caught.value
