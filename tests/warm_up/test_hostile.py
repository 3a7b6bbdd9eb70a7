"""Damaged or odd warm-up files: a note or one line, little memory, and the edit goes on."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import smpatch
from smpatch.warmup import MOST, PLACE, tfrecord
from smpatch.warmup.requests import LONGEST
from tests.fuzz.bounded import ended

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "fixtures" / "models" / "assets_extra_warmup"
WHOLE = (MODEL / PLACE).read_bytes()
RECORD = WHOLE[12:-4]

KILOBYTES = 60_000
"""The memory that is allowed beyond that of the same command with a small, sound model."""

UNPROVED = smpatch.Options(validate="none")


def head(length: int) -> bytes:
    """Return the head of a record with the right checksum."""
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", tfrecord.masked_checksum(packed))


def inside(*path: int, data: bytes) -> bytes:
    """Return bytes inside messages, by the numbers of the fields around them."""
    for number in reversed(path):
        data = bytes((number << 3 | 2,)) + _varint(len(data)) + data
    return data


def _varint(number: int) -> bytes:
    return bytes((number,)) if number < 128 else bytes((number & 0x7F | 0x80, number >> 7))


DAMAGED = {
    "a cut head": WHOLE + WHOLE[:5],
    "a cut record": WHOLE + WHOLE[:-1],
    "a length beyond the file": head(1 << 30) + b"\x00" * 100,
    "a length beyond everything": head((1 << 64) - 1),
    "a damaged head": b"\x01" + WHOLE[1:],
    "a damaged record": WHOLE[:30] + bytes((WHOLE[30] ^ 1,)) + WHOLE[31:],
    "a damaged second record": WHOLE + WHOLE[:-4] + b"\x00\x00\x00\x00",
    "text": b"hello, this is no file of records at all\n" * 40,
    "compressed": gzip.compress(WHOLE),
    "another message": tfrecord.framed(b"\xff\xff"),
    "nested too deeply": tfrecord.framed(b"\x0b" * 200),
    "a name that is no text": tfrecord.framed(inside(6, 1, 1, 3, data=b"\xff\xfe")),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with warm-up requests."""
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


def _renamed(model: Path) -> smpatch.Receipt:
    receipt = smpatch.rename_signature(model, "scale", "other", options=UNPROVED)
    assert set(smpatch.load(model).signatures) == {"other"}
    return receipt


def _note(receipt: smpatch.Receipt) -> str:
    (text,) = [note.text for note in receipt.notes if note.code.startswith("warm-up")]
    return text


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_stays_and_the_model_changes(model: Path, content: bytes) -> None:
    (model / PLACE).write_bytes(content)
    receipt = _renamed(model)
    assert (model / PLACE).read_bytes() == content
    assert receipt.warm_up == "kept"
    assert "it stays as it is, and TF Serving will not load the model" in _note(receipt)
    with pytest.raises(smpatch.ModelUnreadableError):
        smpatch.warmup_requests(model)
    with pytest.raises(smpatch.ModelUnreadableError):
        smpatch.write_warmup(model, "other", random=1, append=True)
    assert (model / PLACE).read_bytes() == content


def _directory(file: Path) -> None:
    file.mkdir()


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        here = Path.cwd()
        os.chdir(file.parent)  # the path of a socket is short
        try:
            opened.bind(file.name)
        finally:
            os.chdir(here)


def _nowhere(file: Path) -> None:
    file.symlink_to("nowhere")


def _circle(file: Path) -> None:
    file.symlink_to(file.name)


def _zeros(file: Path) -> None:
    file.symlink_to("/dev/zero")


def _file_in_the_way(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_bytes(b"no directory")


PLANTED: dict[str, Callable[[Path], None]] = {
    "directory": _directory,
    "pipe": os.mkfifo,
    "socket": _socket,
    "link to nowhere": _nowhere,
    "link to itself": _circle,
    "device": _zeros,
    "file in the way": _file_in_the_way,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_no_file_is_left_and_waited_for_by_nobody(model: Path, kind: str) -> None:
    (model / PLACE).unlink()
    PLANTED[kind](model / PLACE)
    before = os.lstat((model / PLACE).parent if kind == "file in the way" else model / PLACE)
    receipt = _renamed(model)
    codes = {note.code for note in receipt.notes}
    absent = kind in {"link to nowhere", "file in the way"}
    assert ("warm-up-unreadable" in codes) != absent
    # The server may have other rights than this process.
    assert absent or "it stays as it is, and TF Serving may not load the model" in _note(receipt)
    with pytest.raises(smpatch.SmpatchError) as caught:
        smpatch.write_warmup(model, "other", random=1, overwrite=True)
    assert "\n" not in str(caught.value)
    after = os.lstat((model / PLACE).parent if kind == "file in the way" else model / PLACE)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (inside(6, 1, 1, 3, data=b"scale") * 2, "cannot rewrite this encoding"),
        (
            inside(6, data=inside(1, 1, 3, data=b"x") + inside(1, 1, 3, data=b"scale")),
            "this encoding",
        ),
        (inside(2, data=b"") + inside(6, 1, 1, 3, data=b"scale"), "cannot rewrite this encoding"),
        (inside(5, 1, data=inside(1, 3, data=b"scale") + b"\x30\x01"), "no session_run requests"),
        (inside(9, data=b"of a later release"), "of a kind that is not known here"),
        (
            inside(7, 1, data=inside(1, 3, data=b"scale") + inside(5, 2, 1, data=b"x")),
            "options for streams",
        ),
    ],
    ids=["log twice", "request twice", "two kinds", "session_run", "unknown", "stream options"],
)
def test_what_is_not_rewritten_is_left_beside_what_is(
    model: Path, record: bytes, words: str
) -> None:
    odd = tfrecord.framed(record)
    (model / PLACE).write_bytes(WHOLE + odd + WHOLE)
    edit = smpatch.EditSignature("scale", rename_inputs={"x": "y"})
    options = smpatch.Options(validate="none")
    receipt = smpatch.patch(model, [edit, smpatch_rename()], options=options)
    data = (model / PLACE).read_bytes()
    assert data.count(odd) == 1
    assert data[: data.index(odd)] == data[data.index(odd) + len(odd) :] != WHOLE
    texts = {note.code: note.text for note in receipt.notes}
    assert texts["warm-up-rewritten"].endswith("of 3 records, 2 rewritten")
    assert texts["warm-up"].startswith(f"record 2 of {PLACE} cannot follow: ")
    assert words in texts["warm-up"]


def smpatch_rename() -> smpatch.Edit:
    """Return the rename of these tests."""
    from smpatch.edits import Rename  # noqa: PLC0415 - beside its one use

    return Rename("scale", "other")


def test_more_records_than_a_server_takes_follow_all_the_same(model: Path) -> None:
    (model / PLACE).write_bytes(WHOLE * (MOST + 500))
    _renamed(model)
    assert {each.signature for each in smpatch.warmup_requests(model)} == {"other"}
    assert len(smpatch.warmup_requests(model)) == MOST + 500


def test_a_file_without_records_follows_nothing(model: Path) -> None:
    (model / PLACE).write_bytes(b"")
    receipt = _renamed(model)
    assert (model / PLACE).read_bytes() == b""
    assert not [note for note in receipt.notes if note.code.startswith("warm-up")]


# Dry runs: ``bounded`` runs each command on a fixture first.
def _sparse(file: Path, length: int) -> None:
    """Write a file of zeros that takes no space on the disk, as one record of this length."""
    with file.open("wb") as opened:
        opened.write(head(length))
        opened.truncate(12 + length + 4)


@pytest.mark.parametrize("length", [LONGEST, 1 << 31, 1 << 33])
@pytest.mark.parametrize("command", ["rename", "warmup", "check"])
def test_gigabytes_are_not_read(model: Path, length: int, command: str) -> None:
    _sparse(model / PLACE, length)
    options = {
        "rename": ["--from", "scale", "--to", "other", "--validate", "none", "--dry-run"],
        "check": ["--validate", "none"],
        "warmup": [],
    }[command]
    ((end, out, err),) = ended(KILOBYTES, command, [model], options)
    assert end == {"rename": 0, "warmup": 3, "check": 1}[command]
    assert f"record 1 has {length:,} bytes, which are too many" in out + err
    # A server reads longer records than smpatch does.
    assert "TF Serving may" in out + err
    assert "TF Serving will not" not in out + err
    assert "Traceback" not in err


def test_a_model_of_many_large_requests_takes_the_memory_of_one(model: Path) -> None:
    """The splices are small, whatever is between the names."""
    value = bytes(1 << 20)
    tensor = inside(1, data=b"x") + b"\x12" + _long(b"\x08\x01\x22" + _long(value))
    request = inside(1, 3, data=b"scale") + b"\x12" + _long(tensor) + inside(3, data=b"product")
    record = b"\x32" + _long(b"\x0a" + _long(request))
    with (model / PLACE).open("wb") as file:
        file.write(tfrecord.framed(record) * 120)
    options = ["--from", "scale", "--to", "other", "--validate", "none", "--dry-run"]
    ((end, _, err),) = ended(90_000, "rename", [model], options)
    assert (end, err.count("120 rewritten")) == (0, 1), err


def _long(data: bytes) -> bytes:
    from smpatch.wire import varint  # noqa: PLC0415 - beside its one use

    return varint(len(data)) + data
