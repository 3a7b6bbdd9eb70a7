"""Findings about the files beside the model file, which may not match the model.

``assets.extra/tf_serving_warmup_requests`` calls signatures by name; ``fingerprint.pb`` identifies
the model. TensorFlow computes the fingerprint of the model for a comparison; without TensorFlow
there is no comparison.

Source: ``tensorflow/cc/saved_model/fingerprinting.cc``, ``tensorflow_serving/servables/
tensorflow/saved_model_warmup_util.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from smpatch import schema, warmup
from smpatch.checker.findings import Finding, fault, note
from smpatch.errors import ModelUnreadableError
from smpatch.loader import MetaGraph, SavedModel, served
from smpatch.savedmodel.directory import open_regular
from smpatch.warmup import WarmUp
from smpatch.warmup.requests import described, misfits

FINGERPRINT = "fingerprint.pb"

_PARTS = {
    "graph_def_program_hash": "the graph",
    "signature_def_hash": "the signatures",
    "saved_object_graph_hash": "the object graph",
    "checkpoint_hash": "the variables",
}
"""The fields of ``FingerprintDef`` that identify a model, without the checksum of the file."""


def check_fingerprint(model: SavedModel, computed: bytes | str, version: str) -> Iterator[Finding]:
    """Yield findings about the parts of ``fingerprint.pb`` that do not match the model.

    The same version of TensorFlow computes the same numbers: other numbers then mean that the model
    was changed. Another version may compute other numbers of a model that was not changed.

    Args:
        model: The model; if it has no such file, there are no findings.
        computed: The fingerprint that TensorFlow computes, serialized; or the reason, in words,
            if there is none.
        version: The version of that TensorFlow.
    """
    file = model.directory / FINGERPRINT
    try:
        with open_regular(file) as opened:
            stored = schema.FingerprintDef.FromString(opened.read())
    except FileNotFoundError:
        return
    except (OSError, DecodeError) as error:
        text = f"it cannot be read: {error}"
        yield fault("fingerprint-unreadable", FINGERPRINT, text, "TensorFlow takes it for lost")
        return
    if isinstance(computed, str):
        yield note("fingerprint-not-computed", FINGERPRINT, computed)
        return
    now = schema.FingerprintDef.FromString(computed)
    other = [words for name, words in _PARTS.items() if getattr(stored, name) != getattr(now, name)]
    wrote = model.meta_graphs[0].tensorflow_version
    same_writer = wrote == version and stored.version.producer == now.version.producer
    if other and same_writer:
        text = f"it does not match the model: {', '.join(other)} changed"
        hint = "any edit by smpatch refreshes it; or remove the file"
        yield fault("stale-fingerprint", FINGERPRINT, text, hint)
    elif other:
        text = f"TensorFlow {version} computes other numbers for {', '.join(other)}"
        hint = f"TensorFlow {wrote or 'of unknown version'} computed them, perhaps in another way"
        yield note("other-fingerprint", FINGERPRINT, text, hint)
    elif same_writer and stored.saved_model_checksum != now.saved_model_checksum:
        text = f"{model.file.name} was rewritten since, with the same content"
        yield note("other-checksum", FINGERPRINT, text)


def check_warmup(model: SavedModel) -> Iterator[Finding]:
    """Yield faults of warm-up requests that cannot be answered: servers then refuse the model."""
    where = str(warmup.PLACE)
    try:
        requests = warmup.requests(model.directory)
    except ModelUnreadableError as error:
        yield fault("warm-up-unreadable", where, error.found, error.hint)
        return
    records = max((each.record for each in requests), default=0)
    if records > warmup.MOST:
        text = f"it has {records:,} records, and TF Serving accepts no more than {warmup.MOST:,}"
        yield fault("warm-up-records", where, text, "a server does not load the model")
    meta_graph = served(model.meta_graphs)
    # Requests that differ in their values alone are reported once.
    calls = {(call, *map(described, call.values)): call for call in requests}
    for call in calls.values():
        if call.kind == "session_run":
            text = "a request is of the kind session_run, which TF Serving does not run"
            yield fault("warm-up-method", where, text, "a server does not load the model")
        if not call.signature:
            yield from _session_run(where, meta_graph, call)
            continue
        signature = meta_graph.signatures.get(call.signature)
        if signature is None:
            text = f"a request calls the signature {call.signature!r}, which is not there"
            keys = ", ".join(meta_graph.signatures) or "there is none"
            yield fault("warm-up-signature", where, text, keys)
        else:
            for each in misfits(call, signature):
                yield fault(each.code, where, each.text, each.hint)


def _session_run(where: str, meta_graph: MetaGraph, call: WarmUp) -> Iterator[Finding]:
    graph = meta_graph.graph
    for name in (*call.inputs, *call.outputs):
        if name not in graph and name.rpartition(":")[0] not in graph:
            text = f"a request names {name!r}, which the graph does not have"
            yield fault("warm-up-tensor", where, text)
