"""``smpatch warmup``: list or write the warm-up requests of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpatch.cli.arguments import (
    DryRun,
    Json,
    LockTimeout,
    Model,
    OpLibraries,
    Quiet,
    TimeLimit,
    named,
)
from smpatch.cli.interruption import watching
from smpatch.cli.terminal import data, done, talk
from smpatch.display import columns, printable
from smpatch.errors import UsageError

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.warmup_file import WarmupRequest, WrittenWarmup


def warmup(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    model: Model = Path(),
    signature: Annotated[
        str | None,
        named(
            "KEY",
            "Write requests for this signature. Without it the requests that are there are listed.",
            keys=True,
        ),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Make N requests of random values for each size of the batch."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Where the random values start. Default: 0.")
    ] = None,
    feed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Make a request of these arrays, called like inputs or KEY/INPUT, instead; a "
            ".json or .tfrecord file as smpatch check takes it.",
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Sizes of the batch; of --feed so many of the first rows. Default: 1, or all rows "
            "of --feed.",
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add to the requests that are there.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the requests that are there.")
    ] = False,
    dry_run: DryRun = False,
    op_library: OpLibraries = None,
    time_limit: TimeLimit = 600.0,
    lock_timeout: LockTimeout = 60.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the warm-up requests that TF Serving replays when it loads a model, or write them.

    They lie in assets.extra/tf_serving_warmup_requests. Each request runs once in TensorFlow
    before it is written; one that fails is not written, nor are the others.

    \b
    smpatch warmup export/1
    smpatch warmup export/1 --signature serving_default --random 3 --batch 1,8
    smpatch warmup export/1 --signature classify --feed examples.npz --append
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import warmup_file

    if signature is None:
        _check_listing(random, seed, feed, batch, append or overwrite or dry_run)
        listed = warmup_file.warmup_requests(model)
        if as_json:
            _write(model, listed, None)
        elif not quiet:
            none = f"no warm-up requests in {printable(str(model))}"
            data("\n".join(_rows(listed)) or none)
        return
    if seed is not None and random is None:
        raise UsageError("it is for --random", where="--seed")
    with watching(model, None):
        written = warmup_file.write_warmup(
            model,
            signature,
            random=random,
            seed=seed or 0,
            feed=feed,
            batches=_sizes(batch),
            append=append,
            overwrite=overwrite,
            dry_run=dry_run,
            op_libraries=op_library or (),
            lock_timeout=lock_timeout,
            time_limit=time_limit,
        )
        _report(model, written, as_json=as_json, quiet=quiet)


def _check_listing(*given: object) -> None:
    """Refuse options for writing requests, because no signature is named."""
    if any(each is not None and each is not False for each in given):
        hint = "smpatch warmup MODEL --signature KEY --random N writes requests"
        raise UsageError("no signature is named", where="--signature", hint=hint)


def _sizes(given: str | None) -> tuple[int, ...]:
    from smpatch import tensor_syntax

    if given is None:
        return ()
    sizes = tensor_syntax.parse_list([given], option="--batch")
    try:
        return tuple(int(each) for each in sizes)
    except ValueError:
        raise UsageError(
            f"{given!r} is not a list of sizes", where="--batch", hint="such as 1,8"
        ) from None


def _report(model: Path, written: WrittenWarmup, *, as_json: bool, quiet: bool) -> None:
    with done("the requests are written", dry_run=written.dry_run):
        if as_json:
            _write(model, written.requests, written)
        elif not quiet:
            file = printable(str(written.file))
            count = len(written.requests)
            requests = "1 request" if count == 1 else f"{count:,} requests"
            verb = "would be written" if written.dry_run else "written"
            ran = "it" if count == 1 else "each"
            line = f"{file}: {requests} {verb}, {written.records:,} in all; {ran} ran in TensorFlow"
            data("\n".join([line, *_rows(written.requests)]))
    if not quiet:
        for note in written.notes:
            talk(printable(f"smpatch: note: {note.text}"))


def _rows(requests: Sequence[WarmupRequest]) -> list[str]:
    from smpatch.signature import shape_text

    rows = []
    for each in requests:
        inputs = ", ".join(
            f"{printable(alias)} {tensor.dtype or '(unreadable)'}{shape_text(tensor.shape)}"
            for alias, tensor in each.inputs.items()
        )
        outputs = f" -> {', '.join(map(printable, each.outputs))}" if each.outputs else ""
        key = printable(each.signature) or "(no signature)"
        rows.append((str(each.record), each.kind, key, inputs + outputs))
    return columns(rows)


def _write(model: Path, requests: Sequence[WarmupRequest], written: WrittenWarmup | None) -> None:
    from smpatch.cli import machine

    body: dict[str, Any] = {
        "directory": str(model),
        "requests": [
            {
                "record": each.record,
                "kind": each.kind,
                "signature": each.signature or None,
                "inputs": [
                    {
                        "alias": alias,
                        "dtype": tensor.dtype or None,
                        "shape": None if tensor.shape is None else list(tensor.shape),
                    }
                    for alias, tensor in each.inputs.items()
                ],
                "outputs": list(each.outputs),
            }
            for each in requests
        ],
        "written": None,
    }
    if written is not None:
        body["written"] = {
            "file": str(written.file),
            "records": written.records,
            "dry_run": written.dry_run,
            "notes": [{"code": note.code, "text": note.text} for note in written.notes],
        }
    machine.write("warmup", body)
