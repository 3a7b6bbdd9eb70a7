"""The reading of a command line, beyond typer: one rule for all commands and options.

An option of one value that is given twice is refused, for the first value would be lost.
``_`` stands for ``-`` in the names of options. ``--json`` may stand before the command.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperOption

from smpatch.errors import UsageError

__all__ = ["Command", "ordered"]

_ANYWHERE = frozenset({"--json", "--quiet", "-q"})
"""Options of the commands that may stand before the command."""


def ordered(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the options that stand before its command behind it.

    Example:
        >>> ordered(["--json", "show", "export/1"])
        ['show', '--json', 'export/1']
    """
    early = 0
    while early < len(arguments) and arguments[early] in _ANYWHERE:
        early += 1
    if early == len(arguments) or arguments[early].startswith("-"):
        return list(arguments)
    return [arguments[early], *arguments[:early], *arguments[early + 1 :]]


class Command(TyperCommand):
    """A command whose options of one value are given once."""

    # Typer has a copy of click since 0.26; the types of both have the same shape.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - see above
        """Read the arguments.

        Raises:
            UsageError: An option of one value is given twice.
        """
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for each, count in Counter(order).items():
                once = isinstance(each, TyperOption) and not (each.is_flag or each.multiple)
                if count > 1 and once:
                    raise _repeated(each, count, args)
        return super().parse_args(ctx, args)


def _repeated(option: Any, count: int, args: Sequence[str]) -> UsageError:  # noqa: ANN401 - see above
    name = option.opts[0]
    values = _values(option.opts, args)
    times = "twice" if count == 2 else f"{count} times"  # noqa: PLR2004 - the word
    if len(set(values)) == 1:
        hint = f"write it once: {name} {shlex.quote(values[0])}"
    elif ",..." in (option.metavar or ""):
        parts = [part for value in values for part in value.split(",")]
        hint = f"write {name} {shlex.quote(','.join(dict.fromkeys(parts)))}"
    else:
        each = " or ".join(f"{name} {shlex.quote(value)}" for value in dict.fromkeys(values))
        hint = f"it takes one value: write {each}"
    return UsageError(f"given {times}", where=name, hint=hint)


def _values(names: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return the values that an option is given."""
    found = []
    rest = iter(args)
    for word in rest:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name.replace("_", "-") in names:
            found.append(value if equals else next(rest, ""))
    return found
