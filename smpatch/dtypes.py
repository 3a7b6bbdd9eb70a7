"""TensorFlow's element types: their numbers in files, and their names for people.

A name is the value of ``tf.DType.name`` (``float32``, ``string``, ``float32_ref``). A number
that is not in this schema gets a name from which the number can be read again (``DT_77``), so
that no type of a newer TensorFlow is lost.

This module has no sizes and no values.

Source: ``tensorflow/core/framework/types.proto``, ``tensorflow/python/framework/dtypes.py``.
"""

from __future__ import annotations

import difflib
import re

from smpatch import schema

INVALID = "invalid"

UNSERVABLE = frozenset({"resource", "variant"})
"""Types whose values are handles, which no session can feed or fetch."""

_REF = 100
"""The difference between the number of a reference type and that of its value."""

_UNKNOWN = re.compile(r"DT_(?P<number>-?[0-9]+)(?P<ref>_ref)?")

_OTHERS = {"int": "int32", "str": "string", "bytes": "string", "boolean": "bool", "long": "int64"}
"""Names of types in other languages to the nearest type of TensorFlow, for hints alone."""

_RENAMED = {"float": "float32", "double": "float64", "half": "float16"}


def _public_name(enum_name: str) -> str:
    stem = enum_name.removeprefix("DT_").lower()
    plain = stem.removesuffix("_ref")
    return _RENAMED.get(plain, plain) + stem[len(plain) :]


_NAMES = {value: _public_name(key) for key, value in schema.DataType.items()}
# The schema has a reference type for every type but this one, and damaged models have one.
_NAMES[_REF] = f"{INVALID}_ref"
_NUMBERS = {value: key for key, value in _NAMES.items()}
KNOWN = frozenset(_NUMBERS)
"""The names of all types of the schema."""


def name(number: int) -> str:
    """Return the name of a ``DataType`` number, such as ``float32`` for 1."""
    known = _NAMES.get(number)
    if known is not None:
        return known
    return f"DT_{number - _REF}_ref" if _REF < number < 2 * _REF else f"DT_{number}"


def number(name: str) -> int:
    """Return the ``DataType`` number of a name.

    Raises:
        ValueError: TensorFlow has no type of that name.
    """
    known = _NUMBERS.get(name)
    if known is not None:
        return known
    unknown = _UNKNOWN.fullmatch(name)
    if unknown is not None:
        found = int(unknown["number"]) + (_REF if unknown["ref"] else 0)
        if -(1 << 31) <= found < 1 << 31:
            return found
    raise ValueError(f"no TensorFlow type is called {name!r}")


def spelled(text: str) -> str:
    """Return the name of a type that is spelled in another way, such as ``float``, ``DT_FLOAT``.

    Raises:
        ValueError: TensorFlow has no such type; the message suggests a similar name.

    Example:
        >>> spelled("DT_FLOAT"), spelled("double"), spelled("tf.int64")
        ('float32', 'float64', 'int64')
    """
    plain = text.removeprefix("tf.").removeprefix("np.")
    for each in (plain, _public_name(plain.upper()), _RENAMED.get(plain.lower(), "")):
        if each in _NUMBERS and each != INVALID:
            return each
    near = difflib.get_close_matches(plain.lower(), [*_NUMBERS, *_OTHERS], n=1, cutoff=0.5)
    hint = f"; did you mean {_OTHERS.get(near[0], near[0])}?" if near else ""
    raise ValueError(f"no TensorFlow type is called {text!r}{hint}")


def is_ref(name: str) -> bool:
    """Return whether the type is a reference to a TF1 variable's buffer."""
    return name.endswith("_ref")


def base(name: str) -> str:
    """Return the type of the value that a reference refers to; other types as they are."""
    return name.removesuffix("_ref")


def ref(name: str) -> str:
    """Return the reference type of ``name``."""
    return name if is_ref(name) else f"{name}_ref"
