"""``--html`` of ``suggest`` and ``show``: an HTML page, written to a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpatch.cli.terminal import data
from smpatch.display import printable, size
from smpatch.errors import UsageError

if TYPE_CHECKING:
    from smpatch.functions.shape_inference import Infer
    from smpatch.loader import MetaGraph, SavedModel
    from smpatch.page import Proposal, Section

Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a page to look at instead: one HTML file with the signatures and the tensors "
        "that they compute.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the file of --html if it is there.")
]


@dataclass(frozen=True, slots=True)
class Shown:
    """The first view of a page.

    Attributes:
        search: The text in the search box.
        everything: Whether all tensors are listed.
    """

    search: str = ""
    everything: bool = False


def check_options(html: Path | None, *, overwrite: bool, as_json: bool) -> None:
    """Refuse options that contradict each other."""
    if overwrite and html is None:
        raise UsageError("it needs --html", where="--overwrite")
    if html is not None and as_json:
        raise UsageError("--html and --json contradict each other", hint="give one")


def section(  # noqa: PLR0913 - what a section of the page shows
    meta_graph: MetaGraph,
    model: Path,
    tag_set: str | None,
    *,
    signature: str | None = None,
    proposals: Sequence[Proposal] = (),
    notes: Iterable[str] = (),
    infer: Infer | None = None,
) -> Section:
    """Return the section of a page for a MetaGraph.

    Args:
        meta_graph: The MetaGraph.
        model: The path of the model, as the user gave it.
        tag_set: The value of ``--tag-set`` for commands; None for none.
        signature: The only signature whose computation is shown; None for all.
        proposals: Tensors and functions that could become a signature.
        notes: Notes for the reader.
        infer: A function that asks TensorFlow for shapes; None for none.
    """
    from smpatch.cli.suggested_commands import Commands
    from smpatch.page import Section

    commands = Commands(model, tag_set, signature, meta_graph)
    keys = tuple(meta_graph.signatures)
    return Section(
        meta_graph,
        keys if signature is None else (signature,),
        add={key: commands.adding(key) for key in keys},
        edit={key: commands.extending(key) for key in keys},
        look={key: commands.page(key) for key in keys},
        key=commands.new_key,
        proposals=proposals,
        notes=tuple(notes),
        infer=infer,
    )


def undefined_notes(meta_graph: MetaGraph) -> list[str]:
    """Return a note about operations that the file does not define, or no note."""
    from smpatch.suggestions import undefined

    if meta_graph.op_defs and meta_graph.functions.complete:
        return []
    names = undefined(meta_graph)
    if not names:
        return []
    listed = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" * (len(names) > _FEW))
    hint = "smpatch suggest --html asks TensorFlow for them"
    return [f"The file does not define {listed}; what these operations yield is left out. {hint}."]


_FEW = 5
"""The most operations that a note names."""


def write_page(  # noqa: PLR0913 - the file, and what is in it
    file: Path,
    opened: SavedModel,
    model: Path,
    sections: Sequence[Section],
    shown: Shown,
    *,
    overwrite: bool,
) -> None:
    """Write the page, and print its file name and size."""
    from smpatch import __version__
    from smpatch.page import Page, document, html
    from smpatch.writer.text_file import write_text

    name = str(opened.directory if model == Path() else model)
    page = Page(opened, name, sections, f"smpatch {__version__}", shown.search, shown.everything)
    text = html(document(page))
    write_text(file, text, overwrite=overwrite, option="--html")
    data(f"{printable(str(file))}: {size(len(text.encode()))} written")
