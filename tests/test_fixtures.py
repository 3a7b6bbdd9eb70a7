"""The fixtures: their manifests agree with the files, and with the facts that TensorFlow reads.

All other tests need right fixtures. TensorFlow runs once, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import programs

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MODELS = FIXTURES / "models"
BROKEN = FIXTURES / "broken"
ENTRIES: list[dict[str, Any]] = json.loads((MODELS / "MANIFEST.json").read_text())
FAULTS: list[dict[str, Any]] = json.loads((BROKEN / "MANIFEST.json").read_text())

# Limits in bytes, so that a clone of the repository stays small.
MODEL_LIMIT = 60_000
TOTAL_LIMIT = 1_500_000

_PARSE = """
import json, sys
from tensorflow.python.saved_model import loader_impl
facts = {}
for name in sys.argv[2:]:
    try:
        graphs = loader_impl.parse_saved_model(sys.argv[1] + "/" + name).meta_graphs
    except OSError as error:
        facts[name] = str(error)
        continue
    facts[name] = {
        "tags": [list(g.meta_info_def.tags) for g in graphs],
        "signatures": [{k: s.method_name for k, s in g.signature_def.items()} for g in graphs],
        "n_nodes": [len(g.graph_def.node) for g in graphs],
        "n_functions": [len(g.graph_def.library.function) for g in graphs],
        "has_object_graph": any(g.HasField("object_graph_def") for g in graphs),
    }
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def parsed() -> dict[str, dict[str, Any] | str]:
    """The facts that TensorFlow's own parser reads in each model, or the text of its error."""
    names = [entry["dir"] for entry in ENTRIES]
    said = programs.run("-c", _PARSE, MODELS, *names)
    facts: dict[str, dict[str, Any] | str] = json.loads(said.splitlines()[-1])
    return facts


def _bytes_of(entry: dict[str, Any]) -> int:
    return sum((MODELS / entry["dir"] / name).stat().st_size for name in entry["files"])


def test_manifest_lists_exactly_the_directories() -> None:
    assert [entry["dir"] for entry in ENTRIES] == sorted(
        path.name for path in MODELS.iterdir() if path.is_dir()
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["dir"])
class TestModel:
    def test_manifest_lists_exactly_the_files(self, entry: dict[str, Any]) -> None:
        directory = MODELS / entry["dir"]
        present = sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())
        assert entry["files"] == present

    def test_is_small(self, entry: dict[str, Any]) -> None:
        assert _bytes_of(entry) == entry["size"]
        assert entry["size"] < MODEL_LIMIT

    def test_tensorflow_reads_what_the_manifest_says(
        self, entry: dict[str, Any], parsed: dict[str, dict[str, Any] | str]
    ) -> None:
        facts = parsed[entry["dir"]]
        if isinstance(facts, str):
            assert not entry["loads_v1"]
            assert "Cannot parse" in facts
            return
        assert {key: entry[key] for key in facts} == facts

    def test_every_model_loads_somewhere_and_says_why_where_not(
        self, entry: dict[str, Any]
    ) -> None:
        for loader in ("v1", "v2"):
            assert entry[f"loads_{loader}"] or f"{loader}[" in entry["notes"]

    def test_measured_numbers_are_exact_and_distinct(self, entry: dict[str, Any]) -> None:
        """Without a tolerance, and with distinct numbers, an exchange of two values shows."""
        for sample in _samples(entry):
            values = _flat(sample["value"])
            assert len({str(value) for value in values}) == len(values)
            for value in values:
                assert not isinstance(value, float) or (value * 2**16).is_integer()

    def test_holds_no_path_of_the_machine_that_made_it(self, entry: dict[str, Any]) -> None:
        for name in entry["files"]:
            data = (MODELS / entry["dir"] / name).read_bytes()
            for absolute in (str(FIXTURES.parent).encode(), b"/tmp/", b"/home/", b"/root/"):
                assert absolute not in data


def test_broken_manifest_lists_exactly_what_is_there() -> None:
    present = sorted(path.name for path in BROKEN.iterdir() if path.name != "MANIFEST.json")
    assert [fault["dir"] for fault in FAULTS] == present


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["dir"])
def test_words_of_an_error_are_not_those_of_its_path(fault: dict[str, Any]) -> None:
    """Otherwise any error that names the directory would pass."""
    assert fault["exit_code"] in {3, 4}
    assert not [words for words in fault["says"] if words in fault["dir"]]


def test_broken_ones_are_made_of_the_same_bytes_again(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from fixtures.make import broken;"
        "broken.make_all(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_bytes())"
    )
    sound = MODELS / "no_op_list" / "saved_model.pb"
    remade = tmp_path / "broken"
    subprocess.run(
        [sys.executable, "-c", program, str(remade), str(sound)], cwd=FIXTURES.parent, check=True
    )
    assert _contents(remade) == {
        name: data for name, data in _contents(BROKEN).items() if name != "MANIFEST.json"
    }


def test_readme_has_a_row_for_each() -> None:
    rows = [line for line in (FIXTURES / "README.md").read_text().splitlines() if "| `" in line]
    assert [row.split("`")[1] for row in rows] == [each["dir"] for each in (*ENTRIES, *FAULTS)]


def test_everything_together_is_small() -> None:
    assert sum(map(_bytes_of, ENTRIES)) < TOTAL_LIMIT


def _flat(value: object) -> list[object]:
    return [leaf for part in value for leaf in _flat(part)] if isinstance(value, list) else [value]


def _samples(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *(entry["candidate"] or {}).get("sample_outputs", {}).values(),
        *(sample for function in entry["functions"] for sample in function["results"].values()),
        *(inner["result"] for inner in entry["inner"]),
    ]


def _contents(top: Path) -> dict[str, bytes]:
    return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}
