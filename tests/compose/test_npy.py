"""Arrays of ``.npy`` files, against NumPy, which writes and reads them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from smpatch import UsageError
from smpatch.npy import read_npy

KINDS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
DTYPES = st.sampled_from([f"{order}{kind}" for kind in KINDS for order in "<>"])
ARRAYS = DTYPES.flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3))
)


@given(array=ARRAYS, fortran=st.booleans())
def test_numbers_are_those_that_numpy_wrote(
    array: np.ndarray, tmp_path: Path, *, fortran: bool
) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.asfortranarray(array) if fortran and array.ndim else array)
    found = read_npy(file)
    assert found.dtype == array.dtype.name
    # The texts are compared: nan is not equal to itself, and -0.0 is equal to 0.0.
    assert repr(found.value) == repr(array.tolist())


@pytest.mark.parametrize("array", [np.array([b"a", b"bcd"]), np.array([["ä", "bcd\U0001f600"]])])
def test_texts_are_those_that_numpy_wrote(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    found = read_npy(tmp_path / "x.npy")
    assert (found.dtype, found.value) == ("string", array.tolist())


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_of_the_format_is_read(version: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as opened:
        np.lib.format.write_array(opened, np.arange(6.0).reshape(2, 3), version=version)
    assert read_npy(tmp_path / "x.npy").value == [[0, 1, 2], [3, 4, 5]]


def _written(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


WHOLE = _written(np.arange(4.0))
FAULTS = {
    "no file": (None, "cannot be read: no such file"),
    "empty": (b"", "it is not a .npy file"),
    "another": (b"PK\x03\x04" + bytes(99), "it is not a .npy file"),
    "cut": (WHOLE[:-1], "does not have the 32 bytes that its shape needs"),
    "longer": (WHOLE + b"x", "does not have the 32 bytes that its shape needs"),
    "header": (WHOLE[:9], "its header is damaged"),
    "no literal": (WHOLE.replace(b"{", b"("), "its header is damaged"),
    "shape": (WHOLE.replace(b"(4,)", b"(-4)"), "damaged shape"),
    "huge": (WHOLE.replace(b"(4,), }" + 10 * b" ", b"(99999999999,), }"), "which are too many"),
    "objects": (_written(np.array([None])), "arrays of type '|O' are not read"),
    "complex": (_written(np.array([1j])), "arrays of type '<c16' are not read"),
    "records": (_written(np.zeros(1, [("a", "i4")])), "it holds records"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_array_is_refused(name: str, tmp_path: Path) -> None:
    data, found = FAULTS[name]
    file = tmp_path / "x.npy"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_npy(file)
    assert found in refused.value.found
    assert refused.value.where == str(file)
