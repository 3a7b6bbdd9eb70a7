"""What the commands that edit a model have in common: their options, and how they end.

A command says what it wants of the model, given the model and how it is to be done, and gets
its receipt printed. The options that all share stand here once and are added to each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpatch.cli.arguments import (
    Backup,
    DryRun,
    Json,
    LockTimeout,
    OpLibraries,
    ProofFeed,
    Quiet,
    SaveTo,
    SignatureDefOnly,
    TagSet,
    TimeLimit,
    Validate,
)
from smpatch.cli.interruption import watching

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Receipt

__all__ = ["editing"]

_Shared = tuple[str, object, object]

_SHARED: tuple[_Shared, ...] = (
    ("dry_run", DryRun, False),
    ("save_to", SaveTo, None),
    ("backup", Backup, False),
    ("tag_set", TagSet, None),
    ("signature_def_only", SignatureDefOnly, False),
    ("validate", Validate, "auto"),
    ("feed", ProofFeed, None),
    ("op_library", OpLibraries, None),
    ("time_limit", TimeLimit, 600.0),
    ("lock_timeout", LockTimeout, 60.0),
    ("as_json", Json, False),
    ("quiet", Quiet, False),
)
"""Name, type with its help, and default of each option that all commands share."""


def editing(
    command: str, *, overwrite: str = "", without: tuple[str, ...] = ()
) -> Callable[[Callable[..., Receipt]], Callable[..., None]]:
    """Make a command of a function that edits a model.

    Args:
        command: The command's name.
        overwrite: What its option ``--overwrite`` does; empty where it has none.
        without: Shared options that make no sense for it.

    Returns:
        What turns a function with the parameters ``model``, ``options`` and its own into one
        that typer takes.
    """
    shared = [each for each in _SHARED if each[0] not in without]
    if overwrite:
        replacing = Annotated[bool, typer.Option("--overwrite", help=overwrite)]
        shared.insert(0, ("overwrite", replacing, False))

    def make(function: Callable[..., Receipt]) -> Callable[..., None]:
        # Two names are there for type checkers only. Not typing.get_type_hints: for a default of
        # None Python 3.10 wraps what it finds once more, and typer no longer sees the option in it.
        unneeded = {"Options": object, "Receipt": object}
        own = inspect.signature(function, locals=unneeded, eval_str=True).parameters

        @functools.wraps(function)
        def run(**given: Any) -> None:  # noqa: ANN401 - whatever typer has parsed
            from smpatch.cli.receipt import report

            as_json, quiet = given.pop("as_json"), given.pop("quiet")
            arguments = {name: given[name] for name in own if name != "options"}
            with watching(given["model"], given.get("save_to")):
                receipt = function(options=_options(given), **arguments)
                report(command, receipt, as_json=as_json, quiet=quiet)

        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, each in own.items()
            if name != "options"
        ]
        parameters += [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, kind, default in shared
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return make


def _options(given: dict[str, Any]) -> object:
    from smpatch import notation, patcher

    tag_set = given.get("tag_set")
    return patcher.Options(
        tag_set=None if tag_set is None else notation.parse_tags(tag_set),
        overwrite=given.get("overwrite", False),
        signature_def_only=given.get("signature_def_only", False),
        save_to=given["save_to"],
        dry_run=given["dry_run"],
        validate=given["validate"],
        feed=given["feed"],
        backup=given["backup"],
        op_libraries=given["op_library"] or (),
        lock_timeout=given["lock_timeout"],
        time_limit=given["time_limit"],
    )
