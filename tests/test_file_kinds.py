"""Files that users give in place of a model are recognised; the error has the next step."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from smpatch import frozen_graph, loader
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import file_kinds

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
LINEAR = FIXTURES / "models" / "linear"
PB = (LINEAR / "saved_model.pb").read_bytes()
TEXT = (FIXTURES / "models" / "text_form" / "saved_model.pbtxt").read_bytes()
FROZEN = (FIXTURES / "graphs" / "frozen.pb").read_bytes()


def _zip(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 9000)
    return held.getvalue()


def _tar(mode: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as archive:  # type: ignore[call-overload] # a str
        archive.add(LINEAR, "linear")
    return held.getvalue()


def _in_text_mode(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)

KINDS: dict[str, tuple[bytes, str, str]] = {
    "m.keras": (_zip("metadata.json", "config.json", "model.weights.h5"), "Keras", "export it"),
    "m.h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5", "export it"),
    "m.tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TFLite", "converted from"),
    "m.onnx": (b"\x08\x09\x12\x07pytorch\x3a\x03\x12\x01g", "ONNX", "onnx2tf"),
    "zipped": (_zip("1/saved_model.pb"), "ZIP", "unzip {file}"),
    "m.pt": (_zip("archive/data.pkl"), "PyTorch", "ONNX"),
    "packed_and_compressed": (_tar("w:gz"), "archive (.tar.gz)", "tar -xf {file}"),
    "packed": (_tar("w"), "tar archive", "tar -xf {file}"),
    "m.pb.gz": (gzip.compress(PB), "gzip", "gunzip {file}"),
    "frozen.pb": (FROZEN, "frozen graph", "smpatch wrap {file}"),
    "frozen.pbtxt": (b'node { name: "x" op: "NoOp" }\n', "frozen graph", "smpatch wrap {file}"),
    "m.index": ((LINEAR / "variables/variables.index").read_bytes(), "checkpoint", "restore it"),
    "model.json": (b'{"format": "graph-model"}', "JSON", "converted from"),
    "page.pb": (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "HTML", "download"),
    "denied.pb": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "XML", "download"),
    "pointer.pb": (LFS, "Git LFS pointer", "git lfs pull"),
}
"""Files by name: the bytes, and two parts of the error, the kind of file and the next step."""

INSIDE = {
    "text": (TEXT, "text form", "saved_model.pbtxt"),
    "lost": (_in_text_mode(PB), "EF BF BD", "copy it again"),
    "lines": (PB.replace(b"\n", b"\r\n"), "CR LF", "copy it again"),
}
"""Other contents of a ``saved_model.pb``, with the same parts of the error."""


def _error(path: Path) -> ModelUnreadableError:
    with pytest.raises(ModelUnreadableError) as raised:
        loader.load(path)
    return raised.value


@pytest.mark.parametrize("name", KINDS)
def test_a_file_given_as_a_model_is_recognised(name: str, tmp_path: Path) -> None:
    data, kind, step = KINDS[name]
    file = tmp_path / name
    file.write_bytes(data)
    error = _error(file)
    assert str(error).startswith(f"{file}: not a directory, but a")
    assert kind in error.found
    assert step.format(file=file) in error.hint


@pytest.mark.parametrize("name", [*KINDS, *INSIDE])
@pytest.mark.parametrize("form", ["saved_model.pb", "saved_model.pbtxt"])
def test_a_file_with_the_name_of_a_model_is_recognised(
    name: str, form: str, tmp_path: Path
) -> None:
    data, kind, step = {**KINDS, **INSIDE}[name]
    file = tmp_path / form
    file.write_bytes(data)
    if (name, form) == ("text", "saved_model.pbtxt"):
        assert loader.load(tmp_path).form == "text"
        return
    error = _error(tmp_path)
    assert str(error).startswith(f"{file}: no SavedModel: it is a")
    assert kind in error.found
    assert step.format(file=file) in error.hint


@pytest.mark.parametrize("name", [name for name in KINDS if "frozen" not in name])
def test_wrap_recognises_the_same_kinds(name: str, tmp_path: Path) -> None:
    data, kind, _ = KINDS[name]
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(ModelUnreadableError, match="no graph: it is a") as raised:
        frozen_graph.load_graph(file)
    assert kind in raised.value.found
    assert raised.value.hint


def test_a_frozen_graph_with_functions_is_no_metagraph_without_tags(tmp_path: Path) -> None:
    # Field 2 of a GraphDef is its library; field 2 of a SavedModel is a MetaGraph.
    library = b"\x12\x07\x0a\x05\x0a\x03\x0a\x01f"
    (tmp_path / "saved_model.pb").write_bytes(FROZEN + library)
    assert "it is a frozen graph" in str(_error(tmp_path))


def test_binary_under_the_name_of_the_text_form(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pbtxt").write_bytes(PB)
    assert "a SavedModel in binary form" in str(_error(tmp_path))


def test_wrap_and_add_predict_do_not_lead_to_each_other(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(FROZEN)
    command = f"smpatch wrap {shlex.quote(str(model / 'saved_model.pb'))}"
    assert command in _error(model).hint
    with pytest.raises(ModelUnreadableError) as raised:
        frozen_graph.load_graph(model)
    assert command in raised.value.hint
    assert frozen_graph.load_graph(model / "saved_model.pb").parts.form == "binary"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("checkpoint", "model.ckpt-1.index", "model.ckpt-1.meta"), "restore it in TensorFlow"),
        (("model.keras",), "keras.models.load_model(FILE).export(DIR)"),
        (("config.json", "model.weights.h5"), "unpacked .keras"),
        (("model.json", "group1-shard1of1.bin"), "TensorFlow.js"),
        (("frozen_inference_graph.pb",), "smpatch wrap {place}/frozen_inference_graph.pb"),
        (("m.tar.gz",), "tar -xf {place}/m.tar.gz"),
        (("README",), "is this a SavedModel directory?"),
    ],
)
def test_a_directory_of_another_kind(names: tuple[str, ...], words: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert words.format(place=tmp_path) in _error(tmp_path).hint


def test_the_prefix_of_a_checkpoint(tmp_path: Path) -> None:
    shutil.copy(LINEAR / "variables" / "variables.index", tmp_path / "model.ckpt-7.index")
    error = _error(tmp_path / "model.ckpt-7")
    assert "the prefix of a checkpoint" in error.found
    assert "restore it" in error.hint


@pytest.mark.parametrize("address", ["s3://bucket/m", "gs://bucket/m", "https://host/m"])
def test_an_address_is_no_directory(address: str) -> None:
    assert "was made from a URL" in _error(Path(address)).found


def test_no_committed_model_is_taken_for_another_kind() -> None:
    for file in sorted((FIXTURES / "models").glob("*/saved_model.pb*")):
        kind = file_kinds.recognise(file.read_bytes())
        assert kind is not None
        assert kind.found.startswith("a SavedModel in"), file


def test_a_vocabulary_with_replacement_characters_is_no_damage(tmp_path: Path) -> None:
    place = tmp_path / "m"
    shutil.copytree(LINEAR, place)
    file = place / "saved_model.pb"
    file.write_bytes(PB + b"\x7a" + bytes([6]) + "\ufffd\ufffd".encode())
    assert loader.load(place).meta_graphs[0].tags == ("serve",)


def test_the_kinds_are_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    file = tmp_path / "model.h5"
    file.write_bytes(json.dumps({"a": 1}).encode())
    assert "JSON" in _error(file).found
