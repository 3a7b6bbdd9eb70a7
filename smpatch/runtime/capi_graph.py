"""One graph of TensorFlow's C API: the facts of a name.

Standard library only: this file runs in the child process. A graph gets its nodes from a
session that is loaded into it, or from a ``GraphDef``, which needs no session; either way
TensorFlow infers the shapes of all tensors on the way.

Source: ``tensorflow/c/c_api.h`` in the wheel's ``include`` directory.
"""

from __future__ import annotations

import ctypes
from typing import Any

from .capi import Output, Status


class Graph:
    """A ``TF_Graph``."""

    def __init__(self, tf: ctypes.CDLL) -> None:
        """Make an empty one."""
        self._tf = tf
        self.pointer: int = tf.TF_NewGraph()

    def delete(self) -> None:
        """Free it; the object is of no use afterwards."""
        self._tf.TF_DeleteGraph(self.pointer)

    def add(self, graph_def: bytes) -> None:
        """Add the nodes and functions of a serialized ``GraphDef``.

        Raises:
            Refused: TensorFlow does not register an operation, or takes the graph for wrong.
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
            unknown rank); ``operation`` for a name without index; None when the
            graph has no such thing.
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
        """Return the operation of a name, None if there is none, and the index in the name."""
        operation, colon, digits = name.rpartition(":")
        if not colon or not (digits.isascii() and digits.isdigit()):
            operation, digits = name, ""
        if "\0" in operation:
            # C would see another, shorter name.
            return None, None
        found = self._tf.TF_GraphOperationByName(
            self.pointer, operation.encode("utf-8", "surrogateescape")
        )
        # Ten digits do not fit TensorFlow's int, which would wrap around.
        return found, min(int(digits), 2**31 - 1) if digits else None
