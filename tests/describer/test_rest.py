"""Requests for TF Serving's REST API: a shell runs them, and TF Serving's rules read them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import smpatch
from smpatch import dtypes
from smpatch.describer import Format
from smpatch.signature import CLASSIFY, CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec
from tests.describer.models import HOSTILE, Case, cases, made, row
from tests.describer.serving import Tensor, tensors

CURL = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word" >> "$CALLS"; done
if [ "$2" = @- ]; then printf '%s\\0' "$(cat)" >> "$CALLS"; else printf '\\0' >> "$CALLS"; fi
"""
"""A program that records its words and, if the second word is ``@-``, its stdin."""

TYPES = {
    *("bool", "string", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
} - {"uint16"}


@dataclass(frozen=True)
class Call:
    """A call of curl."""

    url: str
    body: dict[str, Any]

    @property
    def form(self) -> str:
        (form,) = self.body.keys() - {"signature_name"}
        return form


Run = Callable[[str], list[Call]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a script with a fake ``curl`` and returns its calls.

    It runs the script in an empty directory, and asserts that the directory stays empty.
    """
    tools, room, calls = tmp_path / "tools", tmp_path / "room", tmp_path / "calls"
    tools.mkdir()
    room.mkdir()
    (tools / "curl").write_text(CURL)
    (tools / "curl").chmod(0o755)

    def run(script: str) -> list[Call]:
        assert script.isascii()
        calls.write_bytes(b"")
        env = {"PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(calls)}
        shell = ["/bin/sh", "-eu"]
        done = subprocess.run(
            shell, input=script.encode(), env=env, cwd=room, check=True, capture_output=True
        )
        assert (done.stdout, done.stderr) == (b"", b"")
        assert list(room.iterdir()) == []
        words = calls.read_bytes().decode().split("\0")[:-1]
        found = []
        for option, given, url, body in zip(*(words[n::4] for n in range(4)), strict=True):
            assert option == "--data"
            found.append(Call(url, json.loads(body if given == "@-" else given)))
        return found

    return run


def _inputs(case: Case) -> dict[str, str]:
    return {
        alias: dtypes.base(spec.tensors()[0].dtype) for alias, spec in case.signature.inputs.items()
    }


def _expected(spec: Spec, batch: int) -> tuple[int, ...]:
    assert isinstance(spec, TensorSpec)
    shape = (None,) if spec.shape is None else spec.shape
    return tuple((1 if n else batch) if size is None else size for n, size in enumerate(shape))


def _zeros(tensor: Tensor) -> bool:
    dtype, shape, elements = tensor
    zero = {"string": b"", "bool": False}.get(dtype, 0)
    count = 1
    for size in shape:
        count *= size
    return elements == [zero] * count


def _expressible(case: Case) -> bool:
    signature = case.signature
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return (
        bool(signature.inputs and signature.outputs)
        and all(isinstance(each, TensorSpec) for each in specs)
        and {dtypes.base(each.dtype) for each in signature.tensors()} <= TYPES
        and signature.method_name.startswith("tensorflow/serving/")
        and signature.method_name.rpartition("/")[2] in {"predict", "classify", "regress"}
    )


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_tf_serving_reads_the_shapes_of_every_signature_that_json_can_express(
    case: Case, run: Run
) -> None:
    def described() -> str:
        return smpatch.describe(case.directory, "rest", case.key, tag_set=case.tags)

    if not _expressible(case):
        with pytest.raises(smpatch.RefusedError):
            described()
        return
    calls = run(described())
    assert calls[-1].form == "inputs"
    for call in calls:
        assert call.url == f"http://localhost:8501/v1/models/{case.directory.name}:predict"
        assert call.body["signature_name"] == case.key
        found = tensors(call.body, _inputs(case))
        assert all(map(_zeros, found.values()))
        shapes = {alias: shape for alias, (_, shape, _) in found.items()}
        first = {shape[0] for shape in shapes.values() if shape}
        batch = min(first, default=1)
        wanted = {alias: _expected(spec, batch) for alias, spec in case.signature.inputs.items()}
        assert shapes == wanted


def test_rows_are_not_possible_where_a_tensor_has_no_common_first_dimension(
    tmp_path: Path, run: Run
) -> None:
    open_, two, scalar = row("a"), row("b", shape=(2, 3)), row("c", shape=())
    three = row("d", shape=(3,))

    def forms(name: str, inputs: dict[str, Spec], outputs: dict[str, Spec]) -> list[str]:
        script = smpatch.describe(made(tmp_path / name, inputs, outputs), "rest")
        why = [line for line in script.splitlines() if "not possible" in line]
        calls = run(script)
        assert bool(why) == (len(calls) == 1)
        return [*(call.form for call in calls), *why]

    both = ["instances", "inputs"]
    assert forms("m1", {"a": open_}, {"y": open_}) == both
    assert forms("m2", {"a": open_, "b": two}, {"y": open_}) == both
    why = "# Row format is not possible:"
    lack = "is a scalar and has no dimension for the rows."
    assert forms("m3", {"a": open_, "c": scalar}, {"y": open_}) == [
        "inputs",
        f"{why} input 'c' {lack}",
    ]
    assert forms("m4", {"a": open_}, {"y": scalar}) == ["inputs", f"{why} output 'y' {lack}"]
    differ = f"{why} the first dimensions differ (2 of input 'b', 3 of output 'y')."
    assert forms("m5", {"b": two}, {"y": three}) == ["inputs", differ]


def test_rows_of_a_fixed_first_dimension_are_as_many(tmp_path: Path, run: Run) -> None:
    inputs = {"a": row("a"), "b": row("b", "int32", (2, 3))}
    rows, columns = run(smpatch.describe(made(tmp_path / "m", inputs, {"y": row("y")}), "rest"))
    assert rows.body["instances"] == [{"a": 0.0, "b": [0, 0, 0]}] * 2
    assert columns.body["inputs"] == {"a": [0.0, 0.0], "b": [[0, 0, 0]] * 2}


def test_the_batch_is_the_size_of_open_first_dimensions(tmp_path: Path, run: Run) -> None:
    place = made(tmp_path / "m", {"a": row("a", shape=(None, None))}, {"y": row("y")})
    rows, columns = run(smpatch.describe(place, "rest", batch=3))
    assert rows.body["instances"] == columns.body["inputs"] == [[0.0]] * 3


@pytest.mark.parametrize("alias", ["image_bytes", "_bytes", "image", "bytes", "image_bytes_"])
def test_strings_of_a_name_that_ends_in_bytes_are_base64(
    alias: str, tmp_path: Path, run: Run
) -> None:
    place = made(tmp_path / "m", {alias: row("x", "string")}, {"y": row("y")})
    element: Any = {"b64": ""} if alias.endswith("_bytes") else ""
    for call in run(smpatch.describe(place, "rest")):
        assert call.body[call.form] == [element]


def test_numbers_of_a_name_that_ends_in_bytes_stay_numbers(tmp_path: Path, run: Run) -> None:
    place = made(tmp_path / "m", {"a_bytes": row("x", "int32")}, {"y": row("y")})
    assert [call.body[call.form] for call in run(smpatch.describe(place, "rest"))] == [[0], [0]]


def test_serialized_examples_are_base64(tmp_path: Path, run: Run) -> None:
    inputs, outputs = {"inputs": row("x", "string")}, {"scores": row("y", shape=(None, 2))}
    place = made(tmp_path / "m", inputs, outputs, method=CLASSIFY)
    script = smpatch.describe(place, "rest")
    assert [call.body[call.form] for call in run(script)] == [[{"b64": ""}]] * 2
    assert "# Each string is a serialized tf.train.Example." in script.splitlines()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_are(name: str, tmp_path: Path, run: Run) -> None:
    inputs = {name: row("x"), f"{name}_bytes": row("z", "string")}
    place = made(tmp_path / "m", inputs, {name: row("y")}, key=name)
    script = smpatch.describe(place, "rest", name=name)
    calls = run(script)
    assert [call.form for call in calls] == ["instances", "inputs"]
    types = {name: "float32", f"{name}_bytes": "string"}
    for call in calls:
        assert call.body["signature_name"] == name
        assert tensors(call.body, types).keys() == types.keys()
        start, model = call.url.removesuffix(":predict").rsplit("/", 1)
        assert start == "http://localhost:8501/v1/models"
        assert unquote(model) == name
    for line in script.splitlines():
        if line.startswith("curl"):
            assert json.loads(shlex.split(line)[2]) in [call.body for call in calls]
        else:
            assert not line or line[0] == "#"


def test_a_body_that_is_too_long_for_a_word_goes_through_stdin(tmp_path: Path, run: Run) -> None:
    inputs = {"a'b": row("x", shape=(None, 224, 224, 3))}
    place = made(tmp_path / "m", inputs, {"y": row("y")})
    calls = run(smpatch.describe(place, "rest"))
    assert len(calls) == 2
    for call in calls:
        (tensor,) = tensors(call.body, {"a'b": "float32"}).values()
        assert tensor[1] == (1, 224, 224, 3)


@pytest.mark.parametrize(
    ("inputs", "outputs", "found"),
    [
        ({"x": row("x", shape=(None, 2**40))}, {"y": row("y")}, "elements"),
        ({"x": row("x", shape=(2**62, 0, 2**62))}, {"y": row("y")}, "size 0"),
        ({"x": row("x", shape=(None, 0, 3))}, {"y": row("y")}, "size 0"),
        ({"x": row("x", shape=(1,) * 300)}, {"y": row("y")}, "300 dimensions"),
        ({"x": row("x", "uint16")}, {"y": row("y")}, "no JSON form for the type uint16"),
        ({"x": row("x")}, {"y": row("y", "float16")}, "no JSON form for the type float16"),
        ({"x\0": row("x")}, {"y": row("y")}, "zero byte"),
        ({}, {"y": row("y")}, "no inputs"),
        ({"x": row("x")}, {}, "no outputs"),
        ({"x": SparseTensorSpec("v:0", "i:0", "s:0", "float32", None)}, {"y": row("y")}, "sparse"),
        ({"x": CompositeTensorSpec(b"", ())}, {"y": row("y")}, "composite"),
    ],
)
def test_a_signature_that_json_cannot_express_is_refused(
    inputs: dict[str, Spec], outputs: dict[str, Spec], found: str, tmp_path: Path
) -> None:
    with pytest.raises(smpatch.RefusedError, match=found):
        smpatch.describe(made(tmp_path / "m", inputs, outputs), "rest")


@pytest.mark.parametrize("as_", ["rest", "grpc"])
def test_a_method_that_tf_serving_does_not_run_is_refused_with_the_command(
    as_: Format, tmp_path: Path
) -> None:
    place = made(tmp_path / "m", {"x": row("x")}, {"y": row("y")}, method="mine")
    with pytest.raises(smpatch.RefusedError, match="does not run the method 'mine'") as raised:
        smpatch.describe(place, as_)
    assert shlex.split(raised.value.hint)[:3] == ["smpatch", "edit", str(place)]
