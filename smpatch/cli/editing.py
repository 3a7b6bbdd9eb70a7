"""Shared parts of the commands that edit a model: options, and the output of a receipt.

A command takes the model and the options, and returns the receipt of its edit. ``editing`` adds the
options that all commands have, and prints the receipt.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpatch.cli.arguments import (
    Backup,
    DryRun,
    Json,
    KeepWarmup,
    LockTimeout,
    OpLibraries,
    ProofFeed,
    Quiet,
    SaveTo,
    SignatureDefOnly,
    TagSet,
    TimeLimit,
    Unconditional,
    Validate,
)
from smpatch.cli.interruption import watching
from smpatch.cli.terminal import data, done, talk
from smpatch.display import (
    columns,
    command_line,
    default_rows,
    model_words,
    printable,
    spec_rows,
    tag_set,
)

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Change, Receipt
    from smpatch.rules import Note


_OUTCOME = {
    "added": ("{key} added to {where}", "{key} would be added to {where}"),
    "replaced": ("{key} replaced in {where}", "{key} would be replaced in {where}"),
    "unchanged": ("nothing to do: {key} in {where} has this state already",) * 2,
    "renamed": ("{was} renamed to {key} in {where}", "{was} would be renamed to {key} in {where}"),
    "copied": ("{was} copied to {key} in {where}", "{was} would be copied to {key} in {where}"),
    "removed": ("{key} removed from {where}", "{key} would be removed from {where}"),
    "edited": ("{key} edited in {where}", "{key} would be edited in {where}"),
    "retagged": (
        "MetaGraph {was} has the tags {key} now ({where})",
        "MetaGraph {was} would have the tags {key} ({where})",
    ),
    "meta-graph-removed": (
        "MetaGraph {key} removed from {where}",
        "MetaGraph {key} would be removed from {where}",
    ),
    "init-op-set": (
        "{key} runs when {where} is loaded",
        "{key} would run when {where} is loaded",
    ),
    "init-op-removed": (
        "{key} no longer runs when {where} is loaded",
        "{key} would no longer run when {where} is loaded",
    ),
}
"""Outcome to its text, for an edit and for a dry run."""

_SHOWN = frozenset({"added", "replaced", "unchanged", "edited"})
"""The outcomes for which the signature is printed."""


def report(command: str, receipt: Receipt, *, as_json: bool, quiet: bool) -> None:
    """Print a receipt: the result to stdout, remarks to stderr.

    Raises:
        OutputError: The receipt of a dry run could not be printed.
    """
    with done("the edit is done", dry_run=receipt.dry_run):
        if as_json:
            from smpatch.cli import machine

            machine.write_receipt(command, receipt)
        elif not quiet:
            data("\n".join(_lines(receipt)))
    if not quiet:
        for note in receipt.notes:
            talk(printable(f"smpatch: note: {note.text}"))


def _lines(receipt: Receipt) -> list[str]:
    lines = [line for each in receipt.changes for line in _change_lines(receipt, each)]
    return [*lines, *_change(receipt), *_proof(receipt)]


def headlines(receipt: Receipt) -> list[str]:
    """Return a line for each change, with the outcome and the signature or the MetaGraph."""
    return [_change_lines(receipt, each)[0] for each in receipt.changes]


def _change_lines(receipt: Receipt, change: Change) -> list[str]:
    where = printable(str(receipt.directory / _name(receipt)))
    if change.outcome == "unchanged" and change.was:
        return [f"nothing to do: {printable(change.was)} runs when {where} is loaded already"]
    tags = change.signature is None and change.key == ",".join(receipt.tag_set)
    if change.outcome == "unchanged" and tags:
        return [f"nothing to do: the tags are {printable(change.key) or '(none)'} already"]
    words = _OUTCOME[change.outcome][receipt.dry_run].format(
        key=printable(change.key), was=printable(change.was) or "(none)", where=where
    )
    # The words have the tags of a MetaGraph that is retagged or removed.
    whole = change.outcome in {"retagged", "meta-graph-removed"}
    suffix = "" if whole else f" (MetaGraph {tag_set(receipt.tag_set)})"
    if change.outcome == "init-op-set" and change.was:
        suffix += f", and no longer {printable(change.was)}"
    lines = [words + suffix]
    if change.signature is not None and change.outcome in _SHOWN:
        rows = [
            *spec_rows("input", change.signature.inputs),
            *spec_rows("output", change.signature.outputs),
            *default_rows(change.signature.defaults),
            ("method", printable(change.signature.method_name) or "(no method name)"),
        ]
        lines += columns(rows, indent="  ")
    return lines


def _proof(receipt: Receipt) -> list[str]:
    if receipt.dry_run:
        return ["dry run: nothing was written, so nothing was reloaded"]
    if not receipt.loaders:
        return ["not reloaded: nothing proves that TensorFlow accepts it (--validate none)"]
    there = [each for each in receipt.changes if each.signature is not None]
    what = "the model loads"
    if there:
        what = "the signatures hold" if len(there) > 1 else "the signature holds"
        if any(_concerns(note, there) for note in receipt.notes):
            command = command_line(["smpatch", "check", *model_words(receipt.directory)])
            what = f"the signature is as it was written, but wrong as before: see {command}"
    unread = ", variables not read" if receipt.variables_read is False else ""
    lines = [f"reloaded with TensorFlow's {' and '.join(receipt.loaders)}{unread}: {what}"]
    if receipt.numbers:
        count = sum(map(len, receipt.numbers.values()))
        given = "1 output gives" if count == 1 else f"{count:,} outputs give"
        lines.append(f"run before and after the edit: {given} the same, bit for bit")
    return lines


def _concerns(note: Note, changes: Sequence[Change]) -> bool:
    """Return whether a note names a fault that an edited signature had before the edit."""
    if note.code != "already-wrong":
        return False
    # A note about a signature that was not edited begins with the key of this signature.
    keys = tuple(f"signature {each.key!r}," for each in changes)
    return note.text.startswith(keys) or not note.text.startswith("signature ")


def _change(receipt: Receipt) -> list[str]:
    if all(each.outcome == "unchanged" for each in receipt.changes):
        return []
    refreshed = ", fingerprint.pb refreshed" if receipt.fingerprint == "refreshed" else ""
    grown = f"{receipt.size_before:,} -> {receipt.size_after:,} bytes"
    lines = [f"{_name(receipt)}: {grown}{refreshed}"]
    if receipt.backup is not None:
        lines.append(f"previous file kept as {printable(str(receipt.backup))}")
    return lines


def _name(receipt: Receipt) -> str:
    return "saved_model.pb" if receipt.form == "binary" else "saved_model.pbtxt"


_Shared = tuple[str, object, object]

_SHARED: tuple[_Shared, ...] = (
    ("dry_run", DryRun, False),
    ("save_to", SaveTo, None),
    ("backup", Backup, False),
    ("keep_warmup", KeepWarmup, False),
    ("tag_set", TagSet, None),
    ("signature_def_only", SignatureDefOnly, False),
    ("validate", Validate, "auto"),
    ("feed", ProofFeed, None),
    ("op_library", OpLibraries, None),
    ("unconditional", Unconditional, False),
    ("time_limit", TimeLimit, 600.0),
    ("lock_timeout", LockTimeout, 60.0),
    ("as_json", Json, False),
    ("quiet", Quiet, False),
)
"""Name, type with its help, and default of each option that all commands share."""


def editing(
    command: str, *, overwrite: str = "", without: tuple[str, ...] = ()
) -> Callable[[Callable[..., Receipt]], Callable[..., None]]:
    """Return a decorator that makes a command of a function that edits a model.

    Args:
        command: The command's name.
        overwrite: The help of its option ``--overwrite``; empty if it has no such option.
        without: Shared options that the command does not have.

    Returns:
        A decorator for a function with the parameters ``model``, ``options`` and its own. It
        returns a function that typer accepts.
    """
    shared = [each for each in _SHARED if each[0] not in without]
    if overwrite:
        replacing = Annotated[bool, typer.Option("--overwrite", help=overwrite)]
        shared.insert(0, ("overwrite", replacing, False))

    def make(function: Callable[..., Receipt]) -> Callable[..., None]:
        # Two names exist for type checkers only. Not typing.get_type_hints: for a default of None
        # Python 3.10 wraps the annotation once more, and typer then does not find the option in it.
        unneeded = {"Options": object, "Receipt": object}
        own = inspect.signature(function, locals=unneeded, eval_str=True).parameters

        @functools.wraps(function)
        def run(**given: Any) -> None:  # noqa: ANN401 - whatever typer has parsed
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
    from smpatch import patcher, tensor_syntax

    tag_set = given.get("tag_set")
    return patcher.Options(
        tag_set=None if tag_set is None else tensor_syntax.parse_tags(tag_set),
        overwrite=given.get("overwrite", False),
        signature_def_only=given.get("signature_def_only", False),
        save_to=given["save_to"],
        dry_run=given["dry_run"],
        validate=given["validate"],
        feed=given["feed"],
        backup=given["backup"],
        keep_warmup=given["keep_warmup"],
        op_libraries=given["op_library"] or (),
        unconditional=given["unconditional"],
        lock_timeout=given["lock_timeout"],
        time_limit=given["time_limit"],
    )
