"""Reports of other scanners on the same models: ``saved_model_cli scan`` and ``modelscan``.

Both search the whole file for names of operations. smpatch also considers the places and the values
of operations, so it may report less. This module lists each reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions
from smpatch.checker.access import FILES, NETWORK, PYTHON
from tests.checker.faults import FIXTURES
from tests.contract.models import corpus, found_in
from tests.oracle import programs

OPS = FILES | NETWORK | PYTHON
CODES = {"file-access", "network-access", "python-function", "unserved-access"}

BY_DESIGN = {
    ("printing_to_stderr", "PrintV2"): "it writes to the terminal",
    ("cached", "CacheDatasetV2"): "it caches in memory",
    ("describing_in_the_attribute", "DecodeProtoV2"): "its descriptors are in the attribute",
}
"""Operations that a scanner reports of a model and smpatch does not, with the reason."""

IN_ATTRIBUTES = {"branching", "mapped", "records"}
"""Models with operations in functions that attributes name: TensorFlow's scan misses them."""

UNSERVED_SAVER = {
    (place, op)
    for place in ("unserved_node", "unserved_function")
    for op in ("Save", "SaveV2", "RestoreV2")
}
"""Planted operations that look like those of the saver: every export has some, and none runs."""

NOWHERE = "StringElser"
"""An operation that no TensorFlow has."""


@dataclass(frozen=True)
class Everywhere:
    """Models with one planted operation each.

    Attributes:
        models: Place and operation to the model.
        written: Place to the text that TensorFlow wrote into a file when it loaded a model with a
            ``WriteFile`` in that place.
    """

    models: Mapping[tuple[str, ...], Path]
    written: Mapping[str, str]


SAVER = re.compile(r"Save.*|Restore.*|MergeV2Checkpoints|InitializeTableFromTextFile.*")
"""Operations of every export with variables or assets; a model with no others is not suspicious."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return models that use files, the network and Python, and some that do not."""
    place = tmp_path_factory.mktemp("planted")
    _program("exporting_access", place)
    return sorted(each.parent for each in place.glob("*/saved_model.pb"))


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Everywhere:
    """Return a model for each place of a graph and each planted operation."""
    room = tmp_path_factory.mktemp("everywhere")
    written = json.loads(_program("planting", room).splitlines()[-1])
    models = sorted((room / "models").iterdir())
    return Everywhere({(*each.name.split("-"),): each for each in models}, written)


def _program(name: str, room: Path) -> str:
    """Run a program of this directory with TensorFlow."""
    return programs.run("-m", f"tests.checker.{name}", room)


def _reported(model: Path) -> set[str]:
    """Return the operations that smpatch names."""
    found = smpatch.check(model, options=CheckOptions(validate="none")).findings
    texts = " ".join(each.text for each in found if each.code in CODES)
    return {each for each in re.findall(r"\w+", texts) if each in OPS}


def _scanned(
    models: Iterable[Path], ops: Iterable[str] | None = None
) -> Mapping[Path, frozenset[str]]:
    """Return the operations that ``saved_model_cli scan`` finds; ``ops`` None: its own list."""
    asked = {"models": [*map(str, models)], "ops": None if ops is None else sorted(ops)}
    said = programs.run("-m", "tests.checker.scanning", stdin=json.dumps(asked))
    reported: dict[str, list[str]] = json.loads(said.splitlines()[-1])
    return {Path(each): frozenset(found) for each, found in reported.items()}


def _by_modelscan(place: Path, report: Path) -> Mapping[str, set[str]]:
    """Return the operations that ``modelscan`` reports of each model; skip the test without it."""
    program = os.environ.get("SMPATCH_MODELSCAN") or shutil.which("modelscan")
    if program is None:
        pytest.skip("modelscan is not installed (SMPATCH_MODELSCAN names the program)")
    done = subprocess.run(
        [program, "scan", "-p", str(place), "-r", "json", "-o", str(report)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
        capture_output=True,
        timeout=300,
        text=True,
    )
    assert done.returncode in {0, 1}, done.stderr[-2000:]
    said = json.loads(report.read_text())
    found: dict[str, set[str]] = {
        Path(each).parent.name: set() for each in said["summary"]["scanned"]["scanned_files"]
    }
    for each in said["issues"]:
        found[Path(each["source"]).parent.name].add(each["operator"])
    return found


def test_what_the_scan_of_tensorflow_denies_is_reported(planted: list[Path]) -> None:
    scanned = _scanned(planted)
    assert {op for ops in scanned.values() for op in ops} == {"ReadFile", "WriteFile", "PrintV2"}
    missed = {(model.name, op) for model, ops in scanned.items() for op in ops - _reported(model)}
    assert missed == {("printing_to_stderr", "PrintV2")}


def test_what_is_reported_is_what_the_scan_of_tensorflow_finds_by_the_same_list(
    planted: list[Path],
) -> None:
    scanned = _scanned(planted, OPS)
    assert {model.name for model in planted if _reported(model) - scanned[model]} == IN_ATTRIBUTES
    for model in planted:
        if not _reported(model):
            by_design = {op for name, op in BY_DESIGN if name == model.name}
            assert all(map(SAVER.fullmatch, scanned[model] - by_design)), model.name


def test_no_alarm_where_the_scan_of_tensorflow_finds_the_saver_alone() -> None:
    models = [
        each.directory for each in (*found_in(FIXTURES), *corpus()) if _is_binary(each.directory)
    ]
    scanned = _scanned(models, OPS)
    quiet = [each for each in models if all(map(SAVER.fullmatch, scanned[each]))]
    assert len(quiet) > len(models) // 2
    assert {each.name: _reported(each) for each in quiet if _reported(each)} == {}
    others = {each.name for each in models if each not in quiet and not _reported(each)}
    assert others == set()


def _is_binary(directory: Path) -> bool:
    return (directory / "saved_model.pb").is_file()


def test_what_modelscan_reports_is_reported(planted: list[Path], tmp_path: Path) -> None:
    found = _by_modelscan(planted[0].parent, tmp_path / "report.json")
    assert {op for ops in found.values() for op in ops} >= {"ReadFile", "WriteFile"}
    looked_at = [each for each in planted if each.name in found]
    assert len(looked_at) == len(planted)
    missed = {(each.name, op) for each in looked_at for op in found[each.name] - _reported(each)}
    assert missed <= BY_DESIGN.keys()


def test_tensorflow_runs_what_the_init_op_and_the_restore_operation_need(
    everywhere: Everywhere,
) -> None:
    assert everywhere.written == {"init": "planted", "restore": "planted", "unserved_node": ""}


def test_each_planted_operation_is_found_in_each_place(everywhere: Everywhere) -> None:
    assert len(everywhere.models) == 130
    missed = set()
    for (place, op), model in everywhere.models.items():
        report = smpatch.check(model, options=CheckOptions(validate="none", deny_file_access=True))
        found = {(each.where, each.code) for each in report.faults if f"({op})" in each.text}
        used = dict.fromkeys(FILES, "file-access") | dict.fromkeys(NETWORK, "network-access")
        code = (
            "unserved-access" if place.startswith("unserved") else used.get(op, "python-function")
        )
        where = {
            "init": "__saved_model_init_op",
            "restore": "the restore operation",
            "unserved_node": "",
            "unserved_function": "",
        }.get(place, "signature 'serving_default'")
        if op != NOWHERE and found != {(where, code)}:
            missed.add((place, op))
    assert missed == UNSERVED_SAVER


def test_an_operation_that_tensorflow_does_not_have_is_found_in_each_place(
    everywhere: Everywhere,
) -> None:
    models = [each for (_, op), each in everywhere.models.items() if op == NOWHERE]
    assert len(models) == 10
    for each in models:
        report = smpatch.check(each)
        found = {one.code for one in report.findings if NOWHERE in one.text}
        assert found == {"unregistered-operation"}, (each.name, report.findings)


def test_no_scanner_finds_a_planted_operation_that_is_not_reported(
    everywhere: Everywhere, tmp_path: Path
) -> None:
    models = [*everywhere.models.values()]
    reported = {each: _reported(each) for each in models}
    allowed = {(f"{place}-{op}", op) for place, op in UNSERVED_SAVER}
    for ops in (None, OPS):
        scanned = _scanned(models, ops)
        assert {op for found in scanned.values() for op in found} >= {"ReadFile", "WriteFile"}
        missed = {(each.name, op) for each in models for op in scanned[each] - reported[each]}
        assert missed <= allowed
    found = _by_modelscan(models[0].parent, tmp_path / "report.json")
    assert found.keys() == {each.name for each in models}
    missed = {(each.name, op) for each in models for op in found[each.name] - reported[each]}
    # smpatch reports this one only with TensorFlow: see the test above.
    assert {op for _, op in missed} == {NOWHERE}
