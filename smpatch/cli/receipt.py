"""What an edit did, as one would want to read it; the same for every command that edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpatch.cli.streams import OutputError, data, talk
from smpatch.cli.terminal import columns, printable, spec_rows, tag_set

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Receipt

__all__ = ["report"]

_OUTCOME = {
    (False, "added"): "added to {}",
    (False, "replaced"): "replaced in {}",
    (False, "unchanged"): "is in {} already, equal",
    (True, "added"): "would be added to {}",
    (True, "replaced"): "would be replaced in {}",
    (True, "unchanged"): "is in {} already, equal",
}


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
    signature = receipt.signature
    where = printable(str(receipt.directory / _name(receipt)))
    what = _OUTCOME[receipt.dry_run, receipt.outcome].format(where)
    rows = [
        *spec_rows("input", signature.inputs),
        *spec_rows("output", signature.outputs),
        ("method", printable(signature.method_name)),
    ]
    return [
        f"{printable(receipt.key)} {what} (MetaGraph {tag_set(receipt.tag_set)})",
        *columns(rows, indent="  "),
        *_change(receipt),
        *_proof(receipt),
    ]


def _proof(receipt: Receipt) -> list[str]:
    if receipt.dry_run:
        return ["dry run: nothing was written, so nothing was reloaded"]
    if not receipt.loaders:
        return ["not reloaded: nothing proves that TensorFlow accepts it (--validate none)"]
    return [f"reloaded with TensorFlow's {' and '.join(receipt.loaders)}: the signature holds"]


def _change(receipt: Receipt) -> list[str]:
    if receipt.outcome == "unchanged":
        return []
    refreshed = ", fingerprint.pb refreshed" if receipt.fingerprint == "refreshed" else ""
    grown = f"{receipt.size_before:,} -> {receipt.size_after:,} bytes"
    lines = [f"{_name(receipt)}: {grown}{refreshed}"]
    if receipt.backup is not None:
        lines.append(f"previous file kept as {printable(str(receipt.backup))}")
    return lines


def _name(receipt: Receipt) -> str:
    return "saved_model.pb" if receipt.form == "binary" else "saved_model.pbtxt"
