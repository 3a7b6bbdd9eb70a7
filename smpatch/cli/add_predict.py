"""``smpatch add-predict``: give a model the predict signature that it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smpatch import notation
from smpatch.cli.arguments import (
    Backup,
    DryRun,
    Json,
    LockTimeout,
    Model,
    OpLibraries,
    Quiet,
    SaveTo,
    SignatureDefOnly,
    TagSet,
    TimeLimit,
    Validate,
    text,
)
from smpatch.cli.interruption import watching
from smpatch.cli.receipt import report
from smpatch.edits import DEFAULT_KEY

__all__ = ["add_predict"]

_TENSORS = "[ALIAS=]TENSOR,..."


def add_predict(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    inputs: Annotated[
        list[str],
        typer.Option(
            metavar=_TENSORS,
            parser=text,
            help="What is fed. A tensor is op:index, or op where the operation has one output. "
            "May be repeated.",
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Option(metavar=_TENSORS, parser=text, help="What is fetched, likewise."),
    ],
    model: Model = Path(),
    signature: Annotated[
        str, typer.Option(metavar="KEY", parser=text, help="The signature key.")
    ] = DEFAULT_KEY,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the signature that has the key.")
    ] = False,
    dry_run: DryRun = False,
    save_to: SaveTo = None,
    backup: Backup = False,
    tag_set: TagSet = None,
    signature_def_only: SignatureDefOnly = False,
    validate: Validate = "auto",
    op_library: OpLibraries = None,
    time_limit: TimeLimit = 600.0,
    lock_timeout: LockTimeout = 60.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add a predict signature, prove it by reloading with TensorFlow, and put it in place.

    Nothing else in the model changes. Without an alias, an input or output is called what
    its operation is called: head/Softmax:0 becomes Softmax.

    \b
    smpatch add-predict export/1 --inputs x:0 --outputs scores=head/Softmax:0
    smpatch add-predict --inputs 'ids=ragged(values=v:0,row_splits=r:0)' --outputs y:0
    smpatch add-predict --inputs 'ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)' --outputs y:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    # Only now: `smpatch show` and `--help` do without what edits.
    from smpatch.patcher import Options  # noqa: PLC0415
    from smpatch.patcher import add_predict as patch  # noqa: PLC0415

    with watching(model, save_to):
        receipt = patch(
            model,
            inputs=notation.parse_tensors(inputs, option="--inputs"),
            outputs=notation.parse_tensors(outputs, option="--outputs"),
            signature=signature,
            options=Options(
                tag_set=None if tag_set is None else notation.parse_tags(tag_set),
                overwrite=overwrite,
                signature_def_only=signature_def_only,
                save_to=save_to,
                dry_run=dry_run,
                validate=validate,
                backup=backup,
                op_libraries=op_library or (),
                lock_timeout=lock_timeout,
                time_limit=time_limit,
            ),
        )
        report("add-predict", receipt, as_json=as_json, quiet=quiet)
