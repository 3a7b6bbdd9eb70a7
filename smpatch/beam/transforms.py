"""Transforms from models to outcomes, and the sessions of a worker process.

This module needs Apache Beam.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

try:
    import apache_beam as beam
    from apache_beam.metrics import Metrics
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.utils.shared import Shared
except ImportError as missing:
    message = f"Apache Beam cannot be imported ({missing}); pip install 'smpatch[beam]'"
    raise ImportError(message) from missing

from smpatch.checker import CheckOptions, Finding, Report
from smpatch.editing.edit import Edit
from smpatch.editing.sequence import repeatable
from smpatch.errors import SmpatchError, UsageError
from smpatch.options import Options, check_options
from smpatch.session import Session
from smpatch.transaction import Receipt
from smpatch.workers import job_count


class ModelOutcome(NamedTuple):
    """The outcome for one model; Beam makes its schemas from named tuples.

    Attributes:
        model: The path or URL of the model, as it was given.
        outcome: ``edited``, ``unchanged`` or ``failed``; for a check ``passed``, ``faults`` or
            ``failed``.
        changes: The changes, or the faults of a check, a line each.
        notes: Notes, a line each.
        error: The error because of which the model failed; empty otherwise.
        exit_code: The exit code that the command line has for this model alone.
        seconds: The time that the model took.
    """

    model: str
    outcome: str
    changes: Sequence[str]
    notes: Sequence[str]
    error: str
    exit_code: int
    seconds: float


beam.coders.registry.register_coder(ModelOutcome, beam.coders.RowCoder)


class PatchModels(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Edit each model of a collection of paths or URLs; the outcomes are ``ModelOutcome``.

    Example:
        >>> edits = smpatch.load_patch("patch.toml").edits
        >>> models | PatchModels(edits, smpatch.Options(validate="runtime"))  # doctest: +SKIP
    """

    def __init__(self, edits: Sequence[Edit] | Edit, options: Options | None = None) -> None:
        """Take the edits of each model.

        Args:
            edits: The edits, in their order, or one edit; each model gets them in one commit.
            options: The options of the edits; ``save_to`` is for one model and is refused.

        Raises:
            UsageError: The options contradict each other, or no edit is given.
        """
        super().__init__()
        self._edits = repeatable(edits)
        self._options = Options() if options is None else options
        check_options(self._options)
        if self._options.save_to is not None:
            raise UsageError("several models cannot be saved to one directory", where="save_to")
        if not self._edits:
            raise UsageError("no edits are given")

    def expand(self, models: Any) -> Any:  # noqa: ANN401 - Beam has no types
        """Return the outcomes of a collection of models."""
        return _spread(models, partial(_patched, edits=self._edits, options=self._options))


class CheckModels(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Check each model of a collection of paths or URLs; the outcomes are ``ModelOutcome``.

    Example:
        >>> models | CheckModels(smpatch.CheckOptions(validate="none"))  # doctest: +SKIP
    """

    def __init__(self, options: CheckOptions | None = None) -> None:
        """Take the options of the checks.

        Args:
            options: The options of the checks; None for those without arguments.
        """
        super().__init__()
        self._options = CheckOptions() if options is None else options

    def expand(self, models: Any) -> Any:  # noqa: ANN401 - Beam has no types
        """Return the outcomes of a collection of models."""
        return _spread(models, partial(_checked, options=self._options))


def _spread(models: Any, outcome: Callable[[Session, str], ModelOutcome]) -> Any:  # noqa: ANN401 - Beam has no types
    """Return the outcomes of models, spread over the workers even if all have one source."""
    # Other runners leave the option at 1: they start a process for each processor.
    wanted = models.pipeline.options.view_as(DirectOptions).direct_num_workers
    do = _Doing(outcome, job_count(wanted or None))
    return models | beam.Reshuffle() | beam.ParDo(do).with_output_types(ModelOutcome)


class _Sessions:
    """Sessions for the threads of a worker process, each in a thread of its own.

    Only the thread that made a session can use it, and Beam calls from any of its threads. The
    child processes end with the threads of the sessions, which end with the worker.
    """

    def __init__(self, count: int) -> None:
        """Make the sessions; a session starts its first child process with its first model."""
        self._idle: queue.LifoQueue[tuple[ThreadPoolExecutor, Session]] = queue.LifoQueue()
        for _ in range(count):
            thread = ThreadPoolExecutor(1)
            self._idle.put((thread, thread.submit(Session).result()))

    def do(self, function: Callable[[Session], ModelOutcome]) -> ModelOutcome:
        """Wait for an idle session, and call a function with it."""
        thread, session = self._idle.get()
        try:
            return thread.submit(function, session).result()
        finally:
            self._idle.put((thread, session))


class _Doing(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """The step of a pipeline that calls a function with each model, and counts the outcomes."""

    _shared = Shared()

    def __init__(self, outcome: Callable[[Session, str], ModelOutcome], sessions: int) -> None:
        super().__init__()
        self._outcome, self._sessions = outcome, sessions

    def setup(self) -> None:
        """Take the sessions of this process; make them if there are none."""
        self._worker = self._shared.acquire(partial(_Sessions, self._sessions))

    def process(self, model: str | os.PathLike[str]) -> Iterator[ModelOutcome]:
        """Yield the outcome for a model."""
        name, started = os.fspath(model), time.monotonic()

        def one(session: Session) -> ModelOutcome:
            try:
                return self._outcome(session, name)
            except SmpatchError as error:
                return ModelOutcome(name, "failed", (), (), str(error), error.exit_code, 0.0)

        found = self._worker.do(one)
        seconds = time.monotonic() - started
        Metrics.counter("smpatch", found.outcome).inc()
        Metrics.distribution("smpatch", "milliseconds").update(round(seconds * 1000))
        Metrics.distribution("smpatch", "exit code").update(found.exit_code)
        yield found._replace(seconds=seconds)


def _patched(
    session: Session, model: str, *, edits: tuple[Edit, ...], options: Options
) -> ModelOutcome:
    receipt: Receipt = session.patch(model, edits, options=options, once=True)
    done = [each for each in receipt.changes if each.outcome != "unchanged"]
    changes = tuple(f"{each.key}: {each.outcome}" for each in done)
    notes = tuple(note.text for note in receipt.notes)
    return ModelOutcome(model, "edited" if done else "unchanged", changes, notes, "", 0, 0.0)


def _checked(session: Session, model: str, *, options: CheckOptions) -> ModelOutcome:
    report: Report = session.check(model, options=options)
    faults, notes = map(_lines, (report.faults, report.notes))
    kind, code = ("faults", 1) if faults else ("passed", 0)
    return ModelOutcome(model, kind, faults, notes, "", code, 0.0)


def _lines(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(f"{each.where}: {each.text}" if each.where else each.text for each in findings)
