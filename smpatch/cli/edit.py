"""``smpatch edit``: change a signature that the model has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, named, text
from smpatch.cli.command_line import missing_key
from smpatch.cli.editing import editing
from smpatch.errors import UsageError

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.patcher import Options, Receipt

_Pairs = "OLD=NEW,..."
_Names = "ALIAS,..."
_Tensors = "[ALIAS=]TENSOR,..."
_Many = list[str] | None


@editing("edit")
def edit(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    options: Options,
    model: Model = Path(),
    signature: Annotated[
        str | None,
        named("KEY", "The signature to change.", keys=True),
    ] = None,
    rename_input: Annotated[_Many, named(_Pairs, "Give inputs other names.")] = None,
    rename_output: Annotated[_Many, named(_Pairs, "Give outputs other names.")] = None,
    drop_input: Annotated[
        _Many,
        named(_Names, "Remove these inputs (refused if an output depends on one)."),
    ] = None,
    drop_output: Annotated[_Many, named(_Names, "Remove these outputs.")] = None,
    add_input: Annotated[_Many, named(_Tensors, "Feed these tensors as well.")] = None,
    add_output: Annotated[
        _Many,
        named(
            _Tensors, "Fetch these tensors as well, also from inside the functions that it calls."
        ),
    ] = None,
    shape: Annotated[
        _Many,
        named(
            "ALIAS=SIZES",
            "The shape that the signature promises, such as x=-1,224,224,3; -1, ? or None is "
            "open, x=[] is a scalar.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",  # typer 0.27 makes it --METHOD of a metavar that is the parameter's name
            metavar="METHOD",
            parser=text,
            help="predict, classify, regress, or a full method name.",
        ),
    ] = None,
    default: Annotated[
        _Many,
        named("ALIAS=VALUE", "Default value (JSON) if a request omits the input; null removes it."),
    ] = None,
    init_op: Annotated[
        _Many,
        named(
            "NAME,...",
            "The operation that servers run when they load the model, such as one that fills "
            "tables; of several all run. Needs no --signature.",
        ),
    ] = None,
    no_init_op: Annotated[
        bool,
        typer.Option("--no-init-op", help="Run no operation then. Needs no --signature."),
    ] = False,
) -> Receipt:
    """Change a signature: names, tensors, shapes, method, defaults; or the init op of the model.

    All changes come in one commit. Each option may be repeated. --shape and --default refer to
    the new names.

    \b
    smpatch edit export/1 --signature serving_default --rename-output output_0=scores
    smpatch edit --signature serving_default --drop-output debug --shape image=-1,224,224,3
    smpatch edit --signature predict --default temperature=1.0
    smpatch edit --signature serving_default --add-output embedding=enc_1/Relu:0
    smpatch edit --init-op init_all_tables
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import patcher, tensor_syntax
    from smpatch.edits import Edit, EditSignature, SetInitOp

    edits: list[Edit] = []
    if init_op is not None or no_init_op:
        if init_op is not None and no_init_op:
            raise UsageError("--init-op and --no-init-op contradict each other", hint="give one")
        edits.append(SetInitOp(tensor_syntax.parse_list(init_op or (), option="--init-op")))
    request = EditSignature(
        signature or "",
        rename_inputs=tensor_syntax.parse_pairs(rename_input or (), option="--rename-input"),
        rename_outputs=tensor_syntax.parse_pairs(rename_output or (), option="--rename-output"),
        drop_inputs=tensor_syntax.parse_list(drop_input or (), option="--drop-input"),
        drop_outputs=tensor_syntax.parse_list(drop_output or (), option="--drop-output"),
        add_inputs=tensor_syntax.parse_tensors(add_input or (), option="--add-input"),
        add_outputs=tensor_syntax.parse_tensors(add_output or (), option="--add-output"),
        shapes=tensor_syntax.parse_shapes(shape or (), option="--shape"),
        method_name=method,
        defaults=tensor_syntax.parse_defaults(default or (), option="--default"),
    )
    if method == "":
        # An unset variable of a script gives an empty text; TF Serving serves no such signature.
        raise UsageError("it is empty", where="--method", hint="such as --method predict")
    changes = request != EditSignature(request.key)
    if signature is None and (changes or not edits):
        raise missing_key(model, "edit", "--init-op NAME needs none")
    if not changes and (signature is not None or not edits):
        raise UsageError("nothing is to be changed", hint="see smpatch edit --help")
    if changes:
        edits.insert(0, request)
    return patcher.patch(model, edits, options=options)
