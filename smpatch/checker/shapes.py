"""Shapes held against each other, and as people read them.

This room knows shapes only: which of two is right is for others to say.
"""

from __future__ import annotations

from smpatch.signature import Shape

__all__ = ["compatible", "shown"]


def compatible(one: Shape, other: Shape) -> bool:
    """Tell whether a tensor can have both shapes, as TensorFlow's ``is_compatible_with``."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def shown(shape: Shape) -> str:
    """Return a shape as the command line writes it: ``[?,3]``, ``[]`` for a scalar."""
    if shape is None:
        return "unknown rank"
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"
