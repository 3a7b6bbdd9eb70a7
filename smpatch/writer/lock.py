"""The lock that allows only one edit of a model at a time.

The lock is ``flock`` on a descriptor of the model directory. No lock file can be left over, and the
system releases the lock of a killed process.

This module does not detect changes by programs that do not lock; ``commit`` detects them.

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

_LOG = logging.getLogger(__name__)

_PAUSE = 0.02
"""Seconds between two attempts."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EINVAL})
"""The errors on file systems that have no locks."""


class Lock:
    """A held lock; the exit of its context releases it.

    Attributes:
        supported: False if the file system has no locks; then no lock is held.
    """

    def __init__(self, descriptor: int, *, supported: bool) -> None:
        """Take over a locked descriptor, which ``__exit__`` closes."""
        self._descriptor = descriptor
        self.supported = supported

    def __enter__(self) -> Lock:
        """Return this lock."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):  # the commit is done, and the lock is released anyway
            os.close(self._descriptor)


def hold(directory: Path, *, timeout: float, shared: bool = False) -> Lock:
    """Wait for the lock on a model directory.

    ``timeout`` is the longest wait in seconds. With ``shared``, other processes may hold a shared
    lock at the same time.

    Raises:
        ConflictError: Another process held the lock until the timeout.
        ModelUnreadableError: The directory cannot be opened.
        WriteError: The file system has locks, but an attempt to lock failed.
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
            # Another directory may have taken the path during the wait for the old one.
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
        Whether the descriptor is locked now; None if the file system has no locks.
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
