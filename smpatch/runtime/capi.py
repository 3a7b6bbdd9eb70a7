"""The functions of TensorFlow's C API that ``capi_child`` uses, declared for ctypes.

Standard library only: this file runs in the child process. It declares functions and wraps some of
them; it reads no requests.

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
# The name of a function: its result and arguments, as in the header; pointers to opaque structures
# are void pointers.
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

    The arguments are the paths of ``libtensorflow_framework`` and ``libtensorflow_cc``.

    Raises:
        OSError: A library cannot be loaded.
        AttributeError: ``libtensorflow_cc`` does not have a function.
    """
    # RTLD_GLOBAL, because libraries of operations need the symbols of this library.
    _open(framework)
    tf = _open(cc)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(tf, name)
        function.restype = result
        function.argtypes = arguments
    return tf


def _open(path: str) -> ctypes.CDLL:
    """Load a library whose functions are bound at their first call.

    ``ctypes.CDLL`` always adds RTLD_NOW, which looks up about 200,000 functions, though few are
    called; this takes a quarter of the time of the whole load.
    """
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    handle = dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_GLOBAL)
    # If the handle is null, ctypes loads the library again and raises the error.
    return ctypes.CDLL(path, ctypes.RTLD_GLOBAL, handle=handle)


class Status:
    """A ``TF_Status``, which exists until the end of a ``with`` block."""

    def __init__(self, tf: ctypes.CDLL) -> None:
        """Make a status that is OK."""
        self._tf = tf
        self.pointer: int = tf.TF_NewStatus()

    def __enter__(self) -> Status:
        """Return this status."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the status."""
        self._tf.TF_DeleteStatus(self.pointer)

    def check(self) -> None:
        """Raise the error of the last call, if it failed.

        Raises:
            Refused: The status is not OK.
        """
        code: int = self._tf.TF_GetCode(self.pointer)
        if code:
            raise Refused(code, self._tf.TF_Message(self.pointer).decode("utf-8", "replace"))


def contents(buffer: Any) -> memoryview:  # noqa: ANN401 - a ctypes pointer
    """Return a view of the bytes of a buffer, which is valid until the buffer is deleted."""
    length: int = buffer.contents.length
    if length == 0:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * length).from_address(buffer.contents.data)).cast("B")
