"""The least cost of every reload: a bare child with TensorFlow's C libraries and the model.

It loads the two libraries, calls ``TF_LoadSessionFromSavedModel`` and ends.
It searches nothing and compares nothing: no tool that proves an edit with a
reload through the C runtime can take less time. It starts without ``site``
and gets the directory of the libraries as an argument, so its own Python costs as little as
possible. Functions are bound at the start, as ``ctypes`` does it, or, with ``lazy``, at their
first call.

    python -I -S floor.py LIBRARY_DIR SAVED_MODEL_DIR [lazy]

Sources: ``tensorflow/c/c_api.h``, dlopen(3).
"""

from __future__ import annotations

import ctypes
import os
import sys

# ConfigProto.allow_soft_placement: without it a model that pins a GPU fails.
_SOFT_PLACEMENT = b"\x38\x01"


def library(path: str, binding: str) -> ctypes.CDLL:
    """Load a library; ``ctypes`` itself always binds at once."""
    if binding != "lazy":
        return ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    handle = dlopen(path.encode(), os.RTLD_LAZY | os.RTLD_GLOBAL)
    return ctypes.CDLL(path, ctypes.RTLD_GLOBAL, handle=handle)


def main(library_dir: str, model_dir: str, binding: str = "now") -> None:
    """Load the model as TF Serving does."""
    library(f"{library_dir}/libtensorflow_framework.so.2", binding)
    tf = library(f"{library_dir}/libtensorflow_cc.so.2", binding)
    for new in (tf.TF_NewStatus, tf.TF_NewGraph, tf.TF_NewSessionOptions):
        new.restype = ctypes.c_void_p
    tf.TF_LoadSessionFromSavedModel.restype = ctypes.c_void_p
    tf.TF_Message.restype = ctypes.c_char_p

    status = ctypes.c_void_p(tf.TF_NewStatus())
    graph = ctypes.c_void_p(tf.TF_NewGraph())
    options = ctypes.c_void_p(tf.TF_NewSessionOptions())
    tf.TF_SetConfig(options, _SOFT_PLACEMENT, ctypes.c_size_t(len(_SOFT_PLACEMENT)), status)
    tags = (ctypes.c_char_p * 1)(b"serve")
    tf.TF_LoadSessionFromSavedModel(
        options, None, os.fsencode(model_dir), tags, 1, graph, None, status
    )
    if tf.TF_GetCode(status) != 0:
        sys.exit(tf.TF_Message(status).decode(errors="replace"))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # A normal exit runs TensorFlow's own clean-up, which proves nothing about the model.
    os._exit(0)
