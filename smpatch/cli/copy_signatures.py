"""``smpatch copy-signatures``: take the signatures over from another export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["copy_signatures"]


@editing("copy-signatures", overwrite="Replace signatures that have their keys.")
def copy_signatures(
    from_model: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The SavedModel directory that has the signatures."),
    ],
    options: Options,
    model: Model = Path(),
    signature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            parser=text,
            help="Which signature. May be repeated. Default: all that can be taken over.",
            show_default=False,
        ),
    ] = None,
) -> Receipt:
    """Take signatures over from another export of the same graph, such as before a conversion.

    Those whose tensors are not in the model, or are others there, are left out and told.

    \b
    smpatch copy-signatures --from-model original/1 converted/1
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import transfer

    return transfer.copy_signatures(model, from_model, keys=signature, options=options)
