"""``smpatch undo``: put back the file that ``--backup`` kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import DryRun, Json, LockTimeout, Models, Quiet, TimeLimit, Unconditional
from smpatch.cli.interruption import watching, watching_all
from smpatch.cli.several import Answer, answers, print_answers
from smpatch.cli.terminal import done
from smpatch.display import (
    columns,
    command_line,
    model_words,
    printable,
    size,
    tag_set,
)

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.undoing import Undone

_WORDS = {
    "added": ("is there again", "would be there again"),
    "removed": ("is removed", "would be removed"),
    "changed": ("is as it was", "would be as it was"),
}


def undo(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    models: Models = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Do the edit again that was undone.")
    ] = False,
    dry_run: DryRun = False,
    unconditional: Unconditional = False,
    time_limit: TimeLimit = 600.0,
    lock_timeout: LockTimeout = 60.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Undo the last edit made with --backup.

    saved_model.pb.backup becomes saved_model.pb by one rename, and what was there becomes the
    backup: --redo does the edit again. There is one backup and not a history. Edits since then
    that kept no backup are undone too.

    \b
    smpatch add-predict export/1 --inputs x:0 --outputs y:0 --backup
    smpatch undo export/1
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import undoing
    from smpatch.validator import Validator

    several = models or [Path()]
    one = len(several) == 1

    def work(model: Path) -> Answer:
        undone = undoing.undo(
            model,
            redo=redo,
            dry_run=dry_run,
            lock_timeout=lock_timeout,
            time_limit=time_limit,
            validator=validator,
            unconditional=unconditional,
        )
        notes = [printable(note.text) for note in undone.notes]
        return Answer(_lines(undone, redo=redo), _body(undone), notes=notes)

    watched = watching(several[0], None) if one else watching_all(several)
    with Validator("none", (), time_limit) as validator, watched:
        found = list(answers(several, work))
        with done("the undo is done", dry_run=dry_run):
            print_answers("undo", found, several=not one, as_json=as_json, quiet=quiet)
        code = max(each.exit_code for _, each in found)
    if code:
        raise typer.Exit(code)


def _body(undone: Undone) -> dict[str, object]:
    return {
        "directory": str(undone.directory),
        "form": undone.form,
        "dry_run": undone.dry_run,
        "size_before": undone.size_before,
        "size_after": undone.size_after,
        "changes": [
            {"tag_set": list(each.tag_set), "key": each.key, "outcome": each.outcome}
            for each in undone.changes
        ],
        "fingerprint": undone.fingerprint,
        "warm_up": undone.warm_up,
        "backup": None if undone.backup is None else str(undone.backup),
        "notes": [{"code": note.code, "text": note.text} for note in undone.notes],
    }


def _near(undone: Undone) -> str:
    """Return the path of the backup: in the model's directory as given, if it exists there."""
    near = undone.directory / undone.backup.name if undone.backup is not None else None
    return str(near if near is not None and near.exists() else undone.backup)


def _lines(undone: Undone, *, redo: bool) -> list[str]:
    name = "saved_model.pb" if undone.form == "binary" else "saved_model.pbtxt"
    where = printable(str(undone.directory / name))
    rows = [
        (
            printable(each.key),
            f"{_WORDS[each.outcome][undone.dry_run]} (MetaGraph {tag_set(each.tag_set)})",
        )
        for each in undone.changes
    ]
    fingerprint = {
        "restored": ", fingerprint.pb put back",
        "refreshed": ", fingerprint.pb refreshed",
    }.get(undone.fingerprint, "")
    if undone.warm_up == "restored":
        fingerprint += ", warm-up requests put back"
    what = "would be put back" if undone.dry_run else "put back"
    lines = [
        f"the backup of {where} {what}",
        *columns(rows, indent="  "),
        f"{name}: {undone.size_before:,} -> {size(undone.size_after)}{fingerprint}",
    ]
    if undone.dry_run:
        lines.append("dry run: nothing was written")
    elif undone.backup is not None:
        model = model_words(undone.directory)
        words = ["smpatch", "undo", *model, *([] if redo else ["--redo"])]
        back = command_line(words)
        kept = printable(_near(undone))
        lines.append(f"the replaced file is kept as {kept}; {back} restores it")
    return lines
