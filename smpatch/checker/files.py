"""The files beside the model file: what they say of it, and whether that is so.

``assets.extra/tf_serving_warmup_requests`` calls signatures by name; ``fingerprint.pb`` says
which model this is. TensorFlow computes the fingerprint to compare with; where it is not
asked, nothing can be said of it.

Source: ``tensorflow/cc/saved_model/fingerprinting.cc``, ``tensorflow_serving/servables/
tensorflow/saved_model_warmup_util.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema, warmup
from smpatch.checker.findings import Finding, fault, note
from smpatch.errors import ModelUnreadableError
from smpatch.loader import MetaGraph, SavedModel
from smpatch.savedmodel.directory import open_regular
from smpatch.signature import (
    CLASSIFY,
    EXAMPLES,
    REGRESS,
    Shape,
    SignatureDef,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.values import preview
from smpatch.warmup import WarmUp

__all__ = ["FINGERPRINT", "call_faults", "check_fingerprint", "check_warmup", "served"]

FINGERPRINT = "fingerprint.pb"

_PARTS = {
    "graph_def_program_hash": "the graph",
    "signature_def_hash": "the signatures",
    "saved_object_graph_hash": "the object graph",
    "checkpoint_hash": "the variables",
}
"""The fields that say what a model is (``FingerprintDef``), without the file's checksum."""

_SERVE = "serve"

_MOST = 1000
"""So many records a server replays (``WarmupConsts::kMaxNumRecords``)."""

_METHODS = {"classify": (CLASSIFY,), "regress": (REGRESS,), "multi_inference": (CLASSIFY, REGRESS)}


def check_fingerprint(model: SavedModel, computed: bytes | str, version: str) -> Iterator[Finding]:
    """Yield in what ``fingerprint.pb`` is not about this model.

    The same TensorFlow computes the same numbers: then another one means that the model was
    changed. Another TensorFlow may compute others of a model that was not changed.

    Args:
        model: The model; without such a file there is nothing to say.
        computed: What TensorFlow computes, serialized; or in words why it does not.
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
    """Yield what in the warm-up requests cannot be answered; servers then refuse the model."""
    where = str(warmup.PLACE)
    try:
        requests = warmup.requests(model.directory)
    except ModelUnreadableError as error:
        yield fault("warm-up-unreadable", where, error.found, error.hint)
        return
    records = max((each.record for each in requests), default=0)
    if records > _MOST:
        text = f"it has {records:,} records, and TF Serving accepts no more than {_MOST:,}"
        yield fault("warm-up-records", where, text, "a server does not load the model")
    meta_graph = served(model)
    # What is the same but for its values is reported once.
    calls = {(call, *map(_described, call.values)): call for call in requests}
    for call in calls.values():
        if not call.signature:
            yield from _session_run(where, meta_graph, call)
            continue
        signature = meta_graph.signatures.get(call.signature)
        if signature is None:
            text = f"a request calls the signature {call.signature!r}, which is not there"
            keys = ", ".join(meta_graph.signatures) or "there is none"
            yield fault("warm-up-signature", where, text, keys)
        else:
            yield from _call(where, call, signature)


def _described(tensor: bytes) -> tuple[str, Shape] | None:
    """Return the type and the shape of a tensor; None where there are none."""
    try:
        dtype, shape, _ = preview(tensor)
    except ModelUnreadableError:
        return None
    return (dtype, shape) if dtype != dtypes.INVALID else None


def served(model: SavedModel) -> MetaGraph:
    """Return the MetaGraph that servers load."""
    served = (each for each in model.meta_graphs if set(each.tags) == {_SERVE})
    tagged = (each for each in model.meta_graphs if _SERVE in each.tags)
    return next(served, None) or next(tagged, None) or model.meta_graphs[0]


def call_faults(call: WarmUp, signature: SignatureDef) -> list[Finding]:
    """Return what keeps a request from being answered by a signature that is there."""
    return [*_call("", call, signature)]


def _call(where: str, call: WarmUp, signature: SignatureDef) -> Iterator[Finding]:
    key = call.signature
    methods = _METHODS.get(call.kind)
    if methods is not None:
        if signature.method_name not in methods:
            text = f"a {call.kind} request calls {key!r}, whose method is different"
            yield fault("warm-up-method", where, text, signature.method_name)
        if EXAMPLES not in signature.inputs:
            text = f"a {call.kind} request feeds {EXAMPLES!r}, which {key!r} does not take"
            yield fault("warm-up-input", where, text)
        return
    fed, known = set(call.inputs), set(signature.inputs)
    for alias in sorted(fed - known):
        text = f"a request feeds the input {alias!r}, which {key!r} does not have"
        yield fault("warm-up-input", where, text, f"it has {', '.join(sorted(known))}")
    for alias in sorted(known - fed - set(signature.defaults)) if call.kind == "predict" else ():
        yield fault("warm-up-input", where, f"a request to {key!r} leaves the input {alias!r} out")
    for alias, value in zip(call.inputs, call.values, strict=False):
        spec = signature.inputs.get(alias)
        if isinstance(spec, TensorSpec):
            yield from _tensor(where, f"a request to {key!r} feeds {alias!r}", value, spec)
    for alias in sorted(set(call.outputs) - set(signature.outputs)):
        text = f"a request asks for the output {alias!r}, which {key!r} does not have"
        yield fault("warm-up-output", where, text, f"it has {', '.join(signature.outputs)}")


def _tensor(where: str, words: str, value: bytes, spec: TensorSpec) -> Iterator[Finding]:
    """Compare a tensor of a request with the input that it feeds."""
    described = _described(value)
    if described is None:
        yield fault("warm-up-type", where, f"{words} without a tensor that can be read")
        return
    dtype, shape = described
    if dtype != dtypes.base(spec.dtype):
        yield fault("warm-up-type", where, f"{words} as {dtype}, and the input is {spec.dtype}")
    elif not compatible(shape, spec.shape):
        text = f"{words} as {shape_text(shape)}, and the input is {shape_text(spec.shape)}"
        yield fault("warm-up-shape", where, text)


def _session_run(where: str, meta_graph: MetaGraph, call: WarmUp) -> Iterator[Finding]:
    graph = meta_graph.graph
    for name in (*call.inputs, *call.outputs):
        if name not in graph and name.rpartition(":")[0] not in graph:
            text = f"a request names {name!r}, which the graph does not have"
            yield fault("warm-up-tensor", where, text)
