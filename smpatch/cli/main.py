"""The commands put together."""

from __future__ import annotations

from typing import Annotated

import typer

import smpatch
from smpatch.cli.add_predict import add_predict
from smpatch.cli.guard import run
from smpatch.cli.show import show

__all__ = ["app", "main"]

_EPILOG = (
    "Exit codes: 0 done; 2 wrong usage; 3 not a readable SavedModel; 4 the edit is impossible "
    "or refused; 5 writing or validation failed, and the model is unchanged; 130 interrupted."
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: it can be piped, searched and read at any width.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        print(f"smpatch {smpatch.__version__}")
        raise typer.Exit


@app.callback(epilog=_EPILOG)
def _smpatch(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Give an exported TensorFlow SavedModel the serving signatures it should have had.

    Works on the files on disk, without the training code. MODEL is the directory that holds
    saved_model.pb; it defaults to the current directory.
    """


app.command("add-predict", short_help="Add a predict signature.", epilog=_EPILOG)(add_predict)
app.command("show", short_help="Show what a model offers, without TensorFlow.", epilog=_EPILOG)(
    show
)


def main() -> int:
    """Run the command line; return the exit code."""
    return run(app)
