"""The sessions of the page on object stores, against a server of S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.docs.test_sessions import Reader
from tests.stores.conftest import BUCKET


@pytest.mark.usefixtures("s3")
def test_a_session_prints_what_the_page_shows(tmp_path: Path) -> None:
    shown = page("docs/stores.md")
    assert f"a\nbucket named `{BUCKET}`" in shown.text
    reader = Reader(tmp_path)
    for block in shown.blocks:
        if block.kind == "console":
            assert reader.console(block.text) == block.text
        elif block.kind == "toml":
            (tmp_path / "patch.toml").write_text(block.text, encoding="utf-8")
