"""TensorFlow's Python loader in a child process: it reads the object graph.

Standard library and TensorFlow only: ``child_main.py`` loads this file in a child process, with the
parent's import path. ``describe`` and ``infer`` return the same facts as in ``capi_child``, for
machines without the C libraries. ``load`` is ``tf.saved_model.load``, and ``call`` calls a
signature of the loaded model.

Source: ``tensorflow/python/saved_model/load.py`` and ``loader_impl.py``.
"""

from __future__ import annotations

import binascii
import contextlib
import importlib
import os
import sys
from typing import Any

from .refusals import Unfit

# Longer messages repeat the graph.
MESSAGE_CHARACTERS = 20_000
UNKNOWN = 2
# The bit that is set in each byte of a number but the last; each byte has seven bits of the number.
CONTINUES = 0x80


def start(request: dict[str, Any]) -> PythonLoader:
    """Import TensorFlow, with the import path in the first request.

    Raises:
        Unfit: TensorFlow cannot be imported.
    """
    sys.path[:] = request["path"]
    try:
        tf = importlib.import_module("tensorflow")
    except Exception as error:  # a broken installation may raise any exception
        raise Unfit(f"{type(error).__name__}: {error}") from error
    return PythonLoader(tf)


class PythonLoader:
    """The Python API of TensorFlow."""

    def __init__(self, tf: Any) -> None:  # noqa: ANN401 - a module without stubs
        """Store the module."""
        self._tf = tf
        self._model: Any = None
        self._place = ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request; see the methods ``_do_...``."""
        act = getattr(self, f"_do_{request['do']}")
        try:
            reply: dict[str, Any] = act(request)
        except Exception as error:  # noqa: BLE001 - TensorFlow's loaders raise many exceptions
            return {
                "ok": False,
                "code": getattr(error, "error_code", UNKNOWN),
                "kind": type(error).__name__,
                "message": str(error)[:MESSAGE_CHARACTERS],
            }
        return {"ok": True, **reply}

    def tidy(self) -> None:
        """Forget the graphs of the last request."""
        with contextlib.suppress(AssertionError):  # a user's file keeps a session open
            self._tf.compat.v1.reset_default_graph()

    def _do_load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a model and report its signatures' inputs and outputs."""
        self._model = None
        saved_model, options = self._tf.saved_model, {}
        if not request.get("variables", True):
            skipping = saved_model.LoadOptions(experimental_skip_checkpoint=True)
            options["options"] = skipping
        model = saved_model.load(request["dir"], tags=request["tags"], **options)
        if request.get("keep"):
            # Which operations are fused or folded depends on the other results of a function.
            self._tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
            self._model, self._place = model, request["dir"]
        return {
            "signatures": {
                key: self._structure(function) for key, function in model.signatures.items()
            }
        }

    def _do_call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a signature of the kept model, and return its dense results."""
        from .python_calls import array, tensor  # noqa: PLC0415 - seldom needed

        fed = {name: tensor(self._tf, each) for name, each in request["inputs"].items()}
        answer = self._model.signatures[request["key"]](**fed)
        dense = {n: each for n, each in answer.items() if isinstance(each, self._tf.Tensor)}
        return {"arrays": {name: array(value) for name, value in dense.items()}}

    def _do_call_function(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a traced function of the kept model."""
        from .python_calls import array, call, find, tensor  # noqa: PLC0415 - seldom needed

        fed = {name: tensor(self._tf, each) for name, each in request["inputs"].items()}
        function = find(self._model, self._place, request["function"])
        answer = call(self._tf, function, fed)
        return {"arrays": {name: array(value) for name, value in answer.items()}}

    def _do_trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Trace a function, and return it with the functions that it calls."""
        from .trace_request import trace  # noqa: PLC0415 - seldom needed

        return trace(self._tf, request)

    def _do_describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a model into a session, as TF1 did, and report the named tensors."""
        v1 = self._tf.compat.v1
        # Without soft placement, models with operations pinned to a GPU do not load.
        config = v1.ConfigProto(allow_soft_placement=True)
        with v1.Graph().as_default() as graph, v1.Session(config=config) as session:
            meta_graph = v1.saved_model.load(session, request["tags"], request["dir"])
        return {
            "tensors": {name: self._fact(graph, name) for name in request["tensors"]},
            "signatures": [
                binascii.b2a_base64(entry(key, signature), newline=False).decode("ascii")
                for key, signature in meta_graph.signature_def.items()
            ],
        }

    def _do_infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a graph without a session, and report the named tensors."""
        v1 = self._tf.compat.v1
        message = v1.GraphDef.FromString(binascii.a2b_base64(request["graph"]))
        with v1.Graph().as_default() as graph:
            v1.import_graph_def(message, name="")
        return {"tensors": {name: self._fact(graph, name) for name in request["tensors"]}}

    def _do_stand_in(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change the working directory."""
        os.chdir(request["dir"].encode("utf-8", "surrogateescape"))
        return {}

    def _do_library(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a library of custom operations into the process."""
        self._tf.load_op_library(request["file"])
        return {}

    def _do_version(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return TensorFlow's version."""
        return {"version": self._tf.version.VERSION}

    def _structure(self, function: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
        """Return the inputs and outputs of a signature by name."""
        _, inputs = function.structured_input_signature
        outputs = function.structured_outputs
        # The initializer of the V1 loader has no named outputs.
        outputs = outputs if isinstance(outputs, dict) else {}
        return {
            "inputs": {name: self._spec(value) for name, value in inputs.items()},
            "outputs": {name: self._spec(value) for name, value in outputs.items()},
        }

    def _spec(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no stubs
        """Return the dtype and the shape of a tensor or its spec; the text of any other spec."""
        if isinstance(value, (self._tf.Tensor, self._tf.TensorSpec)):
            return {"dtype": value.dtype.as_datatype_enum, "shape": sizes(value.shape)}
        if isinstance(value, self._tf.__internal__.CompositeTensor):
            # The text of the value itself would have names of the traced graph.
            value = self._tf.type_spec_from_value(value)
        return {"composite": repr(value)}

    def _fact(self, graph: Any, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - TensorFlow has no stubs
        """Return the facts of a tensor ``op:index`` or an operation ``op``."""
        try:
            found = graph.as_graph_element(name)
        except (KeyError, ValueError, TypeError):
            # A name that is not UTF-8 raises a TypeError.
            return None
        if isinstance(found, self._tf.Operation):
            return {"operation": True}
        return {"dtype": found.dtype.as_datatype_enum, "shape": sizes(found.shape)}


def sizes(shape: Any) -> list[int] | None:  # noqa: ANN401 - TensorFlow has no stubs
    """Return the dimensions of a shape, -1 where unknown; None for an unknown rank."""
    if shape.rank is None:
        return None
    return [-1 if size is None else size for size in shape.as_list()]


def entry(key: str, signature: Any) -> bytes:  # noqa: ANN401 - TensorFlow has no stubs
    """Return a serialized map entry, with the key in field 1 and the value in field 2."""
    return b"".join(
        tag + varint(len(part)) + part
        for tag, part in (
            (b"\x0a", key.encode()),
            (b"\x12", signature.SerializeToString(deterministic=True)),
        )
    )


def varint(number: int) -> bytes:
    """Return a number in protobuf's variable-length encoding."""
    head = bytearray()
    while number >= CONTINUES:
        head.append(number % CONTINUES | CONTINUES)
        number //= CONTINUES
    return bytes((*head, number))
