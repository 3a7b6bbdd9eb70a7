"""Which paths are archives, and the names that they have without their endings.

This module opens no archive (``archives`` does).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from smpatch.urls import ModelUrl

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
"""The endings of the names of archives."""


def is_archive(path: Path) -> bool:
    """Return whether a path is a file whose name has the ending of an archive; a URL is none.

    Example:
        >>> is_archive(Path("export/1"))
        False
    """
    if isinstance(path, ModelUrl) or not path.name.lower().endswith(ARCHIVES):
        return False
    with contextlib.suppress(OSError):
        return path.is_file()
    return False


def without_archive(path: Path) -> Path:
    """Return a path without the ending of an archive.

    Example:
        >>> without_archive(Path("models/m.tar.gz")).name
        'm'
    """
    ending = max(
        (each for each in ARCHIVES if path.name.lower().endswith(each)), default="", key=len
    )
    stem = path.name[: len(path.name) - len(ending)]
    return path.with_name(stem) if ending and stem else path
