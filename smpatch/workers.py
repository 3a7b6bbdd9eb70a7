"""Several models at a time: worker threads, each with a validator of its own.

TensorFlow starts once for each worker and not for each model. The child processes and the disk
take most of the time, so that threads do not wait for each other. If the caller stops in the
middle (Ctrl-C, or a generator that is closed), the workers end: their work is interrupted as by a
signal.

Callers pass the function that does the work on a model.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from smpatch import arguments
from smpatch.validator import Validator

Item = TypeVar("Item")
Result = TypeVar("Result")


def job_count(jobs: int | None) -> int:
    """Return the number of workers; for None, the number of processors.

    Raises:
        UsageError: It is not a whole number from 1 on.

    Example:
        >>> job_count(4)
        4
    """
    if jobs is None:
        return _processors()
    return arguments.whole(jobs, "jobs", 1)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _Stop(BaseException):
    """Raised in a worker that must stop."""


class Workers(Generic[Item, Result]):
    """The workers, and the queues that they share."""

    def __init__(
        self,
        work: Sequence[Item],
        do: Callable[[Item, Validator], Result],
        validator: Callable[[], Validator],
    ) -> None:
        """Take the items, the function that does one, and the maker of the validator of a worker.

        An error of ``do`` ends all workers.
        """
        self._work = work
        self._do = do
        self._validator = validator
        self._waiting: queue.SimpleQueue[tuple[Item] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Result] | BaseException] = queue.SimpleQueue()
        self._validators: list[Validator] = []
        self._stopping = False

    def run(self, jobs: int) -> Generator[Result, None, None]:
        """Start the workers and yield each result when it is made; always end the workers."""
        count = min(len(self._work), jobs)
        for each in self._work:
            self._waiting.put((each,))
        for _ in range(count):
            self._waiting.put(None)
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

    def _next(self) -> Result:
        """Wait for the next result, and return it."""
        done = self._done.get()
        if isinstance(done, BaseException):
            raise done
        return done[0]

    def _serve(self) -> None:
        """Do one item after the other, with one validator for all."""
        try:
            with self._validator() as validator:
                self._validators.append(validator)
                # The flag is needed: a commit catches an exception that is raised inside it.
                while not self._stopping and (work := self._waiting.get()) is not None:
                    self._done.put((self._do(work[0], validator),))
        except _Stop:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            self._done.put(error)

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """Interrupt all workers at any place."""
        self._stopping = True
        for thread in threads:
            if thread.ident is not None and thread.is_alive():
                identity = ctypes.c_ulong(thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(_Stop))
        # A thread that waits for a child gets the exception only after the child has ended.
        for validator in [*self._validators]:
            validator.abort()
