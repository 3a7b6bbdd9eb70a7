"""``smpatch rename``: give a signature another key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["rename"]


_From = Annotated[
    str, typer.Option("--from", metavar="KEY", parser=text, help="The key that the signature has.")
]
_To = Annotated[str, typer.Option("--to", metavar="KEY", parser=text, help="The key that it gets.")]


@editing("rename", overwrite="Replace the signature that has that key.")
def rename(
    source: _From,
    target: _To,
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Give a signature another key; what it says stays as it is.

    \b
    smpatch rename export/1 --from image_quality --to serving_default
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import patcher

    return patcher.rename_signature(model, source, target, options=options)
