"""An impossible edit is refused with the reason, and the model does not change.

Fixtures show most reasons; the module ``refused`` of the factories shows the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import Options, Receipt, RefusedError, SmpatchError, UsageError, load
from smpatch.functions.compare import disagreements
from tests.contract.editing import snapshot
from tests.contract.models import FIXTURES
from tests.object_graph.conftest import UNPROVED
from tests.oracle.client import Oracle, encoded

Edit = Callable[[Path], Receipt]


def promote(function: str, **more: Any) -> Edit:  # noqa: ANN401 - the arguments of the edit
    return lambda model: smpatch.promote_function(
        model, function, signature="new", options=UNPROVED, **more
    )


def derive(source: str, outputs: Mapping[str, str], key: str = "new") -> Edit:
    return lambda model: smpatch.derive_signature(
        model, source, outputs=outputs, signature=key, options=UNPROVED
    )


REFUSED: dict[str, tuple[str, Edit, list[str]]] = {
    "no such tensor": ("module", derive("serving_default", {"y": "prodct:0"}), ["product"]),
    "no such index": ("module", derive("serving_default", {"y": "product:7"}), ["product:7"]),
    "no such signature": (
        "module",
        derive("serving_defualt", {"y": "product:0"}),
        ["no such signature", "serving_default"],
    ),
    "no such function": ("module", promote("encod"), ["no such function", "encode"]),
    "no such path": ("nested_modules", promote("first.encode.more"), ["no such function"]),
    "several traces": (
        "several_traces",
        promote("scale"),
        ["has 4 traces", "__inference_scale_77", "int32"],
    ),
    "no such argument": ("module", promote("encode", inputs={"a": "y"}), ["no argument", "'y'"]),
    "no such output": ("module", promote("encode", outputs={"a": "y"}), ["no output", "output_0"]),
    "the key is taken": ("module", derive("serving_default", {"y": "product:0"}, "serving_default"),
                         ["the key is taken"]),
    "the key is taken in Python's half": (
        "halves_disagree",
        lambda model: smpatch.promote_function(
            model, "plus", signature=_only_in_python(model), options=UNPROVED
        ),
        ["the key is taken"],
    ),
    "an input of two aliases": (
        "unsorted_keys",
        promote("mix", inputs={"p": "q", "r": "q"}),
        ["is already the input"],
    ),
}  # fmt: skip


def _only_in_python(model: Path) -> str:
    meta_graph = load(model).meta_graph(None)
    return next(iter(meta_graph.objects.signatures.keys() - meta_graph.signatures.keys()))


@pytest.mark.parametrize("why", REFUSED)
def test_refusal_says_why_and_changes_nothing(why: str, tmp_path: Path) -> None:
    name, edit, words = REFUSED[why]
    model = _copied(name, tmp_path)
    before = snapshot(model)
    with pytest.raises(RefusedError) as raised:
        edit(model)
    for each in words:
        assert each in str(raised.value)
    assert snapshot(model) == before


def _copied(name: str, tmp_path: Path) -> Path:
    model = tmp_path / name
    shutil.copytree(FIXTURES / name, model)
    return model


ZOO_REFUSED: dict[str, tuple[str, Edit, list[str]]] = {
    "in a loop": (
        "control_flow", derive("serving_default", {"y": "while/in_body:0"}), ["body of", "hile"],
    ),
    "in a branch": (
        "control_flow", derive("serving_default", {"y": "cond/in_branch:0"}), ["body of", "If"],
    ),
    "in a map": (
        "control_flow", derive("serving_default", {"y": "map/while/in_map:0"}), ["body of", "hile"],
    ),
    "in several calls": (
        "calls", derive("serving_default", {"y": "halves:1"}), ["calls have", "@"],
    ),
    "yields nothing": ("refused", promote("nothing"), ["yields no tensor"]),
    "yields a handle": ("refused", promote("handle"), ["cannot be fetched"]),
    "takes a handle": ("refused", promote("takes_handle"), ["'x' is a variant handle"]),
    "a name given twice": (
        "refused", promote("minus", inputs={"b": "a"}), ["'b' is the name of another argument"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", ZOO_REFUSED)
def test_refusal_of_the_zoo_says_why(why: str, oracle: Oracle, tmp_path: Path) -> None:
    name, edit, words = ZOO_REFUSED[why]
    model = tmp_path / "model"
    oracle.ask("build", name=name, directory=model)
    before = snapshot(model)
    with pytest.raises(RefusedError) as raised:
        edit(model)
    for each in words:
        assert each in str(raised.value)
    assert snapshot(model) == before


def test_each_way_that_is_listed_works(oracle: Oracle, tmp_path: Path) -> None:
    model = tmp_path / "model"
    oracle.ask("build", name="calls", directory=model)
    with pytest.raises(RefusedError) as raised:
        derive("serving_default", {"y": "halves:1"})(model)
    ways = raised.value.hint.removeprefix("use ").split(" or ")
    assert len(ways) == 4
    derive("serving_default", {f"y{place}": way for place, way in enumerate(ways)})(model)
    with pytest.raises(RefusedError, match="computes no such tensor"):
        derive("serving_default", {"y": "halves:1@StatefulPartitionedCall+nowhere"}, "other")(model)


def test_swapped_arguments_keep_their_values(tmp_path: Path, oracle: Oracle) -> None:
    model = _copied("unsorted_keys", tmp_path)
    receipt = promote("mix", inputs={"a": "q", "q": "a"})(model)
    names = {alias: spec.tensors()[0].name for alias, spec in receipt.signature.inputs.items()}
    assert names == {"a": "new_a:0", "q": "new_q:0", "m": "new_m:0"}
    given = {name: encoded(np.array([at], np.float32)) for at, name in enumerate("qam", start=1)}
    swapped = {"a": given["q"], "q": given["a"], "m": given["m"]}
    told = oracle.ask(
        "tour",
        directory=model,
        tags=["serve"],
        feeds={"serving_default": given, "new": swapped},
        loaders=["python", "session"],
    )
    for loader in ("python", "session"):
        assert "arrays" in told[loader]["new"]
        assert told[loader]["new"] == told[loader]["serving_default"]


def test_text_form_offers_the_signature_alone(tmp_path: Path, oracle: Oracle) -> None:
    model = _copied("module", tmp_path)
    oracle.ask("to_text", directory=model)
    before = snapshot(model)
    with pytest.raises(RefusedError, match="in text form cannot be given new nodes"):
        promote("encode")(model)
    source = load(model).signatures["serving_default"]
    request: dict[str, Any] = {
        "inputs": {"x": source.inputs["x"]},
        "outputs": {"y": source.outputs["score"]},
        "signature": "new",
    }
    with pytest.raises(RefusedError, match="text form cannot be edited") as raised:
        smpatch.add_predict(model, **request, options=UNPROVED)
    assert "--signature-def-only" in raised.value.hint
    assert snapshot(model) == before
    alone = replace(UNPROVED, signature_def_only=True)
    receipt = smpatch.add_predict(model, **request, options=alone)
    assert "object-graph-unchanged" in {note.code for note in receipt.notes}


def test_signature_def_only_leaves_the_object_graph(tmp_path: Path, oracle: Oracle) -> None:
    model = _copied("module", tmp_path)
    alone = Options(validate="runtime", signature_def_only=True)
    receipt = smpatch.promote_function(model, "encode", options=alone)
    assert "object-graph-unchanged" in {note.code for note in receipt.notes}
    told = oracle.ask("appended", before=FIXTURES / "module", after=model)
    assert told["signatures"] == ["encode"]
    assert (
        told["objects"] == told["children"] == told["concrete_functions"] == told["changed"] == []
    )
    # An edit of both halves adds the signature to the object graph, and overwrites the other half.
    smpatch.promote_function(model, "encode", options=replace(UNPROVED, overwrite=True))
    assert load(model).meta_graph(None).objects.signatures.keys() >= {"encode"}


def test_halves_that_disagree_still_do(tmp_path: Path) -> None:
    model = _copied("halves_disagree", tmp_path)
    before = disagreements(load(model).meta_graph(None))
    assert before
    alias = next(iter(load(model).signatures["half"].outputs))
    for receipt in (promote("plus")(model), derive("half", {"z": alias}, "other")(model)):
        assert "halves-disagree" in {note.code for note in receipt.notes}
        assert disagreements(load(model).meta_graph(None)) == before


def test_aliases_that_tensorflow_cannot_save_again_are_noted(tmp_path: Path) -> None:
    model = _copied("module", tmp_path)
    receipt = promote("encode", inputs={"_x": "x"})(model)
    assert [note.code for note in receipt.notes] == ["alias-not-resavable"]


def test_nothing_asked_for_is_wrong_usage(tmp_path: Path) -> None:
    model = _copied("module", tmp_path)
    with pytest.raises(UsageError):
        derive("serving_default", {})(model)
    with pytest.raises(SmpatchError):
        promote("encode", outputs={})(model)
