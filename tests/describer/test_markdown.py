"""Tables for model cards, read by another implementation of Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import smpatch
from smpatch import schema
from smpatch.display import printable
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, shape_text
from tests.describer.models import FIXTURES, HOSTILE, Case, cases, made, row

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

STRUCTURE = {"table", "thead", "tbody", "tr", "th", "td", "heading", "paragraph"}


@dataclass
class Card:
    """The parts of a card that a reader sees."""

    headings: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)


def _read(text: str) -> Card:
    """Read a card, which may contain only headings, paragraphs and tables of plain text."""
    card, inside = Card(), ""
    for token in READER.parse(text):
        kind, _, end = token.type.rpartition("_")
        if token.type == "inline":
            children = token.children or []
            assert {each.type for each in children} <= {"text", "code_inline", "text_special"}
            piece = "".join(each.content for each in children)
            if inside in {"th", "td"}:
                card.tables[-1][-1].append(piece)
            else:
                (card.headings if inside == "heading" else card.paragraphs).append(piece)
            continue
        assert kind in STRUCTURE, token
        if end == "open":
            inside = kind
            if kind == "table":
                card.tables.append([])
            elif kind == "tr":
                card.tables[-1].append([])
    return card


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_signature_has_a_row_for_each_tensor(case: Case) -> None:
    text = smpatch.describe(case.directory, "markdown", case.key, tag_set=case.tags)
    card = _read(text)
    assert card.headings == [f"Signatures of {case.directory.name}", case.key]
    assert card.paragraphs[1] == f"Method: {case.signature.method_name or '(empty)'}"
    ((head, *rows),) = card.tables
    assert head[:4] == ["", "name", "type", "shape"]
    specs = [*case.signature.inputs.values(), *case.signature.outputs.values()]
    assert [row[1] for row in rows] == [*case.signature.inputs, *case.signature.outputs]
    assert [row[0] for row in rows].count("input") == len(case.signature.inputs)
    for cells, spec in zip(rows, specs, strict=True):
        assert len(cells) == len(head)
        assert cells[2].startswith(spec.tensors()[0].dtype)
        if isinstance(spec, CompositeTensorSpec):
            assert cells[2].endswith(("ragged", "composite"))
        else:
            assert cells[3] == shape_text(spec.shape)
            assert cells[2].endswith(", sparse") == isinstance(spec, SparseTensorSpec)


def test_without_a_key_all_signatures_are_there() -> None:
    model = smpatch.load(FIXTURES / "models" / "classify_regress")
    card = _read(smpatch.describe(model, "markdown"))
    assert card.headings[1:] == list(model.signatures)
    assert len(card.tables) == len(model.signatures) > 1


def test_defaults_have_a_column() -> None:
    directory = FIXTURES / "models" / "defaults"
    signature = smpatch.load(directory).signatures["serving_default"]
    ((head, *rows),) = _read(smpatch.describe(directory, "markdown")).tables
    assert head[-1] == "default"
    assert [row[1] for row in rows if row[-1]] == list(signature.defaults)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str, tmp_path: Path) -> None:
    inputs, outputs = {name: row("x")}, {name: row("y")}
    place = made(tmp_path / "m", inputs, outputs, key=name, method=name, tags=(name,))
    card = _read(smpatch.describe(place, "markdown", name=name))
    shown = printable(name)
    assert card.headings == [f"Signatures of {shown}", shown]
    assert card.paragraphs == [f"Tags: {shown}", f"Method: {shown}"]
    ((_, *rows),) = card.tables
    assert rows == [[kind, shown, "float32", "[?]"] for kind in ("input", "output")]


def test_the_name_of_a_class_is_text(tmp_path: Path) -> None:
    name = "`|<b>\n[x](y)#`|"
    kind = schema.TypeSpecProto(type_spec_class_name=name).SerializeToString()
    hostile = CompositeTensorSpec(kind, (row("v"),))
    assert hostile.type_name == name
    place = made(tmp_path / "m", {"x": hostile}, {"y": row("y")})
    ((_, first, _),) = _read(smpatch.describe(place, "markdown")).tables
    assert first == ["input", "x", "float32, composite", "`|<b>\\n[x](y)#`|"]
