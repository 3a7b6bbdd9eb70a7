"""A list of edits of one model, done in one commit.

``patch`` takes the lock and loads the model; ``transaction`` does the rest. The other functions of
the library call it with one edit (``verbs``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path

from smpatch import arguments
from smpatch.archive_paths import is_archive
from smpatch.display import hinting
from smpatch.editing.edit import Change, Edit
from smpatch.editing.sequence import edit_list, repeatable
from smpatch.errors import SmpatchError, UsageError
from smpatch.loader import load_file
from smpatch.options import Options, check_options
from smpatch.savedmodel.directory import naming, which_file, writing
from smpatch.transaction import Receipt, Transaction
from smpatch.urls import ModelUrl
from smpatch.validator import Validator
from smpatch.validator.lending import lent
from smpatch.validator.tracing import Tracer
from smpatch.writer import hold, recover

__all__ = ["Change", "Options", "Receipt", "patch"]


def patch(
    model: str | os.PathLike[str],
    edits: Sequence[Edit] | Edit,
    *,
    options: Options | None = None,
    validator: Validator | None = None,
    once: bool = False,
) -> Receipt:
    """Do a list of edits to a SavedModel on disk, one after another, in one commit.

    Args:
        model: The model directory, or its URL in a store.
        edits: The edits, or a single edit; each gets the result of those before it.
        options: The options of the edits.
        validator: The validator that asks TensorFlow; None for one that ends with the call. Its
            mode counts, not the mode in the options.
        once: Whether to leave out edits whose result the model has already, so that to do a list
            twice is the same as to do it once.

    Returns:
        The result, with the changes and the notes on them.

    Example:
        >>> from smpatch.edits import Copy, Rename
        >>> edits = [Rename("serving_default", "predict"), Copy("predict", "serving_default")]
        >>> [change.outcome for change in smpatch.patch("export/1", edits).changes]
        ['renamed', 'copied']

    Raises:
        UsageError: The options contradict each other, there are no edits, or the model would not
            show whether the list was done (with ``once``), as after an exchange of two keys.
        ModelUnreadableError: There is no readable SavedModel.
        RefusedError: One of the edits cannot be done.
        ConflictError: Another process edits the model, or has changed it in the meantime.
        WriteError: The file system refused; the model is unchanged.
        ValidationError: TensorFlow does not accept the result; the model is unchanged.
    """
    chosen = check_options(options)
    several = repeatable(edits) if once else edit_list(edits)
    if not several:
        raise UsageError("no edits are given")
    libraries = [Path(each).resolve() for each in chosen.op_libraries]
    directory = arguments.path(model, "model")
    elsewhere = isinstance(directory, ModelUrl) or is_archive(directory)
    if elsewhere or chosen.store_to is not None:
        from smpatch.store_edits import edit_copy

        return edit_copy(
            directory,
            chosen,
            lambda copy, local: patch(copy, several, options=local, validator=validator, once=once),
            loads=(chosen.validate if validator is None else validator.mode) != "none",
        )
    with writing(directory, "edited"), ExitStack() as held:
        if validator is None:
            asking = chosen.validate, libraries, chosen.time_limit
            validator = lent(*asking) or held.enter_context(Validator(*asking, one_edit=True))
        if directory.is_dir() and not chosen.dry_run:
            # With --save-to the model is only read, beside other readers.
            shared = chosen.save_to is not None
            held.enter_context(hold(directory, timeout=chosen.lock_timeout, shared=shared))
        asked = None if validator.mode == "none" else validator.op_defs
        opened = load_file(directory, *which_file(directory), more_op_defs=asked)
        if not chosen.dry_run and chosen.save_to is None:
            recover(opened)
        with hinting(directory, chosen.tag_set), naming(opened.file):
            trace = Tracer(validator).trace
            if not once:
                return Transaction(opened, several, validator, chosen, trace).run()
            from smpatch.already_applied import remaining

            left = remaining(
                opened,
                several,
                tag_set=chosen.tag_set,
                with_object_graph=not chosen.signature_def_only,
                trace=trace,
            )
            chosen = replace(chosen, tag_set=left.tag_set)
            try:
                receipt = Transaction(opened, left.edits, validator, chosen, trace).run()
            except SmpatchError as error:
                if error.edit is not None:
                    error.edit += len(several) - len(left.edits)
                raise
            # None if the edits that are left change its tags.
            there = next((m for m in opened.meta_graphs if m.tags == receipt.tag_set), None)
            present = {} if there is None else there.signatures
            done = several[: len(several) - len(left.edits)]
            named = (each.keys_in(there) if there else each.shown_keys for each in done)
            keys = chain.from_iterable(named)
            applied = tuple(Change(key, "unchanged", present.get(key)) for key in keys)
            return replace(receipt, applied=applied)
