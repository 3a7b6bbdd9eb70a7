"""``smpatch show``: the MetaGraphs and signatures of a SavedModel, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import typer

from smpatch.cli.arguments import Json, Models, TagSet
from smpatch.cli.page import Html, Overwrite, check_options
from smpatch.cli.several import Answer, answers, print_answers
from smpatch.display import columns, printable, signature_rows, size
from smpatch.display import tag_set as shown_tags
from smpatch.errors import UsageError
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.savedmodel.directory import TEXT_NAME
from smpatch.signature import SignatureDef

_INIT_OP = "__saved_model_init_op"


def show(
    models: Models = None,
    html: Html = None,
    overwrite: Overwrite = False,
    tag_set: TagSet = None,
    as_json: Json = False,
) -> None:
    """Show every MetaGraph with its signatures: types, shapes, tensors. Needs no TensorFlow.

    Unknown dimensions are shown as ?; tensors as --inputs and --outputs take them.
    """
    several = models or [Path()]
    check_options(html, overwrite=overwrite, as_json=as_json)
    if html is not None:
        if len(several) > 1:
            raise UsageError("a page shows one model", where="--html", hint="give one MODEL")
        _write(html, several[0], tag_set, overwrite=overwrite)
        return
    found = answers(several, lambda model: _answer(model, tag_set, as_json=as_json))
    code = print_answers("show", found, several=len(several) > 1, as_json=as_json)
    if code:
        raise typer.Exit(code)


def _write(html: Path, model: Path, tag_set: str | None, *, overwrite: bool) -> None:
    from smpatch.cli import page

    opened = load(model)
    chosen = _chosen(opened, tag_set)
    sections = [
        page.section(
            each,
            model,
            ",".join(each.tags) if len(opened.meta_graphs) > 1 else None,
            notes=page.undefined_notes(each),
        )
        for each in chosen
    ]
    page.write_page(html, opened, model, sections, page.Shown(), overwrite=overwrite)


def _chosen(opened: SavedModel, tag_set: str | None) -> tuple[MetaGraph, ...]:
    if tag_set is None:
        return opened.meta_graphs
    from smpatch import tensor_syntax

    return (opened.meta_graph(tensor_syntax.parse_tags(tag_set)),)


def _answer(model: Path, tag_set: str | None, *, as_json: bool) -> Answer:
    opened = load(model)
    chosen = _chosen(opened, tag_set)
    notes = []
    if opened.form == "binary" and (opened.directory / TEXT_NAME).exists():
        notes.append(f"{TEXT_NAME} is here too; TensorFlow reads {opened.file.name}")
    if not as_json:
        return Answer(_lines(opened, chosen), {}, notes=notes)
    from smpatch.cli import machine

    return Answer((), machine.show_body(opened, chosen), notes=notes)


def _lines(model: SavedModel, meta_graphs: tuple[MetaGraph, ...]) -> list[str]:
    lines = [f"{printable(str(model.file))}  ({size(model.identity.size)})"]
    for each in meta_graphs:
        lines += ["", *_meta_graph_lines(each)]
    return lines


def _meta_graph_lines(meta_graph: MetaGraph) -> list[str]:
    version = printable(meta_graph.tensorflow_version) or "of unknown version"
    style = "with an object graph" if meta_graph.has_object_graph else "without an object graph"
    lines = [f"MetaGraph {shown_tags(meta_graph.tags)}  (TensorFlow {version}, {style})"]
    if not meta_graph.signatures:
        lines.append("  no signatures")
    from smpatch.functions.composed_of import compositions

    composed = compositions(meta_graph)
    for key, signature in meta_graph.signatures.items():
        method = printable(signature.method_name) or "(no method name)"
        lines.append(f"  {printable(key)}  {method}")
        lines += _signature_lines(signature, indent="    ")
        if key in composed:
            lines.append(f"    composed of  {printable(str(composed[key]))}")
    if meta_graph.has_object_graph:
        from smpatch.functions.compare import disagreements

        for each in disagreements(meta_graph):
            lines.append(
                f"  servers and Python disagree: {printable(each.key)} is {printable(each.found)}"
            )
    for key, reserved in meta_graph.reserved.items():
        names = ", ".join(printable(tensor.name) for tensor in reserved.tensors())
        when = "runs when the model is loaded" if key == _INIT_OP else "is the training step"
        lines.append(f"  {key}: {names} {when}")
    return lines


def _signature_lines(signature: SignatureDef, indent: str) -> list[str]:
    return columns(signature_rows(signature), indent)
