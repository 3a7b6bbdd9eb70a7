"""The arguments that commands share, each in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Backup",
    "DryRun",
    "Json",
    "LockTimeout",
    "Model",
    "OpLibraries",
    "Quiet",
    "SaveTo",
    "TagSet",
    "TimeLimit",
    "Validate",
]

Model = Annotated[
    Path, typer.Argument(metavar="[MODEL]", help="The SavedModel directory.", show_default=False)
]
TagSet = Annotated[
    str | None,
    typer.Option(
        metavar="TAG,...", help="Which MetaGraph, by its tags; needed only where there are several."
    ),
]
SaveTo = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write a new SavedModel there (absent or empty) instead of editing in place.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Do everything but write; print what would be done.")
]
Validate = Annotated[
    str,
    typer.Option(
        metavar="MODE",
        help="How TensorFlow proves the result before it is put in place: runtime (its C runtime, "
        "as TF Serving), full (tf.saved_model.load as well), none, or auto, what the edit needs.",
    ),
]
Backup = Annotated[
    bool, typer.Option("--backup", help="Keep the previous file as saved_model.pb.backup.")
]
OpLibraries = Annotated[
    list[Path] | None,
    typer.Option(
        "--op-library",
        metavar="FILE",
        help="A library of custom operations that the model needs; may be repeated.",
    ),
]
LockTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="How long to wait for another edit of the same model."
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="How long to wait for TensorFlow's answer."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and --json).")
]
