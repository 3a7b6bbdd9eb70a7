"""``smpatch retag``: give a MetaGraph other tags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.arguments import Model, text
from smpatch.cli.editing import editing

if TYPE_CHECKING:  # the library's own import costs what `--help` need not pay
    from smpatch.patcher import Options, Receipt

__all__ = ["retag"]


@editing("retag", without=("tag_set", "signature_def_only"))
def retag(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TAG,...|INDEX",
            parser=text,
            help="The tags that the MetaGraph has, or its place among the MetaGraphs, from 0.",
        ),
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="TAG,...", parser=text, help="The tags that it gets.")
    ],
    options: Options,
    model: Model = Path(),
) -> Receipt:
    """Give a MetaGraph other tags. Loaders take the MetaGraph that has exactly those asked for.

    Tags that were saved as letters (s, e, r, v, e) are best named by place: --from 0.

    \b
    smpatch retag export/1 --from transform --to serve
    smpatch retag export/1 --from 0 --to serve,gpu
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import notation, patcher

    tags = notation.parse_tags(source)
    named = int(source) if source.isascii() and source.isdecimal() else tags
    return patcher.retag(model, named, notation.parse_tags(target), options=options)
