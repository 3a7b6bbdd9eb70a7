"""The signatures that the builder makes of valid requests: each fixture's, and unusual ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.make import raw
from smpatch import loader, schema
from smpatch.builder import Inferred, build
from smpatch.edits import AddPredict, RaggedRef
from smpatch.errors import RefusedError, UnreachableOutputError
from smpatch.graph.resolve import OpDefMissingError
from smpatch.signature import PREDICT, CompositeTensorSpec, SparseTensorSpec, TensorSpec
from smpatch.tensor_syntax import parse_tensors
from tests.test_builder import MODELS, SPARSE, built

ENTRIES: list[dict[str, Any]] = json.loads((MODELS / "MANIFEST.json").read_text())
RAGGED = RaggedRef("v:0", ("row_splits:0",))


class TestBuilt:
    def test_names_dtype_and_shape_come_from_the_graph(self) -> None:
        made = built("linear", {"x": "x"}, {"y": "y:0"})
        assert made.key == "new"
        assert made.signature.method_name == PREDICT
        assert made.signature.inputs == {"x": TensorSpec("x:0", "float32", (None,))}
        assert made.signature.outputs == {"y": TensorSpec("y:0", "float32", (None,))}
        assert made.tensors == {
            "x:0": made.signature.inputs["x"],
            "y:0": made.signature.outputs["y"],
        }
        assert made.unknown_shapes == ()
        assert made.notes == ()

    def test_one_tensor_may_be_two_outputs(self) -> None:
        assert set(built("linear", ["x:0"], {"a": "y:0", "b": "y:0"}).signature.outputs) == {
            "a",
            "b",
        }

    def test_a_key_that_is_taken_may_be_overwritten_when_asked(self) -> None:
        assert built("linear", ["x:0"], ["y:0"], key="scale", overwrite=True).key == "scale"

    def test_a_shape_may_be_relaxed(self) -> None:
        relaxed = TensorSpec("hidden:0", "float32", (None, None))
        made = built("resource_variables", ["x:0"], {"h": relaxed})
        assert made.signature.outputs["h"] == relaxed
        assert made.tensors["hidden:0"].shape == (None, 3)
        unknown = TensorSpec("hidden:0", "float32", None)
        assert (
            built("resource_variables", ["x:0"], {"h": unknown}).signature.outputs["h"] == unknown
        )

    def test_parts_make_a_sparse_tensor(self) -> None:
        made = built("sparse", {"ids": SPARSE}, ["total:0"])
        assert made.signature.inputs["ids"] == SparseTensorSpec(
            "ids/values:0", "ids/indices:0", "ids/shape:0", "float32", (None, None)
        )
        assert set(made.tensors) == {"ids/values:0", "ids/indices:0", "ids/shape:0", "total:0"}

    def test_parts_make_a_ragged_tensor(self) -> None:
        made = built("ragged", {"ids": RAGGED}, ["row_sum:0"])
        spec = made.signature.inputs["ids"]
        assert isinstance(spec, CompositeTensorSpec)
        assert [tensor.name for tensor in spec.tensors()] == ["v:0", "row_splits:0"]
        whole = built("ragged", {"ids": spec}, ["row_sum:0"])
        assert whole.signature == made.signature

    def test_what_tensorflow_said_is_taken(self) -> None:
        op_defs = {
            name: schema.OpDef(name=name, output_arg=[schema.OpDef.ArgDef(type=1)])
            for name in ("AddV2", "Mul", "Const")
        }
        made = built("no_op_list", ["x:0"], ["y:0"], op_defs=op_defs)
        assert made.unknown_shapes == ("y:0",)
        assert made.signature.outputs["y:0"] == TensorSpec("y:0", "float32", None)
        inferred = TensorSpec("y:0", "float32", (None,))
        said = Inferred({"y:0": inferred})
        made = built("no_op_list", ["x:0"], ["y:0"], op_defs=op_defs, inferred=said)
        assert made.unknown_shapes == ()
        assert made.signature.outputs["y:0"] == inferred

    def test_a_shape_that_nothing_said_yet_is_not_compared(self) -> None:
        given = TensorSpec("x:0", "float32", (3,))
        made = built("old_producer", {"x": given}, ["y:0"])
        assert made.unknown_shapes == ("x:0", "y:0")
        inferred = Inferred({"x:0": TensorSpec("x:0", "float32", (None,))})
        with pytest.raises(RefusedError, match="narrower"):
            built("old_producer", {"x": given}, ["y:0"], inferred=inferred)

    def test_the_placeholders_that_are_missing_are_named_up_to_ten(self, tmp_path: Path) -> None:
        dtype = {"dtype": schema.AttrValue(type=1), "shape": schema.AttrValue(shape={})}
        names = [f"p{at:02}" for at in range(12)]
        graph = schema.GraphDef(
            node=[
                *(schema.NodeDef(name=name, op="Placeholder", attr=dtype) for name in names),
                schema.NodeDef(name="y", op="PlaceholderWithDefault", input=names, attr=dtype),
            ],
            versions=schema.VersionDef(producer=1000),
        )
        whole = raw.field(2, raw.field(1, b"") + raw.field(2, graph.SerializeToString()))
        (tmp_path / "saved_model.pb").write_bytes(whole)
        edit = AddPredict({"p": "p00:0"}, {"y": "y:0"})
        with pytest.raises(UnreachableOutputError) as caught:
            build(loader.load(tmp_path).meta_graph(), edit.wanted)
        assert caught.value.found.startswith("needs the placeholders 'p01', 'p02', ")
        assert caught.value.found.endswith("'p10' and 1 more, which no input feeds")
        assert caught.value.hint.endswith("p09:0,p10:0")


CANDIDATES = [
    entry for entry in ENTRIES if entry["candidate"] and entry["dir"] != "several_tag_sets"
]


@pytest.mark.parametrize("entry", CANDIDATES, ids=lambda entry: entry["dir"])
def test_what_tensorflow_runs_can_be_built(entry: dict[str, Any]) -> None:
    wanted = entry["candidate"]
    inputs = parse_tensors([wanted["notation"] or ",".join(wanted["inputs"])], option="--inputs")
    outputs = parse_tensors([",".join(wanted["outputs"])], option="--outputs")
    try:
        made = built(entry["dir"], inputs, outputs)
    except OpDefMissingError:
        assert entry["dir"] in {"no_op_list", "text_form", "text_newer_writer"}
        return
    assert {tensor.name for tensor in made.signature.tensors()} >= set(wanted["outputs"])
    assert made.unknown_shapes == (("x:0", "y:0") if entry["dir"] == "old_producer" else ())


IMPOSSIBLE = [(entry["dir"], request) for entry in ENTRIES for request in entry["impossible"] or ()]


@pytest.mark.parametrize(
    ("model", "request_"),
    IMPOSSIBLE,
    ids=lambda each: each if isinstance(each, str) else each["reason"],
)
def test_what_tensorflow_cannot_run_is_refused_by_name(
    model: str, request_: dict[str, Any]
) -> None:
    inputs = request_["inputs"] or ["a/Read/ReadVariableOp:0"]
    with pytest.raises(RefusedError) as caught:
        built(model, inputs, request_["outputs"])
    for name in request_["names"]:
        assert name in str(caught.value)
    assert request_["tensorflow_says"]
