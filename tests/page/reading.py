"""A parser of pages, and the commands that a page makes from its data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

__all__ = ["Parsed", "Tensor", "forms", "parsed", "tensors"]


@dataclass
class Parsed(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    islands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin outside of scripts and styles."""
        super().__init__()
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "style":
            self._into = self.styles
        elif tag == "script":
            data = attributes.get("type") == "application/json"
            self._into = self.islands if data else self.scripts

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._into = None

    @property
    def data(self) -> dict[str, Any]:
        """The data of the page."""
        (island,) = self.islands
        found: dict[str, Any] = json.loads(island)
        return found


def parsed(text: str) -> Parsed:
    """Take a page apart."""
    found = Parsed()
    found.feed(text)
    found.close()
    return found


@dataclass(frozen=True)
class Tensor:
    """A tensor of a computation, as the data describe it."""

    number: int
    calls: tuple[str, ...]
    name: str
    index: int
    op: str
    state: str
    alias: str
    written: str

    @property
    def path(self) -> str:
        """The name with the path of calls, as ``--json`` has it."""
        name = f"{self.name}:{self.index}"
        return f"{name}@{'+'.join(self.calls)}" if self.calls else name


def tensors(body: dict[str, Any]) -> Iterator[Tensor]:
    """Yield the tensors of a computation."""

    def calls(place: int) -> tuple[str, ...]:
        return () if place < 0 else (*calls(body["calls"][place][0]), body["calls"][place][1])

    number = 0
    for place, name, op, _, outputs, _ in body["nodes"]:
        for index in range(len(outputs) // 2):
            last = name.rpartition("/")[2]
            usual = (f"{last}_{index}" if index else last, f"{name}:{index}")
            alias, written = body["unusual"].get(str(number), usual)
            state = body["states"][number]
            yield Tensor(number, calls(place), name, index, body["ops"][op], state, alias, written)
            number += 1


def forms(form: list[str | int], tensor: Tensor, key: str) -> list[str]:
    """Return the words of a command."""
    chosen = (key, f"{tensor.alias}={tensor.written}")
    return [chosen[each] if isinstance(each, int) else each for each in form]
