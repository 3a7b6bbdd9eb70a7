"""Every link has a target, the README links to every page, and the README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, README, ROOT, Page

LINES = 300


def _links(page: Page) -> list[str]:
    """Return the targets of the links of a page, without targets that are URLs."""
    text = re.sub(r"`[^`\n]*`", "", page.prose)
    found = re.findall(r"\]\(([^)\s]*)\)", text)
    return [target for target in found if not re.match(r"\w+:", target)]


def _leads_to(page: Page, target: str) -> tuple[Path, str]:
    """Return the file and the anchor to which a link leads."""
    path, _, anchor = target.partition("#")
    return ((page.path.parent / path).resolve() if path else page.path), anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    for target in _links(page):
        path, anchor = _leads_to(page, target)
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        if anchor:
            assert anchor in Page(path).anchors, target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {_leads_to(README, target)[0] for target in _links(README)}
    assert {page.path for page in PAGES} - {README.path} <= linked


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= LINES
