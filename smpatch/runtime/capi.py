"""The functions of TensorFlow's C API that this module uses, declared for ctypes.

Standard library only: this file runs in the child process. It declares and
wraps, and reads no requests.

Sources: ``tensorflow/c/c_api.h``, ``tf_buffer.h``, ``tf_tensor.h`` and
``tf_tstring.h`` in the wheel's ``include`` directory.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from .refusals import Refused


class Buffer(ctypes.Structure):
    """``TF_Buffer``."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class Output(ctypes.Structure):
    """``TF_Output``: one output of one operation."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


POINTER = ctypes.c_void_p
INTEGER = ctypes.c_int
SIZE = ctypes.c_size_t
DIMENSIONS = ctypes.POINTER(ctypes.c_int64)
# Name: result and arguments, as in the header; pointers to opaque things are void.
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "TF_Version": (ctypes.c_char_p, ()),
    "TF_NewStatus": (POINTER, ()),
    "TF_DeleteStatus": (None, (POINTER,)),
    "TF_GetCode": (INTEGER, (POINTER,)),
    "TF_Message": (ctypes.c_char_p, (POINTER,)),
    "TF_NewBuffer": (ctypes.POINTER(Buffer), ()),
    "TF_DeleteBuffer": (None, (ctypes.POINTER(Buffer),)),
    "TF_GetAllOpList": (ctypes.POINTER(Buffer), ()),
    "TF_NewBufferFromString": (ctypes.POINTER(Buffer), (ctypes.c_char_p, SIZE)),
    "TF_LoadLibrary": (POINTER, (ctypes.c_char_p, POINTER)),
    "TF_NewGraph": (POINTER, ()),
    "TF_DeleteGraph": (None, (POINTER,)),
    "TF_NewImportGraphDefOptions": (POINTER, ()),
    "TF_DeleteImportGraphDefOptions": (None, (POINTER,)),
    "TF_GraphImportGraphDef": (None, (POINTER, ctypes.POINTER(Buffer), POINTER, POINTER)),
    "TF_NewSessionOptions": (POINTER, ()),
    "TF_DeleteSessionOptions": (None, (POINTER,)),
    "TF_SetConfig": (None, (POINTER, ctypes.c_char_p, SIZE, POINTER)),
    "TF_LoadSessionFromSavedModel": (
        POINTER,
        (
            *(POINTER, POINTER, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), INTEGER),
            *(POINTER, ctypes.POINTER(Buffer), POINTER),
        ),
    ),
    "TF_CloseSession": (None, (POINTER, POINTER)),
    "TF_DeleteSession": (None, (POINTER, POINTER)),
    "TF_GraphOperationByName": (POINTER, (POINTER, ctypes.c_char_p)),
    "TF_OperationNumOutputs": (INTEGER, (POINTER,)),
    "TF_OperationOutputType": (INTEGER, (Output,)),
    "TF_GraphGetTensorNumDims": (INTEGER, (POINTER, Output, POINTER)),
    "TF_GraphGetTensorShape": (None, (POINTER, Output, DIMENSIONS, INTEGER, POINTER)),
    "TF_DataTypeSize": (SIZE, (INTEGER,)),
    "TF_AllocateTensor": (POINTER, (INTEGER, DIMENSIONS, INTEGER, SIZE)),
    "TF_DeleteTensor": (None, (POINTER,)),
    "TF_TensorType": (INTEGER, (POINTER,)),
    "TF_NumDims": (INTEGER, (POINTER,)),
    "TF_Dim": (ctypes.c_int64, (POINTER, INTEGER)),
    "TF_TensorByteSize": (SIZE, (POINTER,)),
    "TF_TensorData": (POINTER, (POINTER,)),
    "TF_StringInit": (None, (POINTER,)),
    "TF_StringCopy": (None, (POINTER, ctypes.c_char_p, SIZE)),
    "TF_StringGetDataPointer": (POINTER, (POINTER,)),
    "TF_StringGetSize": (SIZE, (POINTER,)),
    "TF_SessionRun": (
        None,
        (
            *(POINTER, POINTER),
            *(ctypes.POINTER(Output), ctypes.POINTER(POINTER), INTEGER),
            *(ctypes.POINTER(Output), ctypes.POINTER(POINTER), INTEGER),
            *(ctypes.POINTER(POINTER), INTEGER, POINTER, POINTER),
        ),
    ),
}


def load(framework: str, cc: str) -> ctypes.CDLL:
    """Load both libraries and declare every function.

    Args:
        framework: Path of ``libtensorflow_framework``.
        cc: Path of ``libtensorflow_cc``.

    Raises:
        OSError: A library cannot be loaded.
        AttributeError: It lacks a function.
    """
    # Global, because operation libraries look their symbols up there.
    _open(framework)
    tf = _open(cc)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(tf, name)
        function.restype = result
        function.argtypes = arguments
    return tf


def _open(path: str) -> ctypes.CDLL:
    """Load a library with its function calls bound lazily.

    ``ctypes.CDLL`` always adds RTLD_NOW, which looks up some 200,000 functions of which
    next to none is called: a quarter of the whole load.
    """
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    handle = dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_GLOBAL)
    # Without a handle ctypes tries by itself, and raises what is wrong.
    return ctypes.CDLL(path, ctypes.RTLD_GLOBAL, handle=handle)


class Status:
    """A ``TF_Status`` for the length of a ``with`` block."""

    def __init__(self, tf: ctypes.CDLL) -> None:
        """Make one that is OK."""
        self._tf = tf
        self.pointer: int = tf.TF_NewStatus()

    def __enter__(self) -> Status:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete it."""
        self._tf.TF_DeleteStatus(self.pointer)

    def check(self) -> None:
        """Raise what the last call has put in.

        Raises:
            Refused: It is not OK.
        """
        code: int = self._tf.TF_GetCode(self.pointer)
        if code:
            raise Refused(code, self._tf.TF_Message(self.pointer).decode("utf-8", "replace"))


def contents(buffer: Any) -> memoryview:  # noqa: ANN401 - a ctypes pointer
    """Return the bytes of a buffer in place; they live as long as the buffer."""
    length: int = buffer.contents.length
    if length == 0:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * length).from_address(buffer.contents.data)).cast("B")
