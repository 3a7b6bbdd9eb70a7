"""``smpatch apply``: the edits of a patch file, on one or several models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import (
    Backup,
    DryRun,
    Jobs,
    Json,
    KeepWarmup,
    LockTimeout,
    OpLibraries,
    ProofFeed,
    Quiet,
    SignatureDefOnly,
    TagSet,
    TimeLimit,
    Unconditional,
    Validate,
    directory,
    model_directory,
)
from smpatch.cli.interruption import watching_all
from smpatch.cli.log import verbose
from smpatch.cli.several import collected, failure, shows_bar
from smpatch.cli.terminal import data, done, talk
from smpatch.display import printable

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.batch import Outcome
    from smpatch.editing.edit import Edit
    from smpatch.patchfile import Patch

_OPTIONS = frozenset(
    {
        *("--backup", "--dry-run", "--feed", "--jobs", "--json", "--keep-warmup"),
        *("--lock-timeout", "--op-library", "--quiet", "--save-to", "--signature-def-only"),
        *("--store-option", "--tag-set", "--time-limit", "--unconditional", "--validate"),
        "--verbose",
    }
)
"""The options of this command, which errors may name."""

_OPTION = re.compile(r"--([a-z][a-z-]*)")

_COMMAND = re.compile(r"smpatch [a-z-]+ [^;)]*")
"""A command in a hint; its options are not replaced."""


def apply(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    patch: Annotated[
        Path, typer.Argument(metavar="PATCH.toml", help="The file that holds the edits.")
    ],
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            parser=model_directory,
            help="The SavedModel directories, or URLs; in a URL * and [...] stand for a part of a "
            "name.",
        ),
    ],
    jobs: Jobs = None,
    dry_run: DryRun = False,
    save_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=directory,
            help="Write new SavedModels there, each under its model's name, instead of editing "
            "in place.",
        ),
    ] = None,
    backup: Backup = False,
    keep_warmup: KeepWarmup = False,
    tag_set: TagSet = None,
    signature_def_only: SignatureDefOnly = False,
    validate: Validate = "auto",
    feed: ProofFeed = None,
    op_library: OpLibraries = None,
    unconditional: Unconditional = False,
    time_limit: TimeLimit = 600.0,
    lock_timeout: LockTimeout = 60.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do the edits that a patch file lists, on many models.

    The file is checked as a whole before any model is touched. Each model gets all edits in
    one commit, or none; one that is what the file asks for already stays as it is, so that
    to apply a file twice is the same as once. A model that fails stops no other; the exit
    code is then the highest of theirs.

    \b
    [[edit]]                          # patch.toml begins with: version = 1
    rename = "image_quality"
    to = "serving_default"

    \b
    smpatch apply patch.toml export/1
    smpatch apply patch.toml models/*/1 --jobs 4 --backup
    smpatch apply patch.toml 'gs://bucket/models/*/[0-9]*'
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import batch, patcher, patchfile, tensor_syntax

    asked = patchfile.load_patch(patch)
    options = patcher.Options(
        tag_set=asked.tag_set if tag_set is None else tensor_syntax.parse_tags(tag_set),
        signature_def_only=signature_def_only or asked.signature_def_only,
        save_to=save_to,
        dry_run=dry_run,
        validate=validate,
        feed=feed,
        backup=backup,
        keep_warmup=keep_warmup,
        op_libraries=(*asked.op_libraries, *(op_library or ())),
        unconditional=unconditional,
        lock_timeout=lock_timeout,
        time_limit=time_limit,
    )
    models = batch.listed(models)
    places = [
        place or model
        for model, place in zip(models, batch.destinations(models, options), strict=True)
    ]
    order = {model: number for number, model in enumerate(models)}
    with watching_all(places):
        # The generator is closed here, so that the workers end before the report is printed.
        with closing(batch.apply(models, asked.edits, options=options, jobs=jobs)) as finished:
            outcomes = _collected(_in_words(finished, patch, asked), len(models), quiet=quiet)
        outcomes.sort(key=lambda each: order[each.model])
        with done("the edits are done", dry_run=dry_run):
            _report(patch, outcomes, dry_run=dry_run, as_json=as_json, quiet=quiet)
    raise typer.Exit(max(each.exit_code for each in outcomes))


def _collected(finished: Iterator[Outcome], count: int, *, quiet: bool) -> list[Outcome]:
    """Return the outcomes, and print failures: at once, or all of them after a bar."""
    later = shows_bar(count, quiet=quiet)
    outcomes: list[Outcome] = []
    for outcome in collected(finished, count, quiet=quiet):
        outcomes.append(outcome)
        if not later:
            _print_failure(outcome)
    for outcome in outcomes if later else ():
        _print_failure(outcome)
    return outcomes


def _in_words(finished: Iterator[Outcome], file: Path, patch: Patch) -> Iterator[Outcome]:
    """Yield the outcomes, with errors that name lines and keys of the patch file.

    An error of the library names options of the commands. A patch file has keys with the same
    names, without the dashes. Options that ``apply`` itself has are not replaced.
    """
    from smpatch.editing.sequence import described

    for outcome in finished:
        error = outcome.error
        if error is not None and error.edit is not None:
            edit = patch.edits[error.edit]
            prefix = described(edit)
            where = error.where.removeprefix(prefix).removeprefix(": ")
            line = f"{file}, line {patch.lines[error.edit]} ({prefix})"
            error.where = f"{line}: {_keys(where, edit)}" if where else line
            error.hint = _keys(error.hint, edit)
        yield outcome


def _keys(text: str, edit: Edit) -> str:
    """Return a text with keys of a patch file in the place of options."""

    def key(found: re.Match[str]) -> str:
        name = found[1]
        if f"--{name}" in _OPTIONS:
            return found[0]
        if name == "overwrite":
            return "overwrite = true"
        return edit.verb if name in {"signature", "from"} else name

    parts, start = [], 0
    for command in _COMMAND.finditer(text):
        parts += [_OPTION.sub(key, text[start : command.start()]), command[0]]
        start = command.end()
    return "".join([*parts, _OPTION.sub(key, text[start:])])


def _print_failure(outcome: Outcome) -> None:
    if outcome.error is not None:
        talk(failure(outcome.model, outcome.error))


def _report(
    patch: Path, outcomes: Sequence[Outcome], *, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    if as_json:
        from smpatch.cli import machine

        machine.write(
            "apply",
            {
                "patch": str(patch),
                "dry_run": dry_run,
                "counts": _counts(outcomes),
                "models": [
                    {
                        "model": str(each.model),
                        "exit_code": each.exit_code,
                        "outcome": _outcome(each),
                        "receipt": None
                        if each.receipt is None
                        else machine.receipt_body(each.receipt),
                        "error": None if each.error is None else machine.error_body(each.error),
                    }
                    for each in outcomes
                ],
            },
        )
    elif not quiet:
        from smpatch.cli.editing import headlines

        rehearsed = [each.receipt for each in outcomes if each.receipt and dry_run]
        lines = [line for receipt in rehearsed for line in headlines(receipt)]
        data("\n".join([*lines, _summary(outcomes, dry_run=dry_run)]))
    if verbose():
        for each in outcomes:
            talk(printable(f"smpatch: {each.model}: {_WORDS[_outcome(each), dry_run]}"))
    if not quiet:
        for line in _notes(outcomes):
            talk(printable(line))


_WORDS = {
    ("edited", False): "edited",
    ("edited", True): "would be edited",
    ("unchanged", False): "already applied",
    ("unchanged", True): "already applied",
    ("failed", False): "failed",
    ("failed", True): "would fail",
}


def _outcome(outcome: Outcome) -> str:
    """Return the name of an outcome: ``edited``, ``unchanged`` or ``failed``."""
    if outcome.receipt is None:
        return "failed"
    done_already = all(each.outcome == "unchanged" for each in outcome.receipt.changes)
    return "unchanged" if done_already else "edited"


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    kinds = [_outcome(each) for each in outcomes]
    return {kind: kinds.count(kind) for kind in ("edited", "unchanged", "failed")}


def _summary(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    models = "1 model" if len(outcomes) == 1 else f"{len(outcomes):,} models"
    counts = ", ".join(
        f"{count:,} {_WORDS[kind, dry_run]}" for kind, count in _counts(outcomes).items() if count
    )
    loaders = {each.receipt.loaders for each in outcomes if each.receipt is not None}
    if dry_run:
        proof = "; nothing was written"
    elif loaders == {()}:
        proof = "; not reloaded (--validate none)"
    else:
        proof = ""
    return f"{models}: {counts}{proof}"


def _notes(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the notes as lines; a note that several models share is one line."""
    shared: dict[tuple[str, str], list[Path]] = {}
    for each in outcomes:
        for note in () if each.receipt is None else each.receipt.notes:
            shared.setdefault((note.code, note.text), []).append(each.model)
    for (_, text), models in shared.items():
        more = f" and {len(models) - 1:,} more" if len(models) > 1 else ""
        yield f"smpatch: note: {models[0]}{more}: {text}"
