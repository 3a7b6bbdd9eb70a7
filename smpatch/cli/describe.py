"""``smpatch describe``: a text about a signature, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from smpatch.cli.arguments import Json, Model, TagSet, named
from smpatch.cli.terminal import data
from smpatch.display import printable, size
from smpatch.errors import UsageError


def describe(  # noqa: PLR0913 - each is an option of the command line
    model: Model = Path(),
    *,
    as_: Annotated[
        Literal["triton", "rest", "grpc", "markdown"],
        typer.Option(
            "--as",
            metavar="WHAT",
            help="triton (a config.pbtxt), rest (curl lines for TF Serving), grpc (a Python "
            "program for TF Serving) or markdown (tables for a model card).",
        ),
    ],
    signature: Annotated[
        str | None,
        named(
            "KEY",
            "The signature. Default: serving_default or the only one; with markdown all.",
            keys=True,
        ),
    ] = None,
    name: Annotated[
        str | None,
        named(
            "NAME",
            "The name that the server has for the model. Default: the name of the directory, "
            "without the version.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="The size of an open first dimension in a request, 1 by default; with triton the "
            "max_batch_size, 4 by default.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the text to this file, whole or not at all."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of --output if it is there.")
    ] = False,
    tag_set: TagSet = None,
    as_json: Json = False,
) -> None:
    """Print a configuration, a request or tables for a signature. Needs no TensorFlow.

    The text is made from the signatures alone. What it cannot express is an error.

    \b
    smpatch describe export/1 --as triton --output config.pbtxt
    smpatch describe export/1 --as rest
    smpatch describe export/1 --as grpc --signature encode --name encoder
    smpatch describe export/1 --as markdown
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import describer, tensor_syntax

    if overwrite and output is None:
        raise UsageError("it needs --output", where="--overwrite")
    tags = None if tag_set is None else tensor_syntax.parse_tags(tag_set)
    described = describer.describe(model, as_, signature, tag_set=tags, name=name, batch=batch)
    if output is not None:
        from smpatch.writer.text_file import write_text

        write_text(output, described, overwrite=overwrite)
    if as_json:
        from smpatch.cli import machine

        written = None if output is None else str(output)
        body = {"directory": str(model), "as": as_, "text": described, "output": written}
        machine.write("describe", body)
    elif output is None:
        data(described.removesuffix("\n"))
    else:
        data(f"{printable(str(output))}: {size(len(described.encode()))} written")
