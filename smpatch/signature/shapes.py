"""Shapes compared and written, and what Python makes of an input's name.

This room knows no messages and no graph.

Sources: ``TensorShape.is_compatible_with`` in ``tensorflow/python/framework/tensor_shape.py``,
``sanitize_arg_name`` and ``_sorted_parameters`` in
``tensorflow/core/function/polymorphism/function_type.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from smpatch.signature.specs import Shape

__all__ = ["compatible", "parameter", "same_parameters", "shape_text"]


def compatible(one: Shape, other: Shape) -> bool:
    """Tell whether a tensor can have both shapes, as TensorFlow's ``is_compatible_with``."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def shape_text(shape: Shape) -> str:
    """Return a shape as ``[?, 3]``, ``[]`` for a scalar, ``<unknown rank>``."""
    if shape is None:
        return "<unknown rank>"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def parameter(alias: str) -> str:
    """Return the parameter that Python's loader makes of an input's alias, and sorts by."""
    name = "".join(each if each.isalnum() else "_" for each in alias)
    return name if name[:1].isalpha() else f"arg_{name}"


def same_parameters(one: Iterable[str], other: Iterable[str]) -> bool:
    """Return whether Python's loader makes the same parameters of two lists of names.

    An exporter writes the names of a function's arguments as they are in one place and as
    Python can write them in another (``0/reward``, ``arg_0_reward``).
    """
    return sorted(map(parameter, one)) == sorted(map(parameter, other))
