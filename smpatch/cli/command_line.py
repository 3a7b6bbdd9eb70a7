"""Additions to typer's reading of a command line, and the errors of a wrong command line.

An option of one value that is given twice is refused, because the first value would be lost.
The name of an option may have ``_`` in the place of ``-``. ``--json`` and ``--quiet`` may be before
the command. Errors about options and commands of other tools name those of smpatch; an error about
a missing signature key names the keys that the model has.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperOption

from smpatch.errors import SmpatchError, UsageError

_ANYWHERE = frozenset({"--json", "--quiet", "-q"})
"""Options of the commands that may be before the command."""


def ordered(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which the command is before its options.

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
    """A command that refuses an option of one value if it is given twice."""

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
    from smpatch.display import quoted

    name = option.opts[0]
    values = _values(option.opts, args)
    times = "twice" if count == 2 else f"{count} times"  # noqa: PLR2004 - the word
    if len(set(values)) == 1:
        hint = f"write it once: {name} {quoted(values[0])}"
    elif ",..." in (option.metavar or ""):
        parts = [part for value in values for part in value.split(",")]
        hint = f"write {name} {quoted(','.join(dict.fromkeys(parts)))}"
    else:
        each = " or ".join(f"{name} {quoted(value)}" for value in dict.fromkeys(values))
        hint = f"it takes one value: write {each}"
    return UsageError(f"given {times}", where=name, hint=hint)


def _values(names: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return the values of an option on a command line."""
    found = []
    rest = iter(args)
    for word in rest:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name.replace("_", "-") in names:
            found.append(value if equals else next(rest, ""))
    return found


_OPTIONS: dict[str, tuple[str, ...]] = {
    "--signature-def": ("--signature",),
    "--signature-def-key": ("--signature",),
    "--key": ("--signature",),
    "--output-dir": ("--save-to",),
    "--output": ("--outputs", "--save-to"),
    "--out": ("--save-to",),
    "--input": ("--inputs",),
    "--force": ("--overwrite",),
    "--tags": ("--tag-set",),
    "--tag": ("--tag-set",),
    "--strict": ("--require",),
}
"""Options of other tools to the options of smpatch; each command has some of the latter."""

_WITHOUT = {
    "--dir": "the model is named without an option: {command} DIR",
    "--model": "the model is named without an option: {command} DIR",
    "--model-dir": "the model is named without an option: {command} DIR",
    "--saved-model-dir": "the model is named without an option: {command} DIR",
    "--inplace": "models are edited in place unless --save-to names a directory",
    "--in-place": "models are edited in place unless --save-to names a directory",
    "--all": "smpatch show lists all MetaGraphs and signatures",
    "--force": "none is needed; --dry-run shows what would be done",
    "--yes": "smpatch asks nothing; --dry-run shows what would be done",
    "--redo": "undo has this option",
}
"""Options of other tools that smpatch does not have, to the advice."""

_COMMANDS = {
    "run": "smpatch check MODEL --run",
    "scan": "smpatch check MODEL",
    "validate": "smpatch check MODEL",
    "restore": "smpatch undo MODEL",
    "redo": "smpatch undo MODEL --redo",
    "list": "smpatch show MODEL",
    "ls": "smpatch show MODEL",
    "inspect": "smpatch show MODEL",
    "add": "smpatch add-predict MODEL",
    "delete": "smpatch remove MODEL",
    "rm": "smpatch remove MODEL",
    "freeze": "smpatch wrap GRAPH makes a SavedModel of a frozen graph",
    "compare": "smpatch diff A B",
    "convert": "smpatch wrap GRAPH makes a SavedModel of a frozen graph",
}
"""Commands of other tools to the commands of smpatch."""


_NO_NUMBER = {
    "is not a valid int range": "is not a number",
    "Input should be a valid integer, unable to parse string as an integer": "it is not a number",
}
"""Words of typer to the words of smpatch; typer 0.29 has the second ones."""


def usage_error(error: Any) -> SmpatchError:  # noqa: ANN401 - click's own class, found at run time
    """Return the error for a command line that click refuses."""
    possibilities = sorted(getattr(error, "possibilities", None) or ())
    # The sentence alone, without the possibilities that click appends: here they are the hint.
    message = str(getattr(error, "message", "") or error.format_message())
    if not possibilities:
        message = str(error.format_message())
    message = message.strip().rstrip(".").replace("\n\t", " ")  # before each choice
    for words, ours in _NO_NUMBER.items():
        message = message.replace(words, ours)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "smpatch"
    meant = _command(message)
    if meant:
        message = message.partition(". ")[0]  # a command of similar letters follows it
    advice = _option(error, command) or meant or _keys(error)
    if not advice and possibilities:
        advice = f"did you mean {' or '.join(possibilities)}?"
    hint = f"see {command} --help"
    if advice:
        hint = f"{advice} {hint}" if advice.endswith("?") else f"{advice}; {hint}"
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _option(error: Any, command: str) -> str:  # noqa: ANN401 - as above
    """Return advice for an option of another tool; empty if there is none."""
    name = getattr(error, "option_name", "")
    if not name or getattr(error, "ctx", None) is None:
        return ""
    present = {each for param in error.ctx.command.params for each in param.opts}
    known = [each for each in _OPTIONS.get(name, ()) if each in present]
    if name not in present and known:
        return f"did you mean {known[0]}?"
    return _WITHOUT.get(name, "").format(command=command) if name not in present else ""


def _command(message: str) -> str:
    """Return the command to type in the place of a command of another tool; empty for none."""
    words = message.split("'")
    typed = words[1] if message.lower().startswith("no such command") and len(words) > 1 else ""
    return _COMMANDS.get(typed, "")


def _keys(error: Any) -> str:  # noqa: ANN401 - as above
    """Return the keys of the model in words, if the key of a signature is missing."""
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    missing = type(error).__name__ == "MissingParameter"
    names = getattr(param, "opts", [""])
    # The value of --to is a key that the model does not have yet.
    if not missing or context is None or names[0] == "--to":
        return ""
    if getattr(param, "metavar", "") not in {"KEY", "KEY,..."}:
        return ""
    return _present(context.params.get("model") or Path())


def missing_key(model: str | os.PathLike[str], command: str, otherwise: str) -> UsageError:
    """Return the error for a command without the key of a signature that it needs.

    Args:
        model: The model directory.
        command: The command.
        otherwise: The option with which the command needs no key, and its effect.
    """
    advice = "; ".join(filter(None, (_present(model), otherwise, f"see smpatch {command} --help")))
    return UsageError("missing option '--signature'", hint=advice)


def _present(model: str | os.PathLike[str]) -> str:
    """Return the keys of a model in words; an empty text if it does not load."""
    from smpatch.loader import load

    with suppress(SmpatchError, OSError):
        graphs = load(os.fspath(model)).meta_graphs
        keys = dict.fromkeys(key for each in graphs for key in each.signatures)
        return f"signatures here: {', '.join(keys)}" if keys else "the model has no signatures"
    return ""
