"""The comparison of the parts of a MetaGraph in two models, without the signatures.

In binary form a part is spans of the file. In text form it is the decoded fields, if the schema
has them. Fields that are not in the schema are compared as text if both models are text, and not
compared if one is binary.

Source: field numbers of ``MetaGraphDef``, ``GraphDef``, ``SavedObjectGraph`` in
``tensorflow/core``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from smpatch import schema, wire
from smpatch.differ.facts import Part, Tally
from smpatch.differ.spans import Kind, Span, alike, all_equal, by_number, inside, tally, walk
from smpatch.loader import MetaGraph, SavedModel
from smpatch.savedmodel import text_fields
from smpatch.savedmodel.parts import (
    ASSET_FILE_DEF,
    GRAPH_DEF,
    GRAPH_LIBRARY,
    GRAPH_NODE,
    LIBRARY_FUNCTION,
    META_GRAPHS,
    META_INFO_DEF,
    OBJECT_GRAPH_DEF,
    SAVER_DEF,
    SIGNATURE_DEF,
)

_COLLECTION_DEF = 4
_OBJECT, _CONCRETE_FUNCTION = 1, 2
_GRAPH_VERSIONS = 4

_Rest = Literal["equal", "alike", "other"]
"""Equal in every byte, the same meaning in other bytes, or another meaning."""

_OTHER = 0
"""The key of all fields of a MetaGraph that ``_PARTS`` does not name."""

_PARTS = {
    META_INFO_DEF: "meta_info",
    SAVER_DEF: "saver",
    _COLLECTION_DEF: "collections",
    ASSET_FILE_DEF: "asset_table",
    _OTHER: "other_fields",
}

_NODES = Kind("nodes", (1,), schema.NodeDef, frozenset({5}))
_FUNCTIONS = Kind("functions", (1, 1), schema.FunctionDef, frozenset({4, 5, 6, 7}))
_OBJECTS = Kind("objects", (), schema.SavedObject, frozenset({11}))
_CONCRETE = Kind("concrete_functions", (1,), schema.ConcreteFunctionEntry)
_COLLECTIONS = Kind("collections", (1,))
_ASSETS = Kind("asset_files", (), schema.AssetFileDef)
_LIBRARY = Kind("libraries", (), schema.FunctionDefLibrary)
_OBJECT_GRAPH = Kind("object graphs", (), schema.SavedObjectGraph)
_VERSIONS = Kind("versions", (), schema.VersionDef)
_WHOLE = {
    META_INFO_DEF: (
        Kind("meta infos", (), schema.MetaInfoDef),
        Kind("meta infos", (), schema.MetaInfoOps),
    ),
    SAVER_DEF: (Kind("savers", (), schema.SaverDef),),
}
"""Parts that are one message each, and the kinds that decode them."""

_WRITTEN = {
    META_INFO_DEF: (schema.MetaInfoDef, schema.MetaInfoOps),
    GRAPH_DEF: (schema.GraphDef,),
    SAVER_DEF: (schema.SaverDef,),
    SIGNATURE_DEF: (schema.SignatureDefEntry,),
    ASSET_FILE_DEF: (schema.AssetFileDef,),
    OBJECT_GRAPH_DEF: (schema.SavedObjectGraph,),
}
"""The classes that decode the parts of a model in text form."""

_Unread = tuple[str, ...]

_TEXT_NAMES = {
    "meta_info_def": META_INFO_DEF,
    "graph_def": GRAPH_DEF,
    "saver_def": SAVER_DEF,
    "collection_def": _COLLECTION_DEF,
    "signature_def": SIGNATURE_DEF,
    "asset_file_def": ASSET_FILE_DEF,
    "object_graph_def": OBJECT_GRAPH_DEF,
}


@dataclass(frozen=True, slots=True)
class Sections:
    """The places of the parts of one MetaGraph.

    Attributes:
        parts: Field number of ``MetaGraphDef`` to the values in binary form; 0 to all other
            fields, whole. For a model in text form they are decoded from it.
        verbatim: Field number to whole fields as text, for a model in text form; None otherwise.
        written: Field number to the insides of these fields, if they are messages.
    """

    parts: Mapping[int, Sequence[Span]]
    verbatim: Mapping[int, Sequence[Span]] | None = None
    written: Mapping[int, Sequence[Span]] = field(default_factory=dict)


def sections(model: SavedModel) -> tuple[Sections, ...]:
    """Return the parts of every MetaGraph, in the order of the file."""
    if model.form == "binary":
        return tuple(
            _binary(Span(model.data, each.value, each.end))
            for each in wire.fields(model.data)
            if each.number == META_GRAPHS and each.wire_type == wire.BYTES
        )
    data = bytes(model.data)
    found = [
        each for each in text_fields.fields(data) if each.name == "meta_graphs" and each.is_message
    ]
    return tuple(
        _textual(data, each, meta_graph)
        for each, meta_graph in zip(found, model.meta_graphs, strict=True)
    )


def _binary(span: Span) -> Sections:
    parts: dict[int, list[Span]] = {}
    known = {*_TEXT_NAMES.values()}
    for number, start, value, end in walk(*span):
        named = number in known
        part = Span(span.data, value if named else start, end)
        parts.setdefault(number if named else _OTHER, []).append(part)
    return Sections(parts)


def _textual(data: bytes, whole: text_fields.TextField, meta_graph: MetaGraph) -> Sections:
    verbatim: dict[int, list[Span]] = {}
    written: dict[int, list[Span]] = {}
    for each in text_fields.fields(data, whole.value_start, whole.value_end):
        number = _TEXT_NAMES.get(each.name, _OTHER)
        verbatim.setdefault(number, []).append(Span(data, each.start, each.end))
        if each.is_message:
            written.setdefault(number, []).append(Span(data, each.value_start, each.value_end))
    graph, pieces = meta_graph.parts.graph
    parts = {
        number: [Span(piece, 0, len(piece)) for piece in meta_graph.parts.pieces(number)]
        for number in (SAVER_DEF, ASSET_FILE_DEF, OBJECT_GRAPH_DEF)
        if number in verbatim
    }
    if META_INFO_DEF in verbatim:
        info = meta_graph.parts.meta_info
        parts[META_INFO_DEF] = [Span(info, 0, len(info))]
    if GRAPH_DEF in verbatim:
        parts[GRAPH_DEF] = [Span(graph, start, end) for start, end in pieces]
    return Sections(parts, verbatim, written)


def unread(meta_graph: Sections, number: int) -> tuple[_Unread, ...]:
    """Return the fields of a part in text form that the schema does not have.

    Each result has the value as the text has it, and the names or numbers of the field and of the
    fields around it, with their places.
    """
    kinds = [each.DESCRIPTOR for each in _WRITTEN.get(number, ())]
    pieces = meta_graph.written.get(number, ()) if kinds else ()
    return tuple(
        (str(place), *each) for place, span in enumerate(pieces) for each in _unread(span, kinds)
    )


def _unread(span: Span, kinds: Sequence[Any]) -> Iterator[_Unread]:
    data = bytes(span.data) if not isinstance(span.data, bytes) else span.data
    met: Counter[str] = Counter()
    for each in text_fields.fields(data, span.start, span.end):
        met[each.name] += 1
        found = [
            kind.fields_by_name[each.name] for kind in kinds if each.name in kind.fields_by_name
        ]
        inner = Span(data, each.value_start, each.value_end)
        if not found:
            yield each.name, str(met[each.name]), inner.bytes().decode("utf-8", "replace")
        elif each.is_message:
            deeper = [field.message_type for field in found if field.message_type]
            yield from ((each.name, str(met[each.name]), *one) for one in _unread(inner, deeper))


def same_around(before: SavedModel, after: SavedModel) -> bool:
    """Return whether the fields beside the MetaGraphs are the same, such as the format's version.

    The result is true for models in different forms, whose fields are not compared.
    """
    if before.form != after.form:
        return True
    if before.form == "text":
        ones, others = (_around_in_text(bytes(each.data)) for each in (before, after))
        return ones == others
    return all_equal(*(by_number(_around(each)) for each in (before, after)))


def _around(model: SavedModel) -> list[Span]:
    return [
        Span(model.data, each.start, each.end)
        for each in wire.fields(model.data)
        if each.number != META_GRAPHS
    ]


def _around_in_text(data: bytes) -> list[tuple[str, bytes]]:
    """Return names and values, sorted by name; the values of one name keep their order."""
    found = (each for each in text_fields.fields(data) if each.name != "meta_graphs")
    values = ((each.name, data[each.value_start : each.value_end]) for each in found)
    return sorted(values, key=lambda each: each[0])


def same_objects(before: Sections, after: Sections) -> bool:
    """Return whether the object graphs, and so Python's signatures, are equal in every byte."""
    return _verbatim_equal(before, after, OBJECT_GRAPH_DEF)


def differing(before: Sections, after: Sections) -> Iterator[Part]:
    """Yield the parts that are not the same in both MetaGraphs.

    Raises:
        ModelUnreadableError: An element that differs cannot be decoded.
    """
    first = (META_INFO_DEF, GRAPH_DEF, SAVER_DEF, _COLLECTION_DEF)
    for number in (*first, ASSET_FILE_DEF, OBJECT_GRAPH_DEF, _OTHER):
        found = list(_differing(before, after, number))
        yield from found
        names = _unread_differing(before, after, number) - {each.name for each in found}
        yield from (Part(name, "changed") for name in sorted(names))


def _differing(before: Sections, after: Sections, number: int) -> Iterator[Part]:
    if _verbatim_equal(before, after, number):
        return
    decoded = before.verbatim is not None or after.verbatim is not None
    comparison = _Comparison(known_only=decoded)
    ones, others = before.parts.get(number, ()), after.parts.get(number, ())
    if number == GRAPH_DEF:
        yield from comparison.graph(ones, others)
    elif number == OBJECT_GRAPH_DEF:
        yield from comparison.part("object_graph", ones, others, _objects)
    elif number in _WHOLE:
        yield from comparison.whole(_WHOLE[number], _PARTS[number], ones, others)
    elif decoded and number != ASSET_FILE_DEF:
        both = before.verbatim is not None and after.verbatim is not None
        there = [bool(_as_written(each).get(number)) for each in (before, after)]
        if there[0] != there[1] and (both or number == _COLLECTION_DEF):
            yield Part(_PARTS[number], "added" if there[1] else "removed")
        else:
            yield Part(_PARTS[number], "changed" if both else "unknown")
    else:
        kind = {_COLLECTION_DEF: _COLLECTIONS, ASSET_FILE_DEF: _ASSETS}.get(number)
        yield from comparison.elements(_PARTS[number], kind, ones, others)


def _unread_differing(before: Sections, after: Sections, number: int) -> set[str]:
    """Return the names of the parts in which other fields differ than those of the schema."""
    if before.verbatim is None or after.verbatim is None or _verbatim_equal(before, after, number):
        return set()
    different = {*unread(before, number)} ^ {*unread(after, number)}
    if number == GRAPH_DEF:
        return {"functions" if each[1] == "library" else "graph" for each in different}
    return {_PARTS.get(number, "object_graph")} if different else set()


def _verbatim_equal(before: Sections, after: Sections, number: int) -> bool:
    if (before.verbatim is None) != (after.verbatim is None):
        return not any(_as_written(each).get(number) for each in (before, after))
    return all_equal(*(_as_written(each).get(number, ()) for each in (before, after)))


def _as_written(meta_graph: Sections) -> Mapping[int, Sequence[Span]]:
    return meta_graph.parts if meta_graph.verbatim is None else meta_graph.verbatim


@dataclass(frozen=True, slots=True)
class _Split:
    """The elements and the other fields of one part; ``rest`` is complete after the elements.

    ``whole`` decodes the part, and so its other fields.
    """

    elements: tuple[tuple[Kind, Iterator[Span]], ...]
    rest: list[Span]
    whole: Kind


def _objects(pieces: Sequence[Span]) -> _Split:
    rest: list[Span] = []
    entries: list[Span] = []
    objects = [each for piece in pieces for each in inside(piece, _OBJECT, entries)]
    concrete = [each for entry in entries for each in inside(entry, _CONCRETE_FUNCTION, rest)]
    return _Split(((_OBJECTS, iter(objects)), (_CONCRETE, iter(concrete))), rest, _OBJECT_GRAPH)


def _nodes(pieces: Sequence[Span], rest: list[Span]) -> Iterator[Span]:
    for piece in pieces:
        yield from inside(piece, GRAPH_NODE, rest)


def _library(pieces: Sequence[Span]) -> _Split:
    rest: list[Span] = []
    functions = [each for piece in pieces for each in inside(piece, LIBRARY_FUNCTION, rest)]
    return _Split(((_FUNCTIONS, iter(functions)),), rest, _LIBRARY)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The comparison of parts that are not equal in every byte.

    Attributes:
        known_only: Whether only fields of the schema count: one of the models is decoded text.
    """

    known_only: bool

    def alike(self, kind: Kind, one: Span, other: Span) -> bool:
        return alike(kind, one, other, known_only=self.known_only)

    def tally(self, kind: Kind, ones: Iterator[Span], others: Iterator[Span]) -> Tally:
        return tally(kind, ones, others, lambda one, other: self.alike(kind, one, other))

    def graph(self, ones: Sequence[Span], others: Sequence[Span]) -> Iterator[Part]:
        """Compare graphs: nodes and versions as one part, the function library as another."""
        if not ones or not others:
            yield Part("graph", "added" if others else "removed")
            return
        rests: tuple[list[Span], list[Span]] = ([], [])
        nodes = [_nodes(*each) for each in zip((ones, others), rests, strict=True)]
        counted = self.tally(_NODES, *nodes)
        libraries: list[list[Span]] = []
        remains: list[list[Span]] = []
        for rest in rests:
            remain: list[Span] = []
            libraries.append(
                [each for field in rest for each in inside(field, GRAPH_LIBRARY, remain)]
            )
            remains.append(remain)
        yield from self._outcome("graph", (counted,), self._versions(*remains), raw=False)
        if not all_equal(*libraries):
            yield from self.part("functions", libraries[0], libraries[1], _library)

    def _versions(self, ones: Sequence[Span], others: Sequence[Span]) -> _Rest:
        """Compare the fields of a graph other than nodes and library."""
        if all_equal(ones, others):
            return "equal"
        versions: list[Span] = []
        unknown: list[list[Span]] = []
        for whole_fields in (ones, others):
            strange: list[Span] = []
            joined = b"".join(
                each.bytes()
                for field in whole_fields
                for each in inside(field, _GRAPH_VERSIONS, strange)
            )
            versions.append(Span(joined, 0, len(joined)))
            unknown.append(by_number(strange))
        same = self.known_only or all_equal(*unknown)
        return "alike" if same and self.alike(_VERSIONS, *versions) else "other"

    def part(
        self,
        name: str,
        ones: Sequence[Span],
        others: Sequence[Span],
        split: Callable[[Sequence[Span]], _Split],
    ) -> Iterator[Part]:
        """Compare a part that consists of elements of several kinds, and other fields."""
        before, after = split(ones), split(others)
        tallies = tuple(
            self.tally(kind, mine, yours)
            for (kind, mine), (_, yours) in zip(before.elements, after.elements, strict=True)
        )
        if self.known_only:
            joined = [b"".join(each.bytes() for each in side.rest) for side in (before, after)]
            same = self.alike(before.whole, *(Span(each, 0, len(each)) for each in joined))
        else:
            same = all_equal(by_number(before.rest), by_number(after.rest))
        rest: _Rest = "equal" if same else "other"
        if bool(ones) != bool(others):
            yield Part(name, "added" if others else "removed", _telling(tallies))
            return
        yield from self._outcome(name, tallies, rest, raw=True)

    def elements(
        self, name: str, kind: Kind | None, ones: Sequence[Span], others: Sequence[Span]
    ) -> Iterator[Part]:
        """Compare a part in which each field is an element."""
        if kind is None:
            yield Part(name, "changed" if ones and others else "added" if others else "removed")
            return
        tallies = (self.tally(kind, iter(ones), iter(others)),)
        if bool(ones) != bool(others):
            yield Part(name, "added" if others else "removed", tallies)
            return
        yield from self._outcome(name, tallies, "equal", raw=True)

    def whole(
        self, kinds: Sequence[Kind], name: str, ones: Sequence[Span], others: Sequence[Span]
    ) -> Iterator[Part]:
        """Compare a part that is one message, in one or several pieces."""
        if not ones or not others:
            yield Part(name, "added" if others else "removed")
            return
        joined = [b"".join(each.bytes() for each in pieces) for pieces in (ones, others)]
        one, other = (Span(each, 0, len(each)) for each in joined)
        if not all(self.alike(kind, one, other) for kind in kinds):
            yield Part(name, "changed")
        elif not self.known_only:
            yield Part(name, "recoded")

    def _outcome(
        self, name: str, tallies: tuple[Tally, ...], rest: _Rest, *, raw: bool
    ) -> Iterator[Part]:
        """Yield the part if it differs.

        Args:
            name: The name of the part.
            tallies: The tallies of its elements.
            rest: The result for the fields that are not elements.
            raw: Whether the part is known to differ in its bytes.
        """
        if rest == "other" or not all(each.same for each in tallies):
            yield Part(name, "changed", _telling(tallies))
        elif not self.known_only and (
            raw or rest == "alike" or any(each.recoded or each.reordered for each in tallies)
        ):
            yield Part(name, "recoded", _telling(tallies))


def _telling(tallies: tuple[Tally, ...]) -> tuple[Tally, ...]:
    return tuple(each for each in tallies if not each.same or each.recoded or each.reordered)
