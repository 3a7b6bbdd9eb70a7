"""Bytes from file to file, moved by the kernel where it can.

On file systems that share blocks (Btrfs, XFS) ``copy_file_range`` copies nothing at all.

This module reads no model and leaves nothing behind by itself: whoever opened a file closes
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

from smpatch.runtime import absent
from smpatch.wire import Kept

__all__ = ["copy_tree_entry", "sync_directory", "take_after", "write_pieces"]

_CHUNK = 1 << 20
"""Bytes that are moved through this process at once, where the kernel cannot."""

_KERNEL_CHUNK = 1 << 23
"""Bytes that the kernel is asked to move at once, and to start writing to the disk."""

_CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
"""Answers that mean "not this way", on file systems that copy otherwise."""


_NOT_ALLOWED = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""Answers to an owner that one may not give: not root, a user that a container does not have,
or a file system without owners."""


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


def copy_tree_entry(
    source: Path,
    target: Path,
    *,
    inside: tuple[os.stat_result, ...] = (),
    around: tuple[os.stat_result, ...] = (),
) -> None:
    """Copy a file or a directory with all that is in it, independent of the original.

    Links are followed, for a copy must not change when the original does; one that leads
    nowhere is copied as a link. Permissions, times and, where allowed, owners are kept, and
    every file is synced.

    Args:
        source: What to copy.
        target: Its copy, which is not there yet.
        inside: The directories that are being copied, from the outermost to this entry's.
        around: The directories that the whole copy lies in, which it cannot take in again.

    Raises:
        OSError: Something in it can neither be read nor copied.
    """
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode) and not source.exists():
        target.symlink_to(source.readlink())
        return
    status = source.stat()
    if stat.S_ISDIR(status.st_mode):
        if any(os.path.samestat(status, each) for each in inside):
            raise OSError(errno.ELOOP, "a link leads back to a directory it is in", str(source))
        if any(os.path.samestat(status, each) for each in around):
            raise OSError(errno.ELOOP, "a link leads to a directory above the copy", str(source))
        target.mkdir()
        for each in sorted(source.iterdir()):
            copy_tree_entry(each, target / each.name, inside=(*inside, status), around=around)
        take_after(target, source, status)
        sync_directory(target)
    elif absent.stand_in_again(source, target):
        take_after(target, source, status)
    elif stat.S_ISREG(status.st_mode):
        with source.open("rb") as reader, target.open("xb") as writer:
            _copy_span(reader.fileno(), writer.fileno(), 0, os.fstat(reader.fileno()).st_size)
            take_after(target, source, status)
            os.fsync(writer.fileno())
    else:
        raise OSError(errno.EINVAL, "neither a file nor a directory", str(source))


def take_after(new: Path, old: Path, status: os.stat_result) -> None:
    """Give a new file or directory the permissions, times and attributes of an old one.

    The owner as well, where that is allowed, or else the group: in a directory that people
    share it is the group that lets the others in.

    Args:
        new: What is to be like the old one.
        old: Where permissions, times and attributes are read.
        status: Whose owner and group are taken.
    """
    _ = _give(new, status.st_uid, status.st_gid) or _give(new, -1, status.st_gid)
    # After the owner, whose change takes away the set-user-ID bit.
    shutil.copystat(old, new)


def _give(path: Path, owner: int, group: int) -> bool:
    """Change owner and group, -1 for as it is; return whether that is allowed."""
    try:
        os.chown(path, owner, group)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
        return False
    return True


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
            _start_writing(target, moved)
            start += moved
    _copy_through(source, target, start, end)


def _start_writing(target: int, count: int) -> None:
    """Let the disk begin with the last ``count`` bytes while the next ones are copied.

    Dirty pages that are not needed again are written at once (and stay in memory, for they are
    being written when they could be dropped). The sync at the end then finds nothing to do.
    """
    if hasattr(os, "posix_fadvise"):
        here = os.lseek(target, 0, os.SEEK_CUR)
        os.posix_fadvise(target, here - count, count, os.POSIX_FADV_DONTNEED)


def _copy_through(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(_CHUNK, end - start), start)
        if not data:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        _write(target, data)
        start += len(data)
