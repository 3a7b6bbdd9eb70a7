"""Functions traced by TensorFlow in a child process: those of a user's file, and recipes.

Standard library and TensorFlow only; ``child_main.py`` loads this file in a child process. A
user's file runs here with the user's rights. What it prints is kept apart from the replies, and
whatever it raises is an answer that names the line.

This module does not look at captures; that is the business of ``trace_closing``.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

from .python_child import PythonLoader, sizes
from .python_child import start as start_loader
from .refusals import Unfit as Unfit  # noqa: PLC0414 - child_main.py asks for it here
from .trace_closing import Closed, closed
from .trace_files import Function, blame, loaded, parameters
from .trace_recipes import recipe
from .trace_words import UntraceableError

_MOST_PRINTED = 20


def start(request: dict[str, Any]) -> Tracer:
    """Import TensorFlow from the path that the first request gives.

    Raises:
        Unfit: It cannot be imported.
    """
    return Tracer(start_loader(request).tensorflow)


class Tracer(PythonLoader):
    """The Python API of TensorFlow, with an answer more."""

    def _do_trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Trace a function, and return it with the functions that it calls."""
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                traced = self._traced(request)
        except UntraceableError as error:
            reply = {"refused": {"where": error.where, "found": error.found, "hint": error.hint}}
        else:
            reply = traced
        lines = [line for line in printed.getvalue().splitlines() if line.strip()]
        more = len(lines) - _MOST_PRINTED
        if more > 0:
            lines = [*lines[:_MOST_PRINTED], f"and {more:,} lines more"]
        return {**reply, "printed": lines}

    def _traced(self, request: dict[str, Any]) -> dict[str, Any]:
        tf = self._tf
        given = {name: _spec(tf, name, each) for name, each in request["specs"].items()}
        if request["recipe"] is not None:
            made = recipe(tf, request["recipe"], given, request["place"])
            function: Function | Callable[..., Any] = made.function
            yields, samples = made.parameters, made.samples
            name = request["recipe"]["name"]
        else:
            os.chdir(os.path.dirname(request["file"]))
            found = loaded(tf, request["file"], request["name"])
            function, yields = found, parameters(tf, found, given, request["place"])
            samples, name = {}, found.name
        concrete, outputs = _concrete(tf, function, yields, name)
        result = closed(tf, concrete, len(yields), request["most_bytes"])
        if not samples:
            samples = _images(tf, yields, result)
        return {
            "inputs": [_fact(name, spec) for name, spec in yields.items()],
            "outputs": [_fact(name, value) for name, value in outputs.items()],
            "named": bool(outputs) and None not in outputs,
            "functions": [_base64(each) for each in result.functions],
            "ops": result.ops,
            "frozen_bytes": result.frozen_bytes,
            "samples": {name: list(map(_base64, each)) for name, each in samples.items()},
        }


def _concrete(
    tf: Any,
    function: Function | Callable[..., Any],
    specs: dict[str, Any],
    name: str,
) -> tuple[Any, dict[str | None, Any]]:
    """Return a concrete function, and what it yields by name; one tensor alone has none.

    Raises:
        UntraceableError: It cannot be traced, or yields what is no tensor.
    """
    names: list[str | None] = []
    is_users = isinstance(function, Function)
    inner = function.callable if isinstance(function, Function) else function

    def flat(*arguments: Any) -> list[Any]:
        named = dict(zip(specs, arguments, strict=True))
        result = inner(**named)
        found = _named(tf, result)
        names[:] = sorted(found, key=str)
        return [tf.identity(found[name]) for name in names]

    flat.__name__ = name
    traced = tf.function(flat, input_signature=[*specs.values()], autograph=False)
    try:
        concrete = traced.get_concrete_function()
    except UntraceableError:
        raise
    except BaseException as error:
        if isinstance(error, MemoryError) or not is_users:
            raise
        raise blame(function, error) from error
    values = dict(zip(names, concrete.structured_outputs, strict=True))
    return concrete, values


def _named(tf: Any, result: Any) -> dict[str | None, Any]:
    if result is None:
        raise UntraceableError("it returns nothing", hint="return a dictionary of tensors")
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if not isinstance(result, dict):
        if isinstance(result, (list, tuple)):
            found = f"it returns a {type(result).__name__}"
            raise UntraceableError(found, hint="return a dictionary, which names each tensor")
        return {None: _tensor(tf, result, "what it returns")}
    if not result:
        raise UntraceableError("it returns an empty dictionary")
    for name in result:
        if not isinstance(name, str) or not name:
            raise UntraceableError(f"it returns {name!r} as a name", hint="names are texts")
    return {name: _tensor(tf, value, f"its result {name!r}") for name, value in result.items()}


def _tensor(tf: Any, value: Any, what: str) -> Any:
    if value is None:
        raise UntraceableError(f"{what} is None")
    if isinstance(value, tf.__internal__.CompositeTensor) and not isinstance(value, tf.Variable):
        kind = type(value).__name__
        hint = "return dense tensors: value.to_tensor(), tf.sparse.to_dense(value)"
        raise UntraceableError(f"{what} is a {kind}", hint=hint)
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        found = f"{what} is no tensor: {type(value).__name__}"
        raise UntraceableError(found) from error
    if tensor.dtype in {tf.resource, tf.variant}:
        raise UntraceableError(f"{what} is a {tensor.dtype.name} handle")
    return tensor


def _images(tf: Any, specs: dict[str, Any], result: Closed) -> dict[str, list[bytes]]:
    """Return images for the texts of a function that decodes images, to try it with."""
    formats = {"DecodePng": "png", "DecodeBmp": "bmp", "DecodeGif": "gif"}
    for op in result.ops:
        if op in {"DecodeJpeg", "DecodeAndCropJpeg", "DecodeImage", *formats}:
            from .trace_images import images  # noqa: PLC0415 - seldom needed

            kind = formats.get(op, "jpeg")
            return {
                name: images(tf, spec, 3, kind)
                for name, spec in specs.items()
                if spec.dtype == tf.string and spec.shape.rank in {0, 1}
            }
    return {}


def _spec(tf: Any, name: str, given: dict[str, Any]) -> Any:
    shape = given["shape"]
    sizes_ = None if shape is None else [None if size < 0 else size for size in shape]
    return tf.TensorSpec(sizes_, tf.as_dtype(given["dtype"]), name=name)


def _fact(name: str | None, value: Any) -> dict[str, Any]:
    return {"name": name, "dtype": value.dtype.as_datatype_enum, "shape": sizes(value.shape)}


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
