"""``smpatch diff``: the differences between two models, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpatch.cli.arguments import Json, Quiet, model_directory
from smpatch.cli.several import Answer, answers, print_answers
from smpatch.display import columns, default_rows, printable, size, spec_rows
from smpatch.display import tag_set as shown_tags
from smpatch.errors import UsageError

if TYPE_CHECKING:  # the import takes time, and `--help` does not need it
    from smpatch.differ import (
        Detail,
        Difference,
        FileDifference,
        MetaGraphDifference,
        Part,
        Side,
        SignatureDifference,
        Tally,
        Value,
    )

_Row = tuple[str, str]
"""A label or file name, and the words beside it."""

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}
_ASIDE = "  (does not count)"
_HIDDEN = (
    "something that is not shown: names of dimensions, a shape left out, a composite type, "
    "or a field of a newer writer"
)
_NOTHING = "(none)"
_HALVES = {
    "signature_def": "  (for servers, not for Python)",
    "object_graph": "  (for Python, not for servers)",
}


def diff(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="A [B]",
            parser=model_directory,
            help="Two SavedModel directories; with --backup one or more.",
            show_default=False,
        ),
    ],
    backup: Annotated[
        bool,
        typer.Option(
            "--backup", help="Compare each model with the backup that its last edit kept."
        ),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell how the SavedModel B differs from A. Exit code 0: same; 1: different.

    What counts: tags; signatures, for servers (signature_def) and for Python (object graph);
    graph, functions, object graph, saver, collections; the variables, by
    variables/variables.index, which has their checksums, and the size of their data; assets.

    Printed, but not counted as a difference: other bytes of the same meaning, meta info,
    fingerprint.pb, other files. Signs: + added, - removed, ~ changed, > renamed. Needs no
    TensorFlow.

    \b
    smpatch diff export/1 export/2
    smpatch diff export/1 --backup
    """  # noqa: D301 - \b keeps click from wrapping the examples
    from smpatch import differ

    several = len(models) > 1 and backup
    if backup:
        from smpatch import undoing

        found = answers(
            models, lambda model: _answer(differ.compared(*undoing.backup_and_model(model)))
        )
    elif len(models) != 2:  # noqa: PLR2004 - A and B
        if len(models) == 1:
            hint = "name another model, or compare with the backup: --backup"
            raise UsageError("missing argument 'B'", hint=hint)
        hint = "name two, or compare each with its backup: --backup"
        raise UsageError(f"{len(models)} models are given", hint=hint)
    else:
        found = iter([(models[0], _answer(differ.diff(*models)))])
    code = print_answers("diff", found, several=several, as_json=as_json, quiet=quiet)
    if code:
        raise typer.Exit(code)


def _answer(found: Difference) -> Answer:
    notes = []
    if found.before.form != found.after.form:
        notes.append(
            "one model is in text form: only fields of smpatch's schema are compared, and "
            "collections are not"
        )
    for each in (found.before, found.after):
        if str(each.directory).startswith(("http://", "https://")):
            where = printable(str(each.directory))
            notes.append(f"{where} has no listing: files beside the model file are not compared")
    return Answer(_lines(found), _body(found), 0 if found.same else 1, notes=notes)


def _lines(found: Difference) -> list[str]:
    lines: list[str] = []
    for each in found.meta_graphs:
        rows = list(_meta_graph_rows(each))
        if rows or each.retagged:
            lines += [_title(each), *columns(rows, indent="  ")]
    files = list(_file_rows(found))
    if files:
        lines += ["Files", *columns(files, indent="  ")]
    return [*lines, "same" if found.same else "different"]


def _title(found: MetaGraphDifference) -> str:
    before, after = found.tags_before, found.tags_after
    if before is None or after is None:
        sign, tags = ("+", after) if before is None else ("-", before)
        return f"{sign} MetaGraph {shown_tags(tags or ())}"
    if found.retagged:
        return f"MetaGraph {shown_tags(before)} -> {shown_tags(after)}"
    return f"MetaGraph {shown_tags(before)}"


def _meta_graph_rows(found: MetaGraphDifference) -> Iterator[_Row]:
    label = "signatures"
    for line in _signature_lines(found):
        yield label, line
        label = ""
    for part in found.parts:
        yield part.name.replace("_", " "), _part(part)


def _signature_lines(found: MetaGraphDifference) -> Iterator[str]:
    """Yield a line for each signature that differs, and the details of those that changed."""
    by_key: dict[str, list[SignatureDifference]] = {}
    for each in found.signatures:
        by_key.setdefault(each.key, []).append(each)
    for _, halves in sorted(by_key.items()):
        if len({(each.outcome, each.was) for each in halves}) == 1:
            only = found.has_object_graph and len(halves) == 1
            remark = _HALVES[halves[0].half] if only else ""
            yield _signature(halves[0]) + remark
            yield from _detail_lines(halves)
            continue
        for each in halves:
            yield _signature(each) + _HALVES[each.half]
            yield from _detail_lines([each])


def _signature(found: SignatureDifference) -> str:
    was = "" if found.was is None else f"{printable(found.was)} -> "
    return f"{_SIGNS[found.outcome]} {was}{printable(found.key)}"


def _detail_lines(halves: list[SignatureDifference]) -> list[str]:
    """Return the changes of a signature as lines; a change of an alias in both halves is one."""
    rows: list[tuple[str, ...]] = []
    said = set()
    for each in halves:
        if each.outcome not in {"changed", "renamed"}:
            continue
        # If inputs were added or removed, the lists of arguments add no information.
        inputs = any(
            detail.kind == "input" and None in {detail.before, detail.after}
            for detail in each.details
        )
        for detail in each.details:
            name = (detail.kind, detail.alias)
            if name not in said and not (inputs and detail.kind in {"keywords", "positional"}):
                rows.append(_detail(detail))
            said.add(name)
    return columns(rows, indent="    ")


def _detail(detail: Detail) -> tuple[str, ...]:
    """Return a row: sign, kind, alias, the values before and after."""
    if detail.kind == "other":
        return ("~", _HIDDEN)
    before, after = _cells(detail, detail.before), _cells(detail, detail.after)
    kind, alias = detail.kind, printable(detail.alias)
    if before is None or after is None:
        sign, cells = ("+", after) if before is None else ("-", before)
        # A tensor of the object graph is not in the main graph, and may have no name.
        return (sign, kind, alias, "  ".join(filter(None, cells or ())))
    changes = [
        f"{one or _NOTHING} -> {other or _NOTHING}"
        for one, other in zip(before, after, strict=True)
        if one != other
    ]
    hidden = "elements that are not shown" if kind == "default" else "another type"
    return ("~", kind, alias, "  ".join(changes) or hidden)


def _cells(detail: Detail, value: Value | None) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return list(default_rows({detail.alias: value})[0][2:])
    if isinstance(value, str):
        return [printable(value) or _NOTHING]
    if isinstance(value, tuple):
        return [printable(", ".join(value)) or _NOTHING]
    return list(spec_rows(detail.kind, {detail.alias: value})[0][2:])


def _part(part: Part) -> str:
    remark = "" if part.counts else _ASIDE
    if part.outcome == "unknown":
        return f"cannot be compared across forms{remark}"
    if part.outcome == "recoded":
        return f"same meaning, other bytes{remark}"
    words = [word for tally in part.tallies for word in _tally(tally)]
    return (", ".join(words) or part.outcome) + remark


def _tally(tally: Tally) -> Iterator[str]:
    kind = tally.kind.replace("_", " ")
    came = "appended" if tally.appended else "added"
    for count, what in (
        (tally.added, came),
        (tally.removed, "removed"),
        (tally.changed, "changed"),
    ):
        if count:
            yield f"{count:,} {kind.removesuffix('s') if count == 1 else kind} {what}"


def _file_rows(found: Difference) -> Iterator[_Row]:
    before, after = found.before, found.after
    if not found.identical:
        names = printable(before.file.name)
        if before.form != after.form:
            names += f" -> {printable(after.file.name)}"
        yield f"~ {names}", f"{before.size:,} -> {size(after.size)}{_model_file(found)}"
    for each in found.files:
        yield f"{_SIGNS[each.outcome]} {printable(each.path)}", _file(each)


def _model_file(found: Difference) -> str:
    if not found.same_around:
        return ", another version of the format or fields of a newer writer"
    if any(each.counts for each in found.meta_graphs):
        return ""
    shown = any(part.outcome != "recoded" for each in found.meta_graphs for part in each.parts)
    return "" if shown else ", same meaning in other bytes"


def _file(found: FileDifference) -> str:
    if found.kind == "variables_data" and found.outcome == "changed":
        return "another size"
    return found.outcome + ("" if found.counts else _ASIDE)


def _body(found: Difference) -> dict[str, Any]:
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        "same": found.same,
        "identical": found.identical,
        "same_around": found.same_around,
        "meta_graphs": [_meta_graph_body(each) for each in found.meta_graphs],
        "files": [{**asdict(each), "counts": each.counts} for each in found.files],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "directory": str(side.directory),
        "file": side.file.name,
        "form": side.form,
        "size": side.size,
    }


def _meta_graph_body(found: MetaGraphDifference) -> dict[str, Any]:
    before, after = found.tags_before, found.tags_after
    return {
        "tags_before": None if before is None else list(before),
        "tags_after": None if after is None else list(after),
        "has_object_graph": found.has_object_graph,
        "signatures": [
            {
                "half": each.half,
                "key": each.key,
                "outcome": each.outcome,
                "was": each.was,
                "details": [_detail_body(detail) for detail in each.details],
            }
            for each in found.signatures
        ],
        "parts": [
            {
                "name": part.name,
                "outcome": part.outcome,
                "counts": part.counts,
                "tallies": list(map(asdict, part.tallies)),
            }
            for part in found.parts
        ],
    }


def _detail_body(detail: Detail) -> dict[str, Any]:
    return {
        "kind": detail.kind,
        "alias": detail.alias or None,
        "before": _value_body(detail.before),
        "after": _value_body(detail.after),
    }


def _value_body(value: Value | None) -> Any:  # noqa: ANN401 - any JSON
    from smpatch.cli import machine

    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return machine.default_body(value)
    return list(value) if isinstance(value, tuple) else machine.spec_body(value)
