"""Graphs are read as graphs; other files that users take for a graph are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from smpatch import frozen_graph, schema, wire
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import graph_def

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "models"


def _graph() -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
    graph = schema.GraphDef()
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    graph.node.add(name="y", op="Identity", input=["x"], device="/cpu:0").attr["T"].type = 1
    function = graph.library.function.add()
    function.signature.name = "f"
    function.signature.description = "says what it does"
    function.arg_attr[0].attr["shape"].shape.unknown_rank = True
    graph.versions.producer = 2000
    return graph


BINARY = bytes(_graph().SerializeToString(deterministic=True))
TEXT = text_format.MessageToString(_graph())


def _meta_graph(*, saver: bool) -> bytes:
    info = wire.delimited(4, b"serve") + wire.delimited(5, b"2.21.0")
    parts = wire.delimited(1, info) + wire.delimited(2, BINARY)
    return parts + (wire.delimited(3, wire.delimited(1, b"save/Const:0")) if saver else b"")


def _onnx() -> bytes:
    return b"\x08\x09" + wire.delimited(2, b"pytorch") + wire.delimited(7, b"\x12\x01g")


def test_a_binary_graph_is_its_own_bytes() -> None:
    read = graph_def.read(BINARY)
    assert read.form == "binary"
    assert read.data is BINARY
    assert read.graph == (BINARY, ((0, len(BINARY)),))
    assert (read.entries, read.meta_info, read.has_object_graph) == ((), b"", False)


def test_fields_of_a_newer_writer_make_it_no_other_file() -> None:
    newer = BINARY + wire.delimited(1007, b"odd") + b"\xf8\x3e\x07"
    assert graph_def.read(newer).data is newer


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"# a remark\n\n{TEXT}",
        f"\ufeff{TEXT}",
        TEXT.replace("\n", "\r\n"),
        " ".join(TEXT.split("\n")),
        TEXT.replace("{", "<").replace("}", ">"),
    ],
    ids=["plain", "remark", "mark", "windows", "one line", "angles"],
)
def test_a_text_is_read_whole(text: str) -> None:
    read = graph_def.read(text.encode())
    assert read.form == "text"
    assert read.data == BINARY


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=140)


@given(names, names, names)
def test_whatever_its_names_a_graph_is_taken_for_one(name: str, op: str, device: str) -> None:
    """The first bytes are lengths and letters; they can look like JSON, ZIP, HDF and others."""
    graph = schema.GraphDef()
    graph.node.add(name=name, op=f"O{op}", device=device)
    data = graph.SerializeToString()
    assert graph_def.read(data).form == "binary"
    assert graph_def.read(text_format.MessageToString(graph).encode()).data == data


@pytest.mark.parametrize("length", [*range(110, 128)])
def test_a_node_of_any_length_is_no_json(length: int) -> None:
    graph = schema.GraphDef()
    graph.node.add(name="n" * (length - 8), op="NoOp")
    data = graph.SerializeToString()
    assert data[:2] == b"\n" + bytes([length])
    assert graph_def.read(data).form == "binary"


WRONG: dict[str, tuple[bytes, str]] = {
    "a saved model": (
        (FIXTURES / "linear" / "saved_model.pb").read_bytes(),
        "SavedModel in binary form",
    ),
    "its text": (
        (FIXTURES / "text_form" / "saved_model.pbtxt").read_bytes(),
        "SavedModel in text form",
    ),
    "a meta graph": (_meta_graph(saver=True), "MetaGraphDef"),
    "a meta graph without a saver": (_meta_graph(saver=False), "MetaGraphDef"),
    "the text of a meta graph": (b'meta_info_def { tags: "a" }\ngraph_def {}', "MetaGraphDef"),
    "a checkpoint's index": (
        (FIXTURES / "linear" / "variables" / "variables.index").read_bytes(),
        "checkpoint",
    ),
    "a checkpoint's state": (b'model_checkpoint_path: "model.ckpt-1"\n', "checkpoint"),
    "onnx": (_onnx(), "ONNX"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TFLite"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5.*Keras"),
    "zip": (b"PK\x03\x04" + bytes(40), "ZIP.*unpack"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "unpack it"),
    "json": (b'\n{"format": "graph-model"}', "JSON"),
    "labels": (b"item {\n  id: 1\n}\n", "text, but no GraphDef: it has the field 'item'"),
    "prose": (b"Never gonna give you up\n", "neither a GraphDef"),
    "zeros": (bytes(40), "neither a GraphDef"),
    "no node": (b"\x22\x02\x08\x15", "no node"),
    "other protobuf": (b"\x0a\x02\x08\x01\x12\x02\x08\x02", "protobuf, but no GraphDef"),
    "cut": (BINARY[:20], "neither a GraphDef.*cut short"),
    "open text": (b'node { name: "x"', "line 1, column 6.*closed"),
    "unknown field": (
        b'node { name: "x" op: "NoOp" newer: 1 }',
        '"tensorflow.NodeDef" has no field named "newer".*as_text=False',
    ),
    "no utf-8": (b'node { name: "\xff" }', "not UTF-8"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_graph_is_told(case: str, tmp_path: Path) -> None:
    data, words = WRONG[case]
    file = tmp_path / "frozen.pb"
    file.write_bytes(data)
    with pytest.raises(ModelUnreadableError, match=words) as raised:
        frozen_graph.load_graph(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert raised.value.hint


class TestPlaces:
    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnreadableError, match="no such file"):
            frozen_graph.load_graph(tmp_path / "gone.pb")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.pb").touch()
        with pytest.raises(ModelUnreadableError, match="the file is empty"):
            frozen_graph.load_graph(tmp_path / "empty.pb")

    @pytest.mark.parametrize(
        ("inside", "words"),
        [
            ("saved_model.pb", "SavedModel already: smpatch add-predict"),
            ("saved_model.pbtxt", "SavedModel already: smpatch add-predict"),
            ("checkpoint", "it holds a checkpoint"),
            ("model.ckpt-7.index", "it holds a checkpoint"),
            ("frozen.pb", "name the file"),
        ],
    )
    def test_a_directory(self, inside: str, words: str, tmp_path: Path) -> None:
        (tmp_path / inside).touch()
        with pytest.raises(ModelUnreadableError, match=f"it is a directory.*{words}"):
            frozen_graph.load_graph(tmp_path)

    def test_a_large_file_is_mapped(self, tmp_path: Path) -> None:
        graph = _graph()
        graph.node.add(name="w", op="Const").attr["value"].tensor.tensor_content = bytes(1 << 24)
        (tmp_path / "big.pb").write_bytes(graph.SerializeToString())
        loaded = frozen_graph.load_graph(tmp_path / "big.pb")
        assert not isinstance(loaded.parts.data, bytes)
        assert list(loaded.meta_graph({}).graph) == ["x", "y", "w"]
