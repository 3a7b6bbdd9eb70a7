"""Findings about tags, keys and reserved entries, and objections of consumers (``check --for``).

Source: ``tensorflow/cc/saved_model/loader.cc`` (tags, the init op), the protobuf encoding
(of equal keys of a map the last one counts).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, get_args

from smpatch import wire
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.loader import MetaGraph, SavedModel
from smpatch.rules import remarks
from smpatch.signature import DEFAULT_KEY, Spec, TensorSpec, shape_text
from smpatch.triton import objection

Consumer = Literal["serving", "triton", "tflite", "python"]

CONSUMERS: tuple[Consumer, ...] = get_args(Consumer)

_SERVE = "serve"
"""The tag of the MetaGraph that servers load (``tag_constants.py``)."""

_SHARPENED: Mapping[Consumer, frozenset[str]] = {
    "serving": frozenset({"no-inputs", "unknown-method", "no-serve-tag"}),
    "triton": frozenset({"no-serving-default", "no-serve-tag", "no-signatures"}),
    "tflite": frozenset({"no-signatures", "positional-arguments"}),
    "python": frozenset({"positional-arguments"}),
}
"""The codes of notes that are faults for a consumer."""


def sharpened(finding: Finding, consumers: tuple[Consumer, ...]) -> Finding:
    """Return a finding; as a fault if it is a note that is a fault for one of the consumers."""
    for consumer in consumers:
        if finding.severity == "note" and finding.code in _SHARPENED[consumer]:
            text = f"{finding.text} (for {consumer})"
            return replace(finding, severity="fault", text=text)
    return finding


def check_consumer(subject: Subject, consumer: Consumer) -> Iterator[Finding]:
    """Yield the objections of a consumer to a MetaGraph."""
    yield from _CHECKS[consumer](subject)


def _serving(subject: Subject) -> Iterator[Finding]:
    for key, signature in subject.signatures.items():
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
            for alias, spec in specs.items():
                if not isinstance(spec, TensorSpec):
                    where = subject.where(f"signature {key!r}", f"{kind} {alias!r}")
                    text = "TF Serving looks at names of dense tensors only"
                    yield fault("not-dense", where, text, "name its components one by one")
        for alias, spec in signature.outputs.items():
            if alias.endswith("_bytes") and isinstance(spec, TensorSpec) and spec.dtype != "string":
                where = subject.where(f"signature {key!r}", f"output {alias!r}")
                text = f"TF Serving's REST API takes it for bytes, and it is {spec.dtype}"
                yield note("bytes-alias", where, text)


def _triton(subject: Subject) -> Iterator[Finding]:
    """Yield inputs and outputs that Triton rejects, or serves in another way than the signature.

    Triton derives the configuration of a model from ``serving_default``. ``smpatch.triton`` has
    the rules and their sources.
    """
    signature = subject.signatures.get(DEFAULT_KEY)
    if signature is None:
        return
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            where = subject.where(f"signature {DEFAULT_KEY!r}", f"{kind} {alias!r}")
            yield from _triton_tensor(where, kind, spec)
    for alias in signature.defaults:
        where = subject.where(f"signature {DEFAULT_KEY!r}", f"default {alias!r}")
        text = "Triton does not read defaults: each request has to feed the input"
        yield note("default-not-read", where, text)


def _triton_tensor(where: str, kind: str, spec: Spec) -> Iterator[Finding]:
    refused = objection(kind, spec)
    if refused is not None:
        yield fault(refused.code, where, refused.text, refused.hint)
    if isinstance(spec, TensorSpec) and spec.shape and spec.shape[0] is not None:
        text = f"its shape is {shape_text(spec.shape)}: Triton makes no batches of a model where "
        hint = "Triton serves it with max_batch_size 0"
        yield note("no-batching", where, text + "a first dimension is not open", hint)


def _tflite(subject: Subject) -> Iterator[Finding]:
    keys = list(subject.meta_graph.signatures)
    if _SERVE in keys and len(keys) > 1 and subject.meta_graph.has_object_graph:
        text = f"beside {_SERVE!r} TFLite's converter takes {DEFAULT_KEY!r} alone"
        hint = f"to convert several, remove --signature {_SERVE}"
        yield note("keras-serve-key", subject.where(f"signature {_SERVE!r}"), text, hint)


def _python(subject: Subject) -> Iterator[Finding]:
    if len(subject.model.meta_graphs) > 1:
        tags = subject.meta_graph.tags
        named = repr(tags[0]) if len(tags) == 1 else list(tags)
        text = "with several MetaGraphs Python must name the tags, and has no functions but these"
        yield note("needs-tags", subject.where(), text, f"tf.saved_model.load(..., tags={named})")
    for key, signature in subject.signatures.items():
        for each in remarks(subject.meta_graph, signature.inputs, {}):
            if each.code == "alias-not-resavable":
                where = subject.where(f"signature {key!r}")
                yield fault(each.code, where, each.text, "--rename-input gives it another name")


_CHECKS: Mapping[Consumer, Callable[[Subject], Iterator[Finding]]] = {
    "serving": _serving,
    "triton": _triton,
    "tflite": _tflite,
    "python": _python,
}


_MAPS = {1: "input", 2: "output", 4: "default"}
"""The fields of ``SignatureDef`` that are maps."""

_SPELT = 2
"""If at least this number of tags have one character each, they are a word saved as a list."""


def check_tags(model: SavedModel) -> Iterator[Finding]:
    """Yield faults of the tag-sets of a model."""
    seen: set[frozenset[str]] = set()
    taken = any(set(each.tags) == {_SERVE} for each in model.meta_graphs)
    for number, meta_graph in enumerate(model.meta_graphs):
        tags, where = meta_graph.tags, f"MetaGraph {number}"
        retag = f"smpatch retag --from {number} --to {'NEW' if taken else _SERVE}"
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
    tagged = [set(meta_graph.tags) for meta_graph in model.meta_graphs]
    if all(tagged) and {_SERVE} not in tagged:
        text, hint = f"no MetaGraph has the tag {_SERVE!r}, which servers look for", ""
        if any(_SERVE in tags for tags in tagged):
            # Loaders take the MetaGraph that has exactly the tags that they look for.
            text = f"no MetaGraph has the tag {_SERVE!r} alone, which servers look for by default"
            hint = "TF Serving loads another one with --saved_model_tags"
        yield note("no-serve-tag", "", text, hint)


def check_entries(subject: Subject) -> Iterator[Finding]:
    """Yield faults of the ``signature_def`` map of a MetaGraph as a whole."""
    meta_graph = subject.meta_graph
    counted = Counter(entry.key for entry in meta_graph.parts.entries)
    for key, times in counted.items():
        if times > 1 and subject.concerns(key):
            text = f"the map holds the key {times} times; only the last one counts"
            where = subject.where(f"signature {key!r}")
            yield fault("duplicate-key", where, text, "copy it under another key, or remove it")
    for key in subject.signatures:
        for kind, alias in _doubles(meta_graph, key):
            where = subject.where(f"signature {key!r}", f"{kind} {alias!r}")
            text = f"the signature holds the {kind} twice; only the last one counts"
            yield fault("duplicate-key", where, text)
    yield from _reserved(subject)
    if len(subject.model.meta_graphs) > 1 and _SERVE not in meta_graph.tags:
        return  # servers do not load it
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
