"""A check finds and names every planted fault, and reports no fault in a healthy model.

Some findings have ``stops_python``. The tests compare them with Python's own loader: the loader
refuses a model whose signatures it takes from ``signature_def`` if, and only if, a check without
this loader reports such a finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Report
from smpatch.runtime import installation
from tests.checker.faults import FIXTURES, Case, cases, planted
from tests.contract.models import Case as Model
from tests.contract.models import corpus, found_in
from tests.oracle.client import Oracle

MODELS = [*found_in(FIXTURES), *corpus()]

# A check without Python's loader; ``_agrees`` compares the findings with that loader.
WITHOUT_PYTHON = CheckOptions(validate="runtime")

NEWEST = (2, 21)
"""The version of TensorFlow for whose loader ``stops_python`` holds."""

FAULTY = {
    "duplicate_key": {"duplicate-key"},
    "halves_disagree": {"halves-disagree"},
    # TensorFlow's parser of text refuses fields that its schema does not have.
    "text_newer_writer": {"c-runtime"},
    "wrong_dtype": {"dtype"},
    "wrong_tensor_info": {"dtype", "missing-tensor"},
}
"""Fixtures that are faulty by themselves, with the codes of their faults."""


def _installed() -> tuple[int, ...]:
    """Return the version of the installed TensorFlow, without its patch level."""
    found = installation.find()
    assert found is not None
    return tuple(map(int, (found.version or "0.0").split(".")[:2]))


def _codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


def _agrees(report: Report, directory: Path, oracle: Oracle) -> None:
    """Compare the findings that stop Python with the answer of Python's loader."""
    model = smpatch.load(directory)
    if not report.loaders and {"c-runtime", "unregistered-operation"} & _codes(report):
        return  # the installed TensorFlow does not load it, with any signatures
    for meta_graph in model.meta_graphs:
        if meta_graph.has_object_graph and len(model.meta_graphs) == 1:
            continue
        where = f"MetaGraph {','.join(meta_graph.tags)!r}" if len(model.meta_graphs) > 1 else ""
        said = [
            each.code
            for each in report.findings
            if each.stops_python and each.where.startswith(where)
        ]
        tags = list(meta_graph.tags)
        refused = oracle.ask("load", directory=directory, tags=tags, loaders=["v2"])["v2"]
        older = _installed() < NEWEST or sys.version_info < (3, 11)
        if set(said) == {"alias"} and not refused and older:
            continue  # TensorFlow 2.16 and Python 3.10 accept an input called class
        assert bool(said) is bool(refused), (said, refused)


def _wrote(model: str) -> bool:
    """Return whether the installed TensorFlow wrote a fixture."""
    installed = installation.find()
    writer = smpatch.load(FIXTURES / model).meta_graphs[0].tensorflow_version
    return installed is not None and installed.version == writer


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_planted_fault_is_found_and_named(case: Case, tmp_path: Path, oracle: Oracle) -> None:
    before = smpatch.check(FIXTURES / case.model, options=WITHOUT_PYTHON)
    directory = planted(case, tmp_path / "model", oracle)
    report = smpatch.check(directory, options=WITHOUT_PYTHON)
    new = {(each.code, each.severity) for each in {*report.findings} - {*before.findings}}
    expected = (case.fault.code, case.fault.severity)
    if case.fault.code == "stale-fingerprint" and not _wrote(case.model):
        # Another TensorFlow may compute another fingerprint for an unchanged model.
        expected = ("other-fingerprint", "note")
    assert expected in new
    assert before.ok
    _agrees(report, directory, oracle)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_what_is_healthy_has_no_fault(model: Model, oracle: Oracle) -> None:
    report = smpatch.check(model.directory, options=WITHOUT_PYTHON)
    if model.directory.is_relative_to(FIXTURES):  # the faults of foreign models are not listed
        assert {each.code for each in report.faults} == FAULTY.get(model.name, set())
    _agrees(report, model.directory, oracle)


@pytest.mark.parametrize("name", ["assets_extra_warmup", "module", "wrong_dtype"])
def test_without_tensorflow_the_same_is_found(name: str) -> None:
    alone = smpatch.check(FIXTURES / name, options=CheckOptions(validate="none"))
    asked = smpatch.check(FIXTURES / name, options=CheckOptions(validate="full"))
    assert alone.findings == asked.findings
    assert alone.loaders == ()
    assert asked.loaders == ("C runtime", "tf.saved_model.load")
