"""Classification and regression signatures have the bytes and the errors of TensorFlow's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smpatch
from smpatch import dtypes, schema, signature
from smpatch.signature import (
    SignatureDef,
    SparseTensorSpec,
    TensorSpec,
    classification_signature_def,
    regression_signature_def,
)
from tests.tensorflow_says import ask

CASES: dict[str, Any] = {
    "classify": classification_signature_def,
    "regress": regression_signature_def,
}


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of TensorFlow for its own tensors, and those of smpatch for the same tensors."""
    said: dict[str, Any] = ask("classify_regress", tmp_path_factory)
    return said


@pytest.mark.parametrize("kind", CASES)
class TestTensorFlowsTensors:
    def test_give_tensorflows_bytes_or_its_value_error(
        self, kind: str, theirs: dict[str, Any]
    ) -> None:
        outcomes = [(case[:-2], case[-2], case[-1]) for case in theirs[kind]]
        kinds = {expected[0] for _, expected, _ in outcomes if len(expected) > 1}
        assert kinds == {"ValueError", "AttributeError"}
        different = [
            (case, expected, own)
            for case, expected, own in outcomes
            if expected[0] != "AttributeError" and own != expected
        ]
        assert different == []
        assert sum(len(expected) == 1 for _, expected, _ in outcomes) >= 8

    def test_what_is_no_tensor_is_a_type_error(self, kind: str, theirs: dict[str, Any]) -> None:
        """TensorFlow raises an AttributeError for it."""
        own = [case[-1] for case in theirs[kind] if case[-2][0] == "AttributeError"]
        assert {each[0] for each in own} == {"TypeError"}
        assert all(each[1].endswith(", not a tensor of a graph") for each in own)

    def test_own_specs_are_served_alike(self, kind: str, theirs: dict[str, Any]) -> None:
        compared = 0
        for *names, expected, _ in theirs[kind]:
            given = [OWN.get(name) for name in names]
            if any(
                spec is None and name != "none" for name, spec in zip(names, given, strict=True)
            ):
                continue
            compared += 1
            try:
                made = [CASES[kind](*given).to_bytes().hex()]
            except ValueError as error:
                made = ["ValueError", str(error)]
            if "of type <class" in str(expected):
                # The sentences are equal, except for the name of the class in them.
                assert [each.partition("<class")[0] for each in made] == [
                    each.partition("<class")[0] for each in expected
                ], names
            else:
                assert made == expected, names
        assert compared > 100


def _own() -> dict[str, TensorSpec | SparseTensorSpec]:
    """Return the specs of smpatch for the tensors in ``tensorflow_says.classify_regress``."""
    names = (dtypes.name(number) for number in schema.DataType.values())
    made: dict[str, TensorSpec | SparseTensorSpec] = {
        name: TensorSpec(f"{name}:0", name, (None, 3)) for name in names
    }
    for each in ("string", "float32"):
        made[f"sparse_{each}"] = SparseTensorSpec(f"flat_{each}:0", "i:0", "s:0", each, (None,) * 2)
        made[f"scalar_{each}"] = TensorSpec(f"scalar_{each}:0", each, ())
        made[f"any_{each}"] = TensorSpec(f"any_{each}:0", each, None)
    made["reference_handle"] = TensorSpec("reference:0", "float32_ref", (2,))
    return made


OWN = _own()


def test_an_eager_tensor_is_a_runtime_error(theirs: dict[str, Any]) -> None:
    for expected, own in theirs["eager"]:
        assert expected[0] == own[0] == "RuntimeError"
        assert own[1] == "'examples' is an eager tensor, which has no name in a graph"


def test_the_constants_are_tensorflows(theirs: dict[str, Any]) -> None:
    assert theirs["constants"] == {
        "CLASSIFY_INPUTS": signature.EXAMPLES,
        "CLASSIFY_METHOD_NAME": signature.CLASSIFY,
        "CLASSIFY_OUTPUT_CLASSES": signature.CLASSES,
        "CLASSIFY_OUTPUT_SCORES": signature.SCORES,
        "DEFAULT_SERVING_SIGNATURE_DEF_KEY": signature.DEFAULT_KEY,
        "PREDICT_INPUTS": "inputs",
        "PREDICT_METHOD_NAME": signature.PREDICT,
        "PREDICT_OUTPUTS": "outputs",
        "REGRESS_INPUTS": signature.EXAMPLES,
        "REGRESS_METHOD_NAME": signature.REGRESS,
        "REGRESS_OUTPUTS": signature.PREDICTIONS,
    }


def test_they_are_those_that_the_package_shows() -> None:
    assert smpatch.classification_signature_def is classification_signature_def
    assert smpatch.regression_signature_def is regression_signature_def


shapes = st.none() | st.lists(st.none() | st.integers(0, 9), max_size=4).map(tuple)
types = st.sampled_from(sorted(schema.DataType.values())).map(dtypes.name)
dense = st.builds(TensorSpec, st.text(max_size=8), types | st.just("string"), shapes)
scores = st.builds(TensorSpec, st.text(max_size=8), types | st.just("float32"), shapes)
nothing = st.none()


@given(nothing | dense, nothing | dense, nothing | scores)
def test_classify_takes_strings_and_floats_alone(
    examples: TensorSpec | None, classes: TensorSpec | None, values: TensorSpec | None
) -> None:
    right = (
        examples is not None
        and examples.dtype == "string"
        and not (classes is None and values is None)
        and (classes is None or classes.dtype == "string")
        and (values is None or values.dtype == "float32")
    )
    if not right:
        with pytest.raises(ValueError, match=r"^Classification "):
            classification_signature_def(examples, classes, values)
        return
    made = classification_signature_def(examples, classes, values)
    assert (made.inputs, made.method_name) == ({"inputs": examples}, "tensorflow/serving/classify")
    assert (made.outputs.get("classes"), made.outputs.get("scores")) == (classes, values)
    assert set(made.outputs) <= {"classes", "scores"}
    assert None not in made.outputs.values()
    assert SignatureDef.from_bytes(made.to_bytes()) == made


@given(nothing | dense, nothing | scores)
def test_regress_takes_strings_and_floats_alone(
    examples: TensorSpec | None, predictions: TensorSpec | None
) -> None:
    if examples is None or predictions is None or examples.dtype != "string":
        with pytest.raises(ValueError, match="egression "):
            regression_signature_def(examples, predictions)
    elif predictions.dtype != "float32":
        with pytest.raises(ValueError, match=f"type {dtypes.number(predictions.dtype)}\\.$"):
            regression_signature_def(examples, predictions)
    else:
        made = regression_signature_def(examples, predictions)
        assert made.inputs == {"inputs": examples}
        assert made.outputs == {"outputs": predictions}
        assert made.method_name == "tensorflow/serving/regress"
