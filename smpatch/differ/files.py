"""The comparison of the files of two model directories, without the model file.

Files are compared by their bytes, a piece at a time. The data of the variables are compared by
their size alone, because the index of the variables has a checksum of each. Symbolic links are
followed, as a loader does. Files that are not regular are compared by their kind, and never opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from smpatch.differ.facts import FileDifference
from smpatch.errors import ModelUnreadableError
from smpatch.loader import SavedModel

_PIECE = 1 << 20
"""The number of bytes that are compared at once."""

_ASIDE = ".smpatch-"
"""The start of the names of directories that an edit makes; a killed edit leaves them."""

Kind = Literal["variables_index", "variables_data", "assets", "fingerprint", "other"]


class _Found(NamedTuple):
    """A file: its path on disk, and its status; None for a link to a missing file or to itself."""

    path: Path
    status: os.stat_result | None


def differing(before: SavedModel, after: SavedModel) -> Iterator[FileDifference]:
    """Yield the files that are not the same in both directories, by path.

    Raises:
        ModelUnreadableError: A file or a directory cannot be read.
    """
    ones, others = _files(before), _files(after)
    for path in sorted({*ones, *others}):
        kind = _kind(path)
        if path not in ones:
            yield FileDifference(path, kind, "added")
        elif path not in others:
            yield FileDifference(path, kind, "removed")
        elif not _same(ones[path], others[path], by_size=kind == "variables_data"):
            yield FileDifference(path, kind, "changed")


def _kind(path: str) -> Kind:
    if path == "variables/variables.index":
        return "variables_index"
    if path.startswith("variables/variables.data-"):
        return "variables_data"
    if path.startswith("assets/"):
        return "assets"
    return "fingerprint" if path == "fingerprint.pb" else "other"


def _files(model: SavedModel) -> Mapping[str, _Found]:
    found: dict[str, _Found] = {}
    _list(model.directory, "", found, ())
    found.pop(model.file.name, None)
    return found


def _list(
    directory: Path, prefix: str, found: dict[str, _Found], above: tuple[tuple[int, int], ...]
) -> None:
    """Add the files below a directory.

    Args:
        directory: The directory.
        prefix: Its path below the model's directory, with a slash at the end.
        found: Path to file; the function adds files to it.
        above: Device and inode of each directory above, so that a link to one of them is not
            followed.
    """
    try:
        here = directory.stat()
        names = sorted(os.listdir(directory))  # noqa: PTH208 - only names are needed
    except OSError as error:
        raise _unreadable(directory, error) from error
    way = (*above, (here.st_dev, here.st_ino))
    for name in names:
        if name.startswith(_ASIDE):
            continue
        path = directory / name
        try:
            status = path.stat()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                found[prefix + name] = _Found(path, None)
                continue
            raise _unreadable(path, error) from error
        if not stat.S_ISDIR(status.st_mode):
            found[prefix + name] = _Found(path, status)
        elif (status.st_dev, status.st_ino) not in way:
            _list(path, f"{prefix}{name}/", found, way)


def _same(one: _Found, other: _Found, *, by_size: bool) -> bool:
    if one.status is None or other.status is None:
        return one.status is other.status
    kinds = {stat.S_IFMT(each.status.st_mode) for each in (one, other) if each.status}
    if kinds != {stat.S_IFREG}:
        return len(kinds) == 1
    if os.path.samestat(one.status, other.status):
        return True
    if one.status.st_size != other.status.st_size:
        return False
    return by_size or _same_bytes(one.path, other.path)


def _same_bytes(one: Path, other: Path) -> bool:
    at = one
    try:
        with one.open("rb", buffering=0) as ours:
            at = other
            with other.open("rb", buffering=0) as theirs:
                while True:
                    at = one
                    mine = ours.read(_PIECE)
                    at = other
                    if mine != theirs.read(_PIECE):
                        return False
                    if not mine:
                        return True
    except OSError as error:
        raise _unreadable(at, error) from error


def _unreadable(path: Path, error: OSError) -> ModelUnreadableError:
    reason = (error.strerror or str(error)).lower()
    return ModelUnreadableError(f"cannot be read: {reason}", where=str(path))
