"""TFLite names a tensor as the graph does; only the signature has the alias."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

import smpatch
from smpatch.edits import EditSignature, PromoteFunction
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle, encoded

KEY = "serving_default"


def _converted(directory: Path, alias: str, oracle: Oracle) -> Any:  # noqa: ANN401 - JSON
    """Convert, and run by the alias; return the numbers and the names of the tensors."""
    feed = {alias: encoded(np.ones((1, 2), "float32"))}
    said = oracle.ask("tflite", directory=directory, key=KEY, feed=feed, tags=["serve"])
    return said["arrays"]["score"], said["tensors"]


def test_a_renamed_input_keeps_its_tensor_and_a_signature_made_anew_does_not(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    own, names = _converted(directory, "x", oracle)
    assert names == ["serving_default_x:0", "StatefulPartitionedCall:0"]
    smpatch.edit_signature(directory, EditSignature(KEY, rename_inputs={"x": "image"}))
    assert _converted(directory, "image", oracle) == (own, names)
    anew = PromoteFunction("__call__", {"image": "x"}, None, KEY, overwrite=True)
    smpatch.patch(directory, anew)
    again, others = _converted(directory, "image", oracle)
    assert again == own
    assert others[0] == "serving_default_image:0"
