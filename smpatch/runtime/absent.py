"""Files that stand for objects of a store that have not been read yet.

Such a file has the name and the length of the object but no content, which is enough for code that
lists files. The content is read when it is needed: ``provide`` is called before TensorFlow loads a
directory with its variables. If the content cannot be read, the file is removed.

This module uses no store: callers pass a function that reads the content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

Read = Callable[[Path], None]
"""A function that writes the content to a file, which does not exist yet."""

_VARIABLES = "variables"

_files: dict[str, tuple[object, Read]] = {}
"""The path of each such file, links resolved, to its owner and the function that reads it."""


def stand_in(file: Path, size: int, read: Read, owner: object) -> None:
    """Make a file that stands for an object.

    Args:
        file: The path of the file, which does not exist yet.
        size: The length of the object in bytes.
        read: The function that reads the object.
        owner: The same object for all files that ``forget`` forgets together.

    Raises:
        OSError: The file cannot be made.
    """
    with file.open("xb") as opened:
        opened.truncate(size)
    _files[os.path.realpath(file)] = owner, read


def stand_in_again(source: Path, target: Path) -> bool:
    """Make a file that stands for the same object as another file.

    Args:
        source: The path of the other file.
        target: The path of the new file, which does not exist yet.

    Returns:
        Whether the file was made; False if ``source`` does not stand for an object.

    Raises:
        OSError: The file cannot be made.
    """
    found = _files.get(os.path.realpath(source)) if _files else None
    if found is None:
        return False
    owner, _ = found

    def read(file: Path) -> None:
        _provide(Path(os.path.realpath(source)))
        with contextlib.suppress(FileNotFoundError):  # the object no longer exists
            shutil.copyfile(source, file)

    stand_in(target, source.stat().st_size, read, owner)
    return True


def provide(directory: os.PathLike[str] | str, most: int | None = None) -> None:
    """Read those variables of a SavedModel for which files of this module stand.

    Args:
        directory: The SavedModel.
        most: The largest size in bytes of a file that is read; None for all files.

    Raises:
        SmpatchError: The store refuses, or a file cannot be written.
    """
    if not _files:
        return
    variables = Path(os.path.realpath(Path(directory) / _VARIABLES))
    for file in map(Path, [*_files]):
        if file.parent == variables and (most is None or file.stat().st_size <= most):
            _provide(file)


def _provide(file: Path) -> None:
    if str(file) in _files:
        _, read = _files[str(file)]
        file.unlink(missing_ok=True)
        try:
            read(file)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        del _files[str(file)]


def forget(owner: object) -> None:
    """Forget the files of an owner, before they are removed.

    Args:
        owner: The owner that ``stand_in`` was given.
    """
    for file, (theirs, _) in [*_files.items()]:
        if theirs is owner:
            _files.pop(file, None)
