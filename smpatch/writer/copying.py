"""Bytes from file to file, moved by the kernel where it can.

On file systems that share blocks (Btrfs, XFS) ``copy_file_range`` copies nothing at all.

This room knows no model and leaves nothing behind by itself: whoever opened a file closes
and removes it.

Source: copy_file_range(2), sendfile(2).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from smpatch.wire import Kept

__all__ = ["copy_tree_entry", "sync_directory", "write_pieces"]

_CHUNK = 1 << 20
"""Bytes that are moved through this process at once, where the kernel cannot."""

_KERNEL_CHUNK = 1 << 30
"""Bytes that the kernel is asked to move at once."""

_CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
"""Answers that mean "not this way", on file systems that copy otherwise."""


def write_pieces(source: int, target: int, pieces: Iterable[Kept | bytes]) -> None:
    """Write a file from spans of another and new bytes.

    Args:
        source: Descriptor of the old file.
        target: Descriptor of the new file, at its start.
        pieces: What comes one after the other.

    Raises:
        OSError: The disk is full, or anything else that the file system says.
    """
    for piece in pieces:
        if isinstance(piece, bytes):
            _write(target, piece)
        else:
            _copy_span(source, target, piece.start, piece.end)


def copy_tree_entry(source: Path, target: Path) -> None:
    """Copy a file or a directory with all that is in it, independent of the original.

    Links are followed, for a copy must not change when the original does; one that leads
    nowhere is copied as a link. Permissions and times are kept, and every file is synced.

    Raises:
        OSError: Something in it can neither be read nor copied.
    """
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode) and not source.exists():
        target.symlink_to(source.readlink())
        return
    status = source.stat()
    if stat.S_ISDIR(status.st_mode):
        target.mkdir()
        for each in sorted(source.iterdir()):
            copy_tree_entry(each, target / each.name)
        shutil.copystat(source, target)
        sync_directory(target)
    elif stat.S_ISREG(status.st_mode):
        with source.open("rb") as reader, target.open("xb") as writer:
            _copy_span(reader.fileno(), writer.fileno(), 0, os.fstat(reader.fileno()).st_size)
            shutil.copystat(source, target)
            os.fsync(writer.fileno())
    else:
        raise OSError(errno.EINVAL, "neither a file nor a directory", str(source))


def sync_directory(directory: Path) -> None:
    """Make the names in a directory outlast a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a directory; there is nothing more to do.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def _write(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _copy_span(source: int, target: int, start: int, end: int) -> None:
    """Copy bytes ``start`` to ``end`` to where ``target`` stands."""
    if end - start < _CHUNK:
        _copy_through(source, target, start, end)
        return
    if hasattr(os, "copy_file_range"):
        while start < end:
            try:
                count = min(end - start, _KERNEL_CHUNK)
                moved = os.copy_file_range(source, target, count, offset_src=start)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                break
            if moved == 0:
                break
            start += moved
    _copy_through(source, target, start, end)


def _copy_through(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(_CHUNK, end - start), start)
        if not data:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        _write(target, data)
        start += len(data)
