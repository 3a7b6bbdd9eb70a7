"""``smpatch compose``: a signature made of another one, with constants in the place of inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, present_keys, text
from smpatch.cli.editing import editing

__all__ = ["compose"]

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt


@editing("compose", overwrite="Replace the signature that has the key.")
def compose(
    from_signature: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            parser=text,
            autocompletion=present_keys,
            help="The signature to start from; it stays as it is.",
        ),
    ],
    signature: Annotated[
        str, typer.Option(metavar="KEY", parser=text, help="The key of the new signature.")
    ],
    bind: Annotated[
        list[str],
        typer.Option(
            metavar="INPUT=VALUE",
            parser=text,
            help="An input that becomes a constant and is no input of the new signature. The "
            "value is JSON, or a file FILE.npy; it has the input's shape or that of its last "
            "dimensions, and is then repeated for each of the batch. May be repeated.",
        ),
    ],
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Make a signature of another one: inputs that clients should not send become constants.

    Unlike a default (smpatch edit --default), a constant works in every reader.

    \b
    smpatch compose export/1 --from-signature serving_default --signature serve --bind dropout=0.0
    smpatch compose --from-signature predict --signature serve --bind 'ids=[0, 1]' --bind w=w.npy
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import composition, tensor_syntax

    return composition.compose_signature(
        model,
        from_signature,
        bind=tensor_syntax.parse_constants(bind, option="--bind"),
        signature=signature,
        options=options,
    )
