"""The text and the tables with which Python and notebooks show models, receipts and reports."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import smpatch
from tests.cli.conftest import Run

MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"
UNPROVED = smpatch.Options(validate="none")


class Cells(HTMLParser):
    """The text of the cells of a table, row by row."""

    def __init__(self) -> None:
        """Begin without rows."""
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - of the base
        """Begin a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Add text to the last cell."""
        self.rows[-1][-1] += data


def cells(html: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(html)
    return parser.rows


@pytest.mark.parametrize("name", ["linear", "several_tag_sets", "ragged", "sparse"])
def test_a_model_shows_every_signature_of_every_meta_graph(name: str) -> None:
    model = smpatch.load(MODELS / name)
    shown = repr(model).splitlines()
    assert shown[0].endswith(f"({model.identity.size:,} bytes)")
    for meta_graph in model.meta_graphs:
        assert f"MetaGraph {','.join(meta_graph.tags)}" in shown
        for key, signature in meta_graph.signatures.items():
            assert f"  {key}  {signature.method_name}" in shown


def test_show_prints_the_same_signatures(call: Run) -> None:
    printed = call("show", str(MODELS / "linear")).out.splitlines()
    shown = repr(smpatch.load(MODELS / "linear")).splitlines()
    assert shown[3:] == printed[3:]


def test_tables_of_notebooks_hold_names_as_they_are(tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODELS / "linear", tmp_path / "model"))
    receipt = smpatch.rename_signature(model, "scale", "<b>&", options=UNPROVED)
    head, *rows = cells(receipt._repr_html_())
    assert head[:2] == ["signature", "outcome"]
    assert rows[0] == ["<b>&", "renamed", "input", "x", "float32", "[?]", "x:0"]
    assert "  <b>&: renamed (was scale)" in repr(receipt).splitlines()
    _, *rows = cells(smpatch.load(model)._repr_html_())
    assert [row[1] for row in rows] == ["<b>&", "<b>&"]


def test_a_report_shows_its_findings_and_the_verdict() -> None:
    options = smpatch.CheckOptions(validate="none")
    report = smpatch.check(MODELS / "wrong_dtype", options=options)
    *findings, verdict = repr(report).splitlines()
    assert len(findings) == len(report.findings) > 0
    assert findings[0].startswith(f"{report.findings[0].severity} {report.findings[0].code}: ")
    assert verdict.endswith(f": {len(report.faults)} faults")
    assert len(cells(report._repr_html_())) == len(report.findings) + 1


def test_the_library_suggests_what_the_command_suggests(call: Run) -> None:
    found = smpatch.suggest(MODELS / "linear")
    assert found == smpatch.suggest(smpatch.load(MODELS / "linear"), tag_set="serve")
    outputs = {each.spec.name for each in found.outputs}
    printed = call("suggest", str(MODELS / "linear"), "--json").document["suggest"]
    assert outputs == {each["tensor"]["name"] for each in printed["outputs"]}
