"""The options of all edits, and the rules for them.

This module does not make edits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from smpatch import arguments
from smpatch.archive_paths import ARCHIVES
from smpatch.errors import UsageError
from smpatch.op_libraries import check_files, op_libraries
from smpatch.urls import ModelUrl
from smpatch.validator import Mode

MODES: tuple[Mode, ...] = ("auto", "runtime", "full", "run", "none")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of all edits.

    Attributes:
        tag_set: The tags of the MetaGraph to edit; None for the only one.
        overwrite: Whether a signature that has the key already may be replaced.
        signature_def_only: Edit signature_def, which TF Serving reads, and leave the object graph,
            from which Python's loader takes its signatures, as it is.
        save_to: Write a new model directory, absent or empty before; None edits in place.
        dry_run: Do everything except writing.
        validate: How much TensorFlow is asked: ``runtime`` reloads with its C runtime,
            ``full`` with ``tf.saved_model.load`` as well, ``run`` also runs the signatures before
            and after the edit and compares the results, ``none`` reloads nothing; ``auto``
            chooses the loaders that the edit needs.
        feed: With ``run``: a ``.npz`` file of values to feed, in addition to the values that are
            made up; the names of its arrays are names of inputs, or ``KEY/INPUT``.
        backup: Keep the previous file beside the new one.
        keep_warmup: Leave the warm-up requests of TF Serving as they are, even if they use names
            that the edit changes or removes.
        op_libraries: Libraries of custom operations that the model needs: files, directories,
            or names of installed packages such as ``tensorflow_text``.
        unconditional: Edit a model also in a store that ignores conditional puts, in which an
            edit of another program could be lost.
        lock_timeout: Longest wait for another edit of the same model, in seconds.
        time_limit: Longest wait for one answer of TensorFlow, in seconds.

    Example:
        >>> smpatch.Options(dry_run=True, validate="none").dry_run
        True
    """

    tag_set: Sequence[str] | None = None
    overwrite: bool = False
    signature_def_only: bool = False
    save_to: str | os.PathLike[str] | None = None
    dry_run: bool = False
    validate: Mode = "auto"
    feed: str | os.PathLike[str] | None = None
    backup: bool = False
    keep_warmup: bool = False
    op_libraries: Sequence[str | os.PathLike[str]] = ()
    unconditional: bool = False
    lock_timeout: float = 60.0
    time_limit: float = 600.0

    def __post_init__(self) -> None:
        """Convert values of other forms, as ``arguments`` describes them."""
        if self.tag_set is not None:
            object.__setattr__(self, "tag_set", arguments.texts(self.tag_set, "tag_set"))
        for name in ("save_to", "feed"):
            given = getattr(self, name)
            if given is not None and "\0" in str(arguments.path(given, name)):
                found = f"{str(given)!r} is given"
                raise UsageError(found, where=name, hint="no path has a zero byte")
        object.__setattr__(self, "op_libraries", op_libraries(self.op_libraries))

    @property
    def store_to(self) -> ModelUrl | None:
        """The URL in a store to which the edit saves; None if it saves to no store."""
        place = None if self.save_to is None else arguments.path(self.save_to, "save_to")
        return place if isinstance(place, ModelUrl) else None


def check_options(options: Options | None) -> Options:
    """Return options, by default those without arguments, unless they make no sense.

    Raises:
        UsageError: Options contradict each other, or an option is refused.
    """
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise UsageError(f"{options!r} is given", where="options", hint="give smpatch.Options(...)")
    if options.validate not in MODES:
        found = f"{options.validate!r} is not a mode of --validate"
        raise UsageError(found, hint=f"one of {', '.join(MODES)}")
    if options.feed is not None and options.validate != "run":
        found = "only --validate run uses these values"
        raise UsageError(found, where="--feed", hint="add --validate run, or leave out --feed")
    if options.save_to is not None and not os.fspath(options.save_to):
        raise UsageError("the directory to save to has no name", hint="give --save-to a path")
    if options.save_to is not None and os.fspath(options.save_to).lower().endswith(ARCHIVES):
        found = "smpatch cannot write an archive"
        raise UsageError(found, where=os.fspath(options.save_to), hint="give --save-to a directory")
    if options.backup and options.save_to is not None:
        found = "a backup and a new directory do not go together"
        raise UsageError(found, hint="with --save-to the original stays as it is")
    arguments.seconds(options.lock_timeout, "lock_timeout")
    arguments.seconds(options.time_limit, "time_limit")
    check_files(options.op_libraries)
    return options
