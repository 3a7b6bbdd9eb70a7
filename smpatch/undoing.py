"""Undo the last edit: put back the file that ``--backup`` kept.

The file that was there becomes the backup, so that a redo makes the edit again. A record beside
it has the digests of both files. By this record a second undo is refused; undo and redo are
refused if the model has changed since without a backup, because then the backup does not belong
to the last edit. The times of files are not compared, because copies do not keep them. The backup
is staged like an edited model and committed by the same rename. Its fingerprint is put back with
it, or computed if none was kept.

Nothing is reloaded, because the file was in place before. The file that is there now need not be
readable: an unreadable file is a reason to undo.

There is only one backup, which the last edit with ``--backup`` kept.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from google.protobuf.message import DecodeError

from smpatch import arguments, schema
from smpatch.display import command_line, model_words
from smpatch.errors import ModelUnreadableError, RefusedError
from smpatch.loader import SavedModel, load_file
from smpatch.rules import Note
from smpatch.savedmodel.directory import FileIdentity, Form, open_regular, which_file, writing
from smpatch.store_edits import undone_in_store
from smpatch.stores.copies import digest_of
from smpatch.urls import ModelUrl
from smpatch.validator import Validator
from smpatch.validator.lending import lent
from smpatch.writer import Staged, commit, find_backup, hold, recover, rehearse, stage_backup
from smpatch.writer.companions import FINGERPRINT, WARM_UP
from smpatch.writer.rehearsal import place_notes, shown
from smpatch.writer.staging_directory import backup_of, undo_record_of

_Signatures = dict[tuple[tuple[str, ...], int, str], bytes]
"""The tags of a MetaGraph, its place among those with the same tags, and a key to a signature."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The outcome of an undo for one signature.

    Attributes:
        tag_set: The tags of its MetaGraph.
        key: The signature key.
        outcome: Whether the undo added the key, removed it, or changed its signature.
    """

    tag_set: tuple[str, ...]
    key: str
    outcome: Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Undone:
    """The result of an undo.

    Attributes:
        directory: The directory or URL of the model.
        form: Whether its file is binary or text.
        dry_run: Whether nothing was written.
        size_before: The length of the model file before the undo, in bytes.
        size_after: The length after the undo.
        changes: The signatures that differ; empty also if the file that was there cannot be read.
        fingerprint: The outcome for ``fingerprint.pb``: there is none, or it is unchanged
            (``kept``), or the one kept with the backup was put back (``restored``), or a new one
            was computed (``refreshed``), or it still describes the model that was there
            (``stale``).
        warm_up: The outcome for the warm-up requests: there are none, or they are unchanged
            (``kept``), or the ones kept with the backup were put back (``restored``) or could not
            be put back (``stale``).
        backup: The path of the file that was there; None if it was not kept.
        notes: Notes on the undo.
    """

    directory: Path
    form: Form
    dry_run: bool
    size_before: int
    size_after: int
    changes: tuple[Restored, ...]
    fingerprint: Literal["absent", "kept", "restored", "refreshed", "stale"]
    warm_up: Literal["absent", "kept", "restored", "stale"]
    backup: Path | None
    notes: tuple[Note, ...]


def undo(  # noqa: PLR0913 - the options, each with a default
    model: str | os.PathLike[str],
    *,
    redo: bool = False,
    dry_run: bool = False,
    lock_timeout: float = 60.0,
    time_limit: float = 600.0,
    validator: Validator | None = None,
    unconditional: bool = False,
) -> Undone:
    """Put back the file that an edit kept as its backup, and keep the file that was there.

    Args:
        model: The model directory or URL.
        redo: Make an edit again that was undone.
        dry_run: Do everything except writing.
        lock_timeout: Longest wait for an edit of the same model, in seconds.
        time_limit: Longest wait for TensorFlow to compute a fingerprint, in seconds.
        validator: The validator that asks TensorFlow; None to make one for this call.
        unconditional: As in ``Options``, for a model in a store.

    Returns:
        The result, with one change for each signature that differs.

    Example:
        >>> options = smpatch.Options(backup=True)
        >>> smpatch.rename_signature("export/1", "serving_default", "predict", options=options).key
        'predict'
        >>> [(change.key, change.outcome) for change in smpatch.undo("export/1").changes]
        [('predict', 'removed'), ('serving_default', 'added')]

    Raises:
        UsageError: A time is not a number of seconds.
        ModelUnreadableError: There is no such directory, or no model file in it.
        RefusedError: There is no backup, or it is not a SavedModel; the last edit is undone
            already, or a redo finds no undone edit; or the model has changed since without a
            backup, or was exported again.
        ConflictError: Another program edits the model.
        WriteError: The file system refused; the model is unchanged.
    """
    arguments.seconds(lock_timeout, "lock_timeout")
    arguments.seconds(time_limit, "time_limit")
    directory = arguments.path(model, "model")
    if isinstance(directory, ModelUrl):

        def here(copy: Path) -> Undone:
            return undo(
                copy, redo=redo, dry_run=dry_run, time_limit=time_limit, validator=validator
            )

        with undone_in_store(directory, here, dry_run=dry_run, unconditional=unconditional) as (
            undone,
            notes,
        ):
            place = None if undone.backup is None else directory / undone.backup.name
            return replace(undone, directory=directory, backup=place, notes=(*undone.notes, *notes))
    verb = "redone" if redo else "undone"
    with writing(directory, verb), ExitStack() as held:
        if validator is None:
            validator = lent("none", (), time_limit) or held.enter_context(
                Validator("none", (), time_limit)
            )
        if directory.is_dir() and not dry_run:
            held.enter_context(hold(directory, timeout=lock_timeout))
        there = _look(directory)
        if dry_run:
            backup = _read_backup(there, find_backup(there))
            _check_direction(there, find_backup(there), redo=redo)
            _check_variables(there)
            undone = _compare(there, backup, dry_run=True)
            return replace(undone, notes=(*undone.notes, *rehearse(there)))
        recover(there)
        _check_direction(there, find_backup(there), redo=redo)
        _check_variables(there)
        with stage_backup(there) as staged:
            return _commit(staged, validator, redo=redo)


def backup_and_model(model: str | os.PathLike[str]) -> tuple[SavedModel, SavedModel]:
    """Return the backup that an edit kept of a model, and the model.

    Raises:
        ModelUnreadableError: One of them cannot be read.
        RefusedError: There is no backup, or it is not a SavedModel.
    """
    hint = "smpatch undo URL --dry-run prints what an undo would change"
    directory = arguments.local_path(model, "--backup", hint)
    there = _look(directory)
    backup = _read_backup(there, find_backup(there))
    return backup, load_file(there.directory, there.file, there.form)


def _check_direction(there: SavedModel, backup: Path, *, redo: bool) -> None:
    """Refuse to undo twice, and to put back a backup of another model."""
    where = str(there.file)
    undo_it = command_line(["smpatch", "undo", *model_words(there.directory)])
    try:
        record = undo_record_of(there.file).read_bytes()
    except OSError:
        record = b""
    # A record of another backup does not count: a user has replaced that backup.
    if not record or _digest_of_backup(record) != digest_of(backup).hex().encode():
        if redo:
            raise RefusedError("no edit is undone", where=where, hint=f"{undo_it} undoes one")
    elif record != _record(there.file, backup):
        found = (
            "the model has changed since the undo, without --backup, "
            "so the backup does not belong to it"
        )
        diff = command_line(["smpatch", "diff", *model_words(there.directory), "--backup"])
        raise RefusedError(found, where=where, hint=f"{diff} shows how they differ")
    elif not redo:
        hint = f"{undo_it} --redo does the edit again"
        raise RefusedError("the last edit is undone already", where=where, hint=hint)


def _check_variables(there: SavedModel) -> None:
    """Refuse the backup of an earlier export, because its graph reads other variables.

    This compares two fingerprints; if one is absent, the backup is not refused.
    """
    file = FINGERPRINT.path(there.directory)
    now, then = _variables(file), _variables(backup_of(file))
    if now and then and now != then:
        backup = find_backup(there)
        found = f"the variables are not those of {backup.name}: the model was exported again"
        hint = f"without {backup.name} the next edit with --backup keeps a new one"
        raise RefusedError(found, where=str(there.file), hint=hint)


def _variables(fingerprint: Path) -> int:
    """Return the hash of the variables in a fingerprint; 0 if there is none."""
    try:
        with open_regular(fingerprint) as opened:
            return int(schema.FingerprintDef.FromString(opened.read()).checkpoint_hash)
    except (OSError, DecodeError):
        return 0


def _record(model: Path, backup: Path) -> bytes:
    """Return the record of an undo: the digests of the new model file and of the new backup."""
    return "".join(f"{digest_of(file).hex()}\n" for file in (model, backup)).encode()


def _digest_of_backup(record: bytes) -> bytes:
    return record.removesuffix(b"\n").rpartition(b"\n")[2]


def _commit(staged: Staged, validator: Validator, *, redo: bool) -> Undone:
    there = staged.model
    record = None if redo else _record(staged.file, there.file)
    undone = _compare(there, _read_backup(there, staged.file), dry_run=False)
    fingerprint = undone.fingerprint
    notes = [*undone.notes, *place_notes(there, backup=False)]
    if staged.has(FINGERPRINT):
        fingerprint = "restored"
    elif staged.wants_fingerprint:
        computed = validator.fingerprint(staged.directory)
        if isinstance(computed, bytes):
            staged.put_fingerprint(computed)
            fingerprint = "refreshed"
        else:
            fingerprint = "stale"
            text = f"fingerprint.pb still describes the model that was there: {computed}"
            notes.append(Note("stale-fingerprint", text))
    done = commit(staged, backup=True, undo_record=record)
    if fingerprint in {"restored", "refreshed"} and not done.fingerprint_refreshed:
        fingerprint = "stale"
    warm_up = undone.warm_up
    if warm_up == "restored" and not done.warm_up_replaced:
        warm_up = "stale"
    notes += [Note("after-commit", warning) for warning in done.warnings]
    told = shown(notes, staged.directory, there.directory)
    return replace(undone, fingerprint=fingerprint, warm_up=warm_up, backup=done.backup, notes=told)


def _look(directory: Path) -> SavedModel:
    """Return the model with the file to be replaced, without the content of the file."""
    file, form = which_file(directory)
    try:
        status = file.stat()
    except OSError as error:
        found = f"cannot be opened: {error.strerror}"
        raise ModelUnreadableError(found, where=str(file)) from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelUnreadableError("not a regular file", where=str(file))
    return SavedModel(directory, form, (), b"", FileIdentity.of(status))


def _read_backup(there: SavedModel, file: Path) -> SavedModel:
    try:
        backup = load_file(there.directory, file, there.form)
        _signatures(backup)
    except ModelUnreadableError as error:
        where = str(find_backup(there))
        inner = error.__cause__ or error  # the loader puts the file's name around it
        if isinstance(inner.__cause__, OSError):
            raise ModelUnreadableError(f"the backup {error.found}", where=where) from error
        found = f"the backup is not a SavedModel: {error.found}"
        raise RefusedError(found, where=where, hint="the model is unchanged") from error
    return backup


def _compare(there: SavedModel, backup: SavedModel, *, dry_run: bool) -> Undone:
    """Return the result of an undo that leaves the fingerprint as it is."""
    notes: tuple[Note, ...] = ()
    changes: tuple[Restored, ...] = ()
    try:
        before = _signatures(load_file(there.directory, there.file, there.form))
    except ModelUnreadableError as error:
        notes = (Note("unreadable", f"the file that was there is not a SavedModel: {error.found}"),)
    else:
        changes = tuple(_differences(before, _signatures(backup)))
        if not changes:
            text = "both have the same signatures"
            notes = (Note("same-signatures", text),)
    has_fingerprint = FINGERPRINT.path(there.directory).exists()
    return Undone(
        directory=there.directory,
        form=there.form,
        dry_run=dry_run,
        size_before=there.identity.size,
        size_after=backup.identity.size,
        changes=changes,
        fingerprint="kept" if has_fingerprint else "absent",
        warm_up=_requests(there),
        backup=None,
        notes=notes,
    )


def _requests(there: SavedModel) -> Literal["absent", "kept", "restored"]:
    """Return the outcome of an undo for the warm-up requests, which an edit may have kept."""
    place = WARM_UP.path(there.directory)
    kept = backup_of(place)
    if not kept.is_file() or kept.is_symlink():
        return "kept" if place.exists() else "absent"
    return "kept" if place.exists() and kept.samefile(place) else "restored"


def _signatures(model: SavedModel) -> _Signatures:
    found: _Signatures = {}
    met: Counter[tuple[str, ...]] = Counter()
    for meta_graph in model.meta_graphs:
        tags = meta_graph.tags
        for key, entry in meta_graph.entries.items():
            found[tags, met[tags], key] = bytes(entry.value)
        met[tags] += 1
    return found


def _differences(before: _Signatures, after: _Signatures) -> Iterator[Restored]:
    for tag_set, place, key in sorted({*before, *after}):
        one, other = (each.get((tag_set, place, key)) for each in (before, after))
        if one != other:
            outcome: Literal["added", "removed", "changed"] = "changed"
            if one is None or other is None:
                outcome = "added" if one is None else "removed"
            yield Restored(tag_set, key, outcome)
