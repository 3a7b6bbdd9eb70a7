"""Write a text to a file: the whole text, or nothing.

The text is written to a file with another name in the same directory. Then one call gives it its
name: ``link``, which fails if the name exists, or ``rename``, which replaces an existing file.

Source: link(2), rename(2).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from smpatch.errors import RefusedError, WriteError


def write_text(file: Path, text: str, *, overwrite: bool = False, option: str = "--output") -> None:
    """Write a text to a file.

    Args:
        file: The path of the file; its directory must exist.
        text: The content, which is written as UTF-8.
        overwrite: Whether an existing file may be replaced.
        option: The option that names the file, for errors.

    Raises:
        RefusedError: The path exists, and ``overwrite`` is false or it is not a file.
        WriteError: The file system refused; an existing file is unchanged.

    Example:
        >>> write_text(Path("config.pbtxt"), 'name: "linear"')
    """
    try:
        place = os.path.realpath(file) if overwrite else os.path.abspath(file)
        mode = _check(file, place, overwrite=overwrite, option=option)
        staged = os.path.join(os.path.dirname(place), f".smpatch-{secrets.token_hex(8)}")
        try:
            _write(staged, text, mode)
            if overwrite:
                os.replace(staged, place)
            else:
                _take(staged, place)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(staged)
    except FileExistsError:
        raise _taken(file, option) from None
    except (OSError, ValueError) as error:  # a name may have a zero byte
        reason = (getattr(error, "strerror", "") or str(error)).lower()
        raise WriteError(f"could not be written: {reason}", where=str(file)) from error


def _check(file: Path, place: str, *, overwrite: bool, option: str) -> int | None:
    """Refuse a path that is in use, and return the mode of a file that is to be replaced."""
    if not os.path.lexists(place):
        return None
    if not overwrite:
        raise _taken(file, option)
    mode = os.stat(place).st_mode
    if not stat.S_ISREG(mode):
        # A rename would fail for a directory, and would replace a device by a file.
        hint = f"choose another {option}"
        raise RefusedError("it exists, and is not a regular file", where=str(file), hint=hint)
    return stat.S_IMODE(mode)


def _taken(file: Path, option: str) -> RefusedError:
    hint = f"choose another {option}, or replace it with --overwrite"
    return RefusedError("it is there already", where=str(file), hint=hint)


def _write(staged: str, text: str, mode: int | None) -> None:
    with open(staged, "xb") as target:
        target.write(text.encode("utf-8"))
        target.flush()
        if mode is not None:
            os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())


def _take(staged: str, place: str) -> None:
    """Give a staged file its name, if the name is free."""
    try:
        os.link(staged, place)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links. Another program may take the name between this
        # check and the rename: not every system has a rename that does not replace.
        if os.path.lexists(place):
            raise FileExistsError(place) from None
        os.rename(staged, place)
