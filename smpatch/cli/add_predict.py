"""``smpatch add-predict``: give a model the predict signature that it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

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
from smpatch.errors import UsageError
from smpatch.signature import DEFAULT_KEY

__all__ = ["add_predict"]

_TENSORS = "[ALIAS=]TENSOR,..."


def add_predict(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_TENSORS,
            parser=text,
            help="What is fed. A tensor is op:index, or op where the operation has one output. "
            "With --function the arguments to rename, as ALIAS=ARGUMENT. May be repeated.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_TENSORS,
            parser=text,
            help="What is fetched, likewise. With --function its results (a key, output_0), all "
            "by default. With --from-signature its outputs by alias, tensors of the main graph, "
            "or tensors inside the functions that it calls.",
        ),
    ] = None,
    model: Model = Path(),
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            parser=text,
            help=f"The signature key. Default: {DEFAULT_KEY}; with --function its name.",
            show_default=False,
        ),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            parser=text,
            help="Make the signature from a function that was traced but not exported: its path, "
            "such as encoder.call, or the name of one trace.",
        ),
    ] = None,
    from_signature: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            parser=text,
            help="Make the signature from another one: its inputs, with other --outputs.",
        ),
    ] = None,
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
    its operation is called: head/Softmax:0 becomes Softmax. `smpatch suggest` proposes what
    to write.

    \b
    smpatch add-predict export/1 --inputs x:0 --outputs scores=head/Softmax:0
    smpatch add-predict --inputs 'ids=ragged(values=v:0,row_splits=r:0)' --outputs y:0
    smpatch add-predict --inputs 'ids=sparse(values=v:0,indices=i:0,dense_shape=s:0)' --outputs y:0
    smpatch add-predict --function encode --outputs embedding=output_0
    smpatch add-predict --from-signature serving_default --signature embedding --outputs enc/Relu:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import notation, patcher
    from smpatch.cli.receipt import report

    options = patcher.Options(
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
    )
    with watching(model, save_to):
        if function is not None:
            _refuse("--function", {"--from-signature": from_signature})
            receipt = patcher.promote_function(
                model,
                function,
                inputs=_names(inputs, "--inputs"),
                outputs=_names(outputs, "--outputs"),
                signature=signature,
                options=options,
            )
        elif from_signature is not None:
            _refuse("--from-signature", {"--inputs": inputs})
            receipt = patcher.derive_signature(
                model,
                from_signature,
                outputs=_names(_needed(outputs, "--outputs"), "--outputs") or {},
                signature=_needed(signature, "--signature"),
                options=options,
            )
        else:
            receipt = patcher.add_predict(
                model,
                inputs=notation.parse_tensors(_needed(inputs, "--inputs"), option="--inputs"),
                outputs=notation.parse_tensors(_needed(outputs, "--outputs"), option="--outputs"),
                signature=DEFAULT_KEY if signature is None else signature,
                options=options,
            )
        report("add-predict", receipt, as_json=as_json, quiet=quiet)


_Given = TypeVar("_Given")


def _needed(given: _Given | None, option: str) -> _Given:
    if given is None:
        hint = "see smpatch add-predict --help; smpatch suggest proposes what to write"
        raise UsageError(f"missing option '{option}'", hint=hint)
    return given


def _refuse(option: str, others: Mapping[str, object]) -> None:
    for name, given in others.items():
        if given is not None:
            found = f"{option} and {name} do not go together"
            raise UsageError(found, hint="see smpatch add-predict --help")


def _names(texts: list[str] | None, option: str) -> dict[str, str] | None:
    from smpatch import notation

    return None if texts is None else notation.parse_names(texts, option=option)
