"""Copy bytes from file to file, by the kernel if it can.

On file systems that share blocks (Btrfs, XFS) ``copy_file_range`` copies no data.

This module reads no model. It does not remove files after a failure: the caller does.

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

_CHUNK = 1 << 20
"""The most bytes that this process copies at once, if the kernel cannot copy them."""

_KERNEL_CHUNK = 1 << 23
"""The most bytes that the kernel copies in one call, before it starts to write them to the disk."""

_CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
"""The errors of ``copy_file_range`` after which another way of copying may work."""


_NOT_ALLOWED = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""The errors if an owner cannot be set: the process is not root, a container does not have the
user, or the file system has no owners."""


def write_pieces(source: int, target: int, pieces: Iterable[Kept | bytes]) -> None:
    """Write a file from spans of another file and new bytes.

    The pieces are written at the current offset of the descriptor ``target``.

    ``source`` is the descriptor of the old file; the pieces are in the order of the new file.

    Raises:
        OSError: The disk is full, or the file system reports another error.
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
    """Copy a file, or a directory with its whole content, independently of the original.

    Links are followed, because a copy must not change with the original; a broken link is copied as
    a link. Permissions, times and, if this is allowed, owners are kept, and every file is synced.

    Args:
        source: The path to copy.
        target: The path of the copy, which does not exist yet.
        inside: The status of each source directory above this entry, from the outermost.
        around: The status of each directory above the whole copy; a link to one of them would
            copy the copy into itself.

    Raises:
        OSError: A file or a directory in it cannot be read or copied.
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

    The new one also gets the owner and the group if this is allowed, or else the group alone: in
    a shared directory, the group gives access to the other users.

    Args:
        new: The path of the new file or directory.
        old: The path from which permissions, times and attributes are read.
        status: The status with the owner and the group.
    """
    _ = _give(new, status.st_uid, status.st_gid) or _give(new, -1, status.st_gid)
    # After the change of the owner, which removes the set-user-ID bit.
    shutil.copystat(old, new)


def _give(path: Path, owner: int, group: int) -> bool:
    """Change the owner and the group (-1: no change), and return whether this is allowed."""
    try:
        os.chown(path, owner, group)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
        return False
    return True


def sync_directory(directory: Path) -> None:
    """Write the names in a directory to the disk, so that a power cut does not lose them."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a directory; nothing else can be done there.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def _write(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _copy_span(source: int, target: int, start: int, end: int) -> None:
    """Copy bytes ``start`` to ``end`` to the current offset of ``target``."""
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
    """Start to write the last ``count`` bytes to the disk while the next ones are copied.

    The kernel writes changed pages at once after this advice. (They stay in memory, because a page
    that is being written cannot be dropped.) The sync at the end then has nothing to write.
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
