"""Functions of a user's Python file, and callables, with the types of their parameters.

Standard library and TensorFlow only: this file runs in a child process.

Source: ``tensorflow/python/eager/polymorphic_function/polymorphic_function.py`` (``Function``),
``tensorflow/python/autograph/pyct/error_utils.py`` (``ag_error_metadata``).
"""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
from types import CodeType
from typing import Any, NamedTuple

from .refusals import UntraceableError

_LONGEST = 600
"""The most characters of an exception that an error quotes."""


class Function(NamedTuple):
    """A function of a file, or a callable of this process.

    Attributes:
        file: The path of the file.
        name: The name of the function in the file.
        given: The object with this name: a Python function, a ``tf.function`` or another callable.
        callable: The callable to trace.
    """

    file: str
    name: str
    given: Any
    callable: Any


def of_this_process(tf: Any, given: Any, name: str) -> Function:
    """Return a callable of this process as a function to trace.

    Args:
        tf: The module ``tensorflow``.
        given: A Python function, a ``tf.function``, a concrete function or another callable.
        name: The name of the callable.

    Raises:
        UntraceableError: The callable is a class.
    """
    if inspect.isclass(given):
        raise UntraceableError("it is a class, not a function")
    code = getattr(inspect.unwrap(getattr(given, "python_function", given)), "__code__", None)
    file = getattr(code, "co_filename", "")
    return Function(file or name, name, given, given if _is_traced(given) else tf.function(given))


def _is_traced(given: Any) -> bool:
    return hasattr(given, "get_concrete_function") or hasattr(given, "structured_outputs")


_MODULES: dict[tuple[str, int, int], Any] = {}


def loaded(tf: Any, file: str, name: str) -> Function:
    """Import a file, and return one of its functions.

    Raises:
        UntraceableError: The file cannot be imported, or has no such function.
    """
    module = _module(file)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [
                each
                for each in vars(module)
                if not each.startswith("_") and callable(getattr(module, each))
            ]
            near = difflib.get_close_matches(part, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}"
            raise UntraceableError(f"there is no function {name!r}", where=file, hint=hint)
        found = getattr(found, part)
    where = f"{file}, {name}"
    if not callable(found):
        raise UntraceableError(f"it is a {type(found).__name__}, not a function", where=where)
    if inspect.isclass(found):
        raise UntraceableError("it is a class, not a function", where=where)
    return Function(file, name, found, found if _is_traced(found) else tf.function(found))


class _Source(importlib.machinery.SourceFileLoader):
    """Compiles the file that is there: bytecode of an older one may have the same time and size."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file, and neither read nor write bytecode."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module(file: str) -> Any:
    try:
        status = os.stat(file)
    except OSError as error:
        found = f"it cannot be read: {(error.strerror or str(error)).lower()}"
        raise UntraceableError(found, where=file) from error
    key = file, status.st_mtime_ns, status.st_size
    if key not in _MODULES:
        stem = os.path.splitext(os.path.basename(file))[0]
        spec = importlib.util.spec_from_file_location(f"smpatch_traced_{stem}", file)
        if spec is None or spec.loader is None:
            raise UntraceableError("it is not a Python file", where=file, hint="name FILE.py:NAME")
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Source(spec.name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        directory = os.path.dirname(file)
        if directory not in sys.path:
            sys.path.append(directory)
        arguments, sys.argv = sys.argv, [file]
        sys.dont_write_bytecode = True  # nor for the modules beside the file
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            raise blame(Function(file, "", None, None), error) from error
        finally:
            sys.argv = arguments
        _MODULES[key] = module
    return _MODULES[key]


def parameters(tf: Any, function: Function, given: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the parameters of a function with their types and shapes.

    Args:
        tf: The module ``tensorflow``.
        function: The function.
        given: The specs of the inputs or the outputs of the signature, by alias.
        place: ``before`` or ``after``.

    Raises:
        UntraceableError: A parameter has no type, or is not a single tensor.
    """
    where = f"{function.file}, {function.name}"
    found = function.given
    signature = getattr(found, "input_signature", None)
    if hasattr(found, "structured_input_signature"):  # a concrete function
        positional, named = found.structured_input_signature
        named = {each.name: each for each in positional} | dict(named)
        return {name: _checked(tf, name, spec, where) for name, spec in named.items()}
    plain = getattr(found, "python_function", found)
    try:
        listed = list(inspect.signature(plain, eval_str=True).parameters.values())
    except (TypeError, ValueError, NameError) as error:
        raise UntraceableError(f"its parameters are not known: {error}", where=where) from error
    specs: dict[str, Any] = {}
    for position, each in enumerate(listed):
        if each.kind in {each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY}:
            raise UntraceableError(f"parameter {each}: name each input", where=where)
        if signature is not None and position < len(signature):
            spec = signature[position]
        elif isinstance(each.annotation, tf.TypeSpec):
            spec = each.annotation
        elif each.name in given:
            spec = given[each.name]
        elif each.default is not each.empty:
            continue
        elif place == "after":
            names = ", ".join(given) or "none"
            found_words = f"parameter {each.name!r} is neither an output nor an input"
            raise UntraceableError(found_words, where=where, hint=f"it has {names}")
        else:
            hint = f"write {each.name}: tf.TensorSpec([None], tf.string)"
            raise UntraceableError(f"parameter {each.name!r} has no type", where=where, hint=hint)
        specs[each.name] = _checked(tf, each.name, spec, where)
    return specs


def _checked(tf: Any, name: str, spec: Any, where: str) -> Any:
    if not isinstance(spec, tf.TensorSpec):
        found = f"parameter {name!r} is not one tensor: {type(spec).__name__}"
        raise UntraceableError(found, where=where, hint="give each tensor a parameter of its own")
    if spec.dtype in {tf.resource, tf.variant}:
        raise UntraceableError(f"parameter {name!r} is a {spec.dtype.name} handle", where=where)
    return tf.TensorSpec(spec.shape, spec.dtype, name=name)


def blame(function: Any, error: BaseException) -> UntraceableError:
    """Return the error for an exception of a user's code, with the line of the file."""
    line = _line(function.file, error)
    where = function.file + (f", line {line}" if line else "")
    if isinstance(error, SystemExit):
        return UntraceableError(f"it ends Python ({error!r})", where=where)
    if isinstance(error, SyntaxError):
        return UntraceableError(f"{type(error).__name__}: {error.msg}", where=where)
    metadata = getattr(error, "ag_error_metadata", None)
    words = getattr(metadata, "cause_message", "") or f"{type(error).__name__}: {error}"
    kind, colon, text = words.partition(":")
    if colon and "." in kind and " " not in kind:  # without the package of the class
        words = f"{kind.rpartition('.')[2]}:{text}"
    words = " ".join(words.split())
    return UntraceableError(words[:_LONGEST], where=where)


def _line(file: str, error: BaseException) -> int | None:
    """Return the number of the last line of a file in the stack of an error; None if unknown."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    metadata = getattr(error, "ag_error_metadata", None)
    for frame in getattr(metadata, "translated_stack", ()):
        if frame.filename == file:
            return int(frame.lineno)
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    return lines[-1] if lines else None
