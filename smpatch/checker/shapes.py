"""Shapes held against each other, and as people read them.

This room knows shapes only: which of two is right is for others to say.
"""

from __future__ import annotations

from smpatch.signature import Shape

__all__ = ["shown"]


def shown(shape: Shape) -> str:
    """Return a shape as the command line writes it: ``[?,3]``, ``[]`` for a scalar."""
    if shape is None:
        return "unknown rank"
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"
