"""An edit from or to a store, or from an archive: a local copy is edited and then put in place.

This module does not edit models: the caller passes a function that edits the copy.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from smpatch.archive_paths import is_archive
from smpatch.options import Options
from smpatch.rules import Note
from smpatch.stores.copies import Copy, copied, renamed
from smpatch.stores.putting import check_destination, check_writable, exchange, put_back, upload
from smpatch.transaction import Receipt
from smpatch.urls import ModelUrl

_T = TypeVar("_T")

_UNCONDITIONAL = Note(
    "unconditional",
    "the store did not check whether another program has changed the model (--unconditional)",
)


def edit_copy(
    model: Path, options: Options, edit: Callable[[Path, Options], Receipt], *, loads: bool
) -> Receipt:
    """Edit a model that is in a store or an archive, or that is to be saved to a store.

    Args:
        model: The directory, URL or archive of the model.
        options: The options of the edit.
        edit: The function that edits a directory.
        loads: Whether TensorFlow loads the model.

    Returns:
        The receipt of ``edit``, in which the user's names replace the names of copies.

    Raises:
        RefusedError: The store can only be read, or ignores conditions; the model in an archive
            would be edited in its place; or as ``edit``.
        ConflictError: Another program has changed the model.
        SmpatchError: As ``edit``, or because of the store.
    """
    place = options.store_to
    if place is not None:
        check_destination(place)
    elif isinstance(model, ModelUrl) and not options.dry_run:
        check_writable(model)
    with contextlib.ExitStack() as held:
        names: dict[Path, Path] = {}
        copy, local = None, model
        if isinstance(model, ModelUrl):
            # A model that is saved elsewhere needs the values of its variables.
            saved = options.save_to is not None and _source(model, place) is None
            saved = saved and not options.dry_run
            whole = loads or saved
            copy = held.enter_context(copied(model, looks=loads, loads=whole, variables=saved))
            local = copy.directory
            names[local] = model
        elif is_archive(model):
            from smpatch.archives import refuse_edit, unpacked  # noqa: PLC0415 - only for archives

            if options.save_to is None and not options.dry_run:
                refuse_edit(model)
            local = held.enter_context(unpacked(model))
            names[local] = model
        if place is not None:
            work = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="smpatch-")))
            options = replace(options, save_to=work / (place.name or "model"))
            names[work / (place.name or "model")] = place
        with renamed(names):
            receipt = edit(local, options)
        notes = [*_moved(copy), *_put(receipt, options, copy, place)]
        return _in_names_of_the_user(receipt, names, notes)


@contextlib.contextmanager
def undone_in_store(
    url: ModelUrl, undo: Callable[[Path], _T], *, dry_run: bool, unconditional: bool
) -> Iterator[tuple[_T, tuple[Note, ...]]]:
    """Undo the last edit of a model in a store.

    Args:
        url: The URL of the model.
        undo: The function that undoes the edit in a directory.
        dry_run: Whether to write nothing.
        unconditional: As in ``Options``.

    Yields:
        The result of ``undo``, and notes on the store.

    Raises:
        SmpatchError: As ``edit_copy``.
    """
    if not dry_run:
        check_writable(url)
    with copied(url, backups=True) as copy:
        undone = undo(copy.directory)
        notes: list[Note] = []
        if not dry_run:
            warnings = exchange(copy, unconditional=unconditional)
            notes += [Note("after-commit", each) for each in warnings]
            notes += [_UNCONDITIONAL] if unconditional else []
        yield undone, tuple(notes)


def _source(model: ModelUrl, place: ModelUrl | None) -> ModelUrl | None:
    """Return the model if its unchanged files can be copied inside the store; else None."""
    return model if place is not None and place.base == model.base else None


def _put(
    receipt: Receipt, options: Options, copy: Copy | None, place: ModelUrl | None
) -> Iterator[Note]:
    """Write the edited model to the store, and yield notes on the writing."""
    if options.dry_run:
        return
    if place is not None:
        source = None if copy is None else _source(copy.url, place)
        upload(receipt.directory, place, unconditional=options.unconditional, source=source)
    elif copy is not None and options.save_to is None and copy.is_changed:
        for each in put_back(copy, backup=options.backup, unconditional=options.unconditional):
            yield Note("after-commit", each)
    else:
        return
    if options.unconditional:
        yield _UNCONDITIONAL


def _moved(copy: Copy | None) -> Iterator[Note]:
    if copy is not None and copy.moved:
        text = f"{copy.moved:,} bytes of variables were read from the store"
        yield Note("variables-read", text)


def _in_names_of_the_user(receipt: Receipt, names: dict[Path, Path], notes: list[Note]) -> Receipt:
    """Replace temporary names in a receipt by the names that the user gave."""

    def known(path: Path) -> Path:
        for temporary, name in names.items():
            if path == temporary or temporary in path.parents:
                return name / path.relative_to(temporary)
        return path

    texts = [*receipt.notes, *notes]
    for temporary, name in names.items():
        texts = [replace(each, text=each.text.replace(str(temporary), str(name))) for each in texts]
    return replace(
        receipt,
        directory=known(receipt.directory),
        backup=None if receipt.backup is None else known(receipt.backup),
        notes=tuple(texts),
    )
