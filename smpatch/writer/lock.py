"""One edit of a model at a time.

The lock is ``flock`` on a descriptor of the model directory: no lock file that could stay
behind, and a killed process releases it by dying.

This module does not detect changes made by programs that do not lock; ``commit`` does.

Source: flock(2).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from pathlib import Path

from smpatch.errors import ConflictError, ModelUnreadableError, WriteError

__all__ = ["Lock", "hold", "try_lock"]

_LOG = logging.getLogger(__name__)

_PAUSE = 0.02
"""Seconds between two attempts."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EINVAL})
"""Answers of file systems that have no locks."""


class Lock:
    """A held lock; leaving it as a context manager releases it.

    Attributes:
        supported: False where the file system has no locks, so that nothing is held.
    """

    def __init__(self, descriptor: int, *, supported: bool) -> None:
        """Take over a locked descriptor."""
        self._descriptor = descriptor
        self.supported = supported

    def __enter__(self) -> Lock:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):  # it comes after the commit, and the lock is gone
            os.close(self._descriptor)


def hold(directory: Path, *, timeout: float, shared: bool = False) -> Lock:
    """Wait for the lock on a model directory.

    Args:
        directory: The model directory.
        timeout: Longest wait in seconds.
        shared: Whether other readers may hold it too.

    Returns:
        The lock.

    Raises:
        ConflictError: Another process held it all the time.
        ModelUnreadableError: The directory cannot be opened.
        WriteError: The file system has locks and something is wrong with them.
    """
    deadline = time.monotonic() + timeout
    waiting = False
    while True:
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            found = error.strerror or "cannot be opened"
            raise ModelUnreadableError(found.lower(), where=str(directory)) from error
        try:
            locked = try_lock(descriptor, shared=shared)
            # The directory may have been exchanged while we waited for the old one.
            if locked is None or (locked and _is_same(directory, descriptor)):
                lock, descriptor = Lock(descriptor, supported=bool(locked)), -1
                if waiting:
                    _LOG.info("the lock of %s is free", directory, extra={"step": ""})
                return lock
        except OSError as error:
            found = f"cannot be locked: {(error.strerror or str(error)).lower()}"
            raise WriteError(found, where=str(directory), hint="nothing was written") from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if time.monotonic() >= deadline:
            found = f"another process has been editing this model for {timeout:g} s"
            hint = "try again, or wait longer with --lock-timeout"
            raise ConflictError(found, where=str(directory), hint=hint)
        if not waiting:
            _LOG.info("waits for the lock of %s", directory, extra={"step": "lock"})
            waiting = True
        time.sleep(_PAUSE)


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Try to lock a descriptor once.

    Returns:
        Whether it is locked now; None where the file system has no locks.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _is_same(directory: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(directory.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
