"""Classify, regress and defaults: TensorFlow's own bytes, and TF Serving's own rules."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

import smpatch
from smpatch import Options, RefusedError, load
from smpatch.edits import AddClassify, AddRegress, EditSignature
from smpatch.values import tensor_proto
from tests.contract.editing import copy
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle

UNPROVED = Options(validate="none")
KEY = "k"

ADDED: dict[str, AddClassify | AddRegress] = {
    "both": AddClassify("examples:0", "classes:0", "y:0", KEY),
    "classes": AddClassify("examples", "classes", None, KEY),
    "scores": AddClassify("examples:0", None, "y:0", KEY),
    "regress": AddRegress("examples:0", "y:0", KEY),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    copy(FIXTURES / "classify_regress", tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_is_tensorflows_own(name: str, model: Path, oracle: Oracle) -> None:
    edit = ADDED[name]
    kind = "regress" if isinstance(edit, AddRegress) else "classify"
    tensors: list[str | None] = ["examples:0", "y:0"]
    if isinstance(edit, AddClassify):
        tensors = [
            "examples:0",
            "classes:0" if edit.classes else None,
            "y:0" if edit.scores else None,
        ]
    told = oracle.ask("served", directory=model, tags=["serve"], kind=kind, tensors=tensors)
    receipt = smpatch.patch(model, [edit], options=UNPROVED)
    assert receipt.signature.to_bytes() == base64.b64decode(told["bytes"])
    assert load(model).meta_graph().entries[KEY].value == base64.b64decode(told["bytes"])


@pytest.mark.parametrize("wanted", ["classify", "regress"])
def test_a_signature_that_is_edited_to_a_method_is_tensorflows_own(
    wanted: str, model: Path, oracle: Oracle
) -> None:
    """The edit changes a predict signature: its names and its method alone."""
    output = "scores" if wanted == "classify" else "outputs"
    smpatch.add_predict(
        model, inputs={"x": "examples"}, outputs={"y": "y"}, signature=KEY, options=UNPROVED
    )
    edit = EditSignature(
        KEY, rename_inputs={"x": "inputs"}, rename_outputs={"y": output}, method_name=wanted
    )
    smpatch.edit_signature(model, edit, options=UNPROVED)
    tensors = ["examples:0", None, "y:0"] if wanted == "classify" else ["examples:0", "y:0"]
    told = oracle.ask("served", directory=model, tags=["serve"], kind=wanted, tensors=tensors)
    assert load(model).meta_graph().entries[KEY].value == base64.b64decode(told["bytes"])


@pytest.mark.parametrize(
    ("edit", "kind", "tensors"),
    [
        (AddClassify("y", "classes", None, KEY), "classify", ["y:0", "classes:0", None]),
        (AddClassify("examples", "y", None, KEY), "classify", ["examples:0", "y:0", None]),
        (
            AddClassify("examples", None, "classes", KEY),
            "classify",
            ["examples:0", None, "classes:0"],
        ),
        (AddClassify("examples", None, None, KEY), "classify", ["examples:0", None, None]),
        (AddRegress("y", "y", KEY), "regress", ["y:0", "y:0"]),
        (AddRegress("examples", "classes", KEY), "regress", ["examples:0", "classes:0"]),
    ],
)
def test_what_tensorflow_refuses_is_refused(
    edit: AddClassify | AddRegress,
    kind: str,
    tensors: list[str | None],
    model: Path,
    oracle: Oracle,
) -> None:
    told = oracle.ask("served", directory=model, tags=["serve"], kind=kind, tensors=tensors)
    assert told["refused"].startswith("ValueError")
    with pytest.raises(RefusedError, match=f"tensorflow/serving/{kind}"):
        smpatch.patch(model, [edit], options=UNPROVED)


INTEGERS = {f"{sign}int{bits}": (sign, bits) for bits in (8, 16, 32, 64) for sign in ("", "u")}


def _values() -> Iterator[tuple[object, str]]:
    for dtype, (sign, bits) in INTEGERS.items():
        low, high = (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        yield from _shaped([low, high, 1, 0, 0, 7], dtype)
    for dtype in ("float16", "float32", "float64"):
        yield from _shaped([0.1, -0.0, 1, 65504, 6e-8, math.inf], dtype)
        yield from _shaped([math.nan, -math.inf, 2.5, 2.5, 2.5, 2.5], dtype)
    yield from _shaped([True, False, False, True, True, True], "bool")
    yield from _shaped(["a", "", "\u00e9\u4e2d", "\0", "x" * 300, "a"], "string")


def _shaped(elements: list[object], dtype: str) -> Iterator[tuple[object, str]]:
    yield from ((each, dtype) for each in elements)
    yield [elements[0]], dtype
    yield elements, dtype
    yield [elements[:3], elements[3:]], dtype
    yield [[[each] for each in elements]], dtype
    yield [elements[0]] * 5, dtype
    yield [], dtype


def test_defaults_are_what_make_tensor_proto_makes(oracle: Oracle) -> None:
    values = list(_values())
    told = oracle.ask("protos", values=values)["protos"]
    different = {
        f"{value!r:.60} as {dtype}": (tensor_proto(value, dtype)[1].hex(), theirs)
        for (value, dtype), theirs in zip(values, told, strict=True)
        if tensor_proto(value, dtype)[1].hex() != theirs
    }
    assert different == {}


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64", "quint8", "resource", "half_ref"])
def test_types_that_are_not_written_down_are_named(dtype: str) -> None:
    with pytest.raises(ValueError, match=dtype):
        tensor_proto(1, dtype)
