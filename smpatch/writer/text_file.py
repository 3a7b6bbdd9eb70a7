"""A text in a file of its own: written whole or not at all.

The text goes into a file with another name beside its place, and then takes the place by one
call: ``link``, which fails if something is there, or ``rename``, which replaces it.

Source: link(2), rename(2).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from smpatch.errors import RefusedError, WriteError

__all__ = ["write_text"]


def write_text(file: Path, text: str, *, overwrite: bool = False, option: str = "--output") -> None:
    """Write a text to a file.

    Args:
        file: The file; its directory has to be there.
        text: Its content, which is written as UTF-8.
        overwrite: Whether a file that is there may be replaced.
        option: The option that names the file, for errors.

    Raises:
        RefusedError: A file is there, or something that is not a file.
        WriteError: The file system refused; what was there is unchanged.

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
    """Refuse a place that is taken; return the mode of a file that is to be replaced."""
    if not os.path.lexists(place):
        return None
    if not overwrite:
        raise _taken(file, option)
    mode = os.stat(place).st_mode
    if not stat.S_ISREG(mode):
        # A rename would put a file in the place of a directory or of a device.
        hint = f"choose another {option}"
        raise RefusedError("it is there already and no file", where=str(file), hint=hint)
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
    """Give a staged file its name, if nothing has the name."""
    try:
        os.link(staged, place)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links. Between the question and the rename another
        # program may take the name; rename(2) has no form that every system has.
        if os.path.lexists(place):
            raise FileExistsError(place) from None
        os.rename(staged, place)
