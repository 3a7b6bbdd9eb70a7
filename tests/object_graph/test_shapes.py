"""Shapes of inner tensors that the file does not record: smpatch infers TensorFlow's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import smpatch
from smpatch import MetaGraph, Options, RefusedError, load
from smpatch.functions.inner_tensors import Inner, inferred, inner_tensors
from smpatch.functions.shape_inference import Place, shapes
from smpatch.signature import Shape
from smpatch.validator import Validator as Runtime
from tests.contract.models import FIXTURES
from tests.oracle.client import Oracle
from tests.proof.test_sameness import Messages, rewrite

KEY = "serving_default"

SET_BY_PYTHON = {"string_lookup_asset": 4}
"""The number of shapes of a fixture that Python has set; no shape function gives them."""

RECORDED = (
    "keras_export_archive",
    "keras_functional",
    "keras_rnn",
    "keras_shared_layer",
    "module",
    "nested_modules",
    "ragged_sparse_inputs",
    "string_lookup_asset",
    "unsorted_keys",
    "variable_captured_twice",
)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    """TensorFlow's C API in a child process, as smpatch uses it."""
    with Runtime("runtime", (), 120.0) as found:
        yield found


def _inner(meta_graph: MetaGraph, key: str) -> list[Inner]:
    return list(inner_tensors(meta_graph, meta_graph.signatures[key]))


@pytest.mark.parametrize("name", ["layers", "calls", "flow"])
def test_inferred_shapes_equal_those_of_the_traced_function(
    name: str, oracle: Oracle, runtime: Runtime, tmp_path: Path
) -> None:
    model = tmp_path / name
    traced = oracle.ask("build_without_shapes", name=name, directory=model)["shapes"]
    meta_graph = load(model).meta_graph(None)
    inside = _inner(meta_graph, KEY)
    assert {each.spec.shape for each in inside} == {None}
    compared = 0
    for each in inferred(meta_graph, inside, runtime.infer):
        if len(each.calls) > 1:  # the outermost function is a wrapper, which Python never traced
            known = [None if sizes is None else tuple(sizes) for sizes in traced[each.spec.name]]
            assert each.spec.shape in known, each.path
            compared += 1
    assert compared > 10


def test_one_function_has_other_shapes_at_other_calls(
    oracle: Oracle, runtime: Runtime, tmp_path: Path
) -> None:
    oracle.ask("build_without_shapes", name="calls", directory=tmp_path / "model")
    meta_graph = load(tmp_path / "model").meta_graph(None)
    found = {
        each.spec.name: each.spec.shape
        for each in inferred(meta_graph, _inner(meta_graph, KEY), runtime.infer)
    }
    assert found["axis_0/turned:0"] == (3, None)
    assert found["axis_1/turned:0"] == (3, None, 1)


@pytest.mark.parametrize("name", RECORDED)
def test_inference_finds_what_the_exporter_recorded(
    name: str, oracle: Oracle, runtime: Runtime, tmp_path: Path
) -> None:
    model = tmp_path / name
    shutil.copytree(FIXTURES / name, model)
    recorded = load(model).meta_graph(None)
    oracle.ask("without_shapes", directory=model)
    stripped = load(model).meta_graph(None)
    for key in recorded.signatures:
        known = _inner(recorded, key)
        found = inferred(stripped, _inner(stripped, key), runtime.infer)
        other = [
            (one.path, one.spec.shape, each.spec.shape)
            for one, each in zip(known, found, strict=True)
            if one.spec.shape != each.spec.shape
        ]
        assert len(other) == SET_BY_PYTHON.get(name, 0), other
        assert all(shape is None for _, _, shape in other)
        # Inference keeps the recorded shapes.
        again = inferred(recorded, known, runtime.infer)
        assert [each.spec for each in again] == [each.spec for each in known]


def test_a_new_signature_tells_the_inferred_shapes_on_both_halves(
    oracle: Oracle, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    oracle.ask("build_without_shapes", name="layers", directory=model)
    asked = {"flat": "flat:0", "part": "halves:1", "whole": "output_0"}
    expected: dict[str, Shape] = {
        "flat": (None, None, 10),
        "part": (None, 300),
        "whole": (None, 500),
    }
    made = smpatch.derive_signature(model, KEY, outputs=asked, signature="inside")
    assert {alias: spec.tensors()[0].shape for alias, spec in _outputs(model, "inside")} == expected
    assert made.notes == ()
    concrete = load(model).meta_graph(None).objects
    assert "inside" in concrete.signatures


def _outputs(model: Path, key: str) -> list[tuple[str, smpatch.TensorSpec]]:
    found = load(model).signatures[key].outputs.items()
    return [(alias, spec) for alias, spec in found if isinstance(spec, smpatch.TensorSpec)]


def test_without_validation_shapes_stay_unknown_and_a_note_says_so(
    oracle: Oracle, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    oracle.ask("build_without_shapes", name="layers", directory=model)
    made = smpatch.derive_signature(
        model, KEY, outputs={"y": "flat:0"}, signature="new", options=Options(validate="none")
    )
    assert [spec.shape for _, spec in _outputs(model, "new")] == [None]
    assert "unknown-shape" in {note.code for note in made.notes}


def test_operations_that_an_early_export_does_not_define_are_asked_of_tensorflow(
    oracle: Oracle, tmp_path: Path
) -> None:
    model = tmp_path / "module"
    shutil.copytree(FIXTURES / "module", model)
    oracle.ask("without_function_ops", directory=model)
    oracle.ask("without_shapes", directory=model)
    assert not load(model).meta_graph(None).functions.complete
    unproved = Options(validate="none")
    with pytest.raises(RefusedError, match="does not define the outputs of the operation 'MatMul'"):
        smpatch.derive_signature(
            model, KEY, outputs={"y": "product:0"}, signature="new", options=unproved
        )
    smpatch.derive_signature(model, KEY, outputs={"y": "product:0"}, signature="new")
    whole = load(FIXTURES / "module").meta_graph(None)
    (known,) = (each for each in _inner(whole, KEY) if each.spec.name == "product:0")
    assert [spec.shape for _, spec in _outputs(model, "new")] == [known.spec.shape]


def test_a_call_that_reads_its_own_result_has_no_shape(tmp_path: Path) -> None:
    """The search for its origin had no end."""

    def damage(messages: Messages) -> None:
        function = messages.graph.library.function.add()
        function.signature.name = "pass_1"
        function.signature.input_arg.add(name="a", type=1)
        function.signature.output_arg.add(name="r", type=1)
        function.ret["r"] = "a"
        node = messages.graph.node.add(name="c", op="PartitionedCall", input=["c"])
        node.attr["f"].func.name = "pass_1"

    model = Path(shutil.copytree(FIXTURES / "module", tmp_path / "model"))
    rewrite(model / "saved_model.pb", damage)
    found = shapes(load(model).meta_graph(), [Place((), "c", 0)], lambda _graph, _names: {})
    assert found == [None]
