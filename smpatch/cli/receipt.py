"""What an edit did, as one would want to read it; the same for every command that edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpatch.cli.streams import OutputError, data, talk
from smpatch.cli.terminal import columns, default_rows, printable, spec_rows, tag_set

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Change, Receipt

__all__ = ["headlines", "report"]

_OUTCOME = {
    "added": ("{key} added to {where}", "{key} would be added to {where}"),
    "replaced": ("{key} replaced in {where}", "{key} would be replaced in {where}"),
    "unchanged": ("{key} is in {where} already, equal",) * 2,
    "renamed": ("{was} renamed to {key} in {where}", "{was} would be renamed to {key} in {where}"),
    "copied": ("{was} copied to {key} in {where}", "{was} would be copied to {key} in {where}"),
    "removed": ("{key} removed from {where}", "{key} would be removed from {where}"),
    "edited": ("{key} edited in {where}", "{key} would be edited in {where}"),
    "retagged": ("tags {was} now {key} in {where}", "tags {was} would be {key} in {where}"),
}
"""What is said of each outcome, done and rehearsed."""

_SHOWN = frozenset({"added", "replaced", "unchanged", "edited"})
"""Outcomes of which the signature is shown."""


def report(command: str, receipt: Receipt, *, as_json: bool, quiet: bool) -> None:
    """Print a receipt: the result to stdout, remarks to stderr.

    Raises:
        OutputError: Nothing could be printed, and nothing was changed.
    """
    try:
        if as_json:
            from smpatch.cli import machine

            machine.write_receipt(command, receipt)
        elif not quiet:
            data("\n".join(_lines(receipt)))
    except OutputError as error:
        if receipt.dry_run:
            raise
        # Failing now would say that the model is unchanged.
        talk(printable(f"smpatch: warning: the edit is done, but {error}"))
    if not quiet:
        for note in receipt.notes:
            talk(printable(f"smpatch: note: {note.text}"))


def _lines(receipt: Receipt) -> list[str]:
    lines = [line for each in receipt.changes for line in _change_lines(receipt, each)]
    return [*lines, *_change(receipt), *_proof(receipt)]


def headlines(receipt: Receipt) -> list[str]:
    """Return a line for each change: what was done, or would be done, to which signature."""
    return [_change_lines(receipt, each)[0] for each in receipt.changes]


def _change_lines(receipt: Receipt, change: Change) -> list[str]:
    where = printable(str(receipt.directory / _name(receipt)))
    words = _OUTCOME[change.outcome][receipt.dry_run].format(
        key=printable(change.key), was=printable(change.was) or "(none)", where=where
    )
    # Of a MetaGraph that got other tags, these say which it is.
    suffix = "" if change.outcome == "retagged" else f" (MetaGraph {tag_set(receipt.tag_set)})"
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
    lines = [f"reloaded with TensorFlow's {' and '.join(receipt.loaders)}: {what}"]
    if receipt.numbers is not None:
        count = sum(map(len, receipt.numbers.values()))
        given = "1 output gives" if count == 1 else f"{count:,} outputs give"
        lines.append(f"run before and after the edit: {given} the same, bit for bit")
    return lines


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
