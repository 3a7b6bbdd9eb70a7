"""The sessions of the page on Apache Beam, if Beam is installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.beam.test_pipelines import environment, needs_beam
from tests.docs.pages import page
from tests.docs.test_sessions import Reader

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@needs_beam
def test_a_session_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    reader, blocks = Reader(tmp_path), page("docs/beam.md").blocks
    for number, block in enumerate(blocks):
        if block.kind == "console":
            assert reader.console(block.text) == block.text
        elif block.kind == "toml":
            (tmp_path / "patch.toml").write_text(block.text, encoding="utf-8")
        elif block.kind == "python" and "pyspark" not in block.text:
            printed = reader.run(sys.executable, "-c", block.text, errors=False)
            assert printed == blocks[number + 1].text
