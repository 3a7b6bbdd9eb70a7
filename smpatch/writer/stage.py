"""Write the edited model aside, as a directory that TensorFlow can load.

In place, the staging directory lies beside the file that will be replaced (so that one
rename can do it) and holds the new file and links to everything else. For ``--save-to`` it
lies beside the destination and holds copies, for the two models must not share what either
may change later.

Its name begins with ``.smpatch-``, which no loader and no server takes for a version. It
is locked while its owner lives; one that is not locked was left behind by a killed process
and is removed by the next edit. ``recover`` also finishes a commit that was cut between its
two renames.

This room does not decide whether what it wrote is good.

Source: ``tensorflow/python/saved_model/constants.py`` (names in a SavedModel directory).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smpatch import wire
from smpatch.errors import ConflictError, RefusedError, WriteError
from smpatch.loader import CHUNKED_NAME, FileIdentity, SavedModel
from smpatch.writer.copying import copy_tree_entry, take_after, write_pieces
from smpatch.writer.lock import try_lock
from smpatch.writer.plan import Plan

__all__ = ["FINGERPRINT_NAME", "PREFIX", "Staged", "recover", "stage", "to_the_end"]

PREFIX = ".smpatch-"
FINGERPRINT_NAME = "fingerprint.pb"

_COMMITTING = f"{PREFIX}committing"
"""Beside the staged files, with a prefix that none of them has: the identity of the new model
file, from when a commit starts."""


@dataclass(frozen=True, slots=True)
class Staged:
    """An edited model aside.

    Attributes:
        plan: What was staged.
        directory: A SavedModel directory with the edit done.
        target: The file to replace, links resolved; None when a new directory is made.
        destination: The directory to make; None when the edit is in place.
    """

    plan: Plan
    directory: Path
    target: Path | None
    destination: Path | None

    @property
    def file(self) -> Path:
        """The edited model file."""
        return self.directory / self.plan.model.file.name

    @property
    def wants_fingerprint(self) -> bool:
        """Whether the model has a ``fingerprint.pb`` that the edit makes stale."""
        return (
            _ages_fingerprint(self.plan) and (self.plan.model.directory / FINGERPRINT_NAME).exists()
        )

    def put_fingerprint(self, fingerprint: bytes) -> None:
        """Stage a new ``fingerprint.pb``, to be put in place by the commit.

        Raises:
            WriteError: The file system refused.
        """
        old = self.plan.model.directory / FINGERPRINT_NAME
        try:
            _write_like(self.directory / FINGERPRINT_NAME, fingerprint, old)
        except OSError as error:
            raise _failed("stage", self.directory, error) from error

    def announce(self) -> None:
        """Record which model file the staged fingerprint belongs to, before the commit."""
        (self.directory / _COMMITTING).write_bytes(_record(self.file))


@contextlib.contextmanager
def stage(plan: Plan, save_to: Path | None = None) -> Iterator[Staged]:
    """Write the edited model aside for as long as the context lasts.

    Args:
        plan: What to write.
        save_to: The directory to make; None to edit in place.

    Yields:
        The staged model. What is left of it when the context ends is removed.

    Raises:
        RefusedError: The file is read-only, or the destination is in use.
        ConflictError: The file changed since it was loaded.
        WriteError: The file system refused.
    """
    made: list[Path] = []
    with contextlib.ExitStack() as cleaning:
        cleaning.callback(_remove_empty, made)
        try:
            staged = _write_aside(plan, save_to, made, cleaning)
        except OSError as error:
            raise _failed("stage", plan.model.directory, error) from error
        yield staged


def recover(model: SavedModel) -> None:
    """Remove what killed edits in place left behind, and finish the one that was committed.

    A commit that was cut between its two renames left the fingerprint of the previous model.
    To be called under the lock of the model; what cannot be removed stays.
    """
    home = Path(os.path.realpath(model.file)).parent
    for left_behind in _sweep(home):
        _finish(left_behind, model)


def _write_aside(
    plan: Plan, save_to: Path | None, made: list[Path], cleaning: contextlib.ExitStack
) -> Staged:
    """Write the whole staging directory; ``cleaning`` removes it in the end."""
    model = plan.model
    if save_to is None:
        target = Path(os.path.realpath(model.file))
        _check_writable(target, model)
        home = target.parent
    else:
        target, home = None, save_to.parent
        _prepare(save_to, model, made)
        for _ in _sweep(home):
            pass
    directory = cleaning.enter_context(_own_directory(home))
    staged = Staged(plan, directory, target, save_to)
    if target is not None:
        _link_payloads(plan, directory)
    else:
        _copy_payloads(plan, directory)
    _write_model(staged)
    return staged


def _remove_empty(directories: list[Path]) -> None:
    def remove() -> None:
        for directory in reversed(directories):
            with contextlib.suppress(OSError):
                directory.rmdir()  # refuses where something came into it

    to_the_end(remove)


def _check_writable(target: Path, model: SavedModel) -> None:
    status = target.stat()
    if not status.st_mode & 0o222:
        found = f"the file is read-only (mode {status.st_mode & 0o777:04o})"
        hint = "make it writable, or write a new model with --save-to DIR"
        raise RefusedError(found, where=str(model.file), hint=hint)
    # A rename would replace it all the same; who may not write a file does not expect that.
    if not os.access(target, os.W_OK):
        hint = "ask its owner, or write a new model with --save-to DIR"
        raise RefusedError("the file is not yours to write", where=str(model.file), hint=hint)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        found = "its directory cannot be written to"
        hint = "change its permissions, or write a new model with --save-to DIR"
        raise WriteError(found, where=str(model.file), hint=hint)


def _prepare(save_to: Path, model: SavedModel, made: list[Path]) -> None:
    """Check the destination and make the directories above it, which go to ``made``."""
    where = str(save_to)
    if save_to.is_symlink() or save_to.exists():
        if save_to.is_symlink() or not save_to.is_dir():
            raise RefusedError("it is there already and no directory", where=where)
        if any(save_to.iterdir()):
            hint = "name a directory that is absent or empty"
            raise RefusedError("the directory is not empty", where=where, hint=hint)
    source, destination = model.directory.resolve(), save_to.resolve()
    if destination == source or source in destination.parents:
        hint = "name a directory outside the model"
        raise RefusedError("it lies inside the model itself", where=where, hint=hint)
    if destination == Path.cwd():
        # A new directory takes its place: who stands in the old one would see it empty.
        hint = "name it from another directory"
        raise RefusedError("it is the working directory", where=where, hint=hint)
    missing = []
    above = save_to.parent
    while not above.exists():
        missing.append(above)
        above = above.parent
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):  # somebody who saves beside us was faster
            directory.mkdir()
            made.append(directory)


@contextlib.contextmanager
def _own_directory(home: Path) -> Iterator[Path]:
    """Make a staging directory, locked as long as it is ours."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
        try:
            descriptor = _lock_new(directory)
        except BaseException:
            _discard(directory)
            raise
        if descriptor is not None:
            break
    try:
        yield directory
    finally:
        _discard(directory)
        os.close(descriptor)


def _lock_new(directory: Path) -> int | None:
    """Lock a directory just made; None when somebody who sweeps has it, or had it, first."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if try_lock(descriptor) is not False and directory.exists():
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _discard(directory: Path) -> None:
    """Remove a staging directory as far as it can be removed."""

    def remove() -> None:
        # Not only by `ignore_errors`: rmtree lets some errors through.
        with contextlib.suppress(OSError):
            shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            # What is left are copies of directories that are read-only.
            for _, _, _, descriptor in os.fwalk(directory):
                os.fchmod(descriptor, 0o700)
            shutil.rmtree(directory, ignore_errors=True)

    to_the_end(remove)


def to_the_end(step: Callable[[], object]) -> bool:
    """Take a step that must not be left half done, again when Ctrl-C cuts it.

    Whatever a signal raises is swallowed: it came after the commit, or another exception is
    on its way already.

    Returns:
        Whether it was cut.
    """
    try:
        step()
    except BaseException as stop:
        if isinstance(stop, Exception):
            raise
        to_the_end(step)
        return True
    return False


def _sweep(home: Path) -> Iterator[Path]:
    """Yield what killed processes left behind in a directory, and remove each thereafter."""
    entries: list[Path] = []
    with contextlib.suppress(OSError):
        entries = sorted(home.glob(f"{PREFIX}*"))
    for entry in entries:
        with contextlib.suppress(OSError):
            # Directories only, and no links to them: nothing else is ours.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(entry, flags)
            try:
                if try_lock(descriptor) is True:
                    yield entry
                    _discard(entry)
            finally:
                os.close(descriptor)


def _finish(left_behind: Path, model: SavedModel) -> None:
    """Put a fingerprint in place whose model file was, and nobody has changed since."""
    fingerprint, record = left_behind / FINGERPRINT_NAME, left_behind / _COMMITTING
    with contextlib.suppress(OSError):
        if fingerprint.is_file() and record.read_bytes() == _record(model.file):
            os.replace(fingerprint, os.path.realpath(model.directory / FINGERPRINT_NAME))


def _record(file: Path) -> bytes:
    status = file.stat()
    return b"%d %d %d %d" % (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _payloads(plan: Plan) -> Iterator[Path]:
    """Yield what belongs to the model and stays as it is."""
    written = {plan.model.file.name}
    if _ages_fingerprint(plan):
        written.add(FINGERPRINT_NAME)
    for entry in sorted(plan.model.directory.iterdir()):
        if entry.name not in written and not entry.name.startswith(PREFIX):
            yield entry


def _ages_fingerprint(plan: Plan) -> bool:
    """Tell whether a fingerprint is about what the plan changes; none is taken of text."""
    return plan.model.form == "binary" and bool(plan.splices)


def _link_payloads(plan: Plan, directory: Path) -> None:
    root = Path(os.path.abspath(plan.model.directory))
    for entry in _payloads(plan):
        # A chunked file would be taken for the model when the fingerprint is computed.
        if entry.name != CHUNKED_NAME:
            (directory / entry.name).symlink_to(root / entry.name)


def _copy_payloads(plan: Plan, directory: Path) -> None:
    inside = (os.stat(plan.model.directory),)
    for entry in _payloads(plan):
        copy_tree_entry(entry, directory / entry.name, inside=inside)


def _write_model(staged: Staged) -> None:
    model = staged.plan.model
    with model.file.open("rb") as source:
        status = os.fstat(source.fileno())
        if FileIdentity.of(status) != model.identity:
            found = "somebody changed the file while it was being edited"
            raise ConflictError(found, where=str(model.file), hint="run the edit again")
        with staged.file.open("xb") as target:
            pieces = wire.pieces(status.st_size, staged.plan.splices)
            write_pieces(source.fileno(), target.fileno(), pieces)
            take_after(staged.file, model.file, status)
            os.utime(staged.file)
            os.fsync(target.fileno())


def _write_like(path: Path, data: bytes, model_for_mode: Path) -> None:
    with path.open("xb") as target:
        target.write(data)
        target.flush()
        take_after(path, model_for_mode, model_for_mode.stat())
        os.utime(path)
        os.fsync(target.fileno())


def _failed(verb: str, where: Path, error: OSError) -> WriteError:
    reason = (error.strerror or str(error)).lower()
    found = f"could not {verb} the edited model: {reason}"
    hint = "the model is unchanged"
    return WriteError(found, where=str(error.filename or where), hint=hint)
