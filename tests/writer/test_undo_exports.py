"""Undo after a new export of the model into the same directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import smpatch
from tests.writer import models

BACKUP = "saved_model.pb.backup"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_backup_from_before_a_new_export_is_not_put_beside_new_variables(
    tmp_path: Path, *, dry_run: bool
) -> None:
    """The old graph with the new variables gave numbers that no export ever gave."""
    exports = models.FIXTURES / "keras_functional", models.FIXTURES / "keras_shared_layer"
    model = Path(shutil.copytree(exports[0], tmp_path / "model"))
    smpatch.rename_signature(
        model, "serving_default", "predict", options=smpatch.Options(backup=True)
    )
    shutil.rmtree(model / "variables")
    shutil.copytree(exports[1], model, dirs_exist_ok=True)
    before = models.tree(model)
    with pytest.raises(smpatch.RefusedError, match="the model was exported again"):
        smpatch.undo(model, dry_run=dry_run)
    assert models.tree(model) == before
    (model / BACKUP).unlink()
    smpatch.rename_signature(
        model, "serving_default", "predict", options=smpatch.Options(backup=True)
    )
    assert smpatch.undo(model, dry_run=dry_run).fingerprint != "stale"
