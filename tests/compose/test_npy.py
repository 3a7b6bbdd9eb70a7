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
    "no Unicode": (
        _written(np.array(["a"]))[:-4] + b"\xff" * 4,
        "a text of the array is damaged",
    ),
    "complex": (_written(np.array([1j])), "arrays of type '<c16' are not read"),
    "records": (_written(np.zeros(1, [("a", "i4")])), "it holds records"),
    "byte order": (WHOLE.replace(b"'<f8'", b"'~f8'"), "arrays of type '~f8' are not read"),
    "order of texts": (_written(np.array(["a"])).replace(b"'<U1'", b"'~U1'"), "are not read"),
    "order of axes": (WHOLE.replace(b"False", b"'no' "), "its header is damaged"),
}


def _headed(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header + data


DAMAGED = {
    "a character that is none": (_headed("<U1", "(1,)", b"\xff" * 4), "a text of the array"),
    "65 dimensions": (_headed("<f4", f"({'1,' * 65})", bytes(4)), "it has 65 dimensions"),
    "2,000 dimensions": (_headed("<f4", f"({'1,' * 2000})", bytes(4)), "it has 2,000 dimensions"),
    "rows without elements": (_headed("<f4", "(1000000000, 0)"), "rows"),
    "texts without bytes": (_headed("|S0", "(1000000000,)"), "elements or rows, which are"),
    "a size of 5,000 digits": (_headed("|S" + "9" * 5000, "(1,)"), "are not read"),
    "bytes in 8,000 digits": (_headed("|S1", f"({'9' * 4000}, {'9' * 4000})"), "more than"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_no_python_error_and_takes_no_memory(name: str, tmp_path: Path) -> None:
    data, found = DAMAGED[name]
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_npy(tmp_path / "x.npy")
    assert found in refused.value.found


def test_the_byte_order_of_the_machine_is_that_of_numpy(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(_headed("=f4", "(2,)", np.array([1.5, -2], "=f4").tobytes()))
    assert read_npy(tmp_path / "x.npy").value == np.load(tmp_path / "x.npy").tolist()


@pytest.mark.parametrize("shape", [(3, 0), (0, 1 << 40), (1,) * 32])
def test_an_array_of_few_or_no_elements_is_numpys(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.ones(shape)
    np.save(tmp_path / "x.npy", array)
    assert read_npy(tmp_path / "x.npy").value == array.tolist()


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
