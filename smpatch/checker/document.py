"""What is wrong with the model around its signatures: tags, keys, reserved entries.

Source: ``tensorflow/cc/saved_model/loader.cc`` (tags, the init op), the protobuf encoding
(of equal keys of a map the last one counts).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from smpatch import wire
from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.subject import Subject
from smpatch.loader import MetaGraph, SavedModel
from smpatch.signature import DEFAULT_KEY

__all__ = ["check_entries", "check_tags"]

_SERVE = "serve"
"""The tag that servers look for (``tag_constants.py``)."""

_MAPS = {1: "input", 2: "output", 4: "default"}
"""The fields of ``SignatureDef`` that are maps."""

_SPELT = 2
"""So many tags of one character each are a word that was taken for a list."""


def check_tags(model: SavedModel) -> Iterator[Finding]:
    """Yield what is wrong with the tag-sets of a model."""
    seen: set[frozenset[str]] = set()
    for number, meta_graph in enumerate(model.meta_graphs):
        tags, where = meta_graph.tags, f"MetaGraph {number}"
        retag = f"smpatch retag --from {number} --to {_SERVE}"
        if not tags:
            text = "it has no tags; servers look for one"
            yield fault("no-tags", where, text, retag)
        elif len(tags) >= _SPELT and all(len(tag) == 1 for tag in tags):
            text = f"its tags are {','.join(tags)!r}: a word that was taken for a list of letters"
            yield fault("spelt-tags", where, text, retag)
        if frozenset(tags) in seen:
            text = f"an earlier MetaGraph has the tag-set {','.join(tags)!r} too, and hides it"
            yield fault("same-tags", where, text, retag)
        seen.add(frozenset(tags))
    if all(meta_graph.tags for meta_graph in model.meta_graphs) and not any(
        _SERVE in meta_graph.tags for meta_graph in model.meta_graphs
    ):
        text = f"no MetaGraph has the tag {_SERVE!r}, which servers look for"
        yield note("no-serve-tag", "", text)


def check_entries(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the ``signature_def`` map of a MetaGraph as such."""
    meta_graph = subject.meta_graph
    counted = Counter(entry.key for entry in meta_graph.parts.entries)
    for key, times in counted.items():
        if times > 1:
            text = f"the map holds the key {times} times; only the last one counts"
            where = subject.where(f"signature {key!r}")
            yield fault("duplicate-key", where, text, "copy it under another key, or remove it")
    for key in meta_graph.signatures:
        for kind, alias in _doubles(meta_graph, key):
            where = subject.where(f"signature {key!r}", f"{kind} {alias!r}")
            text = f"the signature holds the {kind} twice; only the last one counts"
            yield fault("duplicate-key", where, text)
    yield from _reserved(subject)
    if len(subject.model.meta_graphs) > 1 and _SERVE not in meta_graph.tags:
        return  # it is not there to be served
    if not meta_graph.signatures:
        hint = "smpatch suggest proposes some"
        yield note("no-signatures", subject.where(), "there is no signature to call", hint)
    elif DEFAULT_KEY not in meta_graph.signatures:
        text = f"there is no {DEFAULT_KEY!r}, which servers call when no signature is named"
        keys = ", ".join(meta_graph.signatures)
        yield note("no-serving-default", subject.where(), text, f"there is {keys}")


def _doubles(meta_graph: MetaGraph, key: str) -> Iterator[tuple[str, str]]:
    data = meta_graph.entries[key].value
    counted: Counter[tuple[str, bytes]] = Counter()
    for field in wire.fields(data):
        if field.number in _MAPS and field.wire_type == wire.BYTES:
            names = [
                part.bytes(data)
                for part in wire.fields(data, field.value, field.end)
                if part.number == 1 and part.wire_type == wire.BYTES
            ]
            counted[_MAPS[field.number], names[-1] if names else b""] += 1
    for (kind, name), times in counted.items():
        if times > 1:
            yield kind, name.decode("utf-8", "replace")


def _reserved(subject: Subject) -> Iterator[Finding]:
    graph = subject.meta_graph.graph
    for key, signature in subject.meta_graph.reserved.items():
        for tensor in signature.tensors():
            name = tensor.name
            if name in graph or name.rpartition(":")[0] in graph:
                continue
            text = f"it names the operation {name!r}, which the graph does not have"
            stops = subject.python_reads_signature_def
            yield fault("reserved-operation", subject.where(key), text, stops_python=stops)
