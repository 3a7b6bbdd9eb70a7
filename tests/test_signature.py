"""Signatures: the same bytes as TensorFlow's for the same tensors, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

import smpatch
from smpatch import dtypes, schema, signature
from smpatch.errors import ModelUnreadableError
from smpatch.signature import (
    PREDICT,
    CompositeTensorSpec,
    SignatureDef,
    SparseTensorSpec,
    Spec,
    TensorSpec,
    predict_signature_def,
)
from tests.tensorflow_says import ask

X = TensorSpec("x:0", "float32", (None, 3))
FLAT = TensorSpec("flat:0", "float32", (None,))
OUTER, INNER = TensorSpec("outer:0", "int64", (5,)), TensorSpec("inner:0", "int64", (None,))

OWN: dict[str, Spec] = {
    "dense": X,
    "unknown_rank": TensorSpec("anything:0", "int64", None),
    "scalar": TensorSpec("scalar:0", "float64", ()),
    "string": TensorSpec("text:0", "string", (None,)),
    "bfloat16": TensorSpec("brain:0", "bfloat16", (1, 0)),
    "resource_handle": TensorSpec("held:0", "resource", ()),
    "resource_variable": TensorSpec("held:0", "float32", (2, 3)),
    "reference_variable": TensorSpec("referred:0", "float32_ref", (2, 3)),
    "read_value": TensorSpec("Identity:0", "float32", (2, 3)),
    "sparse_static": SparseTensorSpec("flat:0", "indices:0", "fixed:0", "float32", (7, 9)),
    "sparse_rank": SparseTensorSpec("flat:0", "indices:0", "any_shape:0", "float32", (None, None)),
    "sparse_dynamic": SparseTensorSpec("flat:0", "no_indices:0", "no_rank:0", "float32", None),
    "ragged": signature.ragged(FLAT, (OUTER,)),
    "ragged_two": signature.ragged(FLAT, (INNER, OUTER)),
    "ragged_small": signature.ragged(
        TensorSpec("matrix:0", "string", (None, 2)), (TensorSpec("small:0", "int32", (None,)),)
    ),
}
"""The specs of smpatch for TensorFlow's tensors in ``tensorflow_says.signatures``."""


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of TensorFlow for its own tensors, and those of smpatch for the same tensors."""
    said: dict[str, Any] = ask("signatures", tmp_path_factory)
    return said


CASES = [
    *OWN,
    "sparse_placeholder",
    "ragged_placeholder",
    "slices",
    "slices_shape",
]


class TestPredictSignatureDef:
    def test_every_case_is_tested(self, theirs: dict[str, Any]) -> None:
        assert set(theirs["cases"]) == set(CASES)

    @pytest.mark.parametrize("case", CASES)
    def test_tensorflows_tensors_give_tensorflows_bytes(
        self, case: str, theirs: dict[str, Any]
    ) -> None:
        expected, own = theirs["cases"][case]
        assert bytes.fromhex(own) == bytes.fromhex(expected)

    @pytest.mark.parametrize("case", OWN)
    def test_own_specs_give_tensorflows_bytes(self, case: str, theirs: dict[str, Any]) -> None:
        spec = OWN[case]
        made = predict_signature_def({"b": X, "a": spec}, {"y": spec, "é": X, "x/1": spec})
        assert made.to_bytes() == bytes.fromhex(theirs["cases"][case][0])

    @pytest.mark.parametrize("case", CASES)
    def test_tensorflows_bytes_come_back_as_they_were(
        self, case: str, theirs: dict[str, Any]
    ) -> None:
        data = bytes.fromhex(theirs["cases"][case][0])
        read = SignatureDef.from_bytes(data)
        assert read.to_bytes() == data
        if case in OWN:
            assert read.inputs == {"a": OWN[case], "b": X}
            assert list(read.outputs) == ["x/1", "y", "é"]
            assert read.method_name == PREDICT

    @pytest.mark.parametrize(
        ("case", "kind", "words"),
        [
            ("no inputs", "ValueError", "Prediction `inputs` cannot be None or empty."),
            ("no outputs", "ValueError", "Prediction `outputs` cannot be None or empty."),
            ("empty inputs", "ValueError", "Prediction `inputs` cannot be None or empty."),
            ("empty outputs", "ValueError", "Prediction `outputs` cannot be None or empty."),
            ("nothing", "ValueError", "Prediction `inputs` cannot be None or empty."),
            ("an eager tensor", "RuntimeError", "'x' is an eager tensor"),
            ("an eager variable", "RuntimeError", "'x' is an eager tensor"),
            ("an eager sparse tensor", "RuntimeError", "'x' is an eager tensor"),
            ("an eager ragged tensor", "RuntimeError", "is an eager tensor"),
        ],
    )
    def test_raises_what_tensorflow_raises(
        self, case: str, kind: str, words: str, theirs: dict[str, Any]
    ) -> None:
        (their_kind, their_words), (own_kind, own_words) = theirs["errors"][case]
        assert own_kind == their_kind == kind
        assert words in own_words
        if kind == "ValueError":
            assert own_words == their_words

    @pytest.mark.parametrize("case", ["a number", "an array", "text", "an operation"])
    def test_what_is_no_tensor_is_a_type_error(self, case: str, theirs: dict[str, Any]) -> None:
        """TensorFlow raises an AttributeError for it."""
        (their_kind, _), (own_kind, own_words) = theirs["errors"][case]
        assert (their_kind, own_kind) == ("AttributeError", "TypeError")
        assert own_words.startswith("'x' is ")
        assert own_words.endswith(", not a tensor of a graph")

    @pytest.mark.parametrize("empty", [None, {}])
    def test_needs_inputs_and_outputs(self, empty: dict[str, Spec] | None) -> None:
        with pytest.raises(ValueError, match="Prediction `inputs` cannot be None or empty"):
            predict_signature_def(empty, {"y": X})
        with pytest.raises(ValueError, match="Prediction `outputs` cannot be None or empty"):
            predict_signature_def({"x": X}, empty)

    @pytest.mark.parametrize("wrong", ["x:0", 3, None, object(), X.__class__])
    def test_takes_specs_and_nothing_that_only_looks_like_one(self, wrong: object) -> None:
        with pytest.raises(TypeError, match="'x' is "):
            predict_signature_def({"x": wrong}, {"y": X})

    def test_is_the_one_that_the_package_shows(self) -> None:
        assert smpatch.predict_signature_def is predict_signature_def


sizes = st.none() | st.integers(0, 2**63 - 1)
shapes = st.none() | st.lists(sizes, max_size=5).map(tuple)
known = st.sampled_from(sorted(schema.DataType.values())).map(dtypes.name)
types = known | st.integers(-(2**31), 2**31 - 1).map(dtypes.name)
names = st.text(max_size=8)
dense = st.builds(TensorSpec, names, types, shapes)
sparse = st.builds(SparseTensorSpec, names, names, names, types, shapes)
ragged = st.builds(
    signature.ragged,
    st.builds(TensorSpec, names, known, shapes.filter(lambda shape: shape != ())),
    st.lists(
        st.builds(TensorSpec, names, st.sampled_from(["int32", "int64"]), shapes),
        min_size=1,
        max_size=3,
    ).map(tuple),
)
specs: st.SearchStrategy[Spec] = st.recursive(
    dense | sparse | ragged,
    lambda inner: st.builds(
        CompositeTensorSpec,
        st.text(max_size=5).map(
            lambda name: bytes(
                schema.TypeSpecProto(type_spec_class_name=name).SerializeToString(
                    deterministic=True
                )
            )
        ),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=4,
)
defaults = st.integers(-(2**31), 2**31 - 1).map(
    lambda value: bytes(schema.TensorProto(dtype=3, int_val=[value]).SerializeToString())
)
signatures = st.builds(
    SignatureDef,
    st.dictionaries(names, specs, max_size=4),
    st.dictionaries(names, specs, max_size=4),
    st.text(max_size=8),
    st.dictionaries(names, defaults, max_size=2),
)


@given(signatures)
def test_from_bytes_takes_back_what_to_bytes_gave(made: SignatureDef) -> None:
    data = made.to_bytes()
    read = SignatureDef.from_bytes(data)
    assert read == made
    assert read.to_bytes() == data
    assert list(read.inputs) == sorted(made.inputs)


@given(signatures, st.randoms(use_true_random=False))
def test_bytes_do_not_depend_on_the_order_of_the_aliases(made: SignatureDef, order: Any) -> None:  # noqa: ANN401 - hypothesis's random source
    items = list(made.inputs.items())
    order.shuffle(items)
    again = SignatureDef(dict(items), made.outputs, made.method_name, made.defaults)
    assert again.to_bytes() == made.to_bytes()


@given(signatures)
def test_tensors_are_the_dense_ones_of_every_spec(made: SignatureDef) -> None:
    every = [*made.inputs.values(), *made.outputs.values()]
    assert list(made.tensors()) == [tensor for spec in every for tensor in spec.tensors()]


def test_a_sparse_tensor_consists_of_three() -> None:
    spec = SparseTensorSpec("v:0", "i:0", "s:0", "float32", (None, 4))
    assert spec.tensors() == (
        TensorSpec("v:0", "float32", (None,)),
        TensorSpec("i:0", "int64", (None, 2)),
        TensorSpec("s:0", "int64", (2,)),
    )
    unknown = SparseTensorSpec("v:0", "i:0", "s:0", "float32", None)
    assert [tensor.shape for tensor in unknown.tensors()] == [(None,), (None, None), (None,)]


def test_a_ragged_tensor_consists_of_its_values_and_splits() -> None:
    spec = signature.ragged(FLAT, (OUTER, INNER))
    assert spec.type_name == "RaggedTensorSpec"
    assert spec.tensors() == (FLAT, OUTER, INNER)


@pytest.mark.parametrize(
    ("values", "splits", "expected"),
    [
        ((None,), (5,), (4, None)),
        ((None,), (None,), (None, None)),
        ((None,), None, (None, None)),
        ((None, 7, None), (1,), (0, None, 7, None)),
        (None, (5,), None),
    ],
)
def test_the_shape_of_a_ragged_tensor_is_one_more_than_its_rows(
    values: signature.Shape, splits: signature.Shape, expected: signature.Shape
) -> None:
    spec = signature.ragged(
        TensorSpec("v:0", "int8", values), (TensorSpec("r:0", "int32", splits),)
    )
    state = schema.TypeSpecProto.FromString(spec.type_spec).type_state.tuple_value.values
    assert signature.shape_from_proto(state[0].tensor_shape_value) == expected
    assert [state[1].tensor_dtype_value, state[3].tensor_dtype_value] == [6, 3]


@pytest.mark.parametrize("data", [b"\x0a\x05x", b"\xff" * 11, b"\x1a\x01\xff"])
def test_what_is_no_signature_is_unreadable(data: bytes) -> None:
    with pytest.raises(ModelUnreadableError, match="a signature cannot be decoded"):
        SignatureDef.from_bytes(data)


def test_a_scalar_has_a_shape_that_is_present_and_empty() -> None:
    """Without this shape, tfjs-node throws an error."""
    made = predict_signature_def({"x": TensorSpec("x:0", "float32", ())}, {"y": X})
    text = text_format.MessageToString(schema.SignatureDef.FromString(made.to_bytes()).inputs["x"])
    assert text.split() == ["name:", '"x:0"', "dtype:", "DT_FLOAT", "tensor_shape", "{", "}"]
