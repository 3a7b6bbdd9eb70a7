"""A model in one of TensorFlow's loaders, and runs of its signatures there.

Both loaders run the graph as it is written, without TensorFlow's optimizers: the operations that
these fuse depend on the rest of the graph, and so do the last bits of a result. If a signature
writes to a relative path, the file is in a directory that is removed afterwards.

A model is loaded when it is first needed, and again after a process has died during a run.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from smpatch.runtime import questions
from smpatch.runtime.process import Child, ChildDied, ChildError, ChildHung, ChildUnfit, Program
from smpatch.runtime.python_questions import call as call_in_python
from smpatch.runtime.python_questions import call_function, stand_in
from smpatch.runtime.questions import Answer, Array, PythonSignature, RunResult

_Answer = TypeVar("_Answer")


class Asks(Protocol):
    """An owner of child processes."""

    def ask(self, program: Program, question: Callable[[Child, float], _Answer]) -> _Answer:
        """Ask a child; it is replaced if it dies."""
        ...


@contextmanager
def scratch(asks: Asks, program: Program) -> Iterator[Path]:
    """Make a child's relative paths lead to a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="smpatch-", ignore_cleanup_errors=True) as made:
        asks.ask(program, partial(stand_in, directory=made))
        yield Path(made)


class NotLoadedError(Exception):
    """The reason why TensorFlow does not load the model."""


@dataclass(frozen=True, slots=True)
class Place:
    """A MetaGraph on disk.

    Attributes:
        directory: The SavedModel.
        tags: The tags of the MetaGraph, exactly.
    """

    directory: Path
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a signature.

    Attributes:
        key: Its key.
        feeds: The name of a tensor (C runtime) or an argument (Python) to its value.
        fetches: Alias of an output to the names of the tensors (C runtime) or of the result
            (Python) of which it consists.
        function: A traced function that is called in the signature's place, in Python: its
            path or name; empty for none.
    """

    key: str
    feeds: Mapping[str, Array]
    fetches: Mapping[str, tuple[str, ...]]
    function: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a call.

    Attributes:
        outputs: Alias to the tensors of which the output consists.
        failure: Why there are no outputs; empty if the signature ran.
    """

    outputs: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)
    failure: str = ""


class Session(ABC):
    """A model that is loaded; a context manager."""

    loader = ""
    program = Program.CAPI

    def __init__(self, asks: Asks, place: Place) -> None:
        """Load nothing yet.

        Args:
            asks: The owner of the child processes that load it.
            place: The MetaGraph to load. Another session of the same loader replaces it.
        """
        self._asks = asks
        self._place = place
        self._scratch = tempfile.TemporaryDirectory(prefix="smpatch-", ignore_cleanup_errors=True)
        self._loaded = False

    def __enter__(self) -> Session:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the files that the runs have written."""
        self._scratch.cleanup()

    def run(self, call: Call) -> Ran:
        """Run a signature.

        Raises:
            NotLoadedError: TensorFlow does not load the model.
            ChildUnfit: This TensorFlow does not have the loader.
        """
        self.load()
        try:
            said = self._asks.ask(self.program, partial(self._run, call))
        except ChildUnfit:
            raise
        except ChildError as error:
            self._loaded = False
            return Ran(failure=_words(error))
        if not said.ok:
            return Ran(failure=said.message)
        there = {**call.feeds, **said.arrays}
        missing = [alias for alias, names in call.fetches.items() if not there.keys() >= {*names}]
        if missing:
            return Ran(failure=f"it returns no {missing[0]!r}")
        return Ran({alias: tuple(map(there.__getitem__, n)) for alias, n in call.fetches.items()})

    def load(self) -> None:
        """Load the model, if it is not loaded.

        Raises:
            NotLoadedError: TensorFlow does not load it.
            ChildUnfit: This TensorFlow does not have the loader.
        """
        if self._loaded:
            return
        try:
            self._asks.ask(self.program, partial(stand_in, directory=self._scratch.name))
            said = self._asks.ask(self.program, self._load)
        except ChildUnfit:
            raise
        except ChildError as error:
            raise NotLoadedError(_words(error)) from error
        if not said.ok:
            raise NotLoadedError(said.message)
        self._loaded = True

    @abstractmethod
    def _load(self, child: Child, limit: float) -> Answer:
        """Load the model in a child process."""

    @abstractmethod
    def _run(self, call: Call, child: Child, limit: float) -> RunResult:
        """Run a signature in the child that has the model."""


class CRuntime(Session):
    """A model in a session of TensorFlow's C runtime, as in TF Serving."""

    loader = "C runtime"
    program = Program.CAPI

    def _load(self, child: Child, limit: float) -> Answer:
        where = (self._place.directory, self._place.tags)
        return questions.describe(child, *where, (), limit, keep=True, plain=True)

    def _run(self, call: Call, child: Child, limit: float) -> RunResult:
        # A tensor that is fed keeps its value, and sessions refuse to fetch it.
        wanted = {name for names in call.fetches.values() for name in names} - call.feeds.keys()
        return questions.run(child, call.feeds, sorted(wanted), limit)


class PythonLoader(Session):
    """A model that ``tf.saved_model.load`` has loaded.

    Attributes:
        signatures: The signatures that it lists, by key.
    """

    loader = "tf.saved_model.load"
    program = Program.PYTHON

    def __init__(self, asks: Asks, place: Place) -> None:
        """Load nothing yet."""
        super().__init__(asks, place)
        self.signatures: Mapping[str, PythonSignature] = {}

    def _load(self, child: Child, limit: float) -> Answer:
        where = (self._place.directory, self._place.tags, limit)
        said = questions.python_signatures(child, *where, keep=True)
        self.signatures = said.signatures
        return said

    def _run(self, call: Call, child: Child, limit: float) -> RunResult:
        if call.function:
            return call_function(child, call.function, call.feeds, limit)
        return call_in_python(child, call.key, call.feeds, limit)


def _words(error: ChildError) -> str:
    """Return why a process gave no answer, as text."""
    if isinstance(error, ChildHung):
        return f"TensorFlow gave no answer within {error.limit:g} s"
    how = error.how if isinstance(error, ChildDied) else str(error)
    last = f": {error.last_words}" if isinstance(error, ChildDied) and error.last_words else ""
    return f"TensorFlow's process was {how}{last}"
