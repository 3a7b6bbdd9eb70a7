"""Errors of ``apply`` in the words of its patch file: a line and keys, and no options.

The library names options, as the commands have them. A patch file has keys of the same names
without the dashes; ``apply`` itself has some of the options, which stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from smpatch.editing.edit import Edit
from smpatch.editing.sequence import described
from smpatch.errors import SmpatchError

__all__ = ["in_words_of_the_file"]

_OPTION = re.compile(r"--([a-z][a-z-]*)")

_COMMAND = re.compile(r"smpatch [a-z-]+ [^;)]*")
"""A command in a hint, whose options stay."""


def in_words_of_the_file(
    error: SmpatchError,
    file: Path,
    edits: Sequence[Edit],
    lines: Sequence[int],
    options: Collection[str],
) -> None:
    """Change an error of an edit so that it names the line and the keys of the patch file.

    Args:
        error: The error; it stays as it is if it is not one of an edit.
        file: The patch file.
        edits: Its edits.
        lines: The line of each edit.
        options: The options of ``apply``, which may be named.
    """
    place = error.edit
    if place is None:
        return
    edit = edits[place]
    prefix = described(edit)
    where = error.where.removeprefix(prefix).removeprefix(": ")
    line = f"{file}, line {lines[place]} ({prefix})"
    error.where = f"{line}: {_keys(where, edit, options)}" if where else line
    error.hint = _keys(error.hint, edit, options)


def _keys(text: str, edit: Edit, options: Collection[str]) -> str:
    """Return a text with keys of a patch file in the place of options."""

    def key(found: re.Match[str]) -> str:
        name = found[1]
        if f"--{name}" in options:
            return found[0]
        if name == "overwrite":
            return "overwrite = true"
        return edit.verb if name in {"signature", "from"} else name

    commands = [*_COMMAND.finditer(text)]
    parts, start = [], 0
    for command in commands:
        parts += [_OPTION.sub(key, text[start : command.start()]), command[0]]
        start = command.end()
    return "".join([*parts, _OPTION.sub(key, text[start:])])
