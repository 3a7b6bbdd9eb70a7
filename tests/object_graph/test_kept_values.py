"""Each key yields the same values, whatever signatures and tensors an edit adds or removes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import RefusedError, load
from smpatch.edits import (
    AddPredict,
    Copy,
    Edit,
    EditSignature,
    FromSignature,
    PromoteFunction,
    Remove,
    Rename,
)
from smpatch.functions.inner_tensors import inner_tensors
from tests.object_graph.conftest import UNPROVED
from tests.oracle.client import Oracle, decoded

Answer = Mapping[str, Any]


class Model:
    """A model, and the values that its signatures yielded in both loaders at the start."""

    def __init__(self, oracle: Oracle, directory: Path, name: str) -> None:
        """Make the model and record its values."""
        self.directory = directory
        self.feeds: dict[str, Any] = oracle.ask("build_objects", name=name, directory=directory)[
            "feeds"
        ]
        self._oracle = oracle
        self.was = self.values()

    def edit(self, *edits: Edit) -> None:
        """Do edits in one commit, without smpatch's own reload."""
        smpatch.patch(self.directory, list(edits), options=UNPROVED)

    def values(self) -> Answer:
        """Return the values that every signature yields now, by loader and key."""
        loaders: Sequence[str] = ("python", "session")
        told = self._oracle.ask(
            "tour", directory=self.directory, tags=["serve"], feeds=self.feeds, loaders=loaders
        )
        values = {loader: told[loader] for loader in loaders}
        refused = [each for of in values.values() for each in of.values() if "refused" in each]
        assert not refused
        return values


@pytest.mark.parametrize("name", ["traces", "traces_on_one_placeholder"])
def test_a_dropped_inner_output_does_not_move_its_signature_to_another_trace(
    name: str, oracle: Oracle, tmp_path: Path
) -> None:
    """Both traces have nodes of the same names; ``second`` once yielded the value of ``first``."""
    model = Model(oracle, tmp_path / "model", name)
    model.edit(EditSignature("second", add_outputs={"extra": "inner:0"}))
    for yielded in model.values().values():
        arrays = yielded["second"]["arrays"]
        assert arrays["extra"] == arrays["y"]
    model.edit(EditSignature("second", drop_outputs=("extra",)))
    assert model.values() == model.was
    # It stays on the copied call, which yields the same.
    signatures = load(model.directory).signatures
    assert signatures["second"].outputs != signatures["first"].outputs


def test_a_call_that_is_given_another_variable_is_not_the_exported_one(
    oracle: Oracle, tmp_path: Path
) -> None:
    """Python would have yielded values of the first variable, and servers values of the second."""
    model = Model(oracle, tmp_path / "model", "exchanged_captures")
    x = load(model.directory).signatures["one"].inputs["x"]
    model.edit(AddPredict({"x": x}, {"y": "again:0"}, "third"))
    model.feeds["third"] = model.feeds["two"]
    values = model.values()
    assert values["python"]["third"] == values["session"]["third"] == model.was["python"]["two"]


@pytest.mark.parametrize("commits", [1, 4])
def test_names_of_inner_tensors_hold_after_the_first_edit(
    commits: int, oracle: Oracle, tmp_path: Path
) -> None:
    """After an edit the signature calls a copy of the call with which the names begin."""
    model = Model(oracle, tmp_path / "model", "calls_within_calls")
    key = "serving_default"
    names = _paths(model, key, "t:0")
    edits = [EditSignature(key, add_outputs={f"t{place}": name}) for place, name in names.items()]
    for place in range(commits):
        model.edit(*edits[place::commits])
    for loader, yielded in model.values().items():
        arrays = {alias: decoded(each).tolist() for alias, each in yielded[key]["arrays"].items()}
        assert arrays.pop("y") == decoded(model.was[loader][key]["arrays"]["y"]).tolist()
        assert arrays == {
            "t0": [1.0, 4.0],
            "t1": [11.0, 24.0],
            "t2": [101.0, 204.0],
            "t3": [1001.0, 2004.0],
        }


def test_outputs_of_a_node_that_two_calls_reach_are_offered_once(
    oracle: Oracle, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    oracle.ask("build", name="calls", directory=directory)
    edit = EditSignature("serving_default", add_outputs={"half": "halves"})
    with pytest.raises(RefusedError) as refused:
        smpatch.patch(directory, edit, options=UNPROVED)
    assert refused.value.found == "the node has 2 outputs"
    assert refused.value.hint == "use halves:0 or halves:1"


def test_a_new_node_does_not_take_the_name_of_an_inner_one(oracle: Oracle, tmp_path: Path) -> None:
    """``StatefulPartitionedCall_3:0`` once meant the whole result, and not that of one call."""
    model = Model(oracle, tmp_path / "model", "calls_within_calls")
    key = "serving_default"
    inner = "StatefulPartitionedCall_3:0"
    assert "StatefulPartitionedCall_3" not in load(model.directory).meta_graph().graph
    (only,) = _paths(model, key, inner).values()
    assert only.startswith(inner)
    model.edit(EditSignature(key, add_outputs={"first": _paths(model, key, "t:0")[0]}))
    model.edit(EditSignature(key, add_outputs={"last": inner}))
    for yielded in model.values().values():
        assert decoded(yielded[key]["arrays"]["last"]).tolist() == [1001.5, 2004.5]


def test_a_name_holds_for_the_copy_of_its_own_call_alone(oracle: Oracle, tmp_path: Path) -> None:
    """Two calls have the same arguments, and their inner tensors have the same names."""
    model = Model(oracle, tmp_path / "model", "two_calls_in_one")
    first, second = _paths(model, "both", "inner:0").values()
    model.edit(EditSignature("both", add_outputs={"a": first}))
    model.edit(EditSignature("both", add_outputs={"b": second}))
    model.edit(EditSignature("both", add_outputs={"c": first}))
    for loader, yielded in model.values().items():
        arrays = yielded["both"]["arrays"]
        was = model.was[loader]["both"]["arrays"]
        assert {alias: arrays[alias] for alias in was} == was
        assert decoded(arrays["a"]).tolist() == decoded(arrays["c"]).tolist() == [3.0, 6.0]
        assert decoded(arrays["b"]).tolist() == [50.0, 100.0]


def _paths(model: Model, key: str, name: str) -> dict[int, str]:
    """Return the paths of the inner tensors that have a name, by the number of the call."""
    meta_graph = load(model.directory).meta_graph()
    found = [
        each.path
        for each in inner_tensors(meta_graph, meta_graph.signatures[key])
        if each.spec.name == name
    ]
    return dict(enumerate(found))


@pytest.mark.parametrize(
    "name", ["dense_table", "feature_space", "keras_text", "keras_text_saved", "mutable_table"]
)
def test_every_edit_leaves_what_only_saveable_objects_refers_to(
    name: str, oracle: Oracle, tmp_path: Path
) -> None:
    """The functions that save and restore a table were removed with any signature."""
    model = Model(oracle, tmp_path / "model", name)
    key = "serving_default"
    there_and_back(model, key)
    model.edit(Copy(key, "copied"))
    outputs = load(model.directory).signatures[key].outputs
    names = {alias: f"z{place}" for place, alias in enumerate(sorted(outputs, reverse=True))}
    model.edit(EditSignature("copied", rename_outputs=names))
    model.edit(Rename(key, "moved"))
    model.edit(Rename("moved", key))
    model.feeds["copied"] = model.feeds[key]
    for loader, yielded in model.values().items():
        copied = yielded.pop("copied")["arrays"]
        assert yielded == model.was[loader]
        arrays = yielded[key]["arrays"]
        assert copied == {names[alias]: each for alias, each in arrays.items()}


def there_and_back(model: Model, key: str) -> None:
    """Add and remove signatures of each kind; the file is the same each time."""
    file = model.directory / "saved_model.pb"
    before = file.read_bytes()
    (meta_graph,) = load(model.directory).meta_graphs
    signature = meta_graph.signatures[key]
    inner = next(inner_tensors(meta_graph, signature))
    traces = [each.function for each in meta_graph.objects.traces]
    done = 0
    ways: list[Edit] = [
        Copy(key, "new"),
        AddPredict(signature.inputs, {f"z_{k}": v for k, v in signature.outputs.items()}, "new"),
        FromSignature(key, {"inner": inner.path}, "new"),
        *(PromoteFunction(each, key="new") for each in traces),
    ]
    for added in ways:
        try:
            model.edit(added)
        except RefusedError:
            assert isinstance(added, PromoteFunction)
            continue
        assert file.read_bytes() != before
        model.edit(Remove(("new",)))
        assert file.read_bytes() == before
        done += 1
    assert done > 2
