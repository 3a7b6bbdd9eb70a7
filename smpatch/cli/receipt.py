"""What an edit did, as one would want to read it; the same for every command that edits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from smpatch.cli import machine
from smpatch.cli.terminal import columns, printable, size, spec_rows, tag_set

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Receipt

__all__ = ["report"]

_OUTCOME = {
    (False, "added"): "added to",
    (False, "replaced"): "replaced in",
    (False, "unchanged"): "is there already, equal, in",
    (True, "added"): "would be added to",
    (True, "replaced"): "would be replaced in",
    (True, "unchanged"): "is there already, equal, in",
}


def report(command: str, receipt: Receipt, *, as_json: bool, quiet: bool) -> None:
    """Print a receipt: the result to stdout, remarks to stderr."""
    if as_json:
        machine.write_receipt(command, receipt)
    elif not quiet:
        print("\n".join(_lines(receipt)))
    if not quiet:
        sys.stdout.flush()  # so that the remarks come after, also into one pipe
        for note in receipt.notes:
            print(printable(f"smpatch: note: {note.text}"), file=sys.stderr)


def _lines(receipt: Receipt) -> list[str]:
    signature = receipt.signature
    key, where = printable(receipt.key), printable(str(receipt.directory))
    what = _OUTCOME[receipt.dry_run, receipt.outcome]
    rows = [*spec_rows("input", signature.inputs), *spec_rows("output", signature.outputs)]
    return [
        f"{key} {what} {where} (MetaGraph {tag_set(receipt.tag_set)})",
        *columns(rows, indent="  "),
        f"  method {printable(signature.method_name)}",
        *_proof(receipt),
        *_change(receipt),
    ]


def _proof(receipt: Receipt) -> list[str]:
    if receipt.dry_run:
        return ["dry run: nothing was written"]
    if not receipt.loaders:
        return ["not reloaded: nothing proves that TensorFlow accepts it (--validate none)"]
    return [f"reloaded with TensorFlow's {' and '.join(receipt.loaders)}: the signature holds"]


def _change(receipt: Receipt) -> list[str]:
    if receipt.outcome == "unchanged":
        return []
    name = "saved_model.pb" if receipt.form == "binary" else "saved_model.pbtxt"
    grown = receipt.size_after - receipt.size_before
    refreshed = ", fingerprint.pb refreshed" if receipt.fingerprint == "refreshed" else ""
    lines = [f"{name}: {grown:+,} bytes, now {size(receipt.size_after)}{refreshed}"]
    if receipt.backup is not None:
        lines.append(f"previous file kept as {printable(str(receipt.backup))}")
    return lines
