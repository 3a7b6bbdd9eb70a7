"""Write a warm-up file without an edit of the model: the whole file, or nothing.

The file is written in a staging directory and put in place by one rename. If the model has no
directory ``assets.extra``, the rename puts a new directory with the file in place. The next command
that writes to the model removes the staging directory of a killed process.

Source: rename(2).
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable
from pathlib import Path

from smpatch.errors import ConflictError, ModelUnreadableError, RefusedError
from smpatch.loader import SavedModel
from smpatch.savedmodel.directory import FileIdentity, open_regular
from smpatch.wire import Kept
from smpatch.writer.companions import WARM_UP
from smpatch.writer.copying import sync_directory, take_after, write_pieces
from smpatch.writer.finish import spare
from smpatch.writer.rehearsal import failed
from smpatch.writer.staging_directory import own_directory, sweep


def check_place(model: SavedModel, *, replaces: bool) -> FileIdentity | None:
    """Return the identity of the warm-up file of a model; None if it has none.

    Raises:
        RefusedError: A file exists and may not be replaced, or its path is not a file, or its
            directory is not a directory.
        ModelUnreadableError: The status of the file cannot be read.
    """
    file = model.directory / WARM_UP.place
    try:
        if not os.path.lexists(file):
            if os.path.lexists(file.parent) and not file.parent.is_dir():
                raise RefusedError("it is not a directory", where=str(file.parent))
            return None
        status = file.stat()
    except FileNotFoundError:
        raise RefusedError("it is a link that leads nowhere", where=str(file)) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelUnreadableError(f"cannot be read: {reason}", where=str(file)) from error
    if not modes.S_ISREG(status.st_mode):
        raise RefusedError("it exists, and is not a regular file", where=str(file))
    if not replaces:
        hint = "--overwrite replaces it, --append adds to it"
        raise RefusedError("it is there already", where=str(file), hint=hint)
    return FileIdentity.of(status)


def write_warm_up(
    model: SavedModel, records: Iterable[bytes], there: FileIdentity | None, *, append: bool
) -> tuple[str, ...]:
    """Write the warm-up file of a model.

    Args:
        model: The model.
        records: The records, in the bytes of the file.
        there: The identity of the existing file; None if there is none.
        append: Whether the records of the existing file stay, before the new ones.

    Returns:
        Warnings about failures after the file was in place.

    Raises:
        ConflictError: Another program changed the file meanwhile.
        WriteError: The file system refused; an existing file is unchanged.
    """
    file = model.directory / WARM_UP.place
    place = WARM_UP.path(model.directory)
    try:
        beside = place.parent if place.parent.is_dir() else place.parent.parent
        home = Path(os.path.realpath(model.file)).parent
        if home.stat().st_dev != beside.stat().st_dev:
            home = beside
            sweep(home, spare)
        with own_directory(home) as own:
            staged = own.path / WARM_UP.place
            staged.parent.mkdir()
            with staged.open("xb") as target:
                if there is not None and append:
                    with open_regular(file) as source:
                        whole = Kept(0, there.size)
                        write_pieces(source.fileno(), target.fileno(), [whole])
                write_pieces(-1, target.fileno(), records)
                like = model.file if there is None else file
                take_after(staged, like, like.stat())
                os.utime(staged)
                os.fsync(target.fileno())
            now = FileIdentity.of(place.stat()) if os.path.lexists(place) else None
            if (now and now[:4]) != (there and there[:4]):
                found = "another program changed it meanwhile; its change stays"
                raise ConflictError(found, where=str(file), hint="run the command again")
            if place.parent.is_dir():
                os.replace(staged, place)
            else:
                take_after(staged.parent, model.directory, model.directory.stat())
                sync_directory(staged.parent)
                os.rename(staged.parent, place.parent)
    except OSError as error:
        raise failed(
            "write", file, error, "the warm-up requests", "what was there is unchanged"
        ) from error
    try:
        sync_directory(place.parent)
        sync_directory(place.parent.parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return (f"{file} is written, but a power cut now may undo it: {reason}",)
    return ()
