"""Signatures with new names and new keys give the same numbers as before.

Python pairs tensors with sorted names, so the tests reverse the order of all names of a signature:
a wrong order gives other numbers, and no error. By default the tests run some fixtures;
``SMPATCH_PROVE=1`` runs every model that TensorFlow loads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import Options, RefusedError, load
from smpatch.edits import Copy, Edit, EditSignature, Remove, Rename
from smpatch.runtime import installation, questions
from smpatch.runtime.process import Child, Program
from tests.contract.editing import copy
from tests.contract.models import Case, cases
from tests.contract.test_runs import _array, _numpy
from tests.object_graph.subjects import Subject, differences, feed
from tests.oracle.client import Oracle, Value, encoded

PROVE = bool(os.environ.get("SMPATCH_PROVE"))
CHOSEN = {
    "classify_regress",
    "keras_shared_layer",
    "module",
    "resource_variables",
    "string_lookup_asset",
    "unsorted_keys",
}
LIMIT = 120.0
UNPROVED = Options(validate="none")
BOTH = ["python", "session"]

Answers = Mapping[str, Mapping[str, Any]]


@dataclass
class Lived:
    """A model with a copy of each signature; the names of a copy have the reverse order.

    Attributes:
        case: The model.
        directory: The edited copy of the model.
        tags: The tags of its MetaGraph.
        feeds: Key of an old signature to the values of its inputs.
        before: Loader to its answers for the old signatures.
        names: Key of a copy to its source, and to its new names of inputs and of outputs.
        refused: Key of a signature without a copy to the reason.
    """

    case: Case
    directory: Path
    tags: list[str]
    feeds: dict[str, dict[str, Value]]
    before: Mapping[str, Answers]
    names: dict[str, tuple[str, dict[str, str], dict[str, str]]]
    refused: dict[str, str]

    @property
    def all_feeds(self) -> dict[str, dict[str, Value]]:
        """Key of an old signature or of a copy to the values of its inputs."""
        found = dict(self.feeds)
        for key, (source, inputs, _) in self.names.items():
            found[key] = {inputs[alias]: value for alias, value in self.feeds[source].items()}
        return found

    def source(self, key: str) -> str:
        """Return the key of the source of a copy; for an old signature, the key itself."""
        return self.names[key][0] if key in self.names else key

    def unlike(self, found: Answers, loader: str) -> dict[str, object]:
        """Return the differences between a loader's answers and its answers before, by key."""
        wrong: dict[str, object] = {}
        expected = self.before[loader]
        for key, told in found.items():
            source, _, outputs = self.names.get(key, (key, {}, {}))
            was = expected[source]
            if "refused" in was:
                continue
            arrays = {outputs.get(alias, alias): each for alias, each in was["arrays"].items()}
            if words := differences(told, arrays):
                wrong[key] = words
        return wrong


@pytest.fixture(
    scope="module",
    params=[
        each for each in cases() if not each.with_object_graph and (PROVE or each.name in CHOSEN)
    ],
    ids=lambda case: case.name,
)
def lived(
    request: pytest.FixtureRequest, oracle: Oracle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lived]:
    case: Case = request.param
    directory = tmp_path_factory.mktemp("lived") / "model"
    copy(case.directory, directory)
    model = load(directory)
    if len(model.meta_graphs) != 1:
        pytest.skip("Python's loader takes one MetaGraph of several by its V1 way")
    subject, tags = Subject(case.name, case), list(model.meta_graphs[0].tags)
    loads = oracle.ask("load", directory=directory, tags=tags)
    if any(loads.values()):
        pytest.skip(f"TensorFlow does not load it: {loads}")
    listed = model.meta_graphs[0].objects.signatures
    feeds = {
        key: feed(subject, signature)
        for key, signature in model.signatures.items()
        if signature.outputs and (not model.meta_graphs[0].has_object_graph or key in listed)
    }
    if not feeds:
        pytest.skip("it has no signature")
    tour = {"directory": directory, "tags": tags, "loaders": BOTH}
    before = oracle.ask("tour", feeds=feeds, **tour)
    if before != oracle.ask("tour", feeds=feeds, times=2, **tour):
        pytest.skip("it counts how often it is run")
    found = Lived(case, directory, tags, feeds, before, {}, {})
    for key in feeds:
        _turn(found, key)
    yield found
    shutil.rmtree(directory)


def _turn(lived: Lived, key: str) -> None:
    signature = load(lived.directory).signatures[key]
    inputs, outputs = (
        {old: f"n{len(specs) - place:03}" for place, old in enumerate(sorted(specs))}
        for specs in (signature.inputs, signature.outputs)
    )
    new = f"turned_{key}".replace("/", "_")
    renamed = EditSignature(new, rename_inputs=inputs, rename_outputs=outputs)
    edits: list[Edit] = [Copy(key, new), renamed]
    try:
        smpatch.patch(lived.directory, edits, options=UNPROVED)
    except RefusedError as error:
        lived.refused[key] = error.found
    else:
        lived.names[new] = key, inputs, outputs


@pytest.fixture(scope="module")
def c_runtime() -> Iterator[Child]:
    found = installation.find()
    assert found is not None
    with Child.start(Program.CAPI, found) as child:
        yield child


def test_loaders_give_the_same_numbers(lived: Lived, oracle: Oracle) -> None:
    told = oracle.ask(
        "tour", directory=lived.directory, tags=lived.tags, feeds=lived.all_feeds, loaders=BOTH
    )
    assert {name: lived.unlike(told[name], name) for name in BOTH} == {name: {} for name in BOTH}
    for key, (_, inputs, outputs) in lived.names.items():
        if load(lived.directory).meta_graph().has_object_graph:
            assert told["listed"][key] == [sorted(inputs.values()), sorted(outputs.values())]


def test_the_c_runtime_gives_the_same_numbers(lived: Lived, c_runtime: Child) -> None:
    signatures = load(lived.directory).signatures
    names = [each.name for key in lived.names for each in signatures[key].tensors()]
    loaded = questions.describe(c_runtime, lived.directory, lived.tags, names, LIMIT, keep=True)
    assert loaded.ok, loaded.message
    found: dict[str, Any] = {}
    for key in lived.names:
        dense = {alias: spec.tensors()[0].name for alias, spec in signatures[key].outputs.items()}
        feeds = {
            signatures[key].inputs[alias].tensors()[0].name: _array(value)
            for alias, value in lived.all_feeds[key].items()
        }
        done = questions.run(c_runtime, feeds, list(dense.values()), LIMIT)
        found[key] = {"refused": done.message}
        if done.ok:
            arrays = {alias: encoded(_numpy(done.arrays[name])) for alias, name in dense.items()}
            found[key] = {"arrays": arrays}
    assert lived.unlike(found, "session") == {}


def test_tensorflow_saves_it_again(lived: Lived, oracle: Oracle) -> None:
    again = lived.directory.with_name("again")
    shutil.rmtree(again, ignore_errors=True)
    as_it_was = oracle.ask("save_again", directory=lived.case.directory, tags=lived.tags, to=again)
    about: dict[str, Any] = {"directory": again, "tags": ["serve"], "loaders": BOTH}
    expected = lived.before if as_it_was else oracle.ask("tour", feeds=lived.feeds, **about)
    shutil.rmtree(again, ignore_errors=True)
    saved = oracle.ask("save_again", directory=lived.directory, tags=lived.tags, to=again)
    assert saved == as_it_was
    if saved:
        pytest.skip(f"TensorFlow does not save the model as it was either: {saved['refused']}")
    told = oracle.ask("tour", feeds=lived.all_feeds, **about)
    for name in BOTH:  # a signature that TensorFlow itself breaks is not compared
        broken = {key for key, each in expected[name].items() if "refused" in each}
        wrong = lived.unlike(told[name], "python")
        assert {key for key in wrong if lived.source(key) not in broken} == set()


def test_tflite_converts_what_it_converted(lived: Lived, oracle: Oracle) -> None:
    if not PROVE and lived.case.name not in {"module", "unsorted_keys"}:
        pytest.skip("SMPATCH_PROVE=1 converts this model too")
    wrong = {}
    for key, (source, _, outputs) in lived.names.items():
        asked: dict[str, Any] = {"tags": lived.tags, "directory": lived.case.directory}
        was = oracle.ask("tflite", key=source, feed=lived.feeds[source], **asked)
        if "refused" in was:
            continue
        asked["directory"] = lived.directory
        for each in (source, key):
            told = oracle.ask("tflite", key=each, feed=lived.all_feeds[each], **asked)
            names = outputs if each == key else {}
            arrays = {names.get(alias, alias): array for alias, array in was["arrays"].items()}
            wrong[each] = differences(told, arrays)
    assert {key: words for key, words in wrong.items() if words} == {}


def test_a_renamed_key_is_there_and_a_removed_one_is_gone(lived: Lived, oracle: Oracle) -> None:
    directory = lived.directory.with_name("gone")
    shutil.rmtree(directory, ignore_errors=True)
    copy(lived.case.directory, directory)
    first, *others = lived.feeds
    edits: list[Edit] = [Rename(first, "elsewhere")]
    if others:
        edits.append(Remove((others[0],)))
    smpatch.patch(directory, edits, options=UNPROVED)
    feeds = {"elsewhere" if key == first else key: each for key, each in lived.feeds.items()}
    feeds[first] = lived.feeds[first]
    told = oracle.ask("tour", directory=directory, tags=lived.tags, feeds=feeds, loaders=BOTH)
    gone = {first, *others[:1]}
    listed = {"elsewhere" if key == first else key for key in lived.before["listed"]}
    assert told["listed"].keys() == listed - gone
    for name in BOTH:
        # A map of protobuf makes an empty entry for a key that a program reads.
        assert {key for key in gone if told[name][key].get("arrays")} == set()
        left = {key: told[name][key] for key in feeds if key not in gone}
        left[first] = left.pop("elsewhere")
        assert lived.unlike(left, name) == {}


def test_what_is_not_renamed_breaks_a_rule_of_its_method(lived: Lived) -> None:
    for key, found in lived.refused.items():
        if "does not define the operation" in found:
            continue  # without TensorFlow smpatch refuses it
        method = load(lived.directory).signatures[key].method_name
        assert method.rpartition("/")[2] in {"classify", "regress"}
        assert method in found
