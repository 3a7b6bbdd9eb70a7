"""The same edits on many models, several at a time.

A model that fails stops none of the others. If the batch ends in the middle, each model is the
old one or the new one, as after a signal (``workers``, ``writer``).

This module reads no patch file.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smpatch import arguments
from smpatch.editing.edit import Edit
from smpatch.editing.sequence import edit_list
from smpatch.errors import RefusedError, SmpatchError, UsageError
from smpatch.options import Options, check_options
from smpatch.patcher import Receipt, patch
from smpatch.savedmodel.directory import writing
from smpatch.urls import ModelUrl
from smpatch.validator import Validator
from smpatch.workers import Workers, job_count
from smpatch.writer import workplace

__all__ = ["Outcome", "apply", "destinations", "listed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one model.

    Attributes:
        model: The model, as it was named.
        receipt: What was done; None where nothing was.
        error: Why nothing was done; None where something was.
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
    """Make models what a list of edits asks for.

    A model that is so already stays as it is; of a list that has grown since, the rest is
    done.

    Args:
        models: The model directories or URLs, or one of them; in a URL ``*`` and ``[...]`` stand
            for a part of a name.
        edits: The edits, in their order, or one of them; each model gets them in one commit.
        options: How they are done. ``save_to`` is a directory that gets a new one for each
            model: under the model's name or, where two models have one name, under its path
            below the directory that all have in common. A new model that is there already
            and has the same bytes is left as it is; another one is refused.
        jobs: Number of models to process in parallel; None for the number of processors.

    Returns:
        The outcomes, in the order in which models are finished. Closing the generator ends
        the workers.

    Example:
        >>> patch = smpatch.load_patch("patch.toml")
        >>> outcomes = smpatch.apply(["export/1", "export/2"], patch.edits)
        >>> sorted((str(each.model), each.exit_code) for each in outcomes)
        [('export/1', 0), ('export/2', 0)]

    Raises:
        UsageError: The options contradict each other, or a model is there twice; no model
            was touched.
    """
    chosen = Options() if options is None else options
    check_options(chosen)
    count = job_count(jobs)
    paths = listed(arguments.paths(models, "models"))
    _check_distinct(paths)
    places = destinations(paths, chosen)
    work = [
        (path, replace(chosen, save_to=place)) for path, place in zip(paths, places, strict=True)
    ]
    asked = edit_list(edits)
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
    """Make a new model once more, and compare it with the one that has its place.

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
    same = tuple(replace(each, outcome="unchanged") for each in receipt.changes)
    return replace(receipt, directory=place, changes=same, dry_run=options.dry_run)


def _is_model(directory: Path) -> bool:
    return not isinstance(directory, ModelUrl) and any(
        (directory / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")
    )


def _different_files(one: Path, other: Path) -> Iterator[str]:
    """Yield the files that two directories do not have in common, byte for byte."""
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
        if not both or not filecmp.cmp(one / name, other / name, shallow=False):
            yield name


def destinations(models: Sequence[Path], options: Options) -> list[Path | None]:
    """Return the place of each model's new directory; None where it is edited in place.

    A new directory has the name of its model. Where two models have one name, as versions have
    (``a/1``, ``b/1``), all keep their paths below the directory that they have in common.

    Raises:
        UsageError: A model and an archive would get one place (``a``, ``a.zip``).
    """
    if options.save_to is None:
        return [None] * len(models)
    real = [arguments.without_archive(Path(_real(model))) for model in models]
    names = [path.name for path in real]
    if len(set(names)) < len(names):
        known: dict[Path, Path] = {}
        for model, path in zip(models, real, strict=True):
            if (other := known.setdefault(path, model)) is not model:
                found = f"{other} and {model} would be saved to one directory"
                raise UsageError(found, where="save_to", hint="save them one by one")
        common = os.path.commonpath(real)
        names = [os.path.relpath(path, common) for path in real]
    place = arguments.path(options.save_to, "save_to")
    return [place / name for name in names]


def listed(models: Sequence[Path]) -> list[Path]:
    """Return the models, with those that a pattern in a URL stands for in its place.

    Raises:
        ModelUnreadableError: A pattern stands for none, or the store refuses.
    """
    if not any(isinstance(each, ModelUrl) for each in models):
        return [*models]
    from smpatch.stores.copies import expanded  # noqa: PLC0415 - only where a URL is given

    return expanded(models)


def _check_distinct(models: Sequence[Path]) -> None:
    """Refuse a model that is named twice, in whatever way: by another path, through a link."""
    known: dict[object, Path] = {}
    for model in models:
        for identity in _identities(model):
            if identity in known:
                other = known[identity]
                words = "is there twice" if other == model else f"is the same model as {other}"
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
    """Return where a path leads; the path itself where the working directory is gone."""
    if isinstance(path, ModelUrl):
        return f"/{path}"  # it is compared with absolute paths
    try:
        return os.path.realpath(path)
    except OSError:
        return os.fspath(path)
