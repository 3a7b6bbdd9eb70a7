"""Kinds of files that users give to a command.

Users give many files to a command that are neither a SavedModel nor a graph: archives, Keras
models, checkpoints, pointers of Git LFS, error pages. This module recognises each by its first or
last bytes, or by its fields. An error names the kind and the next step.

Sources: field numbers of ``GraphDef``, ``MetaGraphDef`` and ``SavedModel`` in
``tensorflow/core``; of ``ModelProto`` in onnx.proto; the first bytes of HDF5, ZIP, gzip,
bzip2, xz, Zstandard, POSIX tar, FlatBuffers (TFLite's schema.fbs), of a Git LFS pointer
(git-lfs/docs/spec.md), and the last ones of ``tensorflow/core/lib/io/table``.
"""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from smpatch import wire
from smpatch.errors import ModelUnreadableError
from smpatch.wire import Field

NODE, LIBRARY, VERSION, VERSIONS, DEBUG_INFO = 1, 2, 3, 4, 5

_GRAPH_FIELDS = {
    NODE: wire.BYTES,
    LIBRARY: wire.BYTES,
    VERSION: wire.VARINT,
    VERSIONS: wire.BYTES,
    DEBUG_INFO: wire.BYTES,
}
"""The fields of ``GraphDef`` and the wire type of each."""

_ONNX = frozenset({7, 8})
"""``graph`` and ``opset_import`` of ``ModelProto``; like SavedModel, it begins with a number."""

_LOOKED_AT = 64
"""How many fields are read to recognise a kind; a graph can have millions."""

_SAMPLE = 4096
_NODE_OP = 2
_OP = re.compile(rb"[A-Za-z_][\w.>/-]*")

_TEXT_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|#[^\n]*\n)*[A-Za-z_]\w*\s*[:{<\[]")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def shell_word(file: Path) -> str:
    """Return the path of a file as an argument in a command for a shell."""
    name = str(file)
    # A name that begins with a hyphen would be read as an option.
    return shlex.quote(f"./{name}" if name[:1] == "-" else name)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        found: The name of the kind, as the end of a sentence that begins with ``it is``.
        hint: The next step if the file is given as a model; ``{file}`` is its path.
        graph_hint: The next step if the file is given as a graph; if empty, ``hint`` is used.
    """

    found: str
    hint: str
    graph_hint: str = ""

    def error(self, file: Path, *, graph: bool = False) -> ModelUnreadableError:
        """Return the error for a file of this kind.

        Args:
            file: The path of the file, for commands in the hint; the caller sets ``where``.
            graph: Whether the command needs a graph, and not a SavedModel.

        Example:
            >>> print(GRAPH.error(Path("m.pb")))
            no SavedModel: it is a frozen graph (smpatch wrap m.pb makes a SavedModel of it)
        """
        hint = (graph and self.graph_hint) or self.hint
        wanted = "graph" if graph else "SavedModel"
        words = hint.replace("{file}", shell_word(file))
        return ModelUnreadableError(f"no {wanted}: it is {self.found}", hint=words)


_KERAS = "load it in Keras and export it: keras.models.load_model(FILE).export(DIR)"
_UNTAR = "unpack it: tar -xf {file}"

GRAPH = Kind("a frozen graph", "smpatch wrap {file} makes a SavedModel of it")
GRAPH_TEXT = Kind("a frozen graph in text form", "smpatch wrap {file} makes a SavedModel of it")
_SAVED_MODEL = Kind(
    "a SavedModel in binary form",
    "a directory holds it as saved_model.pb, and variables/ beside it: rename the file",
    "smpatch add-predict takes the directory that holds it as saved_model.pb",
)
_SAVED_MODEL_TEXT = Kind(
    "a SavedModel in text form",
    "a directory holds it as saved_model.pbtxt, and variables/ beside it: rename the file",
    "smpatch add-predict takes the directory that holds it as saved_model.pbtxt",
)
_META_GRAPH = Kind(
    "a MetaGraphDef, as .meta files of checkpoints are, and not frozen",
    "restore it with its checkpoint in TensorFlow, and save that as a SavedModel",
)
_CHECKPOINT = Kind(
    "a part of a checkpoint, which has values and no graph",
    "restore it in TensorFlow with the code of the model, and save that as a SavedModel",
)
_ONNX_MODEL = Kind("an ONNX model", "onnx2tf or onnx-tf makes a SavedModel of it")
_TORCH = Kind("a PyTorch archive", "export it to ONNX; onnx2tf makes a SavedModel of that")
_KERAS_ARCHIVE = Kind("a Keras archive (.keras, a ZIP archive)", _KERAS)
_ZIP = Kind("a ZIP archive", "unpack it: unzip {file}")
_GZIP = Kind("a compressed file (gzip)", "unpack it: gunzip {file}")
_TAR_GZIP = Kind("a compressed archive (.tar.gz)", _UNTAR)
_HDF5 = Kind("an HDF5 file, as Keras saves models and weights", _KERAS)
_TFLITE = Kind(
    "a TFLite model, which cannot be converted back into a graph",
    "use the model that it was converted from",
)
_JSON = Kind(
    "a JSON file, such as TensorFlow.js models have", "use the model that it was converted from"
)
_LOST = Kind(
    "a file that a copy in text mode damaged: bytes that are not UTF-8 became EF BF BD",
    "copy it again from the source, in binary mode",
)
_LINES = Kind(
    "a file that a copy in text mode damaged: each line feed became CR LF",
    "copy it again from the source, in binary mode",
)

_MARKS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", _HDF5),
    (0, b"PK\x03\x04", _ZIP),
    (0, b"\x1f\x8b", _GZIP),
    (0, b"BZh", Kind("a compressed file (bzip2)", _UNTAR)),
    (0, b"\xfd7zXZ\x00", Kind("a compressed file (xz)", _UNTAR)),
    (0, b"\x28\xb5\x2f\xfd", Kind("a compressed file (zstd)", _UNTAR)),
    (257, b"ustar", Kind("a tar archive", _UNTAR)),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        Kind("a Git LFS pointer, in place of the file", "git lfs pull fetches the file"),
    ),
)
"""The offset of bytes, the bytes, and the kind that has them."""

_PAGE = "download the file again; the address or the credentials were wrong"
_WORDS: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (
        re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE),
        Kind("an HTML page", _PAGE),
    ),
    (
        re.compile(rb"<\?xml\b"),
        Kind("an XML document, such as the error of an object store", _PAGE),
    ),
    (re.compile(rb"[{\[]"), _JSON),
)
"""The beginnings of texts that are not in protobuf's text form."""

_TEXT_GRAPH = frozenset({"node", "library", "version", "versions", "debug_info"})
_TEXT_FIELDS: dict[str, Kind] = {
    "meta_graphs": _SAVED_MODEL_TEXT,
    "saved_model_schema_version": _SAVED_MODEL_TEXT,
    "meta_info_def": _META_GRAPH,
    "graph_def": _META_GRAPH,
    "saver_def": _META_GRAPH,
    "model_checkpoint_path": _CHECKPOINT,
    "ir_version": _ONNX_MODEL,
}
"""The name of a field to the kind of a text that has it."""

_TFLITE_MARK = b"TFL3"
"""This mark is at byte 4, after an offset."""

_TABLE = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The last bytes of every table file; a checkpoint's index is such a file."""

_REPLACEMENT = "\ufffd".encode()
_TAIL = 1 << 16
"""How many bytes at the end of a ZIP archive are searched for the names of its files."""


def recognise(data: wire.Buffer) -> Kind | None:
    r"""Return the kind of a file by its content; None if the kind is not known here.

    Example:
        >>> recognise(b"PK\x03\x04" + bytes(40)).found
        'a ZIP archive'
    """
    rules: tuple[Callable[[wire.Buffer], Kind | None], ...] = (
        _by_marks,
        _by_words,
        _by_fields,
        _by_damage,
    )
    return next((kind for rule in rules if (kind := rule(data)) is not None), None)


@contextmanager
def explaining(data: wire.Buffer, file: Path, form: Literal["binary", "text"]) -> Iterator[None]:
    """Replace an error about the bytes of a SavedModel if the file is of another kind.

    Args:
        data: The content of the file.
        file: The path of the file, for the commands in hints.
        form: The form in which the file is read, by its name.

    Raises:
        ModelUnreadableError: The file is of another kind; or the error of the block itself.
    """
    own = _SAVED_MODEL if form == "binary" else _SAVED_MODEL_TEXT
    # Its first field is a number (the schema's version) or a MetaGraph. A graph with functions
    # could pass for a MetaGraph without tags.
    if data[:1] not in {b"\x08", b"\x12"} and not has_text(data):
        kind = recognise(data)
        if kind is not None and kind is not own:
            raise kind.error(file)
    try:
        yield
    except ModelUnreadableError:
        kind = recognise(data)
        # A damaged SavedModel begins as a whole one does.
        kind = _by_damage(data) if kind is own else kind
        if kind is None:
            raise
        raise kind.error(file) from None


def has_text(data: wire.Buffer) -> bool:
    """Return whether bytes are text; the binary form has control bytes as tags."""
    sample = data[:_SAMPLE]
    return _NO_TEXT.search(sample) is None and _TEXT_START.match(sample) is not None


def _by_marks(data: wire.Buffer) -> Kind | None:
    """Recognise a file that is not protobuf by its first or last bytes."""
    for start, mark, kind in _MARKS:
        if data[start : start + len(mark)] == mark:
            if kind is _ZIP:
                return _zipped(data)
            return _gzipped(data) if kind is _GZIP else kind
    if data[4:8] == _TFLITE_MARK and data[:1] != b"\n":  # a graph begins with this byte
        return _TFLITE
    return _CHECKPOINT if data[-len(_TABLE) :] == _TABLE else None


def _zipped(data: wire.Buffer) -> Kind:
    names = data[:_SAMPLE] + data[-_TAIL:]
    if b"model.weights.h5" in names or (b"config.json" in names and b"metadata.json" in names):
        return _KERAS_ARCHIVE
    return _TORCH if b"data.pkl" in names else _ZIP


def _gzipped(data: wire.Buffer) -> Kind:
    start = b""
    with suppress(zlib.error):
        start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[:_SAMPLE], _SAMPLE)
    return _TAR_GZIP if start[257:262] == b"ustar" else _GZIP


def _by_words(data: wire.Buffer) -> Kind | None:
    """Recognise a text by its first word, or by its fields in protobuf's text form."""
    sample = data[:_SAMPLE]
    if _NO_TEXT.search(sample) is not None:
        return None
    start = sample.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, kind in _WORDS:
        if pattern.match(start):
            return kind
    if not has_text(data):
        return None
    from smpatch.savedmodel import text_fields  # noqa: PLC0415 - `show` of a binary file needs none

    names: set[str] = set()
    with suppress(ModelUnreadableError):
        names.update(field.name for field in islice(text_fields.fields(bytes(data)), _LOOKED_AT))
    for name, kind in _TEXT_FIELDS.items():
        if name in names:
            return kind
    return GRAPH_TEXT if names & _TEXT_GRAPH else None


def _by_fields(data: wire.Buffer) -> Kind | None:
    """Recognise a protobuf message by its first fields."""
    try:
        first = list(islice(wire.fields(data), _LOOKED_AT))
    except ModelUnreadableError:
        return None
    numbers = {field.number for field in first}
    if any(field.number == 1 and field.wire_type == wire.VARINT for field in first):
        return _ONNX_MODEL if numbers & _ONNX else _SAVED_MODEL
    # A newer writer may have fields that are unknown here.
    if all(_GRAPH_FIELDS.get(each.number, each.wire_type) == each.wire_type for each in first):
        nodes = [field for field in first if field.number == NODE]
        if nodes and all(_looks_like_node(data, node) for node in nodes):
            return GRAPH
    parts = [field for field in first if field.wire_type == wire.BYTES]
    if {1, 2} & {field.number for field in parts} and any(
        field.number in {2, 3} and _holds_graph(data, field) for field in parts
    ):
        return _META_GRAPH
    return None


def _looks_like_node(data: wire.Buffer, node: Field) -> bool:
    try:
        for field in wire.fields(data, node.value, node.end):
            if field.number == _NODE_OP:
                return field.wire_type == wire.BYTES and bool(_OP.fullmatch(field.bytes(data)))
    except ModelUnreadableError:
        return False
    return False


def _holds_graph(data: wire.Buffer, part: Field) -> bool:
    """Return whether a part of a ``MetaGraphDef`` is its graph."""
    try:
        inside = list(islice(wire.fields(data, part.value, part.end), _LOOKED_AT))
    except ModelUnreadableError:
        return False
    nodes = [field for field in inside if field.number == NODE]
    return bool(nodes) and _looks_like_node(data, nodes[0])


def _by_damage(data: wire.Buffer) -> Kind | None:
    """Recognise a file that a copy in text mode damaged."""
    whole = bytes(data[: 1 << 20])
    if _REPLACEMENT in whole:
        try:
            whole.decode("utf-8")
        except UnicodeDecodeError as error:
            # A character that the end of the sample cuts is not an error.
            return _LOST if error.start > len(whole) - 4 else None
        return _LOST
    feeds = whole.count(b"\n")
    # In weights, one byte in 256 is a line feed, and very few of these follow a CR.
    return _LINES if feeds >= 8 and feeds == whole.count(b"\r\n") else None  # noqa: PLR2004 - above chance
