"""TensorFlow reloads an edited model without the variables; the receipt records this."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import smpatch
from smpatch import CheckOptions, Feeding, UsageError
from smpatch.edits import SetInitOp
from smpatch.functions.restored import needed_at_load
from smpatch.runtime import installation, questions
from smpatch.runtime.process import Child, Program
from smpatch.validator.variables import without_variables
from tests.contract.models import FIXTURES, PROVE, Case, corpus, found_in
from tests.oracle.client import Oracle

LIMIT = 120.0

EXPORTERS = FIXTURES.parent / "exporters"

MODELS = [
    case
    for case in (*found_in(FIXTURES), *(found_in(EXPORTERS) if PROVE else ()), *corpus())
    if (case.directory / "variables" / "variables.index").exists()
]

INDEX = Path("variables") / "variables.index"
DATA = Path("variables") / "variables.data-00000-of-00001"


def _copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def _add(model: Path, **options: Any) -> smpatch.Receipt:  # noqa: ANN401 - the fields of Options
    """Add a signature to the model; to ``module``, add a signature from a function."""
    chosen = smpatch.Options(**options)
    if model.name == "module":
        return smpatch.promote_function(model, "encode", signature="added", options=chosen)
    x, y = {"x": "x:0"}, {"y": "y:0"}
    return smpatch.add_predict(model, inputs=x, outputs=y, signature="added", options=chosen)


def _codes(receipt: smpatch.Receipt) -> list[str]:
    return [note.code for note in receipt.notes]


@pytest.mark.parametrize("name", ["linear", "module"])
@pytest.mark.parametrize(
    ("validate", "read"),
    [("auto", False), ("runtime", False), ("full", True), ("run", True), ("none", None)],
)
def test_who_reads_them(name: str, validate: str, read: bool | None, tmp_path: Path) -> None:  # noqa: FBT001 - the expected value
    receipt = _add(_copied(name, tmp_path), validate=validate)
    assert receipt.variables_read is read
    assert "variables-read" not in _codes(receipt)


@pytest.mark.parametrize("validate", ["auto", "full"])
def test_of_a_model_that_has_none_nothing_is_said(validate: str, tmp_path: Path) -> None:
    model = _copied("no_signatures", tmp_path)
    options = smpatch.Options(validate=validate)  # type: ignore[arg-type]  # one of the modes
    x, y = {"x": "x:0"}, {"y": "y:0"}
    receipt = smpatch.add_predict(model, inputs=x, outputs=y, options=options)
    assert receipt.loaders
    assert receipt.variables_read is None


@pytest.mark.parametrize("name", ["linear", "module"])
@pytest.mark.parametrize("lost", [INDEX, DATA])
def test_variables_that_are_missing_are_noted(name: str, lost: Path, tmp_path: Path) -> None:
    model = _copied(name, tmp_path)
    (model / lost).unlink()
    receipt = _add(model, validate="auto")
    assert receipt.variables_read is False
    assert _codes(receipt) == ["variables-missing"]
    assert receipt.notes[0].text.startswith(f"{lost} is missing")


@pytest.mark.parametrize("name", ["linear", "module"])
def test_their_bytes_are_not_read(name: str, tmp_path: Path) -> None:
    """TensorFlow compares the checksums of bytes that it reads: it would refuse the model."""
    model = _copied(name, tmp_path)
    (model / DATA).write_bytes(bytes(0xFF ^ byte for byte in (model / DATA).read_bytes()))
    assert not smpatch.check(model).ok
    receipt = _add(model, validate="auto")
    assert (receipt.variables_read, _codes(receipt)) == (False, [])


def test_the_fingerprint_is_that_of_the_whole_model(tmp_path: Path, oracle: Oracle) -> None:
    model = _copied("module", tmp_path)
    assert _add(model, validate="auto").fingerprint == "refreshed"
    assert not {"stale-fingerprint", "other-fingerprint"} & {
        each.code for each in smpatch.check(model).findings
    }
    assert oracle.ask("fingerprint", directory=model)


def test_an_init_op_that_reads_them_gets_them(tmp_path: Path) -> None:
    model = _copied("linear", tmp_path)
    options = smpatch.Options(validate="auto")
    edit = SetInitOp(("product/ReadVariableOp",))
    receipt = smpatch.patch(model, [edit], options=options)
    assert receipt.variables_read is True
    assert _codes(receipt)[-1:] == ["variables-read"]
    report = smpatch.check(model, options=CheckOptions(variables=False))
    assert report.variables_read is True


def test_what_fails_without_them_is_loaded_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _copied("linear", tmp_path)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    receipt = _add(model, validate="runtime")
    assert (receipt.variables_read, _codes(receipt)) == (True, ["variables-read"])


def test_a_check_reads_them_unless_it_is_told_not_to(tmp_path: Path) -> None:
    model = _copied("module", tmp_path)
    assert smpatch.check(model).variables_read is True
    assert smpatch.check(model, options=CheckOptions(validate="none")).variables_read is None
    quick = CheckOptions(variables=False)
    report = smpatch.check(model, options=quick)
    assert (report.ok, report.variables_read) == (True, False)
    assert report.loaders == ("C runtime", "tf.saved_model.load")
    (model / DATA).unlink()
    report = smpatch.check(model, options=quick)
    assert [each.code for each in report.faults] == ["variables-missing"]


def test_nothing_is_run_without_them(tmp_path: Path) -> None:
    options = CheckOptions(variables=False, run=Feeding())
    with pytest.raises(UsageError, match="nothing can be run without the variables"):
        smpatch.check(_copied("linear", tmp_path), options=options)


@pytest.fixture(scope="module")
def children() -> Iterator[dict[Program, Child]]:
    wheel = installation.find()
    assert wheel is not None
    with Child.start(Program.CAPI, wheel) as capi, Child.start(Program.LIGHT, wheel) as light:
        yield {Program.CAPI: capi, Program.LIGHT: light}


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_what_loads_loads_without_them_as_well(case: Case, children: dict[Program, Child]) -> None:
    """Both loaders give the same tensors and signatures with and without the variables."""
    directory = case.directory
    for meta_graph in smpatch.load(directory).meta_graphs:
        tags = meta_graph.tags
        signatures = meta_graph.signatures.values()
        names = sorted({each.name for spec in signatures for each in spec.tensors() if each.name})
        whole = questions.describe(children[Program.CAPI], directory, tags, names, LIMIT)
        with without_variables(directory) as view:
            assert view is not None
            assert not (view / "variables").exists()
            bare = questions.describe(children[Program.CAPI], view, tags, names, LIMIT)
        if whole.ok and not needed_at_load(meta_graph):
            assert bare.ok, bare.message
        if whole.ok and bare.ok:
            assert bare.tensors == whole.tensors
        loaded = questions.python_signatures(children[Program.LIGHT], directory, tags, LIMIT)
        skipped = questions.python_signatures(
            children[Program.LIGHT], directory, tags, LIMIT, variables=False
        )
        if loaded.ok and not needed_at_load(meta_graph):
            assert skipped.ok, skipped.message
        if loaded.ok and skipped.ok:
            assert skipped.signatures == loaded.signatures
