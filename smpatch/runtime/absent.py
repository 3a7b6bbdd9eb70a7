"""Files that stand for objects of a store which have not been read.

Such a file has the name and the length of the object and no content, which is enough for code that
lists files. The content is read when it is needed: ``provide`` is called before TensorFlow loads a
directory together with its variables. A file whose content could not be read is removed.

This module uses no store: callers pass a function that reads the content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["Read", "forget", "provide", "stand_in", "stand_in_again"]

Read = Callable[[Path], None]
"""Writes the content to a file, which is not there yet."""

_VARIABLES = "variables"

_files: dict[str, tuple[object, Read]] = {}
"""Each file, links resolved, to its owner and to the function that reads it."""


def stand_in(file: Path, size: int, read: Read, owner: object) -> None:
    """Make a file that stands for an object.

    Args:
        file: The file, which is not there yet.
        size: The length of the object.
        read: Reads the object.
        owner: The same for all files that are forgotten together.

    Raises:
        OSError: The file cannot be made.
    """
    with file.open("xb") as opened:
        opened.truncate(size)
    _files[os.path.realpath(file)] = owner, read


def stand_in_again(source: Path, target: Path) -> bool:
    """Make a file that stands for the same object as another one, if that stands for any.

    Args:
        source: The other file.
        target: The file, which is not there yet.

    Returns:
        Whether it was made.

    Raises:
        OSError: The file cannot be made.
    """
    found = _files.get(os.path.realpath(source)) if _files else None
    if found is None:
        return False
    owner, _ = found

    def read(file: Path) -> None:
        _provide(Path(os.path.realpath(source)))
        with contextlib.suppress(FileNotFoundError):  # the object is gone
            shutil.copyfile(source, file)

    stand_in(target, source.stat().st_size, read, owner)
    return True


def provide(directory: os.PathLike[str] | str, most: int | None = None) -> None:
    """Read the variables of a SavedModel, as far as files stand for them.

    Args:
        directory: The SavedModel.
        most: Only files of so many bytes or less; None for all.

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
    """Forget the files of an owner, which are about to be removed.

    Args:
        owner: As it was given.
    """
    for file, (theirs, _) in [*_files.items()]:
        if theirs is owner:
            _files.pop(file, None)
