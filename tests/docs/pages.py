"""The pages of the documentation and their parts: fenced blocks, prose, sections, anchors.

A page that is added to ``docs`` is in ``PAGES``, and the tests include it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["PAGES", "README", "ROOT", "Block", "Page", "page"]

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: The word after the opening fence.
        text: The lines inside.
    """

    kind: str
    text: str


class Page:
    """A page of the documentation.

    Attributes:
        path: The path of its file.
        name: Its path from the root of the repository.
        text: Its text.
    """

    def __init__(self, path: Path) -> None:
        """Read the page."""
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The fenced blocks, in their order."""
        return tuple(Block(*each) for each in _BLOCK.findall(self.text))

    @cached_property
    def prose(self) -> str:
        """The text without the fenced blocks."""
        return _BLOCK.sub("", self.text)

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The anchors that a forge gives to the headings."""
        return frozenset(_anchors(re.findall(r"^#{1,6} (.+)$", self.prose, re.MULTILINE)))

    def section(self, title: str) -> str:
        """Return the text below a heading, up to the next heading."""
        pattern = rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)"
        found = re.search(pattern, self.text, re.DOTALL | re.MULTILINE)
        assert found, title
        return found[1]


def _anchors(headings: list[str]) -> Iterator[str]:
    """Yield the anchor of each heading; a repeated heading gets a number."""
    seen: Counter[str] = Counter()
    for heading in headings:
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        yield f"{words}-{seen[words]}" if seen[words] else words
        seen[words] += 1


README = Page(ROOT / "README.md")
PAGES = (README, *map(Page, sorted((ROOT / "docs").rglob("*.md"))))


def page(name: str) -> Page:
    """Return the page with a name."""
    (found,) = (each for each in PAGES if each.name == name)
    return found
