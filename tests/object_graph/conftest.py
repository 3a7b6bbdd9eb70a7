"""One copy of each model, which gets all new signatures one after the other.

The fixtures have session scope, so that pytest runs all tests of one model together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import smpatch
from smpatch import MetaGraph, Options, Receipt, RefusedError, TensorSpec, load
from smpatch.runtime import installation
from smpatch.runtime.process import Child, Program
from tests.contract.editing import copy
from tests.object_graph.subjects import (
    Asked,
    Subject,
    differences,
    feed,
    functions,
    inside,
    key_of,
    servable,
    subjects,
)
from tests.oracle.client import Oracle

UNPROVED = Options(validate="none")
"""The options of edits after which the tests ask the oracle."""

ASKING = Options(validate="runtime")
"""The options for models of early versions, whose files do not define their operations."""


@dataclass
class Trial:
    """A model with new signatures.

    Attributes:
        subject: The model under test.
        original: The directory of the model before the edits.
        directory: The directory of the edited copy.
        old: The feeds and the results in Python of the signatures that it had.
        new: The same of the signatures that were added.
        refused: The keys that could not be added, with the errors.
        receipts: The receipts of the edits.
    """

    subject: Subject
    original: Path
    directory: Path
    old: dict[str, Asked] = field(default_factory=dict)
    new: dict[str, Asked] = field(default_factory=dict)
    refused: dict[str, RefusedError] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def meta_graph(self) -> MetaGraph:
        """Return the MetaGraph as it is now."""
        return load(self.directory).meta_graph(None)

    @property
    def options(self) -> Options:
        """The options of its edits."""
        return UNPROVED if self.meta_graph.op_defs else ASKING

    def feeds(self) -> dict[str, Any]:
        """Return the feed of every signature."""
        return {key: asked.feed for key, asked in {**self.old, **self.new}.items()}


@pytest.fixture(scope="session", params=subjects(), ids=lambda subject: subject.name)
def trial(
    request: pytest.FixtureRequest,
    oracle: Oracle,
    tmp_path_factory: pytest.TempPathFactory,
    lend: Callable[[], AbstractContextManager[None]],
) -> Iterator[Trial]:
    """A model with every signature that the edits can add."""
    subject: Subject = request.param
    root = tmp_path_factory.mktemp("halves")
    original = root / "original"
    told: Mapping[str, Any] = {}
    if subject.case is None:
        told = oracle.ask("build", name=subject.name, directory=original)
    else:
        copy(subject.case.directory, original)
        loads = oracle.ask("load", directory=original, tags=subject.tags)
        if any(loads.values()):
            pytest.skip(f"TensorFlow does not load it: {loads}")
    trial = Trial(subject, original, root / "model")
    shutil.copytree(original, trial.directory)
    with lend():
        _known(trial, oracle)
        _from_the_main_graph(trial)
        _from_functions(trial, told)
        _from_within(trial, oracle)
    yield trial
    shutil.rmtree(root)


def _known(trial: Trial, oracle: Oracle) -> None:
    """Record the feeds of the existing signatures and their results in Python."""
    for key, signature in trial.meta_graph.signatures.items():
        trial.old[key] = Asked(feed(trial.subject, signature))
    told = oracle.ask(
        "tour", directory=trial.original, tags=trial.subject.tags, feeds=trial.feeds()
    )["python"]
    for key, answer in told.items():
        trial.old[key].results = answer.get("arrays")


def _from_the_main_graph(trial: Trial) -> None:
    """Add each signature again, under aliases whose order is the reverse."""
    for key, signature in list(trial.meta_graph.signatures.items()):
        named = [
            {old: f"n{len(specs) - place:02}" for place, old in enumerate(sorted(specs))}
            for specs in (signature.inputs, signature.outputs)
        ]
        inputs, outputs = named
        asked = trial.old[key]
        results = asked.results
        renamed = Asked(
            {inputs[alias]: value for alias, value in asked.feed.items()},
            results and {outputs[alias]: value for alias, value in results.items()},
        )
        _try(
            trial,
            f"main_{key_of(key)}",
            renamed,
            lambda name, signature=signature, inputs=inputs, outputs=outputs: smpatch.add_predict(
                trial.directory,
                inputs={inputs[alias]: _ref(spec) for alias, spec in signature.inputs.items()},
                outputs={outputs[alias]: _ref(spec) for alias, spec in signature.outputs.items()},
                signature=name,
                options=trial.options,
            ),
        )


def _ref(spec: Any) -> Any:  # noqa: ANN401 - a name, or a spec whose parts have names
    return spec.name if isinstance(spec, TensorSpec) else spec


def _from_functions(trial: Trial, told: Mapping[str, Any]) -> None:
    for name, asked in functions(trial.subject, told).items():
        _try(
            trial,
            f"function_{key_of(name)}",
            asked,
            lambda key, name=name: smpatch.promote_function(
                trial.directory, name, signature=key, options=trial.options
            ),
        )


def _from_within(trial: Trial, oracle: Oracle) -> None:
    """Expose all inner tensors of all signatures, the new ones included."""
    for key, asked in list({**trial.old, **trial.new}.items()):
        signature = trial.meta_graph.signatures[key]
        if key.startswith("main_") or not list(servable(trial.meta_graph, signature)):
            continue
        outputs, results = inside(
            oracle, trial.directory, trial.subject.tags, signature, asked.feed
        )
        _try(
            trial,
            f"inside_{key_of(key)}",
            Asked(asked.feed, results),
            lambda name, key=key, outputs=outputs: smpatch.derive_signature(
                trial.directory, key, outputs=outputs, signature=name, options=trial.options
            ),
        )


def _try(trial: Trial, key: str, asked: Asked, edit: Any) -> None:  # noqa: ANN401 - a callable
    try:
        trial.receipts.append(edit(key))
    except RefusedError as error:
        trial.refused[key] = error
    else:
        trial.new[key] = asked


@pytest.fixture(scope="session")
def c_runtime() -> Iterator[Child]:
    """A child process of smpatch's with TensorFlow's C API."""
    found = installation.find()
    assert found is not None
    with Child.start(Program.CAPI, found) as child:
        yield child


def assert_values(told: Mapping[str, Any], asked: Mapping[str, Asked]) -> None:
    """Compare the results of signatures with the expected ones, if these are known."""
    wrong = {
        key: differences(told[key], each.results)
        for key, each in asked.items()
        if each.results is not None
    }
    assert {key: words for key, words in wrong.items() if words} == {}
