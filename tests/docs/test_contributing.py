"""CONTRIBUTING.md names existing files, packages and targets; its glossary stays short."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "smpatch"

MOST_TERMS = 25


def _section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def test_every_path_is_there() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py|\.md)?|[a-z_]+\.py)`", TEXT))
    assert len(named) > 20
    missing = [
        each
        for each in sorted(named)
        if not (ROOT / each).exists() and not (PACKAGE / each).exists()
    ]
    assert missing == []


def test_every_package_has_its_layer() -> None:
    names = {
        each.stem
        for each in PACKAGE.iterdir()
        if (each.suffix == ".py" or (each / "__init__.py").exists()) and each.stem[0] != "_"
    }
    assert names - set(re.findall(r"`([a-z_]+)`", _section("Layers"))) == set()


def test_every_target_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z]+)`", TEXT))
    assert targets >= {"quick", "test", "check", "prove"}
    assert [each for each in targets if not re.search(rf"^{each}:", makefile, re.MULTILINE)] == []


def test_the_glossary_is_short_and_each_term_stands_once() -> None:
    terms = re.findall(r"^\| ([^|]+) \|", _section("Glossary"), re.MULTILINE)[1:]
    assert 15 < len(terms) <= MOST_TERMS
    assert len(set(terms)) == len(terms)


def test_every_test_folder_is_named() -> None:
    folders = {
        f"tests/{each.name}"
        for each in Path(ROOT / "tests").iterdir()
        if (each / "__init__.py").exists()
    }
    named = set(re.findall(r"`(tests/[a-z_]+)`", TEXT))
    assert folders - named == set()
