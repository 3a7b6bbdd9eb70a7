"""A headless Chromium that opens pages, and a record of its faults."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Opened", "browser", "missing"]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def missing() -> str:
    """Return the program or module that is missing for these tests; empty if all are there."""
    for module in ("playwright", "PIL"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed (dependency group page)"
    if _program() is None:
        return "there is no Chromium (the package chromium of Debian, or Google Chrome)"
    return ""


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may not be installed

    with sync_playwright() as playwright:
        # A container has no user namespaces for the sandbox, and the pages are our own. Letters
        # without coloured edges make small pictures.
        options = ["--no-sandbox", "--disable-lcd-text"]
        opened = playwright.chromium.launch(executable_path=_program(), args=options)
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Opened:
    """An open page.

    Attributes:
        page: Playwright's page.
        faults: Errors, messages on the console, and requests for anything but the file.
    """

    page: Any
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Any, file: Path, **options: Any) -> Opened:  # noqa: ANN401 - Playwright's
        """Open a file in a window of its own."""
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened = cls(context.new_page())
        opened.page.on("console", lambda each: opened.faults.append(each.text))
        opened.page.on("pageerror", lambda each: opened.faults.append(str(each)))
        opened.page.on("dialog", opened.asked)
        own = file.as_uri()
        opened.page.on("request", lambda each: opened.faults.extend({each.url} - {own}))
        opened.page.goto(file.as_uri())
        return opened

    def asked(self, dialog: Any) -> None:  # noqa: ANN401 - Playwright's
        """Record a dialog of the page, which counts as a fault."""
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def close(self) -> None:
        """Close the window; check that the page had no fault."""
        self.page.context.close()
        assert self.faults == []

    def rows(self) -> list[str]:
        """Return the labels of the rows of the list that exist, in their order."""
        rows: list[str] = self.page.locator("#tree [role=treeitem]").evaluate_all(
            "rows => rows.sort((a, b) => a.dataset.at - b.dataset.at)"
            ".map(row => row.getAttribute('aria-label'))"
        )
        return rows

    def search(self, text: str) -> None:
        """Write into the search box, and press Enter so that the list is updated."""
        self.page.fill("#search", text)
        self.page.keyboard.press("Enter")

    def filter(self, name: str) -> None:
        """Choose a filter."""
        self.page.locator(f"#filters input[value={name}]").check(force=True)

    def command(self, kind: str) -> str:
        """Return the text of a command on the page."""
        text: str = self.page.locator(f"#{kind} code").text_content()
        return text

    def elements(self) -> int:
        """Return the number of elements that exist."""
        count: int = self.page.evaluate("document.querySelectorAll('*').length")
        return count
