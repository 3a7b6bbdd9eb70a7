"""``smpatch check``: its text, its JSON and its exit codes."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.cli.conftest import FIXTURES, QUICK, Run
from tests.cli.schemas import read, validator

MODELS = FIXTURES / "models"

SCHEMA = read("check")


def test_a_healthy_model_is_one_line(call: Run) -> None:
    said = call("check", MODELS / "module")
    assert said.code == 0
    assert said.out == (
        f"{MODELS / 'module'} (serve): no faults; loaded by C runtime and tf.saved_model.load\n"
    )
    assert said.err == ""


def test_faults_are_named_one_by_one_and_the_exit_code_is_1(call: Run) -> None:
    said = call("check", MODELS / "wrong_tensor_info", *QUICK)
    assert said.code == 1
    first, second, last = said.out.splitlines()
    assert first.startswith("fault missing-tensor: signature 'missing', output 'product': ")
    assert "tf.saved_model.load refuses the whole model for it" in first
    assert second.startswith("fault dtype: signature 'wrong_dtype', input 'x': x:0 is float32")
    assert last.endswith("2 faults; TensorFlow was not asked (--validate none)")


@pytest.mark.parametrize("name", ["wrong_tensor_info", "several_tag_sets", "linear"])
def test_json_is_what_the_schema_promises(call: Run, name: str) -> None:
    said = call("check", MODELS / name, "--json", "--run", "--validate", "runtime")
    validator("check").validate(said.document)
    body = said.document["check"]
    assert said.code == (0 if body["ok"] else 1)
    assert body["ran"]
    assert body["loaders"] == ["C runtime"]


def test_the_schema_is_strict() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    whole = SCHEMA["properties"]["check"]
    for part in (whole, *(whole["properties"][each]["items"] for each in ("findings", "ran"))):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])


def test_quiet_leaves_the_exit_code_and_a_line(call: Run) -> None:
    said = call("check", MODELS / "wrong_dtype", *QUICK, "--quiet")
    assert (said.code, said.out) == (1, "")
    assert said.line == f"smpatch: {MODELS / 'wrong_dtype'}: 1 fault"
    assert call("check", MODELS / "module", *QUICK, "--quiet").out == ""


def test_what_is_fed_may_be_said_without_run(call: Run, tmp_path: Path) -> None:
    said = call("check", MODELS / "module", "--batch", "1, 3", "--validate", "runtime")
    assert "ran   serving_default, batch 1,3\n" in said.out
    np.savez(tmp_path / "a.npz", x=np.ones((2, 2), "float32"))
    said = call("check", MODELS / "module", "--feed", tmp_path / "a.npz", "--validate", "runtime")
    assert "ran   serving_default\n" in said.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--require", "serving_default"], "character 16: ':' is expected"),
        (["--for", "serving,torch"], "'torch' is not a known reader"),
        (["--batch", "two"], "'two' is not a list of sizes"),
        (["--feed", "gone.npz"], "cannot be read"),
        (["--feed", "a.npz", "--with", "ones"], "--feed and --with do not go together"),
        (["--run", "--validate", "none"], "nothing can be run without TensorFlow"),
    ],
)
def test_slips_are_exit_code_2(call: Run, options: list[str], words: str) -> None:
    said = call("check", MODELS / "module", *options)
    assert said.code == 2
    assert words in said.line


@pytest.mark.parametrize(
    ("model", "reader", "code", "where"),
    [
        ("sparse", "serving", "not-dense", "signature 'twice', input 'ids'"),
        ("assets_extra_warmup", "triton", "no-serving-default", "there is no 'serving_default'"),
        ("keras_functional", "tflite", "keras-serve-key", "signature 'serve'"),
        ("several_tag_sets", "python", "needs-tags", "MetaGraph 'train'"),
    ],
)
def test_readers_have_objections_of_their_own(
    call: Run, model: str, reader: str, code: str, where: str
) -> None:
    without = call("check", MODELS / model, *QUICK)
    said = call("check", MODELS / model, *QUICK, "--for", reader)
    assert without.code == 0
    (line,) = (
        line
        for line in said.out.splitlines()
        if line.partition(" ")[2].startswith(f"{code}: ") and where in line
    )
    assert said.code == (1 if line.startswith("fault") else 0)
