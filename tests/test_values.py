"""The first elements of a TensorProto, in each form in which TensorFlow writes them."""

from __future__ import annotations

from typing import Any

import pytest

from smpatch import arguments, schema
from smpatch.errors import ModelUnreadableError, UsageError
from smpatch.values import misfit, preview, tensor_proto
from tests.tensorflow_says import ask


@pytest.fixture(scope="session")
def protos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Values as ``tf.make_tensor_proto`` writes them."""
    said: dict[str, str] = ask("signatures", tmp_path_factory)["protos"]
    return {name: bytes.fromhex(digits) for name, digits in said.items()}


INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]

EXPECTED = {
    **{name: (name, (3,), "[1, 2, 3]") for name in INTEGERS},
    "float32": ("float32", (2,), "[0.5, -1.5]"),
    "float64": ("float64", (2,), "[0.5, -1.5]"),
    "float16": ("float16", (2,), "(not shown)"),
    "bool": ("bool", (2,), "[True, False]"),
    "string": ("string", (2,), r"[b'a', b'\xff']"),
    "scalar": ("float32", (), "2.5"),
    "many": ("int32", (9,), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
    "matrix": ("int64", (2, 2), "[0, 1, 2, 3]"),
    "empty": ("float32", (0, 3), "[]"),
    "same": ("int32", (3,), "[7, 7, 7]"),
    "one": ("float32", (1,), "[7.0]"),
}


def test_every_value_is_tested(protos: dict[str, bytes]) -> None:
    assert set(protos) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_tensorflow_wrote_is_shown(name: str, protos: dict[str, bytes]) -> None:
    assert preview(protos[name]) == EXPECTED[name]


def _encoded(dtype: int, sizes: list[int], **values: Any) -> bytes:  # noqa: ANN401 - a field of TensorProto
    shape = schema.TensorShapeProto(dim=[{"size": size} for size in sizes])
    message = schema.TensorProto(dtype=dtype, tensor_shape=shape, **values)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (_encoded(3, [4], int_val=[1, 2]), "[1, 2, 2, 2]"),
        (_encoded(3, [2]), "[0, 0]"),
        (_encoded(7, [2]), "[b'', b'']"),
        (_encoded(1, [2**40], float_val=[0.5]), "[" + "0.5, " * 8 + "...]"),
        (_encoded(3, [2**31, 2**31, 2**31], int_val=[1]), "[" + "1, " * 8 + "...]"),
        (_encoded(3, [-1], int_val=[1]), "[]"),
        (_encoded(3, [2], tensor_content=b"\x05\0\0\0\x06"), "[5]"),
        (_encoded(77, [1]), "(not shown)"),
        (_encoded(20, []), "(not shown)"),
    ],
)
def test_odd_encodings_are_read_as_the_format_says(data: bytes, shown: str) -> None:
    assert preview(data)[2] == shown


def test_an_unknown_rank_shows_no_elements() -> None:
    shape = schema.TensorShapeProto(unknown_rank=True)
    data = schema.TensorProto(dtype=1, tensor_shape=shape, float_val=[1.0]).SerializeToString()
    assert preview(data) == ("float32", None, "[]")


@pytest.mark.parametrize("data", [b"\x0a", b"\xff" * 11])
def test_what_is_no_tensor_is_unreadable(data: bytes) -> None:
    with pytest.raises(ModelUnreadableError, match="a default cannot be decoded"):
        preview(data)


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("float16", 70000, "70000 does not fit into float16"),
        ("float16", -70000.5, "-70000.5 does not fit into float16"),
        ("float16", [1, 65520], "65520 does not fit into float16"),
        ("float32", [0.5, 1e39], "1e+39 does not fit into float32"),
        ("float32", "x" * 5000, f"{'x' * 59}... is not of type float32"),
        ("string", "\ud800", "contains an unpaired surrogate"),
    ],
)
def test_values_that_a_type_cannot_hold_are_refused_in_a_line(
    dtype: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=r"fit|is not|surrogate") as caught:
        tensor_proto(value, dtype)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 100


def test_an_integer_of_any_length_does_not_fit_into_any_float() -> None:
    for dtype in ("float16", "float32", "float64"):
        with pytest.raises(ValueError, match=f"does not fit into {dtype}"):
            tensor_proto([10**6000], dtype)


@pytest.mark.parametrize("depth", [255, 700, 3000])
def test_lists_deeper_than_any_tensor_are_no_recursion_error(depth: int) -> None:
    value: object = 1.0
    for _ in range(depth):
        value = [value]
    with pytest.raises(ValueError, match="lists in lists, more than 254"):
        tensor_proto(value, "float32")
    with pytest.raises(UsageError, match="lists in lists, more than 254"):
        arguments.plain_value(value, "default")


def test_misfit_has_a_reason_where_tensorflow_reads_no_tensor(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    said: dict[str, bool] = ask("signatures", tmp_path_factory)["read"]
    assert {each: not misfit(bytes.fromhex(each)) for each in said} == said
    assert {*said.values()} == {True, False}
