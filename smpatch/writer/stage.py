"""Write the edited model to a staging directory that TensorFlow can load.

For an edit in place, the staging directory is beside the file that will be replaced (so that one
rename is enough); it has the new file and links to all other files. For ``--save-to`` it is
beside the destination and has copies, because the two models must not share files that may change
later. For an undo it has the backup instead of a new file, and the commit is the same.

Backups are not staged: they are the history of one directory, which a new model does not have,
and no loader needs them.

This module does not check whether the staged model is valid.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat as modes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from smpatch import wire
from smpatch.errors import ConflictError, RefusedError, SmpatchError, WriteError
from smpatch.loader import SavedModel
from smpatch.savedmodel.directory import CHUNKED_NAME, FileIdentity, open_regular
from smpatch.wire import Splice
from smpatch.writer.companions import COMPANIONS, FINGERPRINT, WARM_UP, Companion, Rewrite
from smpatch.writer.copying import copy_tree_entry, sync_directory, take_after, write_pieces
from smpatch.writer.finish import link, spare
from smpatch.writer.plan import Plan
from smpatch.writer.rehearsal import check_above, check_destination, check_writable, failed
from smpatch.writer.staging_directory import (
    BACKUP_SUFFIX,
    BACKUPS,
    FINGERPRINT_NAME,
    PREFIX,
    OwnDirectory,
    backup_of,
    backup_shown,
    own_directory,
    sweep,
    to_the_end,
)

__all__ = ["PREFIX", "Staged", "find_backup", "stage", "stage_backup", "stage_new", "workplace"]


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged model, ready to be put in place.

    Attributes:
        model: The model on disk, in the state in which it was loaded.
        own: The staging directory, a SavedModel directory with the files to be put in place.
        target: The path of the file to replace, links resolved; None if a new directory is made.
        destination: The directory to make; None if the edit is in place.
        ages_fingerprint: Whether the fingerprint of the model on disk is wrong for this model.
        rewrite: The changes of the warm-up requests; None if the edit does not change them.
    """

    model: SavedModel
    own: OwnDirectory
    target: Path | None
    destination: Path | None
    ages_fingerprint: bool
    rewrite: Rewrite | None

    @property
    def directory(self) -> Path:
        """The staging directory."""
        return self.own.path

    @property
    def file(self) -> Path:
        """The path of the staged model file."""
        return self.directory / self.model.file.name

    def has(self, companion: Companion) -> bool:
        """Return whether the commit puts this companion in place too."""
        staged = self.directory / companion.staged
        return (self.ages_fingerprint or companion is not FINGERPRINT) and staged.is_file()

    @property
    def wants_fingerprint(self) -> bool:
        """Whether the model on disk has a ``fingerprint.pb`` that becomes stale."""
        return self.ages_fingerprint and (self.model.directory / FINGERPRINT_NAME).exists()

    def put_fingerprint(self, fingerprint: bytes) -> None:
        """Stage a new ``fingerprint.pb``, to be put in place by the commit.

        Raises:
            WriteError: The file system refused.
        """
        old = self.model.directory / FINGERPRINT_NAME
        try:
            _write_like(self.directory / FINGERPRINT_NAME, fingerprint, old)
        except OSError as error:
            raise failed("stage", self.directory, error) from error


@contextlib.contextmanager
def stage(
    plan: Plan, save_to: Path | None = None, *, rewrite: Rewrite | None = None
) -> Iterator[Staged]:
    """Write the edited model to a staging directory, which exists until the end of the context.

    Args:
        plan: The plan of the edit.
        save_to: The directory to make; None to edit in place.
        rewrite: The changes of the warm-up requests; None if the edit does not change them.

    Yields:
        The staged model. The end of the context removes the files that are still in the directory.

    Raises:
        RefusedError: The file is read-only, or the destination is in use.
        ConflictError: The file changed since it was loaded.
        WriteError: The file system refused.
    """
    made: list[Path] = []
    with contextlib.ExitStack() as cleaning:
        cleaning.callback(_remove_empty, made)
        try:
            staged = _write_staging(plan, save_to, rewrite, made, cleaning)
        except OSError as error:
            where = plan.model.directory if save_to is None else save_to
            raise failed("stage", where, error) from error
        try:
            yield staged
        except WriteError:
            raise
        except SmpatchError as error:
            # TensorFlow's words name the staging directory, which no longer exists when a user
            # reads them.
            error.rename(str(staged.directory), str(plan.model.directory))
            raise


@contextlib.contextmanager
def stage_new(destination: Path) -> Iterator[Path]:
    """Make a staging directory for a wholly new model, beside its destination, which has no files.

    It yields an empty directory, in which the caller makes the model before it is put in place.
    The end of the context removes the files that are still in it.

    Raises:
        RefusedError: The destination is in use.
        WriteError: The file system refused.
    """
    made: list[Path] = []
    with contextlib.ExitStack() as cleaning:
        cleaning.callback(_remove_empty, made)
        try:
            _make_above(destination, None, made)
        except OSError as error:
            raise failed("stage", destination, error, "the model", "nothing was written") from error
        yield cleaning.enter_context(workplace(destination))


@contextlib.contextmanager
def workplace(beside: Path) -> Iterator[Path]:
    """Make an empty directory beside another one, which exists until the end of the context.

    A killed process leaves it to the next edit, which removes it.

    Raises:
        WriteError: The file system refused.
    """
    with contextlib.ExitStack() as cleaning:
        try:
            sweep(beside.parent, spare)
            own = cleaning.enter_context(own_directory(beside.parent))
        except OSError as error:
            raise failed("stage", beside, error, "the model", "nothing was written") from error
        yield own.path


@contextlib.contextmanager
def stage_backup(model: SavedModel) -> Iterator[Staged]:
    """Stage the backup of a model; the commit of it undoes an edit.

    Args:
        model: The model; only its paths, its form and the identity of its file are used.

    Yields:
        The staged model, with its own companions if their backups exist.

    Raises:
        RefusedError: There is no backup, or the file is read-only.
        WriteError: The file system refused.
    """
    target = Path(os.path.realpath(model.file))
    backup = find_backup(model)
    binary = model.form == "binary"
    with contextlib.ExitStack() as cleaning:
        try:
            check_writable(target, model)
            own = cleaning.enter_context(own_directory(target.parent))
            directory = own.path
            link(backup, directory / model.file.name)
            _link_payloads(model, directory, ages_fingerprint=binary)
            for companion in COMPANIONS if binary else (WARM_UP,):
                kept = backup_of(model.directory / companion.place)
                if kept.is_file() and not kept.is_symlink():
                    # A backup on another file system cannot be linked; without the backup of the
                    # fingerprint, a new fingerprint is computed.
                    lost = () if companion is WARM_UP else (OSError,)
                    with contextlib.suppress(*lost):
                        link(kept, directory / companion.staged)
        except OSError as error:
            raise failed("stage", model.directory, error, "the backup") from error
        yield Staged(model, own, target, None, binary, None)


def find_backup(model: SavedModel) -> Path:
    """Return the backup of a model's file.

    Raises:
        RefusedError: There is no backup, or its name is that of the model file itself or of
            something that is not a regular file.
    """
    backup = backup_of(model.file)
    where = str(backup_shown(model.file))
    try:
        status = os.lstat(backup)
    except FileNotFoundError:
        hint = "an edit keeps the previous file with --backup"
        raise RefusedError("there is no backup", where=where, hint=hint) from None
    if not modes.S_ISREG(status.st_mode):
        raise RefusedError("it is not a regular file, so it cannot be a backup", where=where)
    if os.path.samestat(status, os.stat(model.file)):
        raise RefusedError("the backup is the model file itself, under a second name", where=where)
    return backup


def _write_staging(
    plan: Plan,
    save_to: Path | None,
    rewrite: Rewrite | None,
    made: list[Path],
    cleaning: contextlib.ExitStack,
) -> Staged:
    """Write the whole staging directory, which ``cleaning`` removes at the end."""
    model = plan.model
    if save_to is None:
        target = Path(os.path.realpath(model.file))
        check_writable(target, model)
        home = target.parent
    else:
        target, home = None, save_to.parent
        _make_above(save_to, model, made)
        sweep(home, spare)
    own = cleaning.enter_context(own_directory(home))
    # A fingerprint is computed from the binary form alone.
    ages = model.form == "binary" and bool(plan.splices)
    staged = Staged(model, own, target, save_to, ages, rewrite)
    _LOG.info("writes %s, %d bytes", own.path, plan.size, extra={"step": "write"})
    if target is not None:
        _link_payloads(model, own.path, ages_fingerprint=ages)
    else:
        _copy_payloads(model, own.path, ages_fingerprint=ages)
    _write_spliced(model.file, model.identity, plan.splices, staged.file)
    if rewrite is not None:
        place = own.path / (WARM_UP.place if target is None else WARM_UP.staged)
        if target is None:
            place.unlink()  # the copy of the model's own file
        _write_spliced(rewrite.file, rewrite.identity, rewrite.splices, place)
        if target is None:
            sync_directory(place.parent)
    _LOG.info("wrote %s", own.path, extra={"step": ""})
    return staged


def _remove_empty(directories: list[Path]) -> None:
    def remove() -> None:
        for directory in reversed(directories):
            with contextlib.suppress(OSError):
                directory.rmdir()  # fails if another program made a file in it

    to_the_end(remove)


def _make_above(save_to: Path, model: SavedModel | None, made: list[Path]) -> None:
    """Check the destination, make the missing directories above it, and add them to ``made``."""
    missing = check_destination(save_to, model)
    check_above(save_to, missing)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process made the directory meanwhile
            directory.mkdir()
            made.append(directory)
        # The name of the model, which the commit syncs, is lost without the names above it.
        with contextlib.suppress(PermissionError):  # a directory may allow writing but not reading
            sync_directory(directory.parent)


def _payloads(model: SavedModel, *, ages_fingerprint: bool) -> Iterator[Path]:
    """Yield the entries of the model directory that the edit keeps unchanged."""
    others = {model.file.name, *BACKUPS}
    if ages_fingerprint:
        others.add(FINGERPRINT_NAME)
    for entry in sorted(model.directory.iterdir()):
        if entry.name not in others and not entry.name.startswith(PREFIX):
            yield entry


def _link_payloads(model: SavedModel, directory: Path, *, ages_fingerprint: bool) -> None:
    root = Path(os.path.abspath(model.directory))
    for entry in _payloads(model, ages_fingerprint=ages_fingerprint):
        # TensorFlow would read a chunked file as the model when it computes the fingerprint.
        if entry.name != CHUNKED_NAME:
            (directory / entry.name).symlink_to(root / entry.name)


def _copy_payloads(model: SavedModel, directory: Path, *, ages_fingerprint: bool) -> None:
    inside = (os.stat(model.directory),)
    own = Path(os.path.realpath(directory))
    around = tuple(os.stat(each) for each in (own, *own.parents))
    for entry in _payloads(model, ages_fingerprint=ages_fingerprint):
        copy_tree_entry(entry, directory / entry.name, inside=inside, around=around)
    kept = f"{directory / WARM_UP.place}{BACKUP_SUFFIX}"
    if os.path.lexists(kept) and not (directory / WARM_UP.place).parent.is_symlink():
        os.unlink(kept)
        sync_directory((directory / WARM_UP.place).parent)


def _write_spliced(
    file: Path, identity: FileIdentity, splices: Sequence[Splice], place: Path
) -> None:
    """Write a copy of a file with splices to ``place``.

    Raises:
        ConflictError: The file has changed since the splices were made.
    """
    with open_regular(file) as source:
        status = os.fstat(source.fileno())
        if not identity.is_of(status):
            found = "another program changed the file during the edit"
            raise ConflictError(found, where=str(file), hint="run the edit again")
        with place.open("xb") as target:
            pieces = wire.pieces(status.st_size, splices)
            write_pieces(source.fileno(), target.fileno(), pieces)
            take_after(place, file, status)
            os.utime(place)
            os.fsync(target.fileno())


def _write_like(path: Path, data: bytes, model_for_mode: Path) -> None:
    with path.open("xb") as target:
        target.write(data)
        target.flush()
        take_after(path, model_for_mode, model_for_mode.stat())
        os.utime(path)
        os.fsync(target.fileno())
