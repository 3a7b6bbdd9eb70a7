"""TensorFlow's C API in a child process: the loader of TF Serving, Go, Java and Rust.

Standard library only: ``child_main.py`` loads this file in a child process. The two libraries are
loaded at the start, while the parent continues its work.

The answers are the results and messages of TensorFlow alone. A malformed model may abort the
process; the parent then reports the signal as the answer.

Source: ``tensorflow/python/saved_model/pywrap_saved_model_fingerprinting.cc``
for the extension module; ``capi`` and ``capi_model`` name their own sources.
"""

from __future__ import annotations

import binascii
import importlib.machinery
import importlib.util
import os
from typing import Any

from . import capi
from .capi_model import Graph, Model, base64
from .refusals import Refused, Unfit

NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL = 5, 9, 12, 13


def start(request: dict[str, Any]) -> CApi:
    """Load the libraries that the first request names.

    Raises:
        Unfit: They cannot be loaded, or do not have the functions of the C API.
    """
    try:
        return CApi(request["framework"], request["cc"], request["extension"])
    except (OSError, AttributeError) as error:
        raise Unfit(str(error)) from error


class CApi:
    """The C API with its functions declared, and the kept session, if there is one."""

    def __init__(self, framework: str, cc: str, extension: str | None) -> None:
        """Load both libraries.

        Args:
            framework: The path of ``libtensorflow_framework``.
            cc: The path of ``libtensorflow_cc``.
            extension: The path of the extension module ``pywrap_saved_model``; None if there is
                none.
        """
        self._tf = capi.load(framework, cc)
        self._extension_path = extension
        self._extension: Any = None
        self._model: Model | None = None
        self._done: list[Model] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request; see the methods ``_do_...``."""
        try:
            reply: dict[str, Any] = getattr(self, f"_do_{request['do']}")(request)
        except Refused as no:
            return {"ok": False, "code": no.code, "message": no.message}
        return {"ok": True, **reply}

    def tidy(self) -> None:
        """Delete the sessions that are no longer needed after the last request."""
        while self._done:
            self._done.pop().delete()

    def _do_describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a model and report the facts of the named tensors."""
        self._do_unload(request)
        tags = [tag.encode() for tag in request["tags"]]
        plain = request.get("plain", False)
        model = Model(self._tf, path_bytes(request["dir"]), tags, plain=plain)
        if request.get("keep"):
            self._model = model
        else:
            self._done.append(model)
        return {
            "tensors": {name: model.graph.fact(name) for name in request["tensors"]},
            "signatures": [base64(entry) for entry in model.signature_entries()],
        }

    def _do_infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a graph without a session, and report the named tensors."""
        graph = Graph(self._tf)
        try:
            graph.add(binascii.a2b_base64(request["graph"]))
            return {"tensors": {name: graph.fact(name) for name in request["tensors"]}}
        finally:
            graph.delete()

    def _do_run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run the kept session once."""
        if self._model is None:
            raise Refused(FAILED_PRECONDITION, "no model was kept to run")
        return {"arrays": self._model.run(request["feeds"], request["fetches"], request["targets"])}

    def _do_unload(self, _: dict[str, Any]) -> dict[str, Any]:
        """Release the kept session, which ``tidy`` deletes."""
        if self._model is not None:
            self._done.append(self._model)
            self._model = None
        return {}

    def _do_stand_in(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change the working directory."""
        os.chdir(path_bytes(request["dir"]))
        return {}

    def _do_library(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a library of custom operations into the process."""
        with capi.Status(self._tf) as status:
            # The handle of the library is never deleted, so that its operations stay registered.
            self._tf.TF_LoadLibrary(path_bytes(request["file"]), status.pointer)
            status.check()
        return {}

    def _do_op_list(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return every registered operation as an ``OpList``."""
        buffer = self._tf.TF_GetAllOpList()
        try:
            return {"data": base64(capi.contents(buffer))}
        finally:
            self._tf.TF_DeleteBuffer(buffer)

    def _do_version(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return TensorFlow's version."""
        return {"version": self._tf.TF_Version().decode()}

    def _do_fingerprint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the ``FingerprintDef`` that TensorFlow computes for a directory."""
        directory: str = request["dir"]
        file = path_bytes(directory) + b"/saved_model.pb"
        if not os.path.isfile(file):
            # For a model in text form TensorFlow returns an empty fingerprint, without an error.
            raise Refused(NOT_FOUND, "no saved_model.pb to take a fingerprint of")
        if self._extension is None:
            self._extension = self._load_extension()
        try:
            data: bytes = self._extension.fingerprinting.CreateFingerprintDef(directory)
        except Exception as error:
            # The exception classes of the module are made in C++ and have no common base.
            raise Refused(INTERNAL, str(error)) from error
        return {"data": base64(data)}

    def _load_extension(self) -> Any:  # noqa: ANN401 - a module without stubs
        """Load the extension module by its path, without ``import tensorflow``."""
        if self._extension_path is None:
            raise Refused(UNIMPLEMENTED, "this TensorFlow cannot compute fingerprints")
        loader = importlib.machinery.ExtensionFileLoader("pywrap_saved_model", self._extension_path)
        spec = importlib.util.spec_from_loader(loader.name, loader)
        if spec is None:
            raise Refused(UNIMPLEMENTED, "this TensorFlow cannot compute fingerprints")
        try:
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
        except ImportError as error:
            raise Refused(UNIMPLEMENTED, str(error)) from error
        return module


def path_bytes(path: str) -> bytes:
    """Return the bytes of a path; the parent has made its text by ``path_text``."""
    return path.encode("utf-8", "surrogateescape")
