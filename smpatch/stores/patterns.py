"""Patterns in URLs, such as ``gs://bucket/models/*/[0-9]*``: the models that they stand for."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path

from smpatch.errors import ModelUnreadableError, UsageError
from smpatch.stores.access import Store
from smpatch.stores.copies import MODEL_FILES
from smpatch.urls import READ_ONLY, ModelUrl

__all__ = ["expanded"]

_SPECIAL = frozenset("*[")


def expanded(models: Sequence[Path]) -> list[Path]:
    """Return the models, each URL with a pattern in it replaced by those that it stands for.

    Args:
        models: Directories, which a shell has expanded, and URLs. ``*`` and ``[...]`` stand
            for a part of a name between two slashes.

    Raises:
        ModelUnreadableError: No model matches, or the store refuses.
        UsageError: The store has no listing.
    """
    found: list[Path] = []
    for each in models:
        if isinstance(each, ModelUrl) and _SPECIAL & set(each.key):
            found += _matching(each)
        else:
            found.append(each)
    return found


def _matching(pattern: ModelUrl) -> list[Path]:
    if pattern.scheme in READ_ONLY:
        found = f"{pattern.scheme}:// has no listing"
        raise UsageError(found, where=str(pattern), hint="name each model")
    several = [pattern.__class__(f"{pattern.base}/{key}") for key in sorted(_keys(pattern))]
    if not several:
        raise ModelUnreadableError("no model matches", where=str(pattern))
    return [*several]


def _keys(pattern: ModelUrl) -> set[str]:
    wanted = pattern.key.split("/")
    fixed = next(place for place, part in enumerate(wanted) if _SPECIAL & set(part))
    prefix = "".join(f"{part}/" for part in wanted[:fixed])
    return set(_models(Store(pattern), prefix, wanted))


def _models(store: Store, prefix: str, wanted: Sequence[str]) -> Iterator[str]:
    for each in store.listing(prefix):
        *model, name = each.key.split("/")
        if (
            name in MODEL_FILES
            and len(model) == len(wanted)
            and all(fnmatch.fnmatchcase(*pair) for pair in zip(model, wanted, strict=True))
        ):
            yield "/".join(model)
