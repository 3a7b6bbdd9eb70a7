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


def test_a_key_that_cannot_begin_the_name_of_a_node_gives_no_name_that_tensorflow_refuses(
    tmp_path: Path,
) -> None:
    """The placeholder was called ``-k_x``, or it had no name, and TensorFlow refused the model."""
    model = Path(shutil.copytree(MODELS / "module", tmp_path / "model"))
    made = [
        smpatch.promote_function(model, "encode", signature="-k"),
        smpatch.promote_function(model, "encode", inputs={"画像": "x"}, signature="像"),
        smpatch.compose_signature(model, "-k", before="x=cast(int32, name='-')", signature="画"),
    ]
    for receipt in made:
        assert receipt.loaders == ("C runtime", "tf.saved_model.load")
