"""Warm-up requests: the signatures that each kind calls, and files that no server could read.

The messages are encoded field by field, after TF Serving's protos, which are not installed here;
TensorFlow writes the records around them.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from smpatch import warmup
from smpatch.errors import ModelUnreadableError
from smpatch.warmup import WarmUp, tfrecord
from tests.oracle.client import Oracle

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


def field(number: int, value: bytes | str) -> bytes:
    """Encode one length-delimited field of fewer than 128 bytes."""
    data = value.encode() if isinstance(value, str) else value
    return bytes((number << 3 | 2, len(data))) + data


def spec(key: str) -> bytes:
    """Encode field 1 of every request: the model and the signature."""
    return field(1, field(1, "model") + field(3, key))


PREDICT = spec("score") + field(2, field(1, "b")) + field(2, field(1, "a")) + field(3, "y")

NAMELESS = field(2, field(1, "x"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with the folder of warm-up requests."""
    (tmp_path / warmup.PLACE).parent.mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("log", "calls"),
    [
        (field(6, field(1, PREDICT)), [WarmUp("score", ("a", "b"), "predict", ("y",))]),
        (field(6, field(1, NAMELESS)), [WarmUp("serving_default", ("x",), "predict")]),
        (field(7, field(1, spec("s")) * 2), [WarmUp("s", (), "predict_streamed")] * 2),
        (field(2, field(1, spec("c"))), [WarmUp("c", ("inputs",), "classify")]),
        (field(3, field(1, spec("r"))), [WarmUp("r", ("inputs",), "regress")]),
        (
            field(4, field(1, field(1, spec("p")) + field(1, spec("q")))),
            [WarmUp(key, ("inputs",), "multi_inference") for key in "pq"],
        ),
        (
            field(5, field(1, field(2, field(1, "x:0")) + field(3, "y:0") + field(4, "z"))),
            [WarmUp("", ("x:0",), "session_run", ("y:0", "z"))],
        ),
        (
            field(5, field(1, spec("s") + field(2, field(1, "x")) + b"\x30\x01")),
            [WarmUp("s", ("x",), "session_run")],
        ),
        (b"", []),
    ],
)  # fmt: skip
def test_each_kind_of_request_tells_whom_it_calls(
    model: Path, oracle: Oracle, log: bytes, calls: list[WarmUp]
) -> None:
    oracle.ask("write_records", file=model / warmup.PLACE, records=[log.hex(), log.hex()])
    assert list(warmup.requests(model)) == calls * 2


def test_a_record_by_tensorflow_itself() -> None:
    assert warmup.requests(MODELS / "assets_extra_warmup") == (WarmUp("scale", ("x",), "predict"),)


def test_a_model_without_requests_has_none(tmp_path: Path) -> None:
    assert warmup.requests(tmp_path) == ()
    (tmp_path / "assets.extra").write_bytes(b"")  # a file in the place of the directory
    assert warmup.requests(tmp_path) == ()


def test_damage_is_told_as_such_wherever_it_is(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(MODELS / "assets_extra_warmup", tmp_path / "model"))
    file = directory / warmup.PLACE
    whole = file.read_bytes()
    for end in range(1, len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(ModelUnreadableError, match="record 1"):
            warmup.requests(directory)
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        with pytest.raises(ModelUnreadableError, match="record 1"):
            warmup.requests(directory)


def test_a_length_that_no_memory_holds_is_not_believed(model: Path) -> None:
    head = struct.pack("<Q", 1 << 40)
    checksum = tfrecord.masked_checksum(head)  # the head is complete, but its length is absurd
    (model / warmup.PLACE).write_bytes(head + checksum.to_bytes(4, "little"))
    with pytest.raises(ModelUnreadableError, match="the file ends within record 1"):
        warmup.requests(model)


def test_a_record_of_something_else_is_no_request(model: Path, oracle: Oracle) -> None:
    oracle.ask("write_records", file=model / warmup.PLACE, records=["ff"])
    with pytest.raises(ModelUnreadableError, match="record 1 is not a PredictionLog"):
        warmup.requests(model)


def test_a_file_that_cannot_be_opened_is_told_as_such(model: Path) -> None:
    (model / warmup.PLACE).mkdir()
    with pytest.raises(ModelUnreadableError, match="cannot be read: is a directory"):
        warmup.requests(model)
