"""Errors name the tensor that a user means by an alias, a layer or a name from `suggest`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import QUICK, Run, Said

Copy = Callable[[str], Path]


def _offered(said: Said) -> list[str]:
    """Return the options and values that a hint offers."""
    found = re.search(r"(--from-signature [^()]*)\)$", said.line)
    assert found, said.line
    return shlex.split(found[1].partition(" or ")[0])


def test_an_alias_typed_as_a_tensor_gets_its_tensor(call: Run, model: Copy) -> None:
    place = model("keras_functional")
    add = ("add-predict", place, "--signature", "n", *QUICK)
    said = call(*add, "--inputs", "left,right", "--outputs", "both")
    assert said.code == 4
    tensor = "serving_default_left:0"
    assert f"(serving_default has the alias 'left' for {tensor}: write left={tensor})" in said.line
    inputs = "left=serving_default_left:0,right=serving_default_right:0"
    said = call(*add, "--inputs", inputs, "--outputs", "both")
    output = re.search(r"write (both=\S+)\)", said.line)
    assert output
    assert call(*add, "--inputs", inputs, "--outputs", output[1]).code == 0


def test_a_layer_leads_to_its_last_tensor_and_not_to_its_bias(call: Run, model: Copy) -> None:
    place = model("keras_functional")
    derived = ("add-predict", place, "--from-signature", "serving_default", "--signature", "n")
    said = call(*derived, "--outputs", "enc_1", *QUICK)
    assert said.code == 4
    assert said.line.endswith("(the layer's last tensor is two_by_two_1/enc_1_1/Relu:0)")
    assert "bias" not in said.line
    said = call("edit", place, "--signature", "serve", "--add-output", "enc_1", *QUICK)
    assert said.line.endswith("(the layer's last tensor is two_by_two_1/enc_1_1/Relu:0)")


@pytest.mark.parametrize("typed", ["two_by_two/enc_1/Relu:0", "two_by_two_7/enc_1_3/Relu"])
def test_a_tensor_with_the_numbers_of_another_export_leads_to_this_one(
    typed: str, call: Run, model: Copy
) -> None:
    place = model("keras_functional")
    derived = ("add-predict", place, "--from-signature", "serving_default", "--signature", "n")
    said = call(*derived, "--outputs", typed, *QUICK)
    assert said.code == 4
    assert said.line.endswith("(did you mean two_by_two_1/enc_1_1/Relu:0?)")


def test_a_layer_in_the_place_of_a_node_leads_to_from_signature(call: Run, model: Copy) -> None:
    place = model("keras_functional")
    inputs = ("--inputs", "left=serving_default_left:0")
    said = call("add-predict", place, *inputs, "--outputs", "enc_1", "--signature", "n", *QUICK)
    assert said.code == 4
    offered = _offered(said)
    assert offered[-1].endswith("enc_1_1/Relu:0")
    assert call("add-predict", place, "--signature", "n", *offered, *QUICK).code == 0


def test_what_suggest_lists_is_not_said_to_be_missing(call: Run, model: Copy) -> None:
    place = model("keras_functional")
    tensor = "two_by_two_1/enc_1_1/Relu:0"
    assert tensor in call("suggest", place, "--signature", "serving_default").out
    said = call("edit", place, "--signature", "serving_default", "--add-input", f"e={tensor}")
    assert said.code == 4
    assert "it lies inside the functions that serving_default calls" in said.line
    assert _offered(said)[-1] == tensor


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("x,x:0", "x:0 is given twice"),
        ("x/", "did you mean x?"),
        ("x; y", "separate tensors by commas"),
        ("x y", "separate tensors by commas"),
        ("a=(x", "a parenthesis is not closed"),
        ("a=f(x)", "a shell needs quotes around parentheses"),
    ],
)
def test_a_slip_gets_what_to_write(inputs: str, words: str, call: Run, model: Copy) -> None:
    said = call("add-predict", model("linear"), "--inputs", inputs, "--outputs", "y")
    assert said.code == 2
    assert words in said.line
    assert "parentheses" not in said.line or "(" in inputs


def test_a_tensor_in_the_place_of_its_alias(call: Run, model: Copy) -> None:
    said = call("add-predict", model("linear"), "--inputs", "x:0=in", "--outputs", "y", *QUICK)
    assert said.code == 4
    assert said.line.endswith("(write the alias before =: in=x:0)")


def test_an_alias_with_a_colon_of_another_exporter_is_no_slip(call: Run, model: Copy) -> None:
    said = call("add-predict", model("linear"), "--inputs", "x:0=x:0", "--outputs", "y:0", *QUICK)
    assert "write the alias before" not in said.err
