"""The purpose of an edit: a signature that equals TensorFlow's own, and that TensorFlow runs.

The reference is the original model: its graph as TensorFlow imports it, and ``session.run`` by
tensor name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from smpatch import dtypes
from smpatch.runtime import questions
from smpatch.runtime.process import Child
from smpatch.runtime.questions import Array
from tests.contract.conftest import Told
from tests.contract.editing import Edit
from tests.contract.models import KEY, Candidate, Case, feed_of
from tests.oracle.client import Oracle, Value, decoded

LIMIT = 120.0

Answer = Mapping[str, Any]


def test_signature_is_tensorflows_own(told: Told, edit: Edit) -> None:
    assert edit.receipt.signature.to_bytes() == told.signature()


def test_c_runtime_runs_it(candidate: Candidate, told: Told, edit: Edit, c_runtime: Child) -> None:
    expected = told.results()
    tensors = {alias: each[1] for alias, each in candidate.outputs.items()}
    loaded = questions.describe(
        c_runtime, edit.directory, candidate.tags, [*tensors.values()], LIMIT, keep=True
    )
    assert loaded.ok, loaded.message
    feeds = {name: _array(value) for name, value in candidate.feed.items()}
    done = questions.run(c_runtime, feeds, [*tensors.values()], LIMIT)
    assert done.ok, done.message
    found = {alias: _numpy(done.arrays[name]) for alias, name in tensors.items()}
    assert_equal(found, expected)


def test_python_loader_loads_what_it_loaded(
    case: Case, candidate: Candidate, called: Answer, oracle: Oracle
) -> None:
    assert called["stage"] == "call" or _refused_before(case, candidate, oracle)


def test_python_loader_runs_it(
    case: Case, candidate: Candidate, told: Told, called: Answer, oracle: Oracle
) -> None:
    expected = told.results()
    if called["stage"] == "load":
        before = _refused_before(case, candidate, oracle)
        pytest.skip(f"the Python loader refuses the model without the edit too: {before}")
    if case.has_object_graph and not case.with_object_graph:
        assert called == {"stage": "call", "refused": f"KeyError: '{KEY}'"}
        return
    assert "refused" not in called
    found = {alias: decoded(value) for alias, value in called["arrays"].items()}
    assert_equal(found, expected)


def _refused_before(case: Case, candidate: Candidate, oracle: Oracle) -> str:
    told = oracle.ask("load", directory=case.directory, tags=candidate.tags, loaders=["v2"])
    return str(told["v2"])


def test_manifest_has_the_same_numbers(candidate: Candidate, told: Told) -> None:
    """The values that the tests feed are the values of the manifest."""
    if not told.steady:
        pytest.skip("it counts how often it is run")
    results = {alias: decoded(value) for alias, value in told.results().items()}
    exact = candidate.entry.get("sample_outputs")
    if exact is not None:
        samples = feed_of(exact)
        assert_equal(
            results, {alias: samples[each[1]] for alias, each in candidate.outputs.items()}
        )
        return
    sample = candidate.entry["sample_output"]
    first = results["out_0"]
    assert list(first.shape) == sample["shape"]
    head = first.ravel()[: len(sample["head"])].tolist()
    if first.dtype == object:
        assert [each.decode() for each in head] == sample["head"]
    else:
        assert head == pytest.approx(sample["head"], rel=1e-4)


def assert_equal(found: Mapping[str, Any], expected: Mapping[str, Value]) -> None:
    """Compare arrays bit for bit: the same kernels did the same work."""
    assert found.keys() == expected.keys()
    for alias, value in expected.items():
        array = decoded(value)
        assert found[alias].dtype == array.dtype, alias
        np.testing.assert_array_equal(found[alias], array, err_msg=alias, strict=True)


def _array(value: Value) -> Array:
    array = decoded(value)
    strings = tuple(array.ravel()) if array.dtype == object else ()
    data = b"" if array.dtype == object else array.tobytes()
    return Array(dtypes.number(value["dtype"]), array.shape, data, strings)


def _numpy(array: Array) -> Any:  # noqa: ANN401 - an array
    name = dtypes.base(dtypes.name(array.dtype))
    if name == "string":
        strings = np.empty(len(array.strings), dtype=object)
        strings[:] = array.strings
        return strings.reshape(array.shape)
    return np.frombuffer(array.data, np.dtype(name)).reshape(array.shape)
