"""A bare ``GraphDef``: a graph that no SavedModel holds yet, in binary or in text form.

A binary graph is read where it lies; a text is parsed once, strictly, for what this schema
does not know would be lost. People hand over many other things that end in ``.pb``; they
are told what they have, and what to do with it.

This module does not validator whether the graph can be served, and writes nothing.

Sources: field numbers of ``GraphDef``, ``MetaGraphDef`` and ``SavedModel`` in
``tensorflow/core``; of ``ModelProto`` in onnx.proto; the first bytes of HDF5, ZIP, gzip,
FlatBuffers (TFLite's schema.fbs) and the last ones of ``tensorflow/core/lib/io/table``.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal

from google.protobuf import text_format

from smpatch import schema, wire
from smpatch.errors import ModelUnreadableError
from smpatch.savedmodel import text_fields
from smpatch.savedmodel.binary import BinaryMetaGraph
from smpatch.savedmodel.parts import META_GRAPHS
from smpatch.wire import Field, Splice

if TYPE_CHECKING:
    from smpatch.savedmodel.changes import Changes

__all__ = ["FrozenGraph", "read"]

_NODE, _LIBRARY, _VERSION, _VERSIONS, _DEBUG_INFO = 1, 2, 3, 4, 5

_KINDS = {
    _NODE: wire.BYTES,
    _LIBRARY: wire.BYTES,
    _VERSION: wire.VARINT,
    _VERSIONS: wire.BYTES,
    _DEBUG_INFO: wire.BYTES,
}
"""The fields of ``GraphDef`` and how each lies on the wire."""

_ONNX = frozenset({7, 8})
"""``graph`` and ``opset_import`` of ``ModelProto``; as in SavedModel a number comes first."""

_LOOKED_AT = 64
"""So many fields tell what a file is; a graph can have millions."""

_NODE_OP = 2
_OP = re.compile(rb"[A-Za-z_][\w.>/-]*")

_TEXT_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|#[^\n]*\n)*[A-Za-z_]\w*\s*[:{<\[]")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_SAMPLE = 4096

_Known = Literal[
    "saved_model", "meta_graph", "checkpoint", "onnx", "hdf5", "zip", "gzip", "tflite", "json"
]

_TEXT_FIELDS = frozenset({"node", "library", "version", "versions", "debug_info"})
_TEXT_OTHERS: dict[str, _Known] = {
    "meta_graphs": "saved_model",
    "saved_model_schema_version": "saved_model",
    "meta_info_def": "meta_graph",
    "graph_def": "meta_graph",
    "saver_def": "meta_graph",
    "model_checkpoint_path": "checkpoint",
    "ir_version": "onnx",
}
"""What a text is that has such a field."""

_TFLITE = b"TFL3"
"""At byte 4, after an offset."""

_TABLE = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The end of every table file, the form of a checkpoint's index."""

_KERAS = "export it from Keras, which has its code: keras.models.load_model(FILE).export(DIR)"
_FREEZE = (
    "a checkpoint has values and no graph; restore it in TensorFlow with the code of the model"
)

_FIRST_BYTES: dict[bytes, _Known] = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
}

_TOLD: dict[_Known, tuple[str, str]] = {
    "saved_model": (
        "it is a SavedModel already",
        "nothing is to be wrapped: smpatch add-predict takes its directory",
    ),
    "meta_graph": (
        "it is a MetaGraphDef, as .meta files of checkpoints are, and not frozen",
        "restore it with its checkpoint in TensorFlow, and save that as a SavedModel",
    ),
    "checkpoint": ("it belongs to a checkpoint", _FREEZE),
    "onnx": ("it is an ONNX model", "onnx-tf or onnx2tf makes a SavedModel of it"),
    "hdf5": ("it is HDF5, as Keras saves models and weights", _KERAS),
    "zip": ("it is a ZIP archive, as Keras (.keras) and PyTorch save models", _KERAS),
    "gzip": ("it is compressed", "unpack it first"),
    "tflite": (
        "it is a TFLite model, from which no graph can be had back",
        "wrap the graph that it was converted from",
    ),
    "json": (
        "it is JSON, such as TensorFlow.js models have",
        "wrap the graph that it was converted from",
    ),
}


class FrozenGraph(BinaryMetaGraph):
    """The parts of a MetaGraph of which there is only the graph.

    Attributes:
        form: How the graph lay in its file.
        data: The graph in binary form; of a binary file its very bytes.
    """

    def __init__(self, data: wire.Buffer, form: Literal["binary", "text"]) -> None:
        """Take a serialized ``GraphDef``."""
        # Of an empty MetaGraph, whose graph comes from elsewhere.
        super().__init__(data, Field(META_GRAPHS, wire.BYTES, 0, 0, 0))
        self.form: Literal["binary", "text"] = form
        self.data = data

    @cached_property
    def graph(self) -> tuple[wire.Buffer, tuple[tuple[int, int], ...]]:
        """The graph, which is all of the file."""
        return self.data, ((0, len(self.data)),)

    def splices(self, changes: Changes) -> tuple[Splice, ...]:  # noqa: ARG002 - as in the other forms
        """Return nothing: what a bare graph becomes is written around it, not into it."""
        return ()


def read(data: wire.Buffer) -> FrozenGraph:
    """Read a graph from the content of a file.

    Raises:
        ModelUnreadableError: It is no graph; says what it is instead where that can be told.
    """
    known = _by_marks(data)
    if known is None and _is_text(data):
        return FrozenGraph(_from_text(bytes(data)), "text")
    if known is None:
        known = _by_fields(data)
    if known is not None:
        raise _told(known)
    return FrozenGraph(data, "binary")


def _told(known: _Known) -> ModelUnreadableError:
    found, hint = _TOLD[known]
    return ModelUnreadableError(f"no graph: {found}", hint=hint)


def _by_marks(data: wire.Buffer) -> _Known | None:
    """Tell a file that is no protobuf by its first or last bytes."""
    for mark, known in _FIRST_BYTES.items():
        if data[: len(mark)] == mark:
            return known
    if data[4:8] == _TFLITE and data[:1] != b"\n":  # with which a graph begins
        return "tflite"
    if data[-len(_TABLE) :] == _TABLE:
        return "checkpoint"
    sample = data[:_SAMPLE]
    if _NO_TEXT.search(sample) is None and sample.lstrip()[:1] in {b"{", b"["}:
        return "json"
    return None


def _is_text(data: wire.Buffer) -> bool:
    """Tell text from binary, in which the tag of a node's operation is a control byte."""
    sample = data[:_SAMPLE]
    return _NO_TEXT.search(sample) is None and _TEXT_START.match(sample) is not None


def _by_fields(data: wire.Buffer) -> _Known | None:
    """Tell a protobuf by its first fields; None for a graph.

    Raises:
        ModelUnreadableError: It is none that is known here.
    """
    try:
        first = list(islice(wire.fields(data), _LOOKED_AT))
    except ModelUnreadableError as error:
        found = f"it is neither a GraphDef nor anything else known here: {error.found}"
        raise ModelUnreadableError(
            found, hint="the file is cut short, or of another kind"
        ) from None
    numbers = {field.number for field in first}
    if any(field.number == 1 and field.wire_type == wire.VARINT for field in first):
        return "onnx" if numbers & _ONNX else "saved_model"
    # A newer writer may have fields that are unknown here.
    if all(_KINDS.get(field.number, field.wire_type) == field.wire_type for field in first):
        nodes = [field for field in first if field.number == _NODE]
        if not nodes:
            hint = "a frozen graph holds the operations of the model, and its weights"
            raise ModelUnreadableError("the graph has no node", hint=hint)
        if all(_looks_like_node(data, node) for node in nodes):
            return None
    parts = [field for field in first if field.wire_type == wire.BYTES]
    if {1, 2} & {field.number for field in parts} and any(
        field.number in {2, 3} and _holds_graph(data, field) for field in parts
    ):
        return "meta_graph"
    found = "it is protobuf, but no GraphDef"
    raise ModelUnreadableError(found, hint="a frozen graph is what tf.io.write_graph writes")


def _looks_like_node(data: wire.Buffer, node: Field) -> bool:
    try:
        for field in wire.fields(data, node.value, node.end):
            if field.number == _NODE_OP:
                return field.wire_type == wire.BYTES and bool(_OP.fullmatch(field.bytes(data)))
    except ModelUnreadableError:
        return False
    return False


def _holds_graph(data: wire.Buffer, part: Field) -> bool:
    """Tell whether a part of a ``MetaGraphDef`` is its graph."""
    try:
        inside = list(islice(wire.fields(data, part.value, part.end), _LOOKED_AT))
    except ModelUnreadableError:
        return False
    nodes = [field for field in inside if field.number == _NODE]
    return bool(nodes) and _looks_like_node(data, nodes[0])


def _from_text(data: bytes) -> bytes:
    """Return a text ``GraphDef`` in binary form.

    Raises:
        ModelUnreadableError: It is another text, damaged, or says what this schema does not know.
    """
    names = {field.name for field in islice(text_fields.fields(data), _LOOKED_AT)}
    for name, known in _TEXT_OTHERS.items():
        if name in names:
            raise _told(known)
    if not names & _TEXT_FIELDS:
        found = f"it is text, but no GraphDef: it has the field {min(names)!r}"
        raise ModelUnreadableError(found, hint="a frozen graph is what tf.io.write_graph writes")
    graph = schema.GraphDef()
    try:
        text_format.Merge(data.decode("utf-8-sig"), graph)
    except UnicodeDecodeError as error:
        found = f"byte {error.start}: this is not UTF-8"
        raise ModelUnreadableError(found, hint="a text is written in UTF-8") from error
    except (text_format.ParseError, RecursionError) as error:
        words = str(error).replace('"smpatch.', '"tensorflow.') or type(error).__name__
        found = f"the text cannot be read as a GraphDef: {words}"
        hint = "TensorFlow can write it in binary form: tf.io.write_graph(..., as_text=False)"
        raise ModelUnreadableError(found, hint=hint) from error
    return bytes(graph.SerializeToString(deterministic=True))
