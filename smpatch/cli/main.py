"""The program, made of all commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

import typer

import smpatch
from smpatch.cli import guard, terminal
from smpatch.cli.arguments import StoreOptions, Verbose
from smpatch.cli.command_line import Command

__all__ = ["EXIT_CODES", "application", "guard"]

EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no (check, diff); 2 wrong usage; 3 not a readable "
    "SavedModel or patch file; 4 the edit is impossible or refused; 5 writing or validation "
    "failed, and the model is unchanged; 130 interrupted."
)
"""The text at the end of every help text."""

_COMMANDS = {
    "show": "Show what a model offers, without TensorFlow.",
    "suggest": "Suggest what could become a signature.",
    "check": "Check that every signature of a model can be served.",
    "diff": "Tell how one model differs from another.",
    "describe": "Write a configuration, a request or tables for a signature.",
    "warmup": "List or write the warm-up requests of TF Serving.",
    "add-predict": "Add a predict signature.",
    "add-classify": "Add a signature for TF Serving's Classify.",
    "add-regress": "Add a signature for TF Serving's Regress.",
    "compose": "Put functions around a signature, or make inputs constants.",
    "edit": "Change names, tensors, shapes, method, defaults of a signature, or the init op.",
    "rename": "Give a signature another key.",
    "copy": "Serve a signature under a second key.",
    "remove": "Take signatures away, or a MetaGraph.",
    "retag": "Give a MetaGraph other tags.",
    "copy-signatures": "Take signatures over from another export.",
    "wrap": "Make a SavedModel of a frozen graph.",
    "apply": "Do the edits of a patch file, on many models.",
    "undo": "Undo the last edit made with --backup.",
}
"""The short help of each command; the function of a command has its name."""

_MODULES = {
    "add-predict": "add",
    "add-classify": "add",
    "add-regress": "add",
    "rename": "keys",
    "copy": "keys",
    "remove": "keys",
    "retag": "keys",
    "copy-signatures": "keys",
}
"""The module of each command whose module does not have its name."""


def application(command: str = "") -> typer.Typer:
    """Return the program.

    Args:
        command: The first word of the command line. If it is a command, the others are left out,
            because to import and describe them all takes longer than to show a model.
    """
    app = typer.Typer(
        pretty_exceptions_enable=False,
        # Plain help can be piped, searched and read at any width.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(epilog=EXIT_CODES, invoke_without_command=True)(_smpatch)
    for name, words in _COMMANDS.items():
        if command not in _COMMANDS or name == command:
            stem = name.replace("-", "_")
            function = getattr(import_module(f"smpatch.cli.{_MODULES.get(name, stem)}"), stem)
            app.command(
                name,
                cls=Command,
                short_help=words,
                epilog=EXIT_CODES,
                context_settings={"token_normalize_func": _hyphens},
            )(_with_common(function, stores=name not in {"wrap", "warmup"}))
    return app


def _hyphens(option: str) -> str:
    return option.replace("_", "-")


def _with_common(function: Callable[..., object], *, stores: bool) -> Callable[..., object]:
    """Add the options that all commands have.

    Args:
        function: The function of the command.
        stores: Whether the command accepts URLs of models.

    Returns:
        The command with ``--verbose``, which takes effect before the command line is parsed, and
        ``--store-option``.
    """

    @functools.wraps(function)
    def run(**given: object) -> object:
        del given["verbose"]
        options = given.pop("store_option", None)
        if isinstance(options, list) and options:
            _set_store_options(options)
        return function(**given)

    own = inspect.signature(function, eval_str=True).parameters.values()
    common: dict[str, tuple[object, object]] = {"verbose": (Verbose, False)}
    if stores:
        common["store_option"] = (StoreOptions, None)
    parameters = [
        *(each.replace(kind=each.KEYWORD_ONLY) for each in own),
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, (kind, default) in common.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _set_store_options(options: Sequence[str]) -> None:
    """Set the given options of stores; values may be secret, so that no error repeats them.

    Raises:
        UsageError: An option is not of the form KEY=VALUE, or a key is given twice.
    """
    from smpatch.errors import UsageError
    from smpatch.stores.access import set_store_options

    found: dict[str, str] = {}
    for place, each in enumerate(options, 1):
        key, separator, value = each.partition("=")
        if not key or not separator:
            which = f"the {place}. of {len(options)}" if len(options) > 1 else "it"
            found_words = f"{which} is not of the form KEY=VALUE"
            raise UsageError(found_words, where="--store-option", hint="such as region=eu-west-1")
        if key in found:
            raise UsageError(f"the key {key!r} is given twice", where="--store-option")
        found[key] = value
    set_store_options(found)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        terminal.data(f"smpatch {smpatch.__version__}")
        raise typer.Exit


def _smpatch(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Give an exported TensorFlow SavedModel the serving signatures it should have had.

    Works on the files on disk, without the training code. MODEL is the directory that holds
    saved_model.pb; it defaults to the current directory.

    \b
    smpatch show export/1
    smpatch suggest export/1
    smpatch add-predict export/1 --inputs x:0 --outputs y:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    if context.invoked_subcommand is None:
        terminal.talk(context.get_help())
        raise typer.Exit(2)
