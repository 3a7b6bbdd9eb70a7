"""The keys of signatures, which patterns may name."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from smpatch.errors import RefusedError, TensorNotFoundError
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph

__all__ = ["keys", "matches", "matching", "source_of"]

_PATTERN = frozenset("*?[")


def keys(meta_graph: MetaGraph) -> list[str]:
    """Return the keys of all signatures of both halves, sorted."""
    return sorted({*meta_graph.signatures, *meta_graph.objects.signatures})


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Return whether a key is one of the patterns or matches one."""
    return any(key == pattern or fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def source_of(meta_graph: MetaGraph, key: str, option: str) -> None:
    """Refuse a key that no signature has.

    Raises:
        RefusedError: None has it, or it is TensorFlow's own.
    """
    if key in meta_graph.reserved:
        found = "the key is reserved: TensorFlow runs what it names at load time"
        raise RefusedError(found, where=f"signature {key!r}", hint="it is no signature")
    if key not in keys(meta_graph):
        present = keys(meta_graph)
        hint = nearest(key, present) or f"signatures here: {', '.join(present) or 'none'}"
        where = f"{option} {key!r}"
        raise TensorNotFoundError("no such signature", where=where, hint=hint)


def matching(meta_graph: MetaGraph, patterns: tuple[str, ...]) -> list[str]:
    """Return the keys that are meant, in the order in which they were given.

    Raises:
        RefusedError: No signature has one of the keys, or it is TensorFlow's own.
    """
    found: dict[str, None] = {}
    present = keys(meta_graph)
    known = frozenset(present)
    for pattern in patterns:
        if pattern in known or not _PATTERN & set(pattern):
            source_of(meta_graph, pattern, "--signature")
            found[pattern] = None
            continue
        matches = fnmatch.filter(present, pattern)
        if not matches:
            hint = f"signatures here: {', '.join(present) or 'none'}"
            where = f"--signature {pattern!r}"
            raise TensorNotFoundError("no signature matches", where=where, hint=hint)
        found.update(dict.fromkeys(matches))
    return list(found)
