"""Each model, TensorFlow's answers about it, and a copy of it with the candidate.

The fixtures have session scope, so pytest runs all tests of one model together, and
TensorFlow computes each answer once.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from smpatch import Options, RefusedError
from smpatch.graph.resolve import OpDefMissingError
from smpatch.runtime import installation
from smpatch.runtime.process import Child, Program
from tests.contract.editing import Edit, add, copy, snapshot
from tests.contract.models import KEY, Candidate, Case, cases
from tests.oracle.client import Oracle

Lend = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Told:
    """TensorFlow's answers about an original model and its candidate."""

    answer: Mapping[str, Any]

    @property
    def loads(self) -> bool:
        """Whether the v1 loader loads it."""
        return "refused" not in self.answer

    def signature(self) -> bytes:
        """Return the SignatureDef that TensorFlow builds; skip if the model does not load."""
        return base64.b64decode(self._part("signature")["bytes"])

    def results(self) -> Mapping[str, Any]:
        """Return the results of ``session.run`` by output alias; skip as above."""
        arrays: Mapping[str, Any] = self._part("results")["arrays"]
        return arrays

    @property
    def steady(self) -> bool:
        """Whether the results are the same each time; skip as above."""
        return bool(self._part("results")["steady"])

    def _part(self, name: str) -> Mapping[str, Any]:
        if not self.loads:
            pytest.skip(f"TensorFlow does not load it: {self.answer['refused']}")
        part: Mapping[str, Any] = self.answer[name]
        assert "refused" not in part, f"TensorFlow's {name}: {part['refused']}"
        return part


@pytest.fixture(scope="session", params=cases(), ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """A model."""
    found: Case = request.param
    return found


@pytest.fixture(scope="session")
def candidate(case: Case) -> Candidate:
    """Tensors for a new signature."""
    found = case.candidate
    if found is None:
        pytest.skip("no manifest proposes a signature for it")
    if not found.inputs:
        pytest.skip("its signature would have no input, which TensorFlow's builder refuses")
    return found


@pytest.fixture(scope="session")
def told(case: Case, candidate: Candidate, oracle: Oracle) -> Told:
    """TensorFlow's answers about the original model."""
    answer = oracle.ask(
        "measure",
        directory=case.directory,
        tags=candidate.tags,
        inputs=candidate.inputs,
        outputs=candidate.outputs,
        feed=candidate.feed,
    )
    return Told(answer)


@pytest.fixture(scope="session")
def edit(
    case: Case,
    candidate: Candidate,
    told: Told,
    tmp_path_factory: pytest.TempPathFactory,
    lend: Lend,
) -> Iterator[Edit]:
    """Add the candidate to a copy, without the reload if TensorFlow cannot load the model."""
    directory = tmp_path_factory.mktemp("edit") / "model"
    copy(case.directory, directory)
    before = snapshot(directory)
    # Never ``full``, which starts Python's TensorFlow for each edit: the oracle loads the copy.
    options = Options(
        signature_def_only=case.has_object_graph and not case.with_object_graph,
        validate="runtime" if told.loads else "none",
    )
    try:
        with lend():
            receipt = add(directory, candidate, options)
    except OpDefMissingError as error:
        if told.loads:
            raise
        pytest.skip(f"TensorFlow does not load it, and the file alone says too little: {error}")
    except RefusedError as error:
        offered = case.with_object_graph and "--signature-def-only" in error.hint
        if not offered or snapshot(directory) != before:
            raise
        pytest.skip(f"its object graph cannot say the same: {error.found}")
    yield Edit(directory, before, snapshot(directory), receipt, options)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def called(candidate: Candidate, edit: Edit, oracle: Oracle) -> Mapping[str, Any]:
    """The results of the new signature in Python's loader, or the refusal."""
    return oracle.ask(
        "call",
        directory=edit.directory,
        tags=candidate.tags,
        key=KEY,
        inputs=candidate.inputs,
        feed=candidate.feed,
    )


@pytest.fixture(scope="session")
def c_runtime() -> Iterator[Child]:
    """A child process of smpatch with TensorFlow's C API."""
    found = installation.find()
    assert found is not None
    with Child.start(Program.CAPI, found) as child:
        yield child
