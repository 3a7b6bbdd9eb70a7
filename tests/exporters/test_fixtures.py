"""The manifest of the models of exporters describes the models as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smpatch import load
from tests.exporters.subjects import EXPORTED

ENTRIES: list[dict[str, Any]] = json.loads((EXPORTED / "MANIFEST.json").read_text())

MODEL_LIMIT = 200_000
TOTAL_LIMIT = 1_500_000
"""Sizes in bytes: a clone of the repository must stay small."""


def test_manifest_and_table_list_exactly_the_directories() -> None:
    present = sorted(path.name for path in EXPORTED.iterdir() if path.is_dir())
    assert [entry["dir"] for entry in ENTRIES] == present
    rows = [line for line in (EXPORTED / "README.md").read_text().splitlines() if "| `" in line]
    assert [row.split("`")[1] for row in rows] == present


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["dir"])
def test_manifest_says_what_is_there(entry: dict[str, Any]) -> None:
    directory = EXPORTED / entry["dir"]
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    assert [str(path.relative_to(directory)) for path in files] == entry["files"]
    assert sum(path.stat().st_size for path in files) == entry["size"] < MODEL_LIMIT
    (meta_graph,) = load(directory).meta_graphs
    assert [list(meta_graph.tags)] == entry["tags"]
    assert meta_graph.has_object_graph == entry["has_object_graph"]
    for key, feed in entry["feeds"].items():
        assert meta_graph.signatures[key].inputs.keys() == feed.keys()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["dir"])
def test_holds_no_path_of_the_machine_that_made_it(entry: dict[str, Any]) -> None:
    for name in entry["files"]:
        data = (EXPORTED / entry["dir"] / name).read_bytes()
        for absolute in (str(EXPORTED.parents[1]).encode(), b"/tmp/", b"/home/", b"/root/"):
            assert absolute not in data, name


def test_everything_together_is_small() -> None:
    assert sum(entry["size"] for entry in ENTRIES) < TOTAL_LIMIT
