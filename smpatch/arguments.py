"""Values in the forms that users of TensorFlow have, converted to the forms of this library.

A text is one name, or several names with commas between them, as on the command line. ``where`` is
the name of the value, with which errors begin. A function raises a ``UsageError`` for a value of a
kind that it does not describe.

Types, shapes, specs and arrays may be TensorFlow's or NumPy's: they are recognised by their
attributes (``dtype``, ``shape``, ``as_list``, ``numpy``, ``tolist``), and neither library is
imported.

This module does not read models.

Source: ``tensorflow/python/framework/tensor_spec.py``, ``dtypes.py``, ``tensor_shape.py``.
"""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeGuard, TypeVar

from smpatch import dtypes
from smpatch.errors import UsageError
from smpatch.shapes import MAX_RANK, without_brackets
from smpatch.urls import ModelUrl, nameable, path_or_url

_T = TypeVar("_T")

_LONGEST = 60
"""The largest number of characters of a value that an error shows."""

_MOST_SECONDS = 1_000_000.0
"""The longest wait; system calls accept at most about twice as much."""


def texts(value: object, where: str) -> tuple[str, ...]:
    """Return one or several texts as a tuple.

    A text may have commas between several; each text of a list is taken as a whole.

    Example:
        >>> texts("serve,gpu", "tag_set")
        ('serve', 'gpu')
    """
    if isinstance(value, str):
        return tuple(filter(None, (each.strip() for each in value.split(","))))
    if not _several(value):
        _refuse(value, where, "a text, or a list of texts")
    several = tuple(value)
    for each in several:
        if not isinstance(each, str):
            _refuse(each, where, "a list of texts")
    return several


def mapping(value: object, where: str) -> dict[str, Any]:
    """Return a dictionary whose keys are texts, of a mapping or of pairs.

    Raises:
        UsageError: Two pairs have one key.

    Example:
        >>> mapping([("product", "p")], "rename_outputs")
        {'product': 'p'}
    """
    wanted = "a dictionary, such as {'x': 'x:0'}"
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif not _several(value):
        _refuse(value, where, wanted)
    else:
        pairs = []
        for each in value:
            if not isinstance(each, tuple | list) or len(each) != 2:  # noqa: PLR2004 - a pair
                _refuse(value, where, wanted)
            pairs.append((each[0], each[1]))
    for key, _ in pairs:
        if not isinstance(key, str):
            _refuse(key, where, "a text as each key")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError("a name is given twice", where=where)
    return found


def names(value: object, where: str) -> dict[str, str]:
    """Return names by alias, of a mapping or of pairs.

    Example:
        >>> names({"product": "p"}, "rename_outputs")
        {'product': 'p'}
    """
    given = mapping(value, where)
    for alias, each in given.items():
        if not isinstance(each, str):
            _refuse(each, f"{where} {alias!r}", "a name")
    return given


def dtype(value: object, where: str) -> str:
    """Return TensorFlow's name of an element type.

    The value is a name (``float32``, ``float``, ``DT_FLOAT``), a ``tf.DType``, a ``np.dtype`` or a
    NumPy type.

    Example:
        >>> dtype("DT_FLOAT", "dtype")
        'float32'
    """
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str):
        name = getattr(value, "__name__", None)
    if not isinstance(name, str):
        _refuse(value, where, "an element type, such as float32")
    with contextlib.suppress(ValueError):
        dtypes.number(name)
        return name
    # NumPy's texts and objects are strings to TensorFlow.
    if name.rstrip("0123456789") in {"str", "bytes", "object", "str_", "bytes_", "object_"}:
        return "string"
    try:
        return dtypes.spelled("int64" if name == "int" else name)
    except ValueError as error:
        raise UsageError(str(error), where=where) from error


def shape(value: object, where: str) -> tuple[int | None, ...] | None:
    """Return the dimensions, None for each unknown one; or None for an unknown rank.

    The value is a list or tuple of sizes, a ``tf.TensorShape``, one size for one dimension, a text
    (``[?, 3]``, ``?,3``, ``unknown``), or None. In a list, ``None``, ``-1`` and ``?`` are unknown.

    Example:
        >>> shape([-1, 3], "shape")
        (None, 3)
    """
    if value is None:
        return None
    if isinstance(value, str):
        inner = without_brackets(value)
        if inner == "unknown":
            return None
        return tuple(_size(each, where) for each in inner.split(",")) if inner else ()
    if hasattr(value, "as_list"):
        known = getattr(value, "rank", None) is not None
        value = value.as_list() if known else None
        return shape(value, where)
    if not _several(value):
        return (_size(value, where),)
    return tuple(_size(each, where) for each in value)


def _size(value: object, where: str) -> int | None:
    value = getattr(value, "value", value)  # of a tf.compat.v1.Dimension
    if value is None or (isinstance(value, str) and value.strip() in {"?", "None"}):
        return None
    try:
        size = int(value) if isinstance(value, str) else operator.index(value)  # type: ignore[arg-type] # it raises
    except (TypeError, ValueError):
        _refuse(value, where, "a shape, such as [None, 3]")
    if not -1 <= size < 1 << 63:  # as a message of TensorFlow holds it
        _refuse(value, where, "sizes from 0 of 64 bits, or -1 for an unknown one")
    return None if size == -1 else size


def plain_value(value: object, where: str, depth: int = 0) -> object:
    """Return arrays and scalars of TensorFlow and NumPy, also in lists, as Python values.

    ``depth`` is the number of lists around the value.

    Raises:
        UsageError: The lists are nested more deeply than the dimensions of any tensor.

    Example:
        >>> plain_value((1, [2]), "default")
        [1, [2]]
    """
    if depth > MAX_RANK:
        found = f"it has lists in lists, more than {MAX_RANK}"
        raise UsageError(found, where=where, hint="give a list for each dimension")
    if isinstance(value, list | tuple):
        return [plain_value(each, where, depth + 1) for each in value]
    numpy = getattr(value, "numpy", None)
    if callable(numpy):
        value = numpy()
    plain = getattr(value, "tolist", None)
    return plain() if callable(plain) else value


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that an input is bound to.

    Attributes:
        value: A number, a truth value, a text, bytes, or nested lists of these.
        dtype: The element type, if the value was an array; None to take the type of the input.
    """

    value: object
    dtype: str | None = None


def constants(value: object, where: str) -> dict[str, Constant]:
    """Return the Python values, and arrays of TensorFlow or NumPy, of a mapping as constants.

    Raises:
        UsageError: An array is of a type that TensorFlow does not have.

    Example:
        >>> constants({"x": [1, 2]}, "bind")
        {'x': Constant(value=[1, 2], dtype=None)}
    """
    found: dict[str, Constant] = {}
    for name, each in mapping(value, where).items():
        made = isinstance(each, Constant)
        given = None if made else getattr(each, "dtype", None)
        place = f"{where} {name!r}"
        kind = None if given is None else dtype(given, place)
        found[name] = each if made else Constant(plain_value(each, place), kind)
    return found


def path(value: object, where: str) -> Path:
    """Return a path, or a URL that behaves like a path.

    Example:
        >>> path("export/1", "model").name
        '1'
    """
    if not isinstance(value, str | os.PathLike):
        _refuse(value, where, "a path")
    if isinstance(value, ModelUrl):
        return value
    return path_or_url(nameable(os.fsdecode(value), where))


def paths(value: object, where: str) -> list[Path]:
    """Return one or several paths as a list.

    Example:
        >>> [each.name for each in paths("export/1", "models")]
        ['1']
    """
    if isinstance(value, str | os.PathLike):
        return [path(value, where)]
    if not _several(value):
        _refuse(value, where, "a path, or a list of paths")
    return [path(each, where) for each in value]


def local_path(value: object, where: str, hint: str) -> Path:
    """Return a path, and refuse a URL; ``hint`` is the hint of that error.

    Raises:
        UsageError: It is a URL, or not a path.

    Example:
        >>> local_path("export/1", "model", "copy it here first").name
        '1'
    """
    found = path(value, where)
    if isinstance(found, ModelUrl):
        raise UsageError(f"{found} is a URL, and a local path is needed", where=where, hint=hint)
    return found


def seconds(value: object, where: str) -> float:
    """Return a number of seconds to wait, from 0 to 1,000,000; the value may be its text.

    Example:
        >>> seconds("1.5", "lock_timeout")
        1.5
    """
    try:
        found = float(value)  # type: ignore[arg-type] # it raises
    except (TypeError, ValueError, OverflowError):
        found = -1.0
    if not 0 <= found <= _MOST_SECONDS:  # also true for NaN
        hint = f"give a number from 0 to {_MOST_SECONDS:,.0f}"
        raise UsageError(f"{value!r} is not a number of seconds", where=where, hint=hint)
    return found


def whole(value: object, where: str, least: int) -> int:
    """Return a whole number that is not less than ``least``, also of a NumPy integer.

    Example:
        >>> whole(4, "jobs", 1)
        4
    """
    found = least - 1
    with contextlib.suppress(TypeError):
        found = found if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type] # it raises
    if found < least:
        _refuse(value, where, f"a whole number from {least} on")
    return found


def wholes(value: object, where: str, least: int) -> tuple[int, ...]:
    """Return one or several whole numbers as a tuple."""
    return tuple(whole(each, where, least) for each in (value if _several(value) else (value,)))


def instance(value: object, kind: type[_T], where: str) -> _T:
    """Return the value, which must be of a class.

    Example:
        >>> instance("scale", str, "signature")
        'scale'
    """
    if not isinstance(value, kind):
        _refuse(value, where, "a text" if kind is str else f"smpatch.{kind.__name__}(...)")
    return value


def _several(value: object) -> TypeGuard[Iterable[Any]]:
    """Return whether a value that is no text can be iterated; an array without axes cannot."""
    with contextlib.suppress(TypeError):
        return not isinstance(value, str | bytes | Mapping) and iter(value) is not None  # type: ignore[call-overload] # it raises
    return False


def _refuse(value: object, where: str, wanted: str) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    found = f"{shown} ({type(value).__name__}) is given"
    raise UsageError(found, where=where, hint=f"give {wanted}")
