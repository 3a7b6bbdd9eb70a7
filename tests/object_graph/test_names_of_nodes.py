"""Names that edits give to nodes of the main graph."""

from __future__ import annotations

import shutil
from pathlib import Path

import smpatch

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


def test_a_function_called_call_gets_no_node_that_begins_with_an_underscore(tmp_path: Path) -> None:
    """TensorFlow refused the model: "Node name contains invalid characters"."""
    model = Path(shutil.copytree(MODELS / "module", tmp_path / "model"))
    receipt = smpatch.promote_function(model, "__call__")
    assert receipt.loaders == ("C runtime", "tf.saved_model.load")
    (tensor,) = receipt.signature.inputs["x"].tensors()
    assert not tensor.name.startswith("_")
