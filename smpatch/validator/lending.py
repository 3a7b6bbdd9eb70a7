"""A validator that a session lends to the functions that it calls.

Each thread has a lender of its own; a worker thread has none until it calls ``lending``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from smpatch.validator.reload import Mode, Validator


class Lender(Protocol):
    """A function that returns a validator."""

    def __call__(
        self, mode: Mode, op_libraries: Sequence[Path], time_limit: float, *, calls: bool
    ) -> Validator:
        """Return a validator; ``calls`` is whether signatures will be called in Python."""
        ...


_LENDER: ContextVar[Lender | None] = ContextVar("smpatch_lender", default=None)


@contextlib.contextmanager
def lending(lender: Lender) -> Iterator[None]:
    """Take validators from a lender until the context ends."""
    token = _LENDER.set(lender)
    try:
        yield
    finally:
        _LENDER.reset(token)


def lent(
    mode: Mode, op_libraries: Sequence[Path], time_limit: float, *, calls: bool = False
) -> Validator | None:
    """Return a lent validator; None if there is no lender, and the caller must make one."""
    lender = _LENDER.get()
    return None if lender is None else lender(mode, op_libraries, time_limit, calls=calls)


def validator_for(
    mode: Mode, op_libraries: Sequence[Path], time_limit: float, *, calls: bool = False
) -> Validator:
    """Return a lent validator, or a new one; the caller uses it as a context manager."""
    return lent(mode, op_libraries, time_limit, calls=calls) or Validator(
        mode, op_libraries, time_limit, calls=calls
    )
