"""Values of other forms that users have, as the fields of a frozen edit."""

from __future__ import annotations

from smpatch import arguments
from smpatch.errors import UsageError

__all__ = ["names", "take", "text"]


def names(value: object, where: str) -> dict[str, str]:
    """Return names by alias.

    Raises:
        UsageError: They are none.
    """
    given = arguments.mapping(value, where)
    for alias, each in given.items():
        if not isinstance(each, str):
            found = f"{each!r} ({type(each).__name__}) is given"
            raise UsageError(found, where=f"{where} {alias!r}", hint="give a name")
    return given


def text(value: object, where: str) -> None:
    """Refuse what is no text.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(value, str):
        found = f"{value!r} ({type(value).__name__}) is given"
        raise UsageError(found, where=where, hint="give a text")


def take(edit: object, **fields: object) -> None:
    """Set fields of a frozen edit."""
    for name, value in fields.items():
        object.__setattr__(edit, name, value)
