"""The rules of TF Serving's methods, against TensorFlow's verdict on the same signatures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from smpatch.errors import RefusedError
from smpatch.rules import METHODS, breaches, check_method
from smpatch.signature import PREDICT, SignatureDef, SparseTensorSpec, TensorSpec
from tests.tensorflow_says import ask


def _signature(method: str, inputs: dict[str, str], outputs: dict[str, str]) -> SignatureDef:
    fed, fetched = (
        {alias: TensorSpec(f"{alias}:0", dtype, None) for alias, dtype in half.items()}
        for half in (inputs, outputs)
    )
    return SignatureDef(fed, fetched, method)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Signatures, each with TensorFlow's verdict whether it is valid."""
    said: list[Any] = ask("methods", tmp_path_factory)
    return said


def test_a_rule_is_broken_exactly_where_tensorflow_says_so(theirs: list[Any]) -> None:
    counted: Counter[tuple[str, bool]] = Counter()
    for method, inputs, outputs, valid in theirs:
        found = list(breaches(_signature(method, inputs, outputs)))
        if method != PREDICT:
            assert (found == []) == valid, (method, inputs, outputs)
        counted[method, valid] += 1
    kept = {method: counted[method, True] for method in METHODS.values()}
    assert kept == {METHODS["classify"]: 3, METHODS["regress"]: 1, METHODS["predict"]: 320}


def test_predict_asks_nothing_of_names_and_types(theirs: list[Any]) -> None:
    """For all methods, a signature without inputs gets a note; one without outputs is refused."""
    for method, inputs, outputs, valid in theirs:
        if method == PREDICT:
            assert valid == bool(inputs and outputs)
            assert list(breaches(_signature(method, inputs, outputs))) == []


def test_each_half_that_breaks_a_rule_is_told_with_what_it_would_have_to_be() -> None:
    wrong = _signature(METHODS["classify"], {"x": "string"}, {"scores": "float64"})
    of_inputs, of_outputs = breaches(wrong)
    assert (of_inputs.about, of_outputs.about) == ("inputs", "outputs")
    assert of_inputs.found.endswith("classify takes one, inputs: string")
    assert of_outputs.found == (
        "its outputs are scores: float64, and tensorflow/serving/classify yields "
        "classes: string, scores: float32, or both"
    )
    with pytest.raises(RefusedError, match="its inputs are x: string"):
        check_method(wrong)


def test_a_sparse_tensor_is_none_that_serving_feeds() -> None:
    """TensorFlow checks only the type; ``regressor.cc`` reads a tensor by its name."""
    sparse = SparseTensorSpec("v:0", "i:0", "s:0", "string", (None,))
    outputs = {"outputs": TensorSpec("y:0", "float32", (None,))}
    (breach,) = breaches(SignatureDef({"inputs": sparse}, outputs, METHODS["regress"]))
    assert breach.found.startswith("its inputs are inputs: a sparse or composite tensor, and")
