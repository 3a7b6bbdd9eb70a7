"""Tensors of messages as arrays: TensorFlow writes them, and NumPy has the expected values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smpatch import dtypes, schema
from smpatch.runs.arrays import UnmakeableError, array_of, numpy_type, to_numpy
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
