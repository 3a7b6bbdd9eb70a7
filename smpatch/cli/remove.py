"""``smpatch remove``: take signatures away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["remove"]


@editing("remove")
def remove(
    signature: Annotated[
        list[str],
        typer.Option(
            metavar="KEY",
            parser=text,
            help="The key of a signature, or a pattern such as 'debug_*'. May be repeated.",
        ),
    ],
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Take signatures away, with what smpatch had appended for them alone.

    What an exporter wrote for them (functions, nodes) stays, so that they can be added again.

    \b
    smpatch remove export/1 --signature debug --signature 'tmp_*'
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import patcher

    return patcher.remove_signatures(model, *signature, options=options)
