"""Made up values, and arrays from files, compared with NumPy's own."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from smpatch import TensorSpec, UsageError, dtypes
from smpatch.runs.arrays import UnmakeableError
from smpatch.runs.feeds import Feeds, placed
from smpatch.runs.files import read_json, read_npz
from smpatch.runs.values import Feeding, Filling, has_batch, made_up
from smpatch.runtime.questions import Array
from smpatch.signature import SparseTensorSpec, Spec, ragged


def feeds(
    inputs: Mapping[str, Spec], filling: Filling, *, batch: int = 1, seed: int = 0
) -> dict[str, Array]:
    return placed(inputs, made_up(inputs, filling, batch=batch, seed=seed))


def _numbers(array: Array) -> Any:  # noqa: ANN401 - numpy's arrays of any type
    return np.frombuffer(array.data, dtypes.name(array.dtype)).reshape(array.shape)


NUMBERS = [
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_zeros_and_ones_of_every_type(dtype: str) -> None:
    spec = TensorSpec("x:0", dtype, (None, 2))
    fillings: tuple[tuple[Filling, Any], ...] = (("zeros", np.zeros), ("ones", np.ones))
    for filling, expected in fillings:
        (array,) = feeds({"x": spec}, filling, batch=3).values()
        made = _numbers(array)
        assert made.dtype == dtype
        if not dtype.startswith("complex"):
            assert np.array_equal(made, expected((3, 2), dtype))
        assert made.shape == (3, 2)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_random_values_are_repeated_and_small(dtype: str) -> None:
    inputs = {"x": TensorSpec("x:0", dtype, (40,)), "y": TensorSpec("y:0", dtype, (40,))}
    one, again, other = (feeds(inputs, "random", seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one["x:0"].data != other["x:0"].data
    assert one["x:0"].data != one["y:0"].data
    values = np.abs(_numbers(one["x:0"]).astype("complex128").real)
    assert values.max() <= 1
    assert len(set(values)) > 1


@pytest.mark.parametrize(
    ("dtype", "number"), [("qint8", "int8"), ("quint8", "uint8"), ("qint32", "int32")]
)
def test_quantized_values_are_those_of_their_numbers(dtype: str, number: str) -> None:
    (array,) = feeds({"x": TensorSpec("x:0", dtype, (3,))}, "ones").values()
    assert array.dtype == dtypes.number(dtype)
    assert array.data == np.ones(3, number).tobytes()


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    (array,) = feeds({"x": TensorSpec("x:0", "bfloat16", (2,))}, "ones").values()
    assert array.data == struct.pack("<f", 1.0)[2:] * 2


def test_strings_are_empty_or_one() -> None:
    inputs = {"x": TensorSpec("x:0", "string", (None,))}
    assert feeds(inputs, "zeros", batch=2)["x:0"].strings == (b"", b"")
    assert feeds(inputs, "ones")["x:0"].strings == (b"1",)


def test_sparse_and_ragged_tensors_are_fed_empty() -> None:
    sparse = SparseTensorSpec("v:0", "i:0", "s:0", "float32", (None, 5))
    splits = TensorSpec("r:0", "int64", (None,))
    rows = ragged(TensorSpec("w:0", "float32", (None, 4)), (splits,))
    made = feeds({"s": sparse, "r": rows}, "ones", batch=3)
    assert {name: array.shape for name, array in made.items()} == {
        "v:0": (0,),
        "i:0": (0, 2),
        "s:0": (2,),
        "w:0": (0, 4),
        "r:0": (4,),
    }
    assert list(_numbers(made["s:0"])) == [3, 5]
    assert list(_numbers(made["r:0"])) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec("x:0", "variant", ()),
        TensorSpec("x:0", "float32", (1 << 20, 1 << 20)),
    ],
)
def test_what_cannot_be_made_up_is_said(spec: TensorSpec) -> None:
    with pytest.raises(UnmakeableError):
        feeds({"x": spec}, "zeros")


def test_a_batch_is_a_first_dimension_of_unknown_size() -> None:
    assert has_batch({"x": TensorSpec("x:0", "float32", (None, 2))})
    assert has_batch({"x": TensorSpec("x:0", "float32", None)})
    assert not has_batch({"x": TensorSpec("x:0", "float32", (2, None))})
    assert not has_batch({"x": TensorSpec("x:0", "float32", ())})


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrays_of_a_file_are_numpys(tmp_path: Path, dtype: str, order: Literal["<", ">"]) -> None:
    array = np.arange(6).reshape(2, 3).astype(np.dtype(dtype).newbyteorder(order))
    np.savez(tmp_path / "a.npz", x=array)
    found = read_npz(tmp_path / "a.npz")["x"]
    assert dtypes.name(found.dtype) == dtype
    assert np.array_equal(_numbers(found), array.astype(dtype))


def test_arrays_in_fortran_order_are_turned(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "a.npz", x=array)
    assert np.array_equal(_numbers(read_npz(tmp_path / "a.npz")["x"]), array)


@pytest.mark.parametrize("array", [np.array(["ä", "bc"]), np.array("ä"), np.array([], "U1")])
def test_strings_of_a_file_are_utf8(tmp_path: Path, array: Any) -> None:  # noqa: ANN401 - as above
    np.savez(tmp_path / "a.npz", text=array, raw=np.char.encode(array, "utf-8"))
    found = read_npz(tmp_path / "a.npz")
    expected = tuple(each.encode() for each in array.ravel())
    assert found["text"].strings == found["raw"].strings == expected
    assert found["text"].shape == array.shape


def test_compressed_files_and_names_with_a_path(tmp_path: Path) -> None:
    named: dict[str, Any] = {"key/x": np.float32(2)}
    np.savez_compressed(tmp_path / "a.npz", **named)
    assert _numbers(read_npz(tmp_path / "a.npz")["key/x"]) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.array([{}], dtype=object), "only bytes and str are read"),
        (np.array([1.5, b"a"], dtype=object), "it holds a float"),
        (np.array([Path("a")], dtype=object), "it holds a pathlib"),
        (np.zeros(2, dtype="datetime64[s]"), "are not read"),
        (np.zeros(2, dtype=[("a", "i4")]), "are not read"),
    ],
)
def test_arrays_that_are_not_read(tmp_path: Path, content: Any, words: str) -> None:  # noqa: ANN401 - as above
    np.savez(tmp_path / "a.npz", x=content)
    with pytest.raises(UsageError, match=words):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY", b"no array at all", b"\x93NUMPY\x01\x00\x02\x00{}"]
)
def test_members_that_are_no_arrays(tmp_path: Path, data: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(UsageError, match=r"a.npz: x: (not an array|the array cannot be read)"):
        read_npz(tmp_path / "a.npz")


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    for name in ("a.npz", "gone.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_npz(tmp_path / name)


def test_an_array_that_ends_too_early(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(4))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", (tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"a.npz: x: the array cannot be read"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"x": {"b64": "\u00e9"}}', "an element is not base64"),
        ('{"x": [0.5, 1e400]}', "1e400 does not fit into float64"),
        ('{"x": ' + "[" * 700 + "1" + "]" * 700 + "}", "its lists are nested too deeply"),
    ],
)
def test_values_that_cannot_be_read_are_no_python_errors_and_not_infinite(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "feeds.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_json(tmp_path / "feeds.json")


def _headed(descr: str, shape: str) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + b"\xff" * 8


@pytest.mark.parametrize(
    "data",
    [
        _headed("'<f8'", "(1000000000000,)"),
        _headed("'<f8'", "(10000000000000000000000,)"),
        _headed("'<f8'", "(True,)"),
        _headed("'<U1'", "(1,)"),
        _headed("'<f8'", "(1"),
        _headed("'<f8'", "(0x, 01)"),
    ],
)
def test_an_array_that_numpy_does_not_read_is_a_slip(data: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(UsageError, match=r"x.npz: x: the array cannot be read: "):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("place", [6, 8])
def test_an_archive_that_python_does_not_read_is_a_slip(place: int, tmp_path: Path) -> None:
    """The member is encrypted (place 6), or compressed in an unknown way."""
    file = tmp_path / "x.npz"
    np.savez(file, x=np.zeros(1))
    data = bytearray(file.read_bytes())
    for at in (place, data.index(b"PK\x01\x02") + place + 2):
        data[at] = 99
    file.write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read"):
        read_npz(file)


def test_a_text_that_is_not_unicode_is_a_slip(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array(["\ud800"]))
    with pytest.raises(UsageError, match="surrogates not allowed"):
        read_npz(tmp_path / "x.npz")


def test_sizes_of_a_generator_are_all_run_and_one_size_is_a_size() -> None:
    sizes: Any = (size for size in (2, np.int64(3)))
    feeding = Feeding(batches=sizes, seed=np.int64(7))  # type: ignore[arg-type] # taken all the same
    inputs = {"x": TensorSpec("x:0", "float32", (None,))}
    assert [feed.batch for feed in Feeds(feeding, {}).of("k", inputs)] == [2, 3]
    assert Feeding(batches=4).batches == (4,)  # type: ignore[arg-type] # taken all the same
