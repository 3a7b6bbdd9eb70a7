"""The same edits on many models, several models at a time.

A model that fails does not stop the others. If the batch ends in the middle, each model is the
old one or the new one, as after a signal (``workers``, ``writer``).

This module does not read patch files.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from smpatch import arguments, schema
from smpatch.archive_paths import without_archive
from smpatch.editing.edit import Edit
from smpatch.editing.sequence import repeatable
from smpatch.errors import RefusedError, SmpatchError, UsageError
from smpatch.options import Options, check_options
from smpatch.patcher import Receipt, patch
from smpatch.savedmodel.directory import writing
from smpatch.urls import ModelUrl
from smpatch.validator import Validator
from smpatch.workers import Workers, job_count
from smpatch.writer import workplace
from smpatch.writer.rehearsal import shown

_FINGERPRINT = "fingerprint.pb"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one model.

    Attributes:
        model: The path or URL of the model, as the caller gave it or as a pattern found it.
        receipt: The result of the edits; None if they failed.
        error: The error; None if there was none.
    """

    model: Path
    receipt: Receipt | None
    error: SmpatchError | None

    @property
    def exit_code(self) -> int:
        """The exit code of a command line for this model alone."""
        return 0 if self.error is None else self.error.exit_code


def apply(
    models: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    edits: Sequence[Edit] | Edit,
    *,
    options: Options | None = None,
    jobs: int | None = None,
) -> Generator[Outcome, None, None]:
    """Apply a list of edits to models; a model that has the result already stays as it is.

    If a model has the result of the first edits of the list, only the other edits are made.

    Args:
        models: The model directories or URLs, or one of them; in a URL ``*`` and ``[...]`` match
            a part of a name.
        edits: The edits, in their order, or one edit; each model gets them in one commit.
        options: The options of the edits. ``save_to`` is a directory in which each model gets a
            new directory: under the model's name or, if two models have one name, under its path
            below the directory that all models have in common. A model that is there already
            stays as it is if it has the same bytes; otherwise it is refused.
        jobs: Number of models to process in parallel; None for the number of processors.

    Returns:
        The outcomes, in the order in which the models are finished. The workers end if the
        generator is closed.

    Example:
        >>> patch = smpatch.load_patch("patch.toml")
        >>> outcomes = smpatch.apply(["export/1", "export/2"], patch.edits)
        >>> sorted((str(each.model), each.exit_code) for each in outcomes)
        [('export/1', 0), ('export/2', 0)]

    Raises:
        UsageError: The options contradict each other, a model is named twice, or a model does not
            show whether the edits were done, as after an exchange of two keys; none was changed.
        ModelUnreadableError: A pattern in a URL matches no model, or the store refuses.
    """
    chosen = check_options(options)
    count = job_count(jobs)
    paths = listed(arguments.paths(models, "models"))
    _check_distinct(paths)
    places = destinations(paths, chosen)
    work = [
        (path, replace(chosen, save_to=place)) for path, place in zip(paths, places, strict=True)
    ]
    asked = repeatable(edits)
    libraries = [Path(each).resolve() for each in chosen.op_libraries]

    def one(work: tuple[Path, Options], validator: Validator) -> Outcome:
        model, options = work
        place = options.save_to
        there = isinstance(place, Path) and _is_model(place)
        do = _compared if there else _patched
        try:
            return Outcome(model, do(model, asked, options, validator), None)
        except SmpatchError as error:
            return Outcome(model, None, error)

    def validator() -> Validator:
        return Validator(chosen.validate, libraries, chosen.time_limit)

    return Workers(work, one, validator).run(count)


def _patched(
    model: Path, edits: tuple[Edit, ...], options: Options, validator: Validator
) -> Receipt:
    return patch(model, edits, options=options, validator=validator, once=True)


def _compared(
    model: Path, edits: tuple[Edit, ...], options: Options, validator: Validator
) -> Receipt:
    """Make a new model again, and compare it with the model at its destination.

    Raises:
        RefusedError: They differ.
        SmpatchError: As ``patch``.
    """
    place = Path(options.save_to or "")
    where = str(place)
    with workplace(place) as directory, writing(place, "compared"):
        made = directory / place.name
        again = replace(options, save_to=made, dry_run=False)
        receipt = _patched(model, edits, again, validator)
        different = next(_different_files(made, place), "")
    if different:
        found = f"it is there already, and its {different} is not the one that the edits make"
        hint = "name a directory that is absent or empty"
        raise RefusedError(found, where=where, hint=hint)
    same = [each.unchanged for each in receipt.changes]
    return replace(
        receipt,
        directory=place,
        changes=tuple(each for each in same if each.signature is not None),
        applied=(*receipt.applied, *(each for each in same if each.signature is None)),
        dry_run=options.dry_run,
        notes=shown(receipt.notes, made, place),
    )


def _is_model(directory: Path) -> bool:
    return not isinstance(directory, ModelUrl) and any(
        (directory / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")
    )


def _different_files(one: Path, other: Path) -> Iterator[str]:
    """Yield the names of the files that are not the same in two directories.

    They are compared byte for byte, but of a ``fingerprint.pb`` without the number that TensorFlow
    makes anew each time.
    """
    files = {
        directory: {
            os.path.relpath(Path(above) / name, directory)
            for above, _, names in os.walk(directory)
            for name in names
        }
        for directory in (one, other)
    }
    for name in sorted(files[one] | files[other]):
        both = name in files[one] and name in files[other]
        if not both or not _are_equal(name, one / name, other / name):
            yield name


def _are_equal(name: str, one: Path, other: Path) -> bool:
    if filecmp.cmp(one, other, shallow=False):
        return True
    if name != _FINGERPRINT:
        return False
    try:
        both = [schema.FingerprintDef.FromString(each.read_bytes()) for each in (one, other)]
    except DecodeError:
        return False
    for each in both:
        each.ClearField("uuid")
    return bool(both[0] == both[1])


def destinations(models: Sequence[Path], options: Options) -> list[Path | None]:
    """Return the path of each model's new directory; None for a model that is edited in place.

    A new directory has the name of its model. If two models have one name, as versions may
    (``a/1``, ``b/1``), all models keep their paths below the directory that they have in common.

    Raises:
        UsageError: A model and an archive would get the same directory (``a``, ``a.zip``), or
            one would get a directory inside that of another (``m``, ``m/m``).
    """
    if options.save_to is None:
        return [None] * len(models)
    real = [without_archive(Path(_real(model))) for model in models]
    names = [path.name for path in real]
    if len(set(names)) < len(names):
        known: dict[Path, Path] = {}
        for model, path in zip(models, real, strict=True):
            if (other := known.setdefault(path, model)) is not model:
                found = f"{other} and {model} would be saved to one directory"
                raise UsageError(found, where="save_to", hint="save them one by one")
        common = os.path.commonpath(real)
        names = [os.path.relpath(path, common) for path in real]
        known_names = {*names}
        for name in names:
            outer = next((each for each in map(str, Path(name).parents) if each in known_names), "")
            if outer:
                found = f"{models[names.index(name)]} would be saved inside the new model of "
                found += f"{models[names.index(outer)]}"
                raise UsageError(found, where="save_to", hint="save them one by one")
    place = arguments.path(options.save_to, "save_to")
    return [place / name for name in names]


def listed(models: Sequence[Path]) -> list[Path]:
    """Return the models, with each pattern in a URL replaced by the models that it matches.

    Raises:
        ModelUnreadableError: A pattern matches no model, or the store refuses.
    """
    if not any(isinstance(each, ModelUrl) for each in models):
        return [*models]
    from smpatch.stores.copies import expanded  # noqa: PLC0415 - only for URLs

    return expanded(models)


def _check_distinct(models: Sequence[Path]) -> None:
    """Refuse a model that is named twice, also by another path or through a link."""
    known: dict[object, Path] = {}
    for model in models:
        for identity in _identities(model):
            if identity in known:
                other = known[identity]
                words = "is named twice" if other == model else f"is the same model as {other}"
                raise UsageError(words, where=str(model), hint="name each model once")
        known.update(dict.fromkeys(_identities(model), model))


def _identities(model: Path) -> list[object]:
    """Return the identities of a model: its directory, and the file that an edit would replace."""
    found: list[object] = [_real(model)]
    if isinstance(model, ModelUrl):
        return found
    for path in (model, model / "saved_model.pb", model / "saved_model.pbtxt"):
        try:
            status = path.stat()
        except OSError:
            continue
        # Hard links to one file are two models: an edit breaks them.
        one = path == model
        found.append((status.st_dev, status.st_ino) if one else _real(path))
    return found


def _real(path: Path) -> str:
    """Return a path with its links resolved; the path itself if the working directory is gone."""
    if isinstance(path, ModelUrl):
        return f"/{path}"  # it is compared with absolute paths
    try:
        return os.path.realpath(path)
    except OSError:
        return os.fspath(path)
