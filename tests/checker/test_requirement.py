"""Contracts: their notation, the place of a mistake in an error, and when a model keeps one."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, UsageError
from smpatch.checker.requirement import Wanted, parse_requirement
from tests.checker.faults import FIXTURES


def test_the_notation() -> None:
    wanted = parse_requirement(
        " serving_default : image:float32[?, 224,224,3],'a b':int64[] -> scores:float32,ok:bool[2]"
    )
    assert wanted.key == "serving_default"
    assert wanted.inputs == {
        "image": Wanted("float32", (None, 224, 224, 3)),
        "a b": Wanted("int64", ()),
    }
    assert wanted.outputs == {"scores": Wanted("float32", None), "ok": Wanted("bool", (2,))}


def test_nothing_needs_to_be_fed_and_names_may_be_quoted() -> None:
    wanted = parse_requirement('"a: b": -> "->":string')
    assert (wanted.key, wanted.inputs) == ("a: b", {})
    assert wanted.outputs == {"->": Wanted("string", None)}


def test_no_space_is_needed_around_the_arrow() -> None:
    wanted = parse_requirement("s:x:float32->y:int64[],z:string")
    assert wanted.inputs == {"x": Wanted("float32", None)}
    assert wanted.outputs == {"y": Wanted("int64", ()), "z": Wanted("string", None)}


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", 1, "a signature key is expected, not the end"),
        ("k", 2, "':' is expected, not the end"),
        ("k: x", 5, "':' is expected"),
        ("k: x:", 6, "a type, such as float32 is expected"),
        ("k: x:flaot32 -> y:float32", 6, "a type, such as float32, is expected, not 'flaot32"),
        ("k: x:float32[", 14, "a size or ? is expected"),
        ("k: x:float32[?", 15, "',' or ']' is expected"),
        ("k: x:float32[-2] -> y:int32", 14, "a size or ? is expected, not '-2]"),
        ("k: x:float32[1,] -> y:int32", 16, "a size or ? is expected"),
        ("k: x:float32 y:int32", 14, "',' or '->' is expected, not 'y:int32'"),
        ("k: x:float32", 13, "'->' is expected, not the end"),
        ("k: x:float32 ->", 16, "an output is expected"),
        ("k: -> y:int32 z:int32", 15, "',' is expected, not 'z:int32'"),
        ("k: x:int32,x:int32 -> y:int32", 12, "a name other than 'x', which is taken,"),
        ("k: 'x:int32 -> y:int32", 4, "the name of a tensor is expected"),
    ],
)
def test_a_slip_is_told_with_its_place(text: str, place: int, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirement(text)
    assert f"character {place}: " in caught.value.found
    assert expected in caught.value.found
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("contract", "codes"),
    [
        ("serving_default: x:float32[?,2] -> score:float32[?]", set()),
        ("serving_default: x:float32[7,2] -> score:float32", set()),  # one of many batch sizes
        ("serving_default: x:float32 -> score:float32", set()),
        ("serving_default: x:float32[?,?] -> score:float32", {"required-input"}),
        ("serving_default: x:float32[?] -> score:float32", {"required-input"}),
        ("serving_default: x:float64[?,2] -> score:float32", {"required-input"}),
        ("serving_default: x:float32[?,2] -> score:float32[1]", {"required-output"}),
        ("serving_default: x:float32[?,2] -> score:float32[?,?]", {"required-output"}),
        ("serving_default: x:float32[?,2] -> score:int32", {"required-output"}),
        ("serving_default: x:float32[?,2] -> z:float32", {"required-output"}),
        ("serving_default: z:float32, x:float32 -> score:float32", {"required-input"}),
        ("serving_default: -> score:float32", {"required-input"}),
        ("predict: x:float32 -> score:float32", {"required-signature"}),
    ],
)
def test_a_contract_is_kept_when_its_clients_work(contract: str, codes: set[str]) -> None:
    options = CheckOptions(validate="none", require=(contract,))
    report = smpatch.check(FIXTURES / "module", options=options)
    assert {each.code for each in report.faults} == codes


def test_an_input_with_a_default_need_not_be_named() -> None:
    signature = smpatch.load(FIXTURES / "defaults").signatures["serving_default"]
    (alias,) = signature.defaults
    named = [f"'{each}':{spec.dtype}" for each, spec in signature.inputs.items() if each != alias]  # type: ignore[union-attr]
    outputs = [f"'{each}':{spec.dtype}" for each, spec in signature.outputs.items()]  # type: ignore[union-attr]
    contract = f"serving_default: {','.join(named)} -> {','.join(outputs)}"
    assert _report(FIXTURES / "defaults", contract).ok


def test_a_whole_tensor_is_no_composite_one() -> None:
    report = _report(FIXTURES / "ragged", "rows: ids:float32 -> twice:float32")
    assert {each.text for each in report.faults} == {
        "it is a RaggedTensorSpec, and float32 is required"
    }
    report = _report(FIXTURES / "sparse", "twice: ids:float32[?,4] -> twice:float32")
    assert {(each.code, each.text) for each in report.faults} == {
        (f"required-{kind}", "it is a sparse tensor, and float32 is required")
        for kind in ("input", "output")
    }


def _report(directory: Path, contract: str) -> smpatch.Report:
    return smpatch.check(directory, options=CheckOptions(validate="none", require=(contract,)))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("float", "float32"),
        ("DT_FLOAT", "float32"),
        ("double", "float64"),
        ("DT_DOUBLE", "float64"),
        ("half", "float16"),
        ("tf.int64", "int64"),
        ("DT_INT64", "int64"),
        ("STRING", "string"),
        ("bfloat16", "bfloat16"),
    ],
)
def test_types_are_taken_as_other_tools_write_them(written: str, name: str) -> None:
    found = parse_requirement(f"k: x:{written}[-1, None,?,3] -> y:{written}")
    assert found.inputs["x"].dtype == found.outputs["y"].dtype == name
    assert found.inputs["x"].shape == (None, None, None, 3)


@pytest.mark.parametrize(
    ("written", "near"), [("int", "int32"), ("flaot32", "float32"), ("str", "string")]
)
def test_an_unknown_type_offers_the_nearest(written: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirement(f"k: x:{written} -> y:float32")
    assert f"did you mean {near}?" in caught.value.hint
