"""Functions that are put before or after a signature: the requests, and the traced functions.

    pre.py:decode                              a function of a Python file
    image=decode_image(224, 224, scale=1/255)  a recipe for the input image
    top_k(scores, 5, labels=labels.txt)        a recipe for the output scores
    tokenizer/1:tokenize                       a signature of another SavedModel

An argument of a recipe is a number (also ``1/255``), a text, true or false, a list, or the name of
an output, an input or a file, which needs no quotes.

This module does not trace functions.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from smpatch.errors import UsageError
from smpatch.recipes import RECIPES, checked
from smpatch.signature import Spec, TensorSpec

Mode = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class FunctionOf:
    """A function of a Python file.

    Attributes:
        file: The file, absolute.
        name: The name of the function in the file.
        text: The text of the request.
    """

    file: str
    name: str
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return its name in errors."""
        return self.text or f"{self.file}:{self.name}"


@dataclass(frozen=True, slots=True)
class RecipeOf:
    """A recipe with its arguments.

    Attributes:
        name: The recipe.
        alias: The input that it yields, or the new name of its output; empty for the only input,
            or for an output that gets no new name.
        arguments: Its arguments by name; the paths of files are absolute.
        text: The text of the request.
    """

    name: str
    alias: str
    arguments: Mapping[str, object]
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return its name in errors."""
        return self.text or self.name


@dataclass(frozen=True, slots=True)
class SignatureOf:
    """A signature of another SavedModel.

    Attributes:
        directory: The directory of the model, absolute.
        key: The signature key; empty if the text has none.
        alias: The input that it yields; empty if its outputs have the names of inputs.
        text: The text of the request.
        tags: The tags of its MetaGraph; empty until the model is read.
        input_names: Alias of an input in that model to the alias in this one, if they differ.
        output_names: The same for its outputs.
    """

    directory: str
    key: str
    alias: str = ""
    text: str = field(default="", compare=False)
    tags: tuple[str, ...] = ()
    input_names: Mapping[str, str] = field(default_factory=dict)
    output_names: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return its name in errors."""
        return self.text or f"{self.directory}:{self.key}"


@dataclass(frozen=True, slots=True)
class CallableOf:
    """A callable of this process, which TensorFlow traces here.

    Attributes:
        callable: A Python function, a ``tf.function`` or a concrete function.
    """

    callable: Callable[..., object]

    def __str__(self) -> str:
        """Return its name in errors."""
        plain = getattr(self.callable, "python_function", self.callable)
        name = getattr(plain, "__name__", "") or getattr(plain, "name", "")
        text = name.decode() if isinstance(name, bytes) else str(name)  # a concrete function's
        return text or type(self.callable).__name__


@dataclass(frozen=True, slots=True)
class Fragment:
    """A traced function.

    Attributes:
        text: The name of the function in errors.
        inputs: Parameter to type and shape, in the order of the function's arguments.
        outputs: Name to type and shape, in the order of the function's results.
        functions: The function and the functions that it calls, each a serialized ``FunctionDef``.
        ops: The operations that it uses.
        samples: Values for test runs: parameter to one serialized ``TensorProto`` for each run.
        printed: The lines that the user's file printed.
        frozen_bytes: The size, in bytes, of the variables that became constants.
        model: The signature of another model that it is made of; None if there is none.
    """

    text: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    functions: tuple[bytes, ...]
    ops: tuple[str, ...] = ()
    samples: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    printed: tuple[str, ...] = ()
    frozen_bytes: int = 0
    model: SignatureOf | None = None

    def __str__(self) -> str:
        """Return its name in errors."""
        return self.text


Asked = FunctionOf | RecipeOf | SignatureOf | CallableOf | Fragment
_ASKED = (FunctionOf, RecipeOf, SignatureOf, CallableOf, Fragment)


@dataclass(frozen=True, slots=True)
class Tracing:
    """A request to trace a function.

    Attributes:
        asked: The function, recipe or signature.
        place: Whether it is put before or after the signature.
        specs: The inputs that it may yield, or the outputs that it may take, by alias.
    """

    asked: FunctionOf | RecipeOf | SignatureOf | CallableOf
    place: Mode
    specs: Mapping[str, Spec]


Trace = Callable[[Tracing], Fragment]
"""A function that traces a request.

Raises:
    RefusedError: The request cannot be traced.
"""

_RECIPE = re.compile(r"\s*(?:([^=()'\"]+?)\s*=\s*)?([A-Za-z_]\w*)\s*(\(.*\))\s*", re.DOTALL)
_FUNCTION = re.compile(r"(.+\.py):([A-Za-z_][\w.]*)", re.DOTALL)
_NAME = re.compile(r"[\w./\-]+")


def asked_list(value: object, place: Mode, directory: Path | None = None) -> tuple[Asked, ...]:
    """Return the requests in one or several texts.

    Args:
        value: A text, a callable or a request that was read before; or several of these.
        place: Whether the functions are put before or after the signature.
        directory: The directory in which relative paths start; None for the working directory.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, (str, *_ASKED)) or callable(value):
        value = (value,)
    if not isinstance(value, Iterable):
        found = f"{value!r} ({type(value).__name__}) is given"
        raise UsageError(found, where=place, hint="give a list of texts, such as ['pre.py:decode']")
    return tuple(
        each
        if isinstance(each, _ASKED)
        else CallableOf(each)
        if callable(each)
        else asked(each, place, directory)
        for each in value
    )


def asked(
    text: object, place: Mode, directory: Path | None = None
) -> FunctionOf | RecipeOf | SignatureOf:
    """Return the request in a text.

    ``directory`` is the directory in which relative paths start; None is the working directory.

    Raises:
        UsageError: The file, model or recipe does not exist, or its arguments are wrong.

    Example:
        >>> asked("logits=softmax(logits)", "after").name
        'softmax'
    """
    if not isinstance(text, str):
        found = f"{text!r} ({type(text).__name__}) is given"
        raise UsageError(found, where=place, hint="give a text, such as 'pre.py:decode'")
    base = directory or Path()
    function = _FUNCTION.fullmatch(text.strip())
    if function is not None:
        file = base / function[1]
        if not os.path.isfile(file):  # noqa: PTH113 - Path's raises if a name is too long
            raise UsageError("there is no such file", where=f"{place} {str(file)!r}")
        return FunctionOf(os.path.abspath(file), function[2], text)  # noqa: PTH100 - links stay
    return _model(text, place, base) or _recipe(text, place, base)


def _recipe(text: str, place: Mode, base: Path) -> RecipeOf:
    """Return the recipe that a text names, with its arguments.

    Raises:
        UsageError: The text names no recipe, or its arguments are wrong.
    """
    where = f"{place} {text!r}"
    written = _RECIPE.fullmatch(text)
    if written is None:
        found = "it is neither a function nor a recipe, and there is no such directory"
        hint = f"write FILE.py:NAME, DIR:KEY or a recipe, such as {_example(place)}"
        raise UsageError(found, where=where, hint=hint)
    alias, name = (written[1] or "").strip(), written[2]
    there = [each for each in RECIPES if each.place == place]
    recipe = next((each for each in there if each.name == name), None)
    if recipe is None:
        names = [each.name for each in there]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise UsageError(f"there is no recipe {name!r} {place} a signature", where=where, hint=hint)
    if alias and not recipe.takes_alias:
        raise UsageError(f"{name} takes no ALIAS= before it", where=where, hint=recipe.example)
    given, named = _arguments(written[3], where)
    arguments = checked(recipe, given, named, where)
    for each in recipe.arguments:
        if each.kind == "file" and each.name in arguments:
            file = base / str(arguments[each.name])
            if not os.path.isfile(file):  # noqa: PTH113 - Path's raises if a name is too long
                raise UsageError("there is no such file", where=f"{place} {str(file)!r}")
            arguments[each.name] = os.path.abspath(file)  # noqa: PTH100 - as above
    return RecipeOf(name, alias, arguments, text)


def _model(text: str, place: Mode, base: Path) -> SignatureOf | None:
    """Return the signature in ``[INPUT=]DIR[:KEY]``; None if there is no such directory."""
    alias, equals, rest = text.partition("=")
    named = [("", text), *([(alias.strip(), rest)] if equals and place == "before" else [])]
    for input_, where in named:
        for end in (len(where), *(each.start() for each in re.finditer(":", where))):
            directory, key = where[:end].strip(), where[end + 1 :]
            if directory and os.path.isdir(base / directory):  # noqa: PTH112 - Path's raises if a name is too long
                path = os.path.abspath(base / directory)  # noqa: PTH100 - links stay
                return SignatureOf(path, key, input_, text)
    return None


def _example(place: Mode) -> str:
    return next(each.example for each in RECIPES if each.place == place)


def _arguments(text: str, where: str) -> tuple[list[object], dict[str, object]]:
    try:
        return _read_arguments(f"f{text}", where)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = "put names with other characters in quotes: labels='../labels.txt'"
        raise UsageError("its arguments cannot be read", where=where, hint=hint) from error


def _read_arguments(source: str, where: str) -> tuple[list[object], dict[str, object]]:
    call = ast.parse(source, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise UsageError("its arguments cannot be read", where=where)
    named: dict[str, object] = {}
    for each in call.keywords:
        if each.arg is None or each.arg in named:
            raise UsageError("its arguments cannot be read", where=where)
        named[each.arg] = _literal(each.value, source, where)
    return [_literal(each, source, where) for each in call.args], named


def _literal(node: ast.expr, source: str, where: str) -> object:
    """Return the value of an argument: a literal, a fraction, or a name without quotes."""
    number = _number(node)
    if number is not None:
        return number
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bool):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(each, source, where) for each in node.elts]
    text = (ast.get_source_segment(source, node) or "").strip()
    if text in {"true", "false"}:
        return text == "true"
    if not _NAME.fullmatch(text):
        hint = "numbers, texts in quotes, true or false, lists, and names"
        raise UsageError(f"the argument {text!r} cannot be read", where=where, hint=hint)
    return text


def _number(node: ast.expr) -> int | float | None:
    if isinstance(node, ast.Constant):
        is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        is_number = is_number and node.value != math.inf  # such as 1e400
        return node.value if is_number else None  # type: ignore[return-value] # as just checked
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _number(node.operand)
        return -number if number is not None and isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = _number(node.left), _number(node.right)
        with contextlib.suppress(OverflowError):
            number = left / right if left is not None and right else None
            return None if number is None or math.isinf(number) else number
    return None
