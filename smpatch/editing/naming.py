"""Signatures get other keys, a second one, or go.

What they say stays as it is, byte for byte; on a TensorFlow 2 export both halves follow.
Where a key is on one half only, it is changed there, and that is said.

This module does not ask whether a signature works: one that does not can be renamed, too.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence

from smpatch.editing.step import Change, Context, Step
from smpatch.errors import RefusedError, TensorNotFoundError
from smpatch.functions import signature_map
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.savedmodel.draft import Draft

__all__ = ["keys", "matches", "moved", "removed", "source_of"]

_PATTERN = frozenset("*?[")


def moved(
    meta_graph: MetaGraph, source: str, target: str, context: Context, *, copies: bool
) -> Step:
    """Put a signature under another key, in the place of what has that.

    Args:
        meta_graph: The MetaGraph.
        source: The key that it has.
        target: The key that it gets.
        context: Whether the object graph is edited as well.
        copies: Whether it keeps its own key.
    """
    signature = meta_graph.signatures.get(source)
    notes = tuple(_one_half(meta_graph, source, context))
    changes: list[Change] = []
    if target in keys(meta_graph):
        step = removed(meta_graph, (target,), context)
        meta_graph = step.meta_graph
        changes += step.changes
    entry = meta_graph.entries.get(source)
    if entry is not None:
        draft = Draft.of(meta_graph.parts)
        put = draft.put(target, entry.value) if copies else draft.renamed(source, target)
        meta_graph = meta_graph.with_parts(put)
    if context.with_object_graph:
        follow = signature_map.copied if copies else signature_map.renamed
        meta_graph = follow(meta_graph, source, target)
    changes.append(Change(target, "copied" if copies else "renamed", signature, source))
    return Step(meta_graph, tuple(changes), notes=notes)


def removed(meta_graph: MetaGraph, patterns: tuple[str, ...], context: Context) -> Step:
    """Take signatures away.

    Args:
        meta_graph: The MetaGraph.
        patterns: Keys, or patterns of them.
        context: Whether the object graph is edited as well.

    Raises:
        RefusedError: No signature has one of the keys, or it is TensorFlow's own.
    """
    going = _matching(meta_graph, patterns)
    notes: list[Note] = []
    if not context.with_object_graph:
        meta_graph = _without(meta_graph, going)
    for key in going if context.with_object_graph else ():
        # One by one: what goes with each depends on those that stay.
        notes += _one_half(meta_graph, key, context)
        old = meta_graph.signatures.get(key)
        meta_graph = signature_map.removed(_without(meta_graph, [key]), key, old)
    return Step(meta_graph, tuple(Change(key, "removed") for key in going), notes=tuple(notes))


def _without(meta_graph: MetaGraph, going: Sequence[str]) -> MetaGraph:
    """Return a MetaGraph without the entries of these keys, those that there are."""
    if meta_graph.entries.keys().isdisjoint(going):
        return meta_graph
    return meta_graph.with_parts(Draft.of(meta_graph.parts).removed(*going))


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


def _matching(meta_graph: MetaGraph, patterns: tuple[str, ...]) -> list[str]:
    """Return the keys that are meant, in the order in which they were given."""
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


def _one_half(meta_graph: MetaGraph, key: str, context: Context) -> Iterator[Note]:
    """Note when a key is on one half only, and so is changed there alone."""
    if not context.with_object_graph:
        return
    if key not in meta_graph.objects.signatures:
        text = f"signature {key!r} was only in signature_def; the object graph never had it"
        yield Note("one-plane", text)
    elif key not in meta_graph.entries:
        text = f"signature {key!r} was only in the object graph; servers never had it"
        yield Note("one-plane", text)
