"""The differences between two models, without TensorFlow.

The signatures of both halves are compared by meaning. All other parts are compared by their bytes,
in place: equal parts are never decoded, and in other parts only the elements that differ are. So a
model of gigabytes is read once, and the result of an edit by smpatch has the elements that the
edit appended.

This module checks neither model, and it compares no computations: two graphs that compute the
same numbers with different nodes are different here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from smpatch import arguments
from smpatch.differ import files, sections, signatures
from smpatch.differ.facts import (
    COUNTED_FILES,
    COUNTED_PARTS,
    Detail,
    Difference,
    FileDifference,
    MetaGraphDifference,
    Part,
    Side,
    SignatureDifference,
    Tally,
    Value,
)
from smpatch.differ.sections import Sections
from smpatch.differ.spans import Span, equal
from smpatch.errors import ModelUnreadableError
from smpatch.loader import MetaGraph, SavedModel, load
from smpatch.savedmodel.parts import SIGNATURE_DEF
from smpatch.stores.copies import at_hand
from smpatch.urls import READ_ONLY

__all__ = [
    "COUNTED_FILES",
    "COUNTED_PARTS",
    "Detail",
    "Difference",
    "FileDifference",
    "MetaGraphDifference",
    "Part",
    "Side",
    "SignatureDifference",
    "Tally",
    "Value",
    "compared",
    "diff",
]

_Pair = tuple[int | None, int | None]
"""The places of two MetaGraphs that belong together; None if one model has no such MetaGraph."""


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> Difference:
    """Return how a second model differs from a first one.

    Args:
        a: The directory of the first SavedModel, in binary or text form, or its URL in a store.
            Over ``http`` only the model file is compared, because there is no listing.
        b: The directory of the second one.

    Returns:
        The differences of signatures, parts of the MetaGraphs, and files. ``same`` is whether
        none of them counts.

    Example:
        >>> smpatch.diff("export/1", "export/2").same
        True

    Raises:
        ModelUnreadableError: One of the directories has no SavedModel that can be read.
    """
    places = [arguments.path(each, "model") for each in (a, b)]
    with at_hand(places[0]) as one, at_hand(places[1]) as other:
        found = compared(load(one), load(other))
    before, after = (
        replace(side, directory=place, file=place / side.file.name)
        for side, place in zip((found.before, found.after), places, strict=True)
    )
    # Without a listing, files would be missing from the comparison.
    listed = all(getattr(each, "scheme", "") not in READ_ONLY for each in places)
    return replace(found, before=before, after=after, files=found.files if listed else ())


def compared(before: SavedModel, after: SavedModel) -> Difference:
    """Return how a loaded model differs from another loaded one, such as its backup.

    Raises:
        ModelUnreadableError: A part of one of them cannot be read.
    """
    whole = [Span(each.data, 0, len(each.data)) for each in (before, after)]
    identical = before.form == after.form and equal(*whole)
    if identical:
        meta_graphs = tuple(
            MetaGraphDifference(each.tags, each.tags, (), (), each.has_object_graph)
            for each in before.meta_graphs
        )
    else:
        try:
            meta_graphs = tuple(_meta_graphs(before, after))
        except ModelUnreadableError as error:
            raise _naming_both(error, before, after) from error
    return Difference(
        before=_side(before),
        after=_side(after),
        identical=identical,
        meta_graphs=meta_graphs,
        same_around=identical or sections.same_around(before, after),
        files=tuple(files.differing(before, after)),
    )


def _side(model: SavedModel) -> Side:
    return Side(model.directory, model.file, model.form, model.identity.size)


def _naming_both(
    error: ModelUnreadableError, before: SavedModel, after: SavedModel
) -> ModelUnreadableError:
    """Return an error that names both models, if the given one names neither."""
    if any(error.where.startswith(str(each.file)) for each in (before, after)):
        return error
    where = f"{before.file} or {after.file}"
    return ModelUnreadableError(
        error.found, where=f"{where}: {error.where}" if error.where else where, hint=error.hint
    )


def _meta_graphs(before: SavedModel, after: SavedModel) -> Iterator[MetaGraphDifference]:
    ones, others = sections.sections(before), sections.sections(after)
    known_only = "text" in {before.form, after.form}
    for here, there in _pairs(before, after):
        one = None if here is None else before.meta_graphs[here]
        other = None if there is None else after.meta_graphs[there]
        parts = None if here is None or there is None else (ones[here], others[there])
        yield _meta_graph((one, other), parts, known_only=known_only)


def _meta_graph(
    pair: tuple[MetaGraph | None, MetaGraph | None],
    parts: tuple[Sections, Sections] | None,
    *,
    known_only: bool,
) -> MetaGraphDifference:
    before, after = pair
    more: tuple[Mapping[str, bytes], Mapping[str, bytes]] = ({}, {})
    if before and after and parts and all(each.verbatim is not None for each in parts):
        more = (_unread(before, parts[0]), _unread(after, parts[1]))
    found = signatures.differing(
        before,
        after,
        known_only=known_only,
        objects=parts is None or not sections.same_objects(*parts),
        more=more,
    )
    return MetaGraphDifference(
        tags_before=None if before is None else before.tags,
        tags_after=None if after is None else after.tags,
        signatures=tuple(found),
        parts=() if parts is None else tuple(sections.differing(*parts)),
        has_object_graph=any(each is not None and each.has_object_graph for each in pair),
    )


def _unread(meta_graph: MetaGraph, parts: Sections) -> Mapping[str, bytes]:
    """Return the fields of signatures in text form that the schema does not have, by key."""
    places = {each.key: str(place) for place, each in enumerate(meta_graph.parts.entries)}
    fields: dict[str, list[tuple[str, ...]]] = {}
    for place, *each in sections.unread(parts, SIGNATURE_DEF):
        fields.setdefault(place, []).append(tuple(each))
    return {key: repr(fields[at]).encode() for key, at in places.items() if at in fields}


def _pairs(before: SavedModel, after: SavedModel) -> list[_Pair]:
    """Pair MetaGraphs by tag-set, and the others by place; unpaired ones of ``after`` are last."""
    left = list(range(len(after.meta_graphs)))
    partner: dict[int, int] = {}
    for here, one in enumerate(before.meta_graphs):
        equals = [each for each in left if set(after.meta_graphs[each].tags) == set(one.tags)]
        if equals:
            partner[here] = equals[0]
            left.remove(equals[0])
    for here in range(len(before.meta_graphs)):
        if here not in partner and left:
            partner[here] = left.pop(0)
    pairs: list[_Pair] = [(here, partner.get(here)) for here in range(len(before.meta_graphs))]
    return [*pairs, *((None, there) for there in left)]
