"""The same edits on many models, several at a time.

Each worker is a thread with a validator of its own, so that TensorFlow starts once for each and
not for each model; what takes time is in those child processes and on the disk, where
threads do not stand in each other's way. A model that fails stops none of the others.

Whoever stops in the middle (Ctrl-C, or no longer asking for outcomes) leaves every model
whole: what a worker is about is broken off as a signal would, which ``writer`` is made for.

This module knows no file of edits, and prints nothing.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smpatch import arguments
from smpatch.edits import Edit
from smpatch.errors import SmpatchError, UsageError
from smpatch.patcher import Options, Receipt, check_options, edit_list, patch
from smpatch.validator import Validator

__all__ = ["Outcome", "apply", "destinations"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one model.

    Attributes:
        model: The model, as it was named.
        receipt: What was done; None where nothing was.
        error: Why nothing was done; None where something was.
    """

    model: Path
    receipt: Receipt | None
    error: SmpatchError | None

    @property
    def exit_code(self) -> int:
        """The exit code of a command line for this model alone."""
        return 0 if self.error is None else self.error.exit_code


def apply(
    models: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    edits: Sequence[Edit] | Edit,
    *,
    options: Options | None = None,
    jobs: int | None = None,
) -> Generator[Outcome, None, None]:
    """Make models what a list of edits asks for.

    A model that is so already stays as it is; of a list that has grown since, the rest is
    done.

    Args:
        models: The model directories, or one of them.
        edits: The edits, in their order, or one of them; each model gets them in one commit.
        options: How they are done. ``save_to`` is a directory that gets a new one for each
            model: under the model's name or, where two models have one name, under its path
            below the directory that all have in common.
        jobs: Number of models to process in parallel; None for the number of processors.

    Returns:
        The outcomes, in the order in which models are finished. Closing the generator ends
        the workers.

    Raises:
        UsageError: The options contradict each other, or a model is there twice; no model
            was touched.
    """
    chosen = Options() if options is None else options
    check_options(chosen)
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} is no number of jobs", hint="1 or more")
    several = (models,) if isinstance(models, str | os.PathLike) else models
    paths = [arguments.path(each, "models") for each in several]
    _check_distinct(paths)
    places = destinations(paths, chosen)
    work = [
        (path, replace(chosen, save_to=place)) for path, place in zip(paths, places, strict=True)
    ]
    count = min(len(work), jobs or _processors())
    return _Batch(work, edit_list(edits), chosen).run(count)


def destinations(models: Sequence[Path], options: Options) -> list[Path | None]:
    """Return the place of each model's new directory; None where it is edited in place.

    A new directory has the name of its model. Where two models have one name, as versions have
    (``a/1``, ``b/1``), all keep their paths below the directory that they have in common.
    """
    if options.save_to is None:
        return [None] * len(models)
    real = [Path(_real(model)) for model in models]
    names = [path.name for path in real]
    if len(set(names)) < len(names):
        common = os.path.commonpath(real)
        names = [os.path.relpath(path, common) for path in real]
    return [Path(options.save_to) / name for name in names]


def _check_distinct(models: Sequence[Path]) -> None:
    """Refuse a model that is named twice, in whatever way: by another path, through a link."""
    known: dict[object, Path] = {}
    for model in models:
        for identity in _identities(model):
            if identity in known:
                other = known[identity]
                words = "is there twice" if other == model else f"is the same model as {other}"
                raise UsageError(words, where=str(model), hint="name each model once")
        known.update(dict.fromkeys(_identities(model), model))


def _identities(model: Path) -> list[object]:
    """Return what tells a model: its directory, and the file that an edit would replace."""
    found: list[object] = [_real(model)]
    for path in (model, model / "saved_model.pb", model / "saved_model.pbtxt"):
        try:
            status = path.stat()
        except OSError:
            continue
        # Hard links to one file are two models: an edit breaks them.
        one = path == model
        found.append((status.st_dev, status.st_ino) if one else _real(path))
    return found


def _real(path: Path) -> str:
    """Return where a path leads; the path itself where the working directory is gone."""
    try:
        return os.path.realpath(path)
    except OSError:
        return os.fspath(path)


def _processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _Stop(BaseException):
    """Raised in a worker that is to break off."""


class _Batch:
    """The workers, and what they share."""

    def __init__(
        self, work: Sequence[tuple[Path, Options]], edits: tuple[Edit, ...], options: Options
    ) -> None:
        self._work = work
        self._waiting: queue.SimpleQueue[tuple[Path, Options] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._edits = edits
        self._options = options
        self._validators: list[Validator] = []
        self._stopping = False

    def run(self, count: int) -> Generator[Outcome, None, None]:
        """Start workers and yield what they finish; end them in any case."""
        for each in (*self._work, *[None] * count):
            self._waiting.put(each)
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for _ in self._work:
                yield self._next()
        except BaseException:
            self._stop(threads)
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _next(self) -> Outcome:
        """Wait for a model to be finished."""
        outcome = self._done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _serve(self) -> None:
        """Do one model after the other, with one validator for all."""
        try:
            libraries = [Path(each).resolve() for each in self._options.op_libraries]
            with Validator(
                self._options.validate, libraries, self._options.time_limit
            ) as validator:
                self._validators.append(validator)
                # What is raised in the middle of a commit is swallowed there: hence the flag.
                while not self._stopping and (work := self._waiting.get()) is not None:
                    self._done.put(self._one(*work, validator))
        except _Stop:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcomes are taken
            self._done.put(error)

    def _one(self, model: Path, options: Options, validator: Validator) -> Outcome:
        try:
            receipt = patch(model, self._edits, options=options, validator=validator, once=True)
        except SmpatchError as error:
            return Outcome(model, None, error)
        return Outcome(model, receipt, None)

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """Let all workers break off, wherever they are."""
        self._stopping = True
        for thread in threads:
            if thread.ident is not None and thread.is_alive():
                identity = ctypes.c_ulong(thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(_Stop))
        # A thread that waits for a child hears nothing until the child has ended.
        for validator in [*self._validators]:
            validator.abort()
