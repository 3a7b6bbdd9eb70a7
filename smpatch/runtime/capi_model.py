"""Graphs of TensorFlow's C API, and SavedModels in its sessions, with runs of them.

Standard library only: this file runs in the child process. It reports the facts that TensorFlow has
for a name, and decides nothing.

Sources: ``tensorflow/c/c_api.h``, ``tf_tstring.h`` and ``tf_datatype.h`` in the
wheel's ``include`` directory; ``meta_graph.proto`` for field 5;
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import binascii
import ctypes
import math
from typing import TYPE_CHECKING, Any

from .capi import POINTER, Output, Status, contents
from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

# ConfigProto{allow_soft_placement: true}: without it, models with operations
# pinned to a GPU do not load on a machine that has none.
SESSION_CONFIG = b"\x38\x01"
# graph_options{optimizer_options{opt_level: L0 do_function_inlining: true}
# rewrite_options{disable_meta_optimizer: true}}. Which operations are fused or folded depends on
# the other fetches, and this changes the last bits of a result. A call of a function that is not
# inlined has a configuration of its own.
PLAIN_CONFIG = SESSION_CONFIG + bytes.fromhex("52141a0d18ffffffffffffffffff0120015203980101")
SIGNATURE_DEF = 5
STRING = 7
# Handles (resource, variant) have no meaning outside the process.
HANDLES = (20, 21)
# sizeof(TF_TString), fixed by its header.
STRING_BYTES = 24
WIRE_VARINT, WIRE_64_BITS, WIRE_LENGTH, WIRE_GROUP, WIRE_END_GROUP, WIRE_32_BITS = range(6)
CONTINUES = 0x80
INVALID_ARGUMENT, NOT_FOUND, INTERNAL = 3, 5, 13


class Graph:
    """A ``TF_Graph``.

    It gets its nodes from a session that is loaded into it, or, without a session, from a
    ``GraphDef``. In both cases TensorFlow infers the shapes of all tensors.
    """

    def __init__(self, tf: ctypes.CDLL) -> None:
        """Make an empty graph."""
        self._tf = tf
        self.pointer: int = tf.TF_NewGraph()

    def delete(self) -> None:
        """Free the graph; the object cannot be used afterwards."""
        self._tf.TF_DeleteGraph(self.pointer)

    def add(self, graph_def: bytes) -> None:
        """Add the nodes and functions of a serialized ``GraphDef``.

        Raises:
            Refused: TensorFlow does not have an operation, or the graph is invalid.
        """
        tf = self._tf
        options = tf.TF_NewImportGraphDefOptions()
        buffer = tf.TF_NewBufferFromString(graph_def, len(graph_def))
        try:
            with Status(tf) as status:
                tf.TF_GraphImportGraphDef(self.pointer, buffer, options, status.pointer)
                status.check()
        finally:
            tf.TF_DeleteBuffer(buffer)
            tf.TF_DeleteImportGraphDefOptions(options)

    def fact(self, name: str) -> dict[str, Any] | None:
        """Return the facts of a tensor ``op:index`` or an operation ``op``.

        Returns:
            ``dtype`` and ``shape`` (-1 for an unknown dimension, None for an
            unknown rank); ``operation`` for a name without index; None if the
            graph has no such tensor or operation.
        """
        operation, index = self.find(name)
        if operation is None:
            return None
        if index is None:
            return {"operation": True}
        if index >= self._tf.TF_OperationNumOutputs(operation):
            return None
        output = Output(operation, index)
        with Status(self._tf) as status:
            rank = self._tf.TF_GraphGetTensorNumDims(self.pointer, output, status.pointer)
            status.check()
            sizes = (ctypes.c_int64 * max(rank, 0))()
            if rank > 0:
                self._tf.TF_GraphGetTensorShape(self.pointer, output, sizes, rank, status.pointer)
                status.check()
        return {
            "dtype": self._tf.TF_OperationOutputType(output),
            "shape": None if rank < 0 else list(sizes),
        }

    def find(self, name: str) -> tuple[int | None, int | None]:
        """Return the operation of a name and the index in the name; None if there is none."""
        operation, colon, digits = name.rpartition(":")
        if not colon or not (digits.isascii() and digits.isdigit()):
            operation, digits = name, ""
        if "\0" in operation:
            # C would read another, shorter name.
            return None, None
        found = self._tf.TF_GraphOperationByName(
            self.pointer, operation.encode("utf-8", "surrogateescape")
        )
        # A number of ten digits may not fit into TensorFlow's int, which would overflow; Python
        # reads no thousands of digits.
        return found, min(int(digits.lstrip("0")[:11] or 0), 2**31 - 1) if digits else None


class Model:
    """One session with its graph, loaded from a SavedModel."""

    def __init__(
        self, tf: ctypes.CDLL, directory: bytes, tags: list[bytes], *, plain: bool = False
    ) -> None:
        """Load the model.

        Args:
            tf: The C API.
            directory: The absolute path of the SavedModel.
            tags: The exact tag-set of the MetaGraph.
            plain: Whether the graph runs without optimizers.

        Raises:
            Refused: TensorFlow does not load the model.
        """
        self._tf = tf
        self.graph = Graph(tf)
        self._meta_graph = tf.TF_NewBuffer()
        self._session: int | None = None
        options = tf.TF_NewSessionOptions()
        config = PLAIN_CONFIG if plain else SESSION_CONFIG
        try:
            with Status(tf) as status:
                tf.TF_SetConfig(options, config, len(config), status.pointer)
                status.check()
                self._session = tf.TF_LoadSessionFromSavedModel(
                    options,
                    None,
                    directory,
                    (ctypes.c_char_p * len(tags))(*tags),
                    len(tags),
                    self.graph.pointer,
                    self._meta_graph,
                    status.pointer,
                )
                status.check()
        except Refused:
            self.delete()
            raise
        finally:
            tf.TF_DeleteSessionOptions(options)

    def delete(self) -> None:
        """Free the session, the graph and the buffer; the object cannot be used afterwards."""
        if self._session is not None:
            # An error of the close is ignored: the session is deleted.
            with Status(self._tf) as status:
                self._tf.TF_CloseSession(self._session, status.pointer)
                self._tf.TF_DeleteSession(self._session, status.pointer)
        self.graph.delete()
        self._tf.TF_DeleteBuffer(self._meta_graph)

    def signature_entries(self) -> Iterator[memoryview]:
        """Yield the entries of the ``signature_def`` map in the bytes that TensorFlow returned."""
        return entries(contents(self._meta_graph), SIGNATURE_DEF)

    def run(
        self, feeds: dict[str, dict[str, Any]], fetches: list[str], targets: list[str]
    ) -> dict[str, dict[str, Any]]:
        """Run the session once.

        Args:
            feeds: Tensor name to array, in the form that ``encode`` returns.
            fetches: Tensor names.
            targets: Operation names.

        Returns:
            Tensor name to array.

        Raises:
            Refused: A name is not in the graph, an array does not fit its
                shape, or TensorFlow refuses.
        """
        fed = [self._output(name) for name in feeds]
        fetched = [self._output(name) for name in fetches]
        operations = [self._operation(name) for name in targets]
        inputs = (POINTER * len(fed))()
        outputs = (POINTER * len(fetched))()
        try:
            for place, array in enumerate(feeds.values()):
                inputs[place] = decode(self._tf, array)
            with Status(self._tf) as status:
                self._tf.TF_SessionRun(
                    *(self._session, None),
                    *((Output * len(fed))(*fed), inputs, len(fed)),
                    *((Output * len(fetched))(*fetched), outputs, len(fetched)),
                    *((POINTER * len(operations))(*operations), len(operations)),
                    *(None, status.pointer),
                )
                status.check()
            return {
                name: encode(self._tf, tensor)
                for name, tensor in zip(fetches, outputs, strict=True)
            }
        finally:
            for tensor in (*inputs, *outputs):
                if tensor:
                    self._tf.TF_DeleteTensor(tensor)

    def _output(self, name: str) -> Output:
        """Return the tensor of a name, for a feed or a fetch of a session."""
        operation, index = self.graph.find(name)
        if operation is None or index is None:
            raise Refused(NOT_FOUND, f"no tensor {name} in the graph")
        if index >= self._tf.TF_OperationNumOutputs(operation):
            raise Refused(NOT_FOUND, f"no tensor {name} in the graph")
        return Output(operation, index)

    def _operation(self, name: str) -> int:
        """Return the operation of a name, for a run of a session."""
        operation, index = self.graph.find(name)
        if operation is None or index is not None:
            raise Refused(NOT_FOUND, f"no operation {name} in the graph")
        return operation


def decode(tf: ctypes.CDLL, array: dict[str, Any]) -> int:
    """Make a ``TF_Tensor`` from an array of the pipe.

    Args:
        tf: The C API.
        array: ``dtype``, ``shape``, and ``data`` (little endian, in base64) or,
            for strings, ``strings`` (each in base64).

    Returns:
        The tensor, which the caller deletes.

    Raises:
        Refused: The size of the data does not fit the shape.
    """
    dtype: int = array["dtype"]
    shape: list[int] = array["shape"]
    count = math.prod(shape)
    size = STRING_BYTES if dtype == STRING else tf.TF_DataTypeSize(dtype)
    if dtype == STRING:
        strings = [binascii.a2b_base64(text) for text in array["strings"]]
        given = len(strings) * STRING_BYTES
    else:
        data = binascii.a2b_base64(array["data"])
        given = len(data)
    # Without this check, TensorFlow would read past the end.
    if size == 0 or min(shape, default=0) < 0 or given != count * size:
        raise Refused(INVALID_ARGUMENT, f"{given} bytes do not make dtype {dtype}, shape {shape}")
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    tensor: int = tf.TF_AllocateTensor(dtype, sizes, len(shape), given)
    address: int = tf.TF_TensorData(tensor)
    if dtype != STRING:
        ctypes.memmove(address, data, given)
        return tensor
    # The memory of the strings is never freed: a run may have put this buffer into a
    # variable, and this process runs for seconds.
    for place, string in enumerate(strings):
        tf.TF_StringInit(address + place * STRING_BYTES)
        tf.TF_StringCopy(address + place * STRING_BYTES, string, len(string))
    return tensor


def encode(tf: ctypes.CDLL, tensor: int) -> dict[str, Any]:
    """Make an array for the pipe from a ``TF_Tensor``; the reverse of ``decode``.

    Raises:
        Refused: The tensor has handles as its elements.
    """
    dtype: int = tf.TF_TensorType(tensor)
    if dtype in HANDLES:
        raise Refused(INVALID_ARGUMENT, "a handle to a resource or a variant has no value to show")
    shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
    address: int = tf.TF_TensorData(tensor)
    if dtype != STRING:
        data = ctypes.string_at(address, tf.TF_TensorByteSize(tensor)) if address else b""
        return {"dtype": dtype, "shape": shape, "data": base64(data)}
    places = range(address or 0, (address or 0) + math.prod(shape) * STRING_BYTES, STRING_BYTES)
    strings = [
        ctypes.string_at(tf.TF_StringGetDataPointer(place), tf.TF_StringGetSize(place))
        for place in places
    ]
    return {"dtype": dtype, "shape": shape, "strings": [base64(string) for string in strings]}


def entries(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the values of one length-delimited field, and skip all other fields.

    Args:
        message: A serialized message that TensorFlow itself has written.
        wanted: The number of the field.
    """
    position = depth = 0
    while position < len(message):
        key, position = varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == WIRE_LENGTH:
            length, position = varint(message, position)
            if number == wanted and depth == 0:
                yield message[position : position + length]
            position += length
        elif wire_type == WIRE_VARINT:
            _, position = varint(message, position)
        elif wire_type in (WIRE_32_BITS, WIRE_64_BITS):
            position += 4 if wire_type == WIRE_32_BITS else 8
        elif wire_type in (WIRE_GROUP, WIRE_END_GROUP):
            # An unknown field of a newer or a much older writer; TensorFlow keeps such fields.
            depth += 1 if wire_type == WIRE_GROUP else -1
        else:
            raise Refused(INTERNAL, f"wire type {wire_type} in a message that TensorFlow wrote")


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number that starts at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & ~CONTINUES) << shift
        if byte < CONTINUES:
            return value, position
        shift += 7


def base64(data: bytes | memoryview) -> str:
    """Return bytes in base64, as text for JSON."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
