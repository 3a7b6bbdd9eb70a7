"""Findings for Triton, which serves ``serving_default`` alone: scalars, batches and defaults."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

import smpatch
from smpatch import CheckOptions, Finding, TensorSpec
from tests.checker.faults import FIXTURES
from tests.describer.models import made, row
from tests.oracle.client import Oracle

OPTIONS = CheckOptions(validate="none", consumers=["triton"])


def _found(directory: Path, options: CheckOptions = OPTIONS) -> dict[str, Finding]:
    found = smpatch.check(directory, options=options).findings
    return {each.where: each for each in found if each.code != "stale-fingerprint"}


def test_a_scalar_is_refused_where_triton_looks_and_nowhere_else(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(FIXTURES / "scalar", tmp_path / "model"))
    assert "rank-zero" not in {each.code for each in _found(directory).values()}
    smpatch.copy_signature(directory, "double", "serving_default")
    found = _found(directory)
    assert {each.code for each in found.values()} == {"rank-zero"}
    assert {each.severity for each in found.values()} == {"fault"}
    signature = smpatch.load(directory).signatures["serving_default"]
    scalars = [
        *(f"input {alias!r}" for alias in signature.inputs),
        *(f"output {alias!r}" for alias in signature.outputs),
    ]
    assert [where.partition(", ")[2] for where in found] == scalars
    others = CheckOptions(validate="none", consumers=["serving", "tflite", "python"])
    assert "rank-zero" not in {each.code for each in _found(directory, others).values()}


def test_a_first_dimension_that_is_not_open_keeps_triton_from_batching(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    assert _found(directory) == {}
    edit = smpatch.EditSignature("serving_default", shapes={"x": (1, 2)})
    smpatch.patch(directory, [edit], options=smpatch.Options(validate="runtime"))
    found = _found(directory)
    note = found["signature 'serving_default', input 'x'"]
    assert (note.code, note.severity) == ("no-batching", "note")
    assert "[1, 2]" in note.text


def test_a_dimension_of_size_zero_is_refused_as_describe_refuses_it(tmp_path: Path) -> None:
    """``check`` found no fault, and ``describe`` made no configuration."""
    shape = TensorSpec("x:0", "float32", (None, 0))
    model = made(tmp_path / "m", {"x": shape}, {"y": TensorSpec("y:0", "float32", (None,))})
    (finding,) = (each for each in _found(model).values() if each.code == "size-zero")
    assert (finding.where, finding.severity) == ("signature 'serving_default', input 'x'", "fault")
    with pytest.raises(smpatch.RefusedError) as raised:
        smpatch.describe(model)
    assert raised.value.found == finding.text


@pytest.mark.parametrize("tags", [("train",), ("train", "gpu"), ("a,b",), ()])
def test_the_tags_in_the_hint_for_python_are_those_that_tensorflow_takes(
    tags: tuple[str, ...], tmp_path: Path
) -> None:
    """Several tags were one text with commas, which TensorFlow takes for one tag."""
    model, other = (
        made(tmp_path / name, {"x": row("x")}, {"y": row("y")}, tags=each)
        for name, each in (("m", ("serve",)), ("other", tags))
    )
    with (model / "saved_model.pb").open("ab") as file:
        file.write((other / "saved_model.pb").read_bytes())
    options = CheckOptions(validate="none", consumers=["python"])
    found = smpatch.check(model, options=options).findings
    hint = [each.hint for each in found if each.code == "needs-tags"][-1]
    given = ast.literal_eval(hint.partition("tags=")[2].rstrip(")"))
    assert tuple([given] if isinstance(given, str) else given) == tags


def test_a_default_is_not_read_by_triton() -> None:
    signature = smpatch.load(FIXTURES / "defaults").signatures["serving_default"]
    found = _found(FIXTURES / "defaults")
    unread = [where for where, each in found.items() if each.code == "default-not-read"]
    assert unread == [
        f"signature 'serving_default', default {alias!r}" for alias in signature.defaults
    ]
    assert unread


@pytest.mark.parametrize(("tags", "served"), [(["serve"], True), (["serve", "gpu"], False)])
def test_a_tag_beside_the_tag_that_servers_look_for_hides_the_model(
    tags: list[str], tmp_path: Path, oracle: Oracle, *, served: bool
) -> None:
    """Loaders take the MetaGraph that has exactly the tags that they look for."""
    directory = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    smpatch.retag(directory, ["serve"], tags, options=smpatch.Options(validate="none"))
    said = oracle.ask("load", directory=directory, tags=["serve"], loaders=["v1"])
    assert (said["v1"] == "") == served
    for consumer in ("serving", "triton"):
        options = CheckOptions(validate="none", consumers=[consumer])
        codes = {each.code for each in smpatch.check(directory, options=options).faults}
        assert ("no-serve-tag" not in codes) == served
