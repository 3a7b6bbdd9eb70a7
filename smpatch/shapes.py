"""Rules for the texts of shapes that all readers of shapes share.

This module reads no sizes.
"""

from __future__ import annotations

MAX_RANK = 254
"""The most dimensions of a TensorFlow shape (``tensor_shape.h``)."""


def without_brackets(text: str) -> str:
    """Return the text of a shape without the brackets around it; one alone stays.

    Example:
        >>> without_brackets("[?, 3]"), without_brackets("[")
        ('?, 3', '[')
    """
    inner = text.strip()
    return inner[1:-1].strip() if inner[:1] == "[" and inner[1:].endswith("]") else inner
