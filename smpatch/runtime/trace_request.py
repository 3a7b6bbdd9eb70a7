"""Trace functions with TensorFlow: functions of a user's file, callables, recipes, other models.

Standard library and TensorFlow only: this file runs in a child process, or in the user's process
for a callable. A user's file runs with the user's rights. Its output is kept apart from the
replies, and an exception of it becomes an answer that names the line.

``trace_closing`` handles captures, and not this module.
"""

from __future__ import annotations

import binascii
import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .refusals import UntraceableError
from .trace_closing import Closed, closed
from .trace_files import Function, blame, loaded, of_this_process, parameters
from .trace_models import other_model
from .trace_recipes import recipe

_MOST_PRINTED = 20


def trace(tf: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request to trace a function, as ``python_questions.trace`` describes it.

    Returns:
        The function with the functions that it calls, or the reason why there is none; and the
        lines that it printed.
    """
    printed = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            _temporary_files_in(request["scratch"]),
        ):
            reply = _traced(tf, request)
    except UntraceableError as error:
        reply = {"refused": {"where": error.where, "found": error.found, "hint": error.hint}}
    lines = [line for line in printed.getvalue().splitlines() if line.strip()]
    more = len(lines) - _MOST_PRINTED
    if more > 0:
        lines = [*lines[:_MOST_PRINTED], f"and {more:,} more lines"]
    return {**reply, "printed": lines}


def trace_here(tf: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request to trace a callable of this process, in which TensorFlow is loaded.

    Returns:
        As ``trace``, but without printed lines: the callable prints directly.
    """
    eager = importlib.import_module("tensorflow.python.eager.context")
    try:
        with eager.eager_mode():  # also if the caller is building a graph
            return {**_traced(tf, request), "printed": []}
    except UntraceableError as error:
        refused = {"where": error.where, "found": error.found, "hint": error.hint}
    except Exception as error:  # noqa: BLE001 - TensorFlow raises many exceptions
        words = " ".join(f"{type(error).__name__}: {error}".split())
        refused = {"where": "", "found": words, "hint": ""}
    return {"refused": refused, "printed": []}


@contextlib.contextmanager
def _temporary_files_in(directory: str | None) -> Iterator[None]:
    """Set the directory of temporary files, for AutoGraph's files (``pyct/loader.py``).

    The parent process removes the directory.
    """
    before, tempfile.tempdir = tempfile.tempdir, directory
    try:
        yield
    finally:
        tempfile.tempdir = before


def _traced(tf: Any, request: dict[str, Any]) -> dict[str, Any]:
    given = {name: _spec(tf, name, each) for name, each in request["specs"].items()}
    place = request["place"]
    function: Function | Callable[..., Any]
    samples: Mapping[str, Sequence[bytes]]
    frozen = 0
    if request["model"] is not None:
        other = other_model(tf, request["model"], request["most_bytes"])
        function, taken, frozen = other.function, other.inputs, other.variables
        samples, name = {}, "".join(c if c.isalnum() else "_" for c in request["model"]["key"])
    elif request["recipe"] is not None:
        made = recipe(tf, request["recipe"], given, place)
        function = made.function
        taken, samples, name = made.parameters, made.samples, request["recipe"]["name"]
    else:
        if "callable" in request:
            found = of_this_process(tf, request["callable"], request["name"])
        else:
            os.chdir(os.path.dirname(request["file"]))
            found = loaded(tf, request["file"], request["name"])
        function, taken = found, parameters(tf, found, given, place)
        samples, name = {}, "".join(c if c.isalnum() else "_" for c in found.name)
    fed = _widened(tf, taken, given) if place == "after" else taken
    wanted = given if place == "before" else {}
    interface = _Interface(name, taken, fed, wanted, as_written=request["model"] is not None)
    concrete, outputs = _concrete(tf, function, interface)
    result = closed(tf, concrete, len(fed), request["most_bytes"])
    if not samples:
        samples = _images(tf, fed, result)
    return {
        "inputs": [_fact(name, spec) for name, spec in fed.items()],
        "outputs": [_fact(name, value) for name, value in outputs.items()],
        "functions": [_base64(each) for each in result.functions],
        "ops": result.ops,
        "frozen_bytes": result.frozen_bytes + frozen,
        "samples": {name: list(map(_base64, each)) for name, each in samples.items()},
    }


class _Interface(NamedTuple):
    """The interface of a function.

    Attributes:
        name: The name of the function.
        taken: Parameter to the type and shape that the function declares.
        fed: Parameter to the type and shape that the function gets. If a shape is wider than the
            declared one, a check at run time refuses tensors without the declared shape.
        wanted: Name of a result to its type and shape, as far as they are known.
        as_written: Whether operations with a state run only if a result waits for them, as in a
            session. In a ``tf.function`` all results wait for all such operations, also for those
            of a branch that is not taken.
    """

    name: str
    taken: dict[str, Any]
    fed: dict[str, Any]
    wanted: dict[str, Any]
    as_written: bool = False


def _widened(tf: Any, taken: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the given type and shape of each parameter; the declared ones if they do not fit."""
    return {
        name: tf.TensorSpec(given[name].shape, spec.dtype, name=name)
        if name in given
        and given[name].dtype == spec.dtype
        and spec.shape.is_compatible_with(given[name].shape)
        else spec
        for name, spec in taken.items()
    }


def _concrete(
    tf: Any,
    function: Function | Callable[..., Any],
    interface: _Interface,
) -> tuple[Any, dict[str | None, Any]]:
    """Return a concrete function, and its results by name; None is the name of a single tensor.

    Raises:
        UntraceableError: The function cannot be traced, or a result is not a tensor.
    """
    names: list[str | None] = []
    is_users = isinstance(function, Function)
    inner = function.callable if isinstance(function, Function) else function

    def flat(*arguments: Any) -> list[Any]:
        named = {
            name: _ensured(tf, each, spec)
            for (name, spec), each in zip(interface.taken.items(), arguments, strict=True)
        }
        result = inner(**named)
        found = _named(tf, result)
        names[:] = sorted(found, key=str)
        # A single tensor without a name is for the only input.
        only = next(iter(interface.wanted.values())) if len(interface.wanted) == 1 else None
        wanted = [only if name is None else interface.wanted.get(name) for name in names]
        checked = [_ensured(tf, found[n], spec) for n, spec in zip(names, wanted, strict=True)]
        return [tf.identity(each) for each in checked]

    flat.__name__ = interface.name
    specs = [*interface.fed.values()]
    if interface.as_written:
        concrete = tf.compat.v1.wrap_function(flat, specs, interface.name)
        return concrete, dict(zip(names, concrete.structured_outputs, strict=True))
    traced = tf.function(flat, input_signature=specs, autograph=False)
    try:
        concrete = traced.get_concrete_function()
    except UntraceableError:
        raise
    except BaseException as error:
        if isinstance(error, MemoryError | KeyboardInterrupt) or not is_users:
            raise
        raise blame(function, error) from error
    values = dict(zip(names, concrete.structured_outputs, strict=True))
    return concrete, values


def _ensured(tf: Any, value: Any, spec: Any) -> Any:
    """Return a tensor with a check at run time of the shape of ``spec``, if the check is needed.

    The tensor is returned unchanged if it is known to have the shape, or cannot have it.
    """
    if spec is None or value.dtype != spec.dtype or not spec.shape.is_compatible_with(value.shape):
        return value
    known = spec.shape.rank is None or (
        value.shape.rank is not None
        and all(
            size is None or size == has for size, has in zip(spec.shape, value.shape, strict=True)
        )
    )
    return value if known else tf.ensure_shape(value, spec.shape)


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
        raise UntraceableError(f"{what} is not a tensor: {type(value).__name__}") from error
    if tensor.dtype in {tf.resource, tf.variant}:
        raise UntraceableError(f"{what} is a {tensor.dtype.name} handle")
    return tensor


def _images(tf: Any, specs: dict[str, Any], result: Closed) -> dict[str, list[bytes]]:
    """Return encoded images for the string parameters of a function that decodes images.

    They are values for a test run.
    """
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
    known = value.shape.rank is not None
    sizes = [-1 if size is None else size for size in value.shape.as_list()] if known else None
    return {"name": name, "dtype": value.dtype.as_datatype_enum, "shape": sizes}


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
