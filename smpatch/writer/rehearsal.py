"""Checks of the path at which a model would be written, without writing, and notes on it.

If a check fails, an edit is refused before anything is staged. A dry run reports in a note that
the edit could not write, so that it also works for models on read-only shares.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from smpatch.errors import RefusedError, SmpatchError, WriteError
from smpatch.loader import SavedModel
from smpatch.rules import Note
from smpatch.writer.staging_directory import PREFIX, backup_of, backup_shown


def rehearse(
    model: SavedModel, save_to: Path | None = None, *, backup: bool = False
) -> tuple[Note, ...]:
    """Check without writing whether a model could be written.

    Args:
        model: The model.
        save_to: The directory that would be made; None for an edit in place.
        backup: Whether the edit would keep the previous file.

    Returns:
        The notes on the path of the model, and one more if the edit could not write.

    Raises:
        RefusedError: The destination is in use.
        WriteError: The file system would refuse to make the destination.
    """
    notes = [*place_notes(model, backup=backup)] if save_to is None else []
    try:
        if save_to is None:
            obstacle = _obstacle(model)
        else:
            obstacle = _obstacle_to(save_to, check_destination(save_to, model))
    except OSError as error:
        raise failed("stage", model.directory, error) from error
    if obstacle is not None:
        text = f"the edit itself needs to write, and would be refused: {obstacle}"
        notes.append(Note("not-writable", text))
    return tuple(notes)


def _obstacle(model: SavedModel) -> SmpatchError | None:
    """Return why a model cannot be edited in place; None if it can."""
    try:
        check_writable(Path(os.path.realpath(model.file)), model)
    except (RefusedError, WriteError) as error:
        return error
    return None


def _obstacle_to(save_to: Path, missing: Sequence[Path]) -> SmpatchError | None:
    """Return why a destination cannot be made; None if it can.

    Raises:
        WriteError: A file has the path of a directory above it, so that no permission would help.
    """
    try:
        check_above(save_to, missing)
    except WriteError as error:
        if not _above(save_to, missing).is_dir():
            raise
        return error
    return None


def check_above(save_to: Path, missing: Sequence[Path]) -> None:
    """Check that a destination can be made; ``missing`` is the result of ``check_destination``.

    Raises:
        WriteError: The lowest existing path above it is not a directory, or cannot be written to.
    """
    _check_directory(_above(save_to, missing), where=str(save_to), hint="name another place")


def _above(save_to: Path, missing: Sequence[Path]) -> Path:
    return missing[-1].parent if missing else save_to.parent


def check_writable(target: Path, model: SavedModel) -> None:
    """Check that a model file can be replaced; ``target`` is its path with links resolved.

    Raises:
        RefusedError: The file is read-only.
        WriteError: The directory or the file system is read-only.
    """
    where = str(model.file)
    elsewhere = "write a new model with --save-to DIR"
    status = target.stat()
    if not status.st_mode & 0o222:
        found = f"the file is read-only (mode {status.st_mode & 0o777:04o})"
        raise RefusedError(found, where=where, hint=f"make it writable, or {elsewhere}")
    _check_mount(target.parent, where=where, hint=f"{elsewhere} on another one")
    # A rename would work, but users who may not write a file do not expect that it is replaced.
    if not os.access(target, os.W_OK):
        hint = f"ask its owner, or {elsewhere}"
        raise RefusedError("you have no permission to write the file", where=where, hint=hint)
    _check_directory(target.parent, where=where, hint=f"change its permissions, or {elsewhere}")


def _check_directory(directory: Path, *, where: str, hint: str) -> None:
    """Check that a file can be made in a directory."""
    if not directory.is_dir():
        found = f"could not be written: {directory} is not a directory"
        raise WriteError(found, where=where, hint=hint)
    _check_mount(directory, where=where, hint=hint)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise WriteError(f"{directory} cannot be written to", where=where, hint=hint)


def _check_mount(directory: Path, *, where: str, hint: str) -> None:
    """Check that a file system is not mounted read-only; no file mode shows this."""
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise WriteError("its file system is mounted read-only", where=where, hint=hint)


def check_destination(save_to: Path, model: SavedModel | None) -> list[Path]:
    """Check the destination, and return the missing directories above it, the lowest first.

    Raises:
        RefusedError: It is a file or a directory that is not empty, is inside the model, or is
            the working directory.
        WriteError: The working directory no longer exists.
    """
    where = str(save_to)
    if not save_to.is_absolute():
        try:
            os.getcwd()
        except FileNotFoundError:
            hint = "name absolute paths, or go to a directory that exists"
            raise WriteError("the working directory is gone", where=where, hint=hint) from None
    if save_to.is_symlink() or save_to.exists():
        if save_to.is_symlink() or not save_to.is_dir():
            raise RefusedError("it exists and is not a directory", where=where)
        if any(save_to.iterdir()):
            hint = "name a directory that is absent or empty"
            raise RefusedError("the directory is not empty", where=where, hint=hint)
    if model is not None:
        # Not Path.resolve, which raises a RuntimeError for links in a circle before Python 3.13.
        source, destination = (Path(os.path.realpath(each)) for each in (model.directory, save_to))
        if destination == source or source in destination.parents:
            hint = "name a directory outside the model"
            raise RefusedError("it lies inside the model itself", where=where, hint=hint)
    if save_to.exists() and os.path.samestat(os.stat(save_to), os.stat(os.curdir)):
        # A new directory replaces it: a shell in the old directory would show no files.
        hint = "name it from another directory"
        raise RefusedError("it is the working directory", where=where, hint=hint)
    missing = []
    above = save_to.parent
    while not above.exists():
        missing.append(above)
        above = above.parent
    return missing


def failed(
    verb: str,
    where: Path,
    error: OSError,
    what: str = "the edited model",
    hint: str = "the model is unchanged",
) -> WriteError:
    """Return the error for an action that the file system refused.

    Args:
        verb: The verb of the action, such as ``stage``.
        where: The path that the error names if the system names none, or a staging directory.
        error: The error of the system.
        what: The object of the verb.
        hint: The hint of the error: the state of the model.
    """
    reason = (error.strerror or str(error)).lower()
    found = f"could not {verb} {what}: {reason}"
    named = os.fsdecode(error.filename or where)
    if any(part.startswith(PREFIX) for part in Path(named).parts):  # it is removed by now
        named = str(where)
    return WriteError(found, where=named, hint=hint)


def shown(notes: Iterable[Note], staging: Path, place: Path) -> tuple[Note, ...]:
    """Return notes in which the path of the model replaces that of the staging directory.

    Args:
        notes: The notes, which may quote TensorFlow's words about the staged model. Notes with
            the code ``after-commit`` do not change: they name the staging directory on purpose.
        staging: The staging directory.
        place: The path by which the user names the model.
    """
    return tuple(
        each
        if each.code == "after-commit"
        else replace(each, text=each.text.replace(str(staging), str(place)))
        for each in notes
    )


def place_notes(model: SavedModel, *, backup: bool) -> Iterator[Note]:
    """Yield a note for each link that the edit follows, and for a backup that it replaces."""
    for place in (model.directory, model.file):
        if os.path.islink(place):
            text = f"{place} is a symbolic link; {os.path.realpath(place)} is edited"
            yield Note("through-link", text)
    if backup and os.path.lexists(backup_of(model.file)):
        text = f"{backup_shown(model.file)} of an earlier edit is replaced"
        yield Note("backup-replaced", text)
