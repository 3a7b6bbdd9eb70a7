"""Protobuf's text form, read into messages: one error, whatever the parser raises.

This module finds no places in a text (``savedmodel.text_fields``) and prints none.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

__all__ = ["merge"]


def merge(text: bytes | str, message: Any, *, unknown: bool = False) -> None:  # noqa: ANN401 - protobuf's classes are made at run time
    """Read a text into a message.

    Args:
        text: The text; bytes are UTF-8.
        message: Takes the fields.
        unknown: Whether fields that the schema does not have are passed over.

    Raises:
        DecodeError: It is no such text. Protobuf's parser itself raises a ``ParseError``, a
            ``ValueError`` for a number that a field does not hold, or a ``RecursionError``.
    """
    try:
        body = text.decode() if isinstance(text, bytes) else text
        text_format.Merge(body, message, allow_unknown_field=unknown)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise DecodeError(str(error) or type(error).__name__) from error
