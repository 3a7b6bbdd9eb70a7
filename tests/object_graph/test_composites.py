"""Functions of sparse and ragged tensors become the signatures that TensorFlow itself makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import smpatch
from smpatch import Options, TensorSpec, load
from smpatch.signature import Spec
from smpatch.suggestions import suggest
from tests.oracle.client import Oracle

Sketch = dict[str, tuple[str, object]]


INSIDE = {"given": "given_x", "given_1": "given", "given_2": "given_1", "given_3": "given_2"}
"""Inside structures TensorFlow counts arguments, and smpatch says where the dense ones are."""


def test_a_function_of_composites_serves_as_in_tensorflows_own_export(
    oracle: Oracle, tmp_path: Path
) -> None:
    feeds = oracle.ask("build_composites", directory=tmp_path)["feeds"]
    plain, own = tmp_path / "plain", tmp_path / "own"
    for name in feeds:
        smpatch.promote_function(plain, name, options=Options(validate="none"))
    ours, theirs = load(plain).signatures, load(own).signatures
    for name in feeds:
        inputs = _sketch(theirs[name].inputs)
        if name == "nested":
            inputs = {INSIDE[alias]: spec for alias, spec in inputs.items()}
        assert _sketch(ours[name].inputs) == inputs
        assert _sketch(ours[name].outputs) == _sketch(theirs[name].outputs)
    loaders = ["python", "session"]
    expected = oracle.ask("tour", directory=own, tags=["serve"], feeds=feeds, loaders=loaders)
    nested = {INSIDE[alias]: value for alias, value in feeds["nested"].items()}
    given = {**feeds, "nested": nested}
    told = oracle.ask("tour", directory=plain, tags=["serve"], feeds=given, loaders=loaders)
    for loader in loaders:
        assert told[loader] == expected[loader]
        assert all("arrays" in told[loader][name] for name in feeds)


def _sketch(specs: Mapping[str, Spec]) -> Sketch:
    found: Sketch = {}
    for alias, spec in specs.items():
        assert isinstance(spec, TensorSpec)
        found[alias] = (spec.dtype, spec.shape)
    return found


def test_what_yields_a_composite_is_suggested_with_the_reason_why_not(
    oracle: Oracle, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    oracle.ask("build", name="refused", directory=model)
    refusals = {
        each.traced.path: each.refusal for each in suggest(load(model).meta_graph(None)).functions
    }
    assert refusals["ragged"] == ""
    assert "yields a composite tensor" in refusals["ragged_out"]
    assert "'x' is a variant handle" in refusals["takes_handle"]
