"""Tensors of messages as arrays: TensorFlow writes them, and NumPy has the expected values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smpatch import dtypes, schema, wire
from smpatch.runs.arrays import UnmakeableError, array_of, numpy_type, to_numpy
from smpatch.values import preview
from tests.oracle.client import Oracle

VALUES: tuple[tuple[Any, str], ...] = (
    ([1.5, -2.25], "float32"),
    ([[1.0, 2.0], [3.0, 4.0]], "float64"),
    ([0.5, 2.0, 8.0], "float16"),
    ([0.5, 2.0, 8.0], "bfloat16"),
    (3.0, "bfloat16"),
    ([[7], [-7]], "int8"),
    ([200, 3], "uint8"),
    ([-300, 300], "int16"),
    (60000, "uint16"),
    ([-5, 5], "int32"),
    ([-(2**40), 2**40], "int64"),
    ([4000000000, 1], "uint32"),
    ([2**63 + 1, 1], "uint64"),
    ([True, False, True], "bool"),
    (False, "bool"),
    ([[]], "float32"),
)


def test_what_tensorflow_writes_is_read_as_numpy_has_it(oracle: Oracle) -> None:
    told = oracle.ask("protos", values=[list(each) for each in VALUES])["protos"]
    for (value, dtype), written in zip(VALUES, told, strict=True):
        array = array_of(bytes.fromhex(written))
        expected = np.array(value, np.uint64 if dtype == "uint64" else None)
        expected = expected.astype(numpy_type(dtype) or "")
        found = to_numpy(array)
        assert (dtypes.name(array.dtype), array.shape) == (dtype, expected.shape)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_strings_keep_their_zeros_and_the_last_one_stands_for_the_rest() -> None:
    message = schema.TensorProto(dtype=dtypes.number("string"))
    message.tensor_shape.dim.add(size=3)
    message.string_val.extend([b"a\x00", b"\x00\x00"])
    strings = array_of(message.SerializeToString()).strings
    assert strings == (b"a\x00", b"\x00\x00", b"\x00\x00")


def test_complex_numbers_are_pairs() -> None:
    message = schema.TensorProto(dtype=dtypes.number("complex64"))
    message.tensor_shape.dim.add(size=2)
    message.scomplex_val.extend([1.0, 2.0, 3.0, -4.0])
    found = to_numpy(array_of(message.SerializeToString()))
    assert found.tolist() == [1 + 2j, 3 - 4j]


def _array(*sizes: int, **fields: Any) -> Any:  # noqa: ANN401 - fields of a message, an array
    message = schema.TensorProto(**fields)
    message.tensor_shape.SetInParent()
    for size in sizes:
        message.tensor_shape.dim.add(size=size)
    return to_numpy(array_of(message.SerializeToString()))


def test_large_and_small_numbers_of_uint64_in_one_list_stay_exact() -> None:
    found = _array(3, dtype=dtypes.number("uint64"), uint64_val=[2**64 - 1, 2**53 + 1, 1])
    assert found.tolist() == [2**64 - 1, 2**53 + 1, 1]


def test_numbers_of_eight_bits_are_in_a_list_of_their_own() -> None:
    found = _array(2, dtype=dtypes.number("float8_e5m2"), float8_val=b"\x3c\xc0")
    assert found.astype(float).tolist() == [1.0, -2.0]


def test_numbers_of_four_bits_in_float8_val_were_zeros() -> None:
    """TensorFlow's ``make_tensor_proto`` writes float4_e2m1fn there, one byte for each number."""
    found = _array(2, dtype=dtypes.number("float4_e2m1fn"), float8_val=b"\x05\x0a")
    assert found.astype(float).tolist() == [3.0, -1.0]


def test_half_numbers_out_of_range_are_cut_as_in_tensorflow() -> None:
    found = _array(2, dtype=dtypes.number("float16"), half_val=[0x3C00 + 0x10000, -1])
    assert found[0] == 1.0
    assert np.isnan(found[1])


def test_strings_of_a_content_are_read_after_their_lengths() -> None:
    words = [b"", b"a\x00b", b"x" * 200]
    content = b"".join(map(wire.varint, map(len, words))) + b"".join(words)
    message = schema.TensorProto(dtype=dtypes.number("string"), tensor_content=content)
    message.tensor_shape.dim.add(size=3)
    assert preview(message.SerializeToString())[2] == "(not shown)"
    assert list(array_of(message.SerializeToString()).strings) == words
    for wrong in (content[:-1], content + b"x", b"\xff"):
        message.tensor_content = wrong
        with pytest.raises(UnmakeableError, match="strings"):
            array_of(message.SerializeToString())


@pytest.mark.parametrize("sizes", [(1,) * 300, (2**62, 2**40, 0), (0, 2**63 - 1, 2**63 - 1)])
def test_a_shape_that_numpy_does_not_have_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UnmakeableError, match="a shape that NumPy does not have"):
        _array(*sizes, dtype=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dtype": 1, "tensor_content": b"123"}, "3 bytes"),
        ({"dtype": 20}, "resource"),
        ({"dtype": 0}, "invalid"),
    ],
)
def test_what_is_no_value_is_refused_with_a_reason(fields: dict[str, Any], words: str) -> None:
    message = schema.TensorProto(**fields)
    message.tensor_shape.SetInParent()
    with pytest.raises(UnmakeableError, match=words):
        array_of(message.SerializeToString())
    with pytest.raises(UnmakeableError, match="cannot be decoded"):
        array_of(b"\xff")
