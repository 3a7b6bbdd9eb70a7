"""The commands put together."""

from __future__ import annotations

from typing import Annotated

import typer

import smpatch
from smpatch.cli import guard, streams
from smpatch.cli.add_classify import add_classify
from smpatch.cli.add_predict import add_predict
from smpatch.cli.add_regress import add_regress
from smpatch.cli.apply import apply
from smpatch.cli.check import check
from smpatch.cli.copy import copy
from smpatch.cli.copy_signatures import copy_signatures
from smpatch.cli.diff import diff
from smpatch.cli.edit import edit
from smpatch.cli.remove import remove
from smpatch.cli.rename import rename
from smpatch.cli.retag import retag
from smpatch.cli.show import show
from smpatch.cli.suggest import suggest
from smpatch.cli.undo import undo
from smpatch.cli.wrap import wrap

__all__ = ["EXIT_CODES", "app", "guard"]

EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no (check, diff); 2 wrong usage; 3 not a readable "
    "SavedModel or patch file; 4 the edit is impossible or refused; 5 writing or validation "
    "failed, and the model is unchanged; 130 interrupted."
)
"""At the end of every help text."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: it can be piped, searched and read at any width.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        streams.data(f"smpatch {smpatch.__version__}")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES, invoke_without_command=True)
def _smpatch(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Give an exported TensorFlow SavedModel the serving signatures it should have had.

    Works on the files on disk, without the training code. MODEL is the directory that holds
    saved_model.pb; it defaults to the current directory.

    \b
    smpatch show export/1
    smpatch suggest export/1
    smpatch add-predict export/1 --inputs x:0 --outputs y:0
    """  # noqa: D301 - \b keeps click from wrapping the examples
    if context.invoked_subcommand is None:
        streams.talk(context.get_help())
        raise typer.Exit(2)


for _name, _command, _help in (
    ("show", show, "Show what a model offers, without TensorFlow."),
    ("suggest", suggest, "Suggest what could become a signature."),
    ("check", check, "Check that every signature of a model can be served."),
    ("diff", diff, "Tell how one model differs from another."),
    ("add-predict", add_predict, "Add a predict signature."),
    ("add-classify", add_classify, "Add a signature for TF Serving's Classify."),
    ("add-regress", add_regress, "Add a signature for TF Serving's Regress."),
    ("edit", edit, "Change names, tensors, shapes, method, defaults of a signature."),
    ("rename", rename, "Give a signature another key."),
    ("copy", copy, "Serve a signature under a second key."),
    ("remove", remove, "Take signatures away."),
    ("retag", retag, "Give a MetaGraph other tags."),
    ("copy-signatures", copy_signatures, "Take signatures over from another export."),
    ("wrap", wrap, "Make a SavedModel of a frozen graph."),
    ("apply", apply, "Do the edits of a patch file, on many models."),
    ("undo", undo, "Take the last edit back that kept a backup."),
):
    app.command(_name, short_help=_help, epilog=EXIT_CODES)(_command)
