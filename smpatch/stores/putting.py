"""Put the edited copy of a model back into the store.

The commit is one put of the model file, on the condition that the object still has the version that
was read. Before it, nothing of the model has changed; the backup and the fingerprint are put after
it.

In a store that ignores conditions, edits of others could be lost; a probe object detects such
stores.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from smpatch.errors import ConflictError, ModelUnreadableError, RefusedError, WriteError
from smpatch.stores.access import ABSENT, Store, Version
from smpatch.stores.copies import (
    BACKUP_SUFFIX,
    FINGERPRINT,
    MODEL_FILES,
    OWN,
    UNDO_RECORD_SUFFIX,
    WARM_UP,
    Copy,
    below,
    seen,
)
from smpatch.urls import READ_ONLY, ModelUrl

_UPLOADING = f"{OWN}upload"
"""The name of an object that exists until a new model is complete."""

_NEVER_EDITED = frozenset({"assets", "variables"})
"""The directories of a model that no edit changes."""

_TRIES = 5

_probed: dict[str, bool] = {}
"""The base of a store to whether the store honours conditions."""

_probing = threading.Lock()


def check_writable(url: ModelUrl) -> None:
    """Refuse a URL that can only be read.

    Raises:
        RefusedError: The URL can only be read.
    """
    if url.scheme in READ_ONLY:
        found = f"{url.scheme}:// can be read and not written"
        raise RefusedError(found, where=str(url), hint="--save-to writes a new model elsewhere")


def put_back(copy: Copy, *, backup: bool, unconditional: bool) -> tuple[str, ...]:
    """Commit an edited copy.

    Args:
        copy: The edited copy.
        backup: Whether to keep the previous file, beside the model file in the store.
        unconditional: Whether to put without conditions, for stores that ignore them.

    Returns:
        Warnings about failures after the commit.

    Raises:
        ConflictError: The object has another version than the one that was read; nothing has
            changed.
        RefusedError: The store ignores conditions.
        WriteError: The store refuses.
    """
    store, key = Store(copy.url), (copy.url / copy.file).key
    conditional = _conditional(store, copy.url, unconditional=unconditional)
    kept = (copy.url / f"{OWN}previous-{uuid.uuid4().hex}").key
    if backup:
        store.copy(key, kept)
    try:
        ours = _commit(store, key, copy, conditional=conditional)
    except BaseException:
        if backup:
            with contextlib.suppress(WriteError):
                store.delete(kept)
        raise
    warnings: list[str] = []
    if backup:
        place = f"{key}{BACKUP_SUFFIX}"

        def keep() -> None:
            store.copy(kept, place)
            store.delete(kept)

        words = f"the previous file is {store.url(kept)} and not {store.url(place)}"
        _afterwards(keep, words, warnings)
        # After the backup: if the old record were deleted first, a failure before the new backup
        # would leave an older backup that looks like the backup of an edit.
        _put_undo_record(store, copy, warnings)
        _put_backups(store, copy, warnings)
    _put_companions(store, copy, ours, warnings)
    return tuple(warnings)


def exchange(copy: Copy, *, unconditional: bool) -> tuple[str, ...]:
    """Commit a copy after an undo, and return warnings as ``put_back``.

    Raises:
        SmpatchError: As ``put_back``.
    """
    store, key = Store(copy.url), (copy.url / copy.file).key
    conditional = _conditional(store, copy.url, unconditional=unconditional)
    ours = _commit(store, key, copy, conditional=conditional)
    warnings: list[str] = []
    backup = copy.directory / f"{copy.file}{BACKUP_SUFFIX}"
    _put_undo_record(store, copy, warnings)
    _afterwards(
        lambda: store.put(f"{key}{BACKUP_SUFFIX}", backup.read_bytes()),
        f"{backup.name} is still the previous one",
        warnings,
    )
    _put_backups(store, copy, warnings)
    _put_companions(store, copy, ours, warnings)
    return tuple(warnings)


def check_destination(url: ModelUrl) -> None:
    """Refuse the URL of a new model if it is in use.

    Raises:
        RefusedError: Objects are there, or nothing can be written there.
        ModelUnreadableError: The store refuses.
    """
    check_writable(url)
    _leftovers(Store(url), url)


def upload(
    directory: Path, url: ModelUrl, *, unconditional: bool, source: ModelUrl | None = None
) -> None:
    """Put a new model into a store; the model file is put last.

    An upload to the URL of an interrupted upload puts all files again.

    Args:
        directory: The directory of the new model.
        url: The URL of the new model.
        unconditional: Whether to put without conditions, for stores that ignore them.
        source: The URL of the original, in the same bucket, if the new model is an edited copy;
            the store then copies the files that no edit changes.

    Raises:
        ConflictError: Another program put a model there in the meantime.
        RefusedError: The URL is in use, or the store ignores conditions.
        WriteError: The store refuses.
    """
    store = Store(url)
    conditional = _conditional(store, url, unconditional=unconditional)
    left = _leftovers(store, url)
    seen[url] = None
    files = sorted(each for each in directory.rglob("*") if each.is_file())
    store.put((url / _UPLOADING).key, b"")
    last = [each for each in files if each.parent == directory and each.name in MODEL_FILES]
    for file in (each for each in files if each not in last):
        name = file.relative_to(directory)
        if source is not None and name.parts[0] in _NEVER_EDITED:
            store.copy((source / name).key, (url / name).key)
        else:
            store.put((url / name).key, file)
    names = {file.relative_to(directory).as_posix() for file in files}
    for gone in left - names:
        store.delete((url / gone).key)
    for file in reversed(last):
        condition = ABSENT if conditional else None
        store.put((url / file.name).key, file.read_bytes(), condition)
    with contextlib.suppress(WriteError):  # it has no meaning once a model file exists
        store.delete((url / _UPLOADING).key)


def _leftovers(store: Store, url: ModelUrl) -> set[str]:
    """Return the names that an interrupted upload left.

    Raises:
        RefusedError: Other objects are there.
    """
    names = {name for name, _ in below(store, url)}
    interrupted = _UPLOADING in names and not names & set(MODEL_FILES)
    if names and not interrupted:
        raise RefusedError("it is there already, and not empty", where=str(url))
    return names - {_UPLOADING}


def _commit(store: Store, key: str, copy: Copy, *, conditional: bool) -> Version:
    """Put the model file in place; if the put fails, read which file is there.

    Returns:
        The version of the new model file.
    """
    data = (copy.directory / copy.file).read_bytes()
    version = copy.versions[copy.file]
    try:
        if not conditional:
            _check_same(store, key, version)
        return store.put(key, data, version if conditional else None)
    except WriteError as error:
        # If the answer to a put is lost, the client repeats the put, and the condition of the
        # second put is not true.
        try:
            now = store.read(key)
        except (FileNotFoundError, ModelUnreadableError):
            if isinstance(error, ConflictError):
                raise
            hint = "it is unknown whether the model has changed: run smpatch show"
            raise WriteError(error.found, where=error.where, hint=hint) from error
        if now.data == data:
            return now.version
        if now.version == version:
            error.hint = error.hint or "the model is unchanged"
        raise


def _check_same(store: Store, key: str, version: Version) -> None:
    try:
        same = store.version(key) == version
    except FileNotFoundError:
        same = False
    if not same:
        found = "another program changed it in the meantime; its change stays"
        raise ConflictError(found, where=store.url(key), hint="run the edit again")


def _put_companions(store: Store, copy: Copy, ours: Version, warnings: list[str]) -> None:
    """Put the fingerprint, and the warm-up requests if the edit changed them."""
    _put_fingerprint(store, copy, ours, warnings)
    if copy.has_changed(WARM_UP):
        data, key = (copy.directory / WARM_UP).read_bytes(), (copy.url / WARM_UP).key
        words = f"{WARM_UP} was not rewritten, so that TF Serving may not load the model"
        _afterwards(lambda: store.put(key, data, copy.versions[WARM_UP]), words, warnings)


def _put_fingerprint(store: Store, copy: Copy, ours: Version, warnings: list[str]) -> None:
    """Put the fingerprint of the committed model, unless the model has changed since."""
    file = copy.directory / FINGERPRINT
    read = copy.versions.get(FINGERPRINT)
    if not file.is_file() or read is None:
        return
    key, model = (copy.url / FINGERPRINT).key, (copy.url / copy.file).key
    data = file.read_bytes()

    def put() -> None:
        version = read
        for _ in range(_TRIES):
            with contextlib.suppress(ConflictError):
                store.put(key, data, version)
                return
            # Another edit put a fingerprint: the fingerprint of the latest model must stay.
            if store.version(model) != ours:
                return
            version = store.version(key)

    if _has(store, key, data):
        return
    _afterwards(put, f"{FINGERPRINT} could not be refreshed", warnings)


def _put_undo_record(store: Store, copy: Copy, warnings: list[str]) -> None:
    """Put the record of an undo, or delete the record of an earlier undo."""
    name = f"{copy.file}{UNDO_RECORD_SUFFIX}"
    _afterwards(
        partial(_put_or_delete, store, (copy.url / name).key, copy.directory / name),
        f"{name} is still the previous one",
        warnings,
    )


def _put_backups(store: Store, copy: Copy, warnings: list[str]) -> None:
    """Put the backups of the companions, or delete old ones if the copy has none."""
    for name in (FINGERPRINT, WARM_UP) if copy.file == MODEL_FILES[0] else (WARM_UP,):
        kept = f"{name}{BACKUP_SUFFIX}"
        _afterwards(
            partial(_put_or_delete, store, (copy.url / kept).key, copy.directory / kept),
            f"{kept} could not be written",
            warnings,
        )


def _has(store: Store, key: str, data: bytes) -> bool:
    """Return whether an object has these bytes."""
    try:
        return store.read(key).data == data
    except (FileNotFoundError, ModelUnreadableError):
        return False


def _put_or_delete(store: Store, key: str, file: Path) -> None:
    """Put a file as an object, or delete the object if the file does not exist."""
    if file.is_file():
        store.put(key, file.read_bytes())
    else:
        with contextlib.suppress(WriteError):
            store.delete(key)


def _afterwards(step: Callable[[], object], words: str, warnings: list[str]) -> None:
    """Do a step after the commit; an error becomes a warning."""
    try:
        step()
    except (WriteError, ModelUnreadableError, FileNotFoundError) as error:
        why = error.found if isinstance(error, WriteError | ModelUnreadableError) else "it is gone"
        warnings.append(f"the model has changed, but {words}: {why}")


def _conditional(store: Store, url: ModelUrl, *, unconditional: bool) -> bool:
    """Return whether puts have conditions.

    Raises:
        RefusedError: The store ignores conditions, and ``unconditional`` is false.
    """
    if unconditional:
        return False
    with _probing:
        if store.base not in _probed:
            _probed[store.base] = _honours(store, (url / f"{OWN}probe-{uuid.uuid4().hex}").key)
    if not _probed[store.base]:
        found = "the store does not honour conditional puts, so that edits of others could be lost"
        hint = (
            "--unconditional edits anyway: "
            "make sure that no other program edits the model meanwhile"
        )
        raise RefusedError(found, where=store.base, hint=hint)
    return True


def _honours(store: Store, probe: str) -> bool:
    """Return whether a store accepts right conditions and refuses wrong ones, by a new object."""
    try:
        if _refuses(store, probe, ABSENT):
            return False
        first = store.version(probe)
        if not _refuses(store, probe, ABSENT) or _refuses(store, probe, first):
            return False
        return _refuses(store, probe, first)
    finally:
        with contextlib.suppress(WriteError):
            store.delete(probe)


def _refuses(store: Store, probe: str, condition: Version | str) -> bool:
    try:
        # Different bytes each time: an ETag may be a digest of the bytes.
        store.put(probe, uuid.uuid4().bytes, condition)  # type: ignore[arg-type]
    except ConflictError:
        return True
    return False
