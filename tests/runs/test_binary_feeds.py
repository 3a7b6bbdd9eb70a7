"""Bytes that end in zeros stay whole, and the code in a pickle does not run."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Report, UsageError
from smpatch.loader import load
from smpatch.runs.feeds import Feeds
from smpatch.runs.files import read_npz
from tests.checker.faults import FIXTURES
from tests.oracle import programs

ENDS_IN_ZEROS = (b"\x08\x01\x00\x00", b"\x00", b"")


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1)])
def test_arrays_of_objects_keep_their_zeros(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.array(ENDS_IN_ZEROS, dtype=object).reshape(shape)
    np.savez(tmp_path / "a.npz", x=array)
    cut: list[str] = []
    found = read_npz(tmp_path / "a.npz", cut)["x"]
    assert (found.strings, found.shape, cut) == (ENDS_IN_ZEROS, shape, [])


def test_numpys_own_type_of_bytes_has_lost_them_and_is_noted(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array(ENDS_IN_ZEROS), text=np.array([b"plain", b"words"]))
    cut: list[str] = []
    found = read_npz(tmp_path / "a.npz", cut)
    assert found["x"].strings == (b"\x08\x01", b"", b"")
    assert cut == ["x"]


def test_texts_among_objects_are_utf8(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array(["ä", b"b\x00"], dtype=object))
    assert read_npz(tmp_path / "a.npz")["x"].strings == ("ä".encode(), b"b\x00")


class _Harmful:
    """An object whose pickle makes a directory when it is loaded."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._file),)


def test_a_pickle_in_a_file_runs_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    np.savez(tmp_path / "a.npz", x=np.array([b"a", _Harmful(made)], dtype=object))
    with pytest.raises(UsageError, match="only bytes and str are read"):
        read_npz(tmp_path / "a.npz")
    assert not made.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["x"]
    assert made.exists()  # the pickle does harm if it is loaded


def _run(model: str, file: Path) -> Report:
    options = CheckOptions(validate="runtime", run=Feeding(file=file))
    return smpatch.check(FIXTURES / model, options=options)


def _key_and_input(model: str) -> tuple[str, str]:
    signatures = smpatch.load(FIXTURES / model).signatures
    key = next(iter(signatures))
    return key, next(iter(signatures[key].inputs))


def test_a_run_with_bytes_that_were_cut_says_so(tmp_path: Path) -> None:
    _, alias = _key_and_input("strings")
    named: dict[str, Any] = {alias: np.array([b"\x01\x00"])}
    np.savez(tmp_path / "a.npz", **named)
    report = _run("strings", tmp_path / "a.npz")
    (note,) = [each for each in report.findings if each.code == "feed-cut"]
    assert note.where.endswith(f"a.npz: {alias}")
    named = {alias: np.array([b"\x01\x00"], dtype=object)}
    np.savez(tmp_path / "b.npz", **named)
    assert "feed-cut" not in {each.code for each in _run("strings", tmp_path / "b.npz").findings}


def test_values_in_json_are_those_of_the_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"x": [[1, 2.5], [3, 4], [5, 6]]}), encoding="utf-8")
    report = _run("module", file)
    assert report.ok
    assert report.ran == (("serving_default", (3,)),)


def test_bytes_in_json_are_base64(tmp_path: Path) -> None:
    key, alias = _key_and_input("strings")
    values = [{"b64": base64.b64encode(each).decode()} for each in ENDS_IN_ZEROS]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({f"{key}/{alias}": [*values, "text"]}), encoding="utf-8")
    assert (key, (4,)) in _run("strings", file).ran


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "it is not a JSON object"),
        ("{", "it is not JSON"),
        ('{"x": [[1, 2], [3]]}', "different lengths"),
        ('{"x": ["a"]}', "is not of type float32"),
        ('{"x": [{"b64": "?"}]}', "not base64"),
        ('{"x": [{"b": 1}]}', "an element is a JSON object"),
        ('{"z": 1}', "it names no input of any signature: z"),
    ],
)
def test_json_that_holds_no_values_is_a_slip(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as caught:
        _run("module", file)
    assert str(file) in caught.value.where


WRITE_RECORDS = """
import sys
import tensorflow as tf
with tf.io.TFRecordWriter(sys.argv[1]) as writer:
    for text in sys.argv[2:]:
        writer.write(bytes.fromhex(text))
"""


def test_records_that_tensorflow_writes_arrive_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.tfrecord"
    texts = [each.hex() for each in ENDS_IN_ZEROS]
    programs.run("-c", WRITE_RECORDS, file, *texts)
    key, alias = _key_and_input("strings")
    feeds = Feeds(Feeding(file=file), load(FIXTURES / "strings").signatures)
    (feed,) = feeds.of(key, load(FIXTURES / "strings").signatures[key].inputs)
    assert feed.values[alias][0].strings == tuple(ENDS_IN_ZEROS)
    assert (key, (len(ENDS_IN_ZEROS),)) in _run("strings", file).ran


@pytest.mark.parametrize(
    ("model", "content", "words"),
    [
        ("strings", b"no records at all", "does not begin like one of a TFRecord"),
        ("strings", b"abc", "ends within the head of record 1"),
        ("module", b"", "records feed only a signature with one input"),
    ],
)
def test_records_that_feed_nothing_are_a_slip(
    model: str, content: bytes, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.tfrecord"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        _run(model, file)
    assert str(file) in caught.value.where


def test_a_file_that_feeds_a_part_of_a_signature_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, left=np.zeros((1, 2), np.float32))
    options = CheckOptions(validate="runtime", run=Feeding(file=file))
    report = smpatch.check(FIXTURES / "keras_functional", options=options)
    assert {(each.code, each.text) for each in report.faults} == {
        ("run-fails", "the file has no values for the input 'right'")
    }
