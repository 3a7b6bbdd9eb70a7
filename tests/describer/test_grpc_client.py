"""Programs for TF Serving's gRPC API: Python runs them, and TensorFlow takes their values."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch.signature import SparseTensorSpec, Spec, TensorSpec
from tests.describer.models import FIXTURES, HOSTILE, cases, made, row
from tests.oracle import programs

TYPES = (
    *("bool", "string", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def _answers(calls: list[dict[str, Any]], room: Path) -> list[dict[str, Any]]:
    """Run programs in one process with TensorFlow."""
    file = room / "calls.json"
    file.write_text(json.dumps(calls))
    said = programs.run("-m", "tests.describer.calling", file)
    answers: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
    assert len(answers) == len(calls)
    return answers


def _shape(spec: TensorSpec, batch: int = 1) -> list[int]:
    shape = (None,) if spec.shape is None else spec.shape
    return [(1 if n else batch) if size is None else size for n, size in enumerate(shape)]


NEED_OTHER_VALUES = {
    r"Feature: x .* is required": [
        *(f"classify_regress-{key}" for key in ("classify", "regress", "scores_only")),
        "classify_regress-serving_default",
        *(f"estimator-{key}" for key in ("classification", "predict", "regression")),
        "estimator-serving_default",
        *(f"keras_examples-{key}" for key in ("examples", "serving_default")),
        *(f"parsed_examples-{key}" for key in ("predict", "regression", "serving_default")),
    ],
    r"Using the empty_key": ["dense_table-learn", "dense_table-look"],
    r"ndims must be >= 2": ["stripped_default_attrs-product"],
    r"does not start with segment_ids": ["ragged_sparse_inputs-ragged"],
    r"Could not find callback": ["python_inside-called"],
    r"gone:0": ["wrong_tensor_info-missing"],
    r"from_the_future": ["text_newer_writer-scale"],
}
"""Signatures that do not run on zeros and empty strings, by the error."""


def test_the_requests_of_all_fixtures_run_in_tensorflow(tmp_path: Path) -> None:
    calls, expected = [], []
    for case in cases():
        try:
            program = smpatch.describe(case.directory, "grpc", case.key, tag_set=case.tags)
        except smpatch.RefusedError:
            continue
        place = {"directory": str(case.directory), "tags": list(case.tags), "key": case.key}
        calls.append({"program": program, **place})
        expected.append(case)
    assert len(calls) > 50
    failed = {}
    for case, told in zip(expected, _answers(calls, tmp_path), strict=True):
        assert (told["model"], told["key"]) == (case.directory.name, case.key)
        assert told["inputs"] == {
            alias: [spec.tensors()[0].dtype, _shape(spec.tensors()[0]), True]
            for alias, spec in case.signature.inputs.items()
        }
        if "error" in told:
            failed[case.name] = told["error"]
        else:
            assert told["outputs"].keys() == case.signature.outputs.keys()
    reasons = {
        name.replace("-", "-serve-", 1): reason
        for reason, names in NEED_OTHER_VALUES.items()
        for name in names
    }
    assert failed.keys() == reasons.keys()
    assert [name for name in failed if not re.search(reasons[name], failed[name])] == []


def test_every_type_and_many_elements_and_hostile_names_come_out_as_they_are(
    tmp_path: Path,
) -> None:
    calls, expected = [], []
    shapes: list[tuple[int | None, ...]] = [(), (None,), (None, 2, 0), (None, 100, 3), (2, None)]
    inputs: dict[str, Spec] = {
        f"{dtype} {shape}": row("x", dtype, shape) for dtype in TYPES for shape in shapes
    }
    for place, names in enumerate([inputs, *({name: row("x")} for name in HOSTILE)]):
        key = HOSTILE[place - 1]
        directory = made(tmp_path / str(place), names, {"y": row("y")}, key=key)
        program = smpatch.describe(directory, "grpc", key, name=key, batch=3)
        assert program.isascii()
        ast.parse(program)
        calls.append({"program": program})
        expected.append((key, names))
    for (key, names), told in zip(expected, _answers(calls, tmp_path), strict=True):
        assert (told["model"], told["key"]) == (key, key)
        assert told["inputs"] == {
            alias: [spec.tensors()[0].dtype, _shape(spec.tensors()[0], 3), True]
            for alias, spec in names.items()
        }
    assert not (FIXTURES.parent / "pwned").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_nothing_but_a_string(name: str, tmp_path: Path) -> None:
    def skeleton(name: str, room: str) -> str:
        place = made(tmp_path / room, {name: row("x")}, {name: row("y")}, key=name)
        tree = ast.parse(smpatch.describe(place, "grpc", name=name))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value == name:
                node.value = "NAME"
        return ast.dump(tree)

    assert skeleton(name, "hostile") == skeleton("NAME", "plain")


def test_a_large_value_is_written_in_a_line(tmp_path: Path) -> None:
    place = made(tmp_path / "m", {"x": row("x", shape=(None, 10**6))}, {"y": row("y")})
    assert "make_tensor_proto(0.0, dtype=tf.float32, shape=[1, 1000000])" in smpatch.describe(
        place, "grpc"
    )


def test_it_says_which_inputs_a_request_may_leave_out() -> None:
    directory = FIXTURES / "models" / "defaults"
    signature = smpatch.load(directory).signatures["serving_default"]
    program = smpatch.describe(directory, "grpc")
    (line,) = [line for line in program.splitlines() if line.startswith("# These inputs have")]
    assert all(repr(alias) in line for alias in signature.defaults)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (SparseTensorSpec("v:0", "i:0", "s:0", "float32", None), "sparse"),
        (row("x", "qint8"), "type qint8"),
        (row("x", "variant"), "type variant"),
    ],
)
def test_an_input_that_a_request_cannot_express_is_refused(
    spec: Spec, found: str, tmp_path: Path
) -> None:
    with pytest.raises(smpatch.RefusedError, match=found):
        smpatch.describe(made(tmp_path / "m", {"x": spec}, {"y": row("y")}), "grpc")
