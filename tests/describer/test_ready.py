"""A renamed model and the files around it: warm-up requests, Triton's file, a REST body."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from google.protobuf import text_format

import smpatch
from smpatch.edits import EditSignature, Rename
from tests.describer.models import FIXTURES
from tests.describer.serving import tensors
from tests.describer.test_triton_config import CONFIG
from tests.oracle.client import Oracle


def test_a_renamed_model_is_ready_to_deploy(tmp_path: Path, oracle: Oracle) -> None:
    model = Path(shutil.copytree(FIXTURES / "models" / "keras_functional", tmp_path / "model"))
    smpatch.write_warmup(model, "serving_default", random=1, batches=(1, 4))
    before = oracle.ask("replay", directory=model)["ran"]
    renamed = EditSignature(
        "serving_default", rename_inputs={"left": "l'eft"}, rename_outputs={"score": "points"}
    )
    edits = [renamed, Rename("serving_default", "score")]
    smpatch.patch(model, edits, options=smpatch.Options(backup=True))

    after = oracle.ask("replay", directory=model)["ran"]
    assert [each["signature"] for each in after] == ["score", "score"]
    for old, new in zip(before, after, strict=True):
        values = {{"score": "points"}.get(alias, alias): v for alias, v in old["outputs"].items()}
        assert new["outputs"] == values

    config = text_format.Parse(smpatch.describe(model, "triton", "score"), CONFIG())
    assert {each.name for each in config.input} == {"l'eft", "right"}
    assert {each.name for each in config.output} == {"both", "points"}
    assert config.parameters["TF_SIGNATURE_DEF"].string_value == "score"

    lines = smpatch.describe(model, "rest", "score", batch=2).splitlines()
    bodies = [json.loads(shlex.split(line)[2]) for line in lines if line.startswith("curl ")]
    assert [body["signature_name"] for body in bodies] == ["score", "score"]
    for body in bodies:
        read = tensors(body, {"l'eft": "float32", "right": "float32"})
        assert {alias: shape for alias, (_, shape, _) in read.items()} == {
            "l'eft": (2, 2),
            "right": (2, 2),
        }

    smpatch.undo(model)
    assert oracle.ask("replay", directory=model)["ran"] == before
