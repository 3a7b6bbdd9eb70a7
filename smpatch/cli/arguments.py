"""The arguments that commands share, each in one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_MODEL_FILES = frozenset({"saved_model.pb", "saved_model.pbtxt"})


def text(given: str) -> str:
    """Return an argument that names a part of a model, read as UTF-8 whatever the locale is."""
    if given.isprintable():
        return given
    try:
        return os.fsencode(given).decode("utf-8")
    except UnicodeError:
        return given  # the code that uses it raises an error


def present_keys(incomplete: str) -> list[str]:
    """Return the keys for the completion of an option: those of the model, if it loads."""
    import shlex

    from smpatch.errors import SmpatchError
    from smpatch.loader import load

    # An option that has no value yet ends the parsing, so that typer has no model here.
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    try:
        model = next((each for each in shlex.split(line)[2:] if os.path.isdir(each)), ".")  # noqa: PTH112 - the method of Path raises an error for a name that is too long
        meta_graphs = load(model).meta_graphs
        keys = dict.fromkeys(key for each in meta_graphs for key in each.signatures)
    except (SmpatchError, ValueError):  # a quote may be open
        return []
    return [key for key in keys if key.startswith(incomplete)]


def named(
    metavar: str, words: str, *names: str, keys: bool = False, show_default: bool = True
) -> Any:  # noqa: ANN401 - a class of typer
    """Return an option whose value names a part of a model.

    Args:
        metavar: The form of the value.
        words: The help text.
        names: The names of the option, if they do not follow from the parameter.
        keys: Whether the value is a key of a signature, which a shell completes.
        show_default: Whether the help shows the default.
    """
    return typer.Option(
        *names,
        metavar=metavar,
        parser=text,
        help=words,
        autocompletion=present_keys if keys else None,
        show_default=show_default,
    )


def directory(given: str | Path) -> Path:
    """Return the path or URL of a directory."""
    if not os.fspath(given):
        # An unset variable of a script gives an empty text; it must not mean this directory.
        raise typer.BadParameter("it is empty, and names no directory")
    if isinstance(given, Path):
        return given
    from smpatch.errors import UsageError
    from smpatch.urls import path_or_url

    try:
        return path_or_url(given)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def model_directory(given: str | Path) -> Path:
    """Return the directory of a model; pre-commit gives the path of the file in it."""
    path = directory(given)
    from smpatch.urls import ModelUrl

    in_store = isinstance(path, ModelUrl)
    by_file = path.name in _MODEL_FILES and (in_store or path.is_file())
    return path.parent if by_file else path


def _limit(given: str | float) -> float:
    seconds = _seconds(given)
    if seconds == 0:
        raise typer.BadParameter("0 leaves no time for an answer")
    return seconds


def _seconds(given: str | float) -> float:
    from smpatch import arguments
    from smpatch.errors import UsageError

    try:
        return arguments.seconds(given, "")
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


Model = Annotated[
    Path,
    typer.Argument(
        metavar="[MODEL]",
        parser=model_directory,
        help="The SavedModel directory, its saved_model.pb, its URL (gs://, s3://, az://, "
        "https://), or an archive of it (.zip, .tar, .tar.gz). Default: the current directory.",
        show_default=False,
    ),
]
Models = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[MODEL]...",
        parser=model_directory,
        help="The SavedModel directories, their saved_model.pb, their URLs (gs://, s3://, "
        "az://, https://), or archives of them. Default: the current directory.",
        show_default=False,
    ),
]
TagSet = Annotated[
    str | None,
    typer.Option(
        metavar="TAG,...",
        parser=text,
        help="Which MetaGraph, by its tags; needed only where there are several.",
    ),
]
SaveTo = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=directory,
        help="Write a new SavedModel there (absent or empty) instead of editing in place.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Do everything but write; print what would be done.")
]
SignatureDefOnly = Annotated[
    bool,
    typer.Option(
        "--signature-def-only",
        help="Edit what TF Serving reads, and leave the object graph of a TensorFlow 2 export, "
        "from which tf.saved_model.load takes its signatures, as it is.",
    ),
]
Validate = Annotated[
    Literal["auto", "runtime", "full", "run", "none"],
    typer.Option(
        metavar="MODE",
        help="How TensorFlow proves the result before it is put in place: runtime (its C runtime, "
        "as TF Serving), full (tf.saved_model.load as well), run (the same, and every signature "
        "runs before and after the edit on the same values and must give the same), none, or "
        "auto, what the edit needs.",
    ),
]
ProofFeed = Annotated[
    Path | None,
    typer.Option(
        "--feed",
        metavar="FILE.npz",
        help="With --validate run: feed these arrays, called like inputs or KEY/INPUT, beside "
        "values that are made up.",
    ),
]
Backup = Annotated[
    bool,
    typer.Option("--backup", help="Keep the previous file beside the new one, as NAME.backup."),
]
KeepWarmup = Annotated[
    bool,
    typer.Option(
        "--keep-warmup",
        help="Leave TF Serving's warm-up requests as they are, also where they name what the edit "
        "renames or removes.",
    ),
]
OpLibraries = Annotated[
    list[Path] | None,
    typer.Option(
        "--op-library",
        metavar="FILE|PACKAGE",
        help="A library of custom operations that the model needs, or the installed package that "
        "has it, such as tensorflow_text. May be repeated.",
    ),
]
LockTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        parser=_seconds,
        help="How long to wait for another edit of the same model.",
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", parser=_limit, help="How long to wait for an answer of TensorFlow's."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of models to process in parallel (one TensorFlow process each). Default: "
        "the number of processors.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and --json).")
]
Unconditional = Annotated[
    bool,
    typer.Option(
        "--unconditional",
        help="Edit also in a store that ignores conditional puts, where an edit of somebody else "
        "at the same time could be lost.",
    ),
]
StoreOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--store-option",
        metavar="KEY=VALUE",
        help="For models given by URL: an option of the store, such as endpoint or region. May be "
        "repeated.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", help="Print each step on stderr: files, processes, questions, seconds."
    ),
]
