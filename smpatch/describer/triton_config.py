"""A ``config.pbtxt`` with which Triton's TensorFlow backend serves a signature.

The text is ASCII, whatever the names are: protobuf's text format has escapes for all bytes.

Sources: ``model_config.proto`` of ``github.com/triton-inference-server/common`` (the fields),
``README.md`` of the TensorFlow backend (``TF_SIGNATURE_DEF``, ``TF_GRAPH_TAG``),
``mirror/tensorflow_backend_tf.cc`` (both are C strings; the tag is the whole tag-set),
``src/tensorflow.cc`` (a tensor without a dimension beside the batch has ``dims: [ 1 ]`` and an
empty ``reshape``), Triton's ``core``: ``src/model_config_utils.cc`` (no dimension is 0),
``src/backend_model.cc`` (``default-max-batch-size``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.text_encoding import CEscape

from smpatch import dtypes
from smpatch.describer.subject import Subject, refuse, refuse_composites
from smpatch.errors import UsageError
from smpatch.signature import DEFAULT_KEY, Shape, Spec, TensorSpec
from smpatch.triton import TYPES, batches, objection

_BATCH = 4
"""The ``max_batch_size`` that Triton uses for a model without a configuration."""

_LARGEST = 2**31 - 1
"""The largest ``max_batch_size``: it is an int32."""

_TAG = "serve"
"""The tag that the backend loads by default."""


def triton_config(subject: Subject) -> str:
    """Return the configuration of a signature.

    Raises:
        RefusedError: Triton cannot serve the signature.
        UsageError: The batch is larger than the largest of Triton.
    """
    _check(subject)
    batching = batches(subject.signature)
    largest = _BATCH if subject.batch is None else subject.batch
    if largest > _LARGEST:
        hint = f"Triton's max_batch_size is at most {_LARGEST}"
        raise UsageError(f"{largest} is too large", where="--batch", hint=hint)
    lines = [
        *_remarks(subject),
        f"name: {_quoted(subject.model)}",
        'platform: "tensorflow_savedmodel"',
        f"max_batch_size: {largest if batching else 0}",
    ]
    for field, specs in (
        ("input", subject.signature.inputs),
        ("output", subject.signature.outputs),
    ):
        lines += _tensors(field, specs, batching=batching)
    if subject.key != DEFAULT_KEY:
        lines += _parameter("TF_SIGNATURE_DEF", subject.key)
    if tuple(subject.tags) != (_TAG,):
        lines += _parameter("TF_GRAPH_TAG", subject.tags[0])
    return "\n".join(lines) + "\n"


def _check(subject: Subject) -> None:
    """Refuse a signature that Triton does not load, or for which it loads another one."""
    if not _c_string(subject.key):
        line = subject.command("rename", "--from", subject.key, "--to", "NEW")
        way = "smpatch.rename_signature" if subject.key else line  # a shell has no zero bytes
        found = "Triton takes no key that is empty or has a zero byte"
        refuse(subject, "", found, f"{way} gives it another")
    tags = subject.tags
    if len(tags) != 1 or not _c_string(tags[0]):
        line = _retag(subject)
        found = f"the MetaGraph has the tags {','.join(tags)!r}, and Triton takes one tag"
        refuse(subject, "", found, line)
    refuse_composites(subject, "Triton")
    for kind, alias, spec in subject.tensors():
        where = f"{kind} {alias!r}"
        refused = objection(kind, spec)
        if refused is not None:
            refuse(subject, where, refused.text, refused.hint)
        if not _c_string(alias):
            found = "Triton takes no name that is empty or has a zero byte"
            hint = f"smpatch.edit_signature with rename_{kind}s gives it another"
            refuse(subject, where, found, hint)


def _retag(subject: Subject) -> str:
    """Return the command that gives the MetaGraph one tag that no other has."""
    meta_graphs = subject.source.meta_graphs
    taken = {each.tags for each in meta_graphs}
    new = _TAG if (_TAG,) not in taken else "NEW"
    # The place names the MetaGraph, which may have no tags, those of another one, or a zero byte.
    place = str(meta_graphs.index(subject.meta_graph))
    return subject.command("retag", "--from", place, "--to", new)


def _c_string(text: str) -> bool:
    return bool(text) and "\0" not in text


def _remarks(subject: Subject) -> Iterator[str]:
    signature, model = subject.signature, subject.model
    yield f"# The signature {subject.key!a} of {model!a}, for the TensorFlow backend of Triton."
    yield "# Triton has no TensorFlow backend since release 25.03; release 25.02 is the last one."
    yield f"# Triton reads this file at {model + '/config.pbtxt'!a},"
    yield f"# and the model at {model + '/1/model.savedmodel/saved_model.pb'!a}."
    unknown = [
        alias
        for _, alias, spec in subject.tensors()
        if isinstance(spec, TensorSpec) and spec.shape is None
    ]
    if unknown:
        names = ", ".join(map(ascii, unknown))
        yield f"# Of unknown rank: {names}. Write the dims that your requests have."
    if signature.defaults:
        names = ", ".join(map(ascii, signature.defaults))
        yield f"# Triton does not read defaults: each request has to feed {names}."


def _tensors(field: str, specs: Mapping[str, Spec], *, batching: bool) -> Iterator[str]:
    if not specs:
        return
    yield f"{field} ["
    for place, (alias, spec) in enumerate(specs.items(), start=1):
        if isinstance(spec, TensorSpec):
            yield "  {"
            yield f"    name: {_quoted(alias)}"
            yield f"    data_type: {TYPES[dtypes.base(spec.dtype)]}"
            yield from _dims(spec.shape, batching=batching)
            yield "  }," if place < len(specs) else "  }"
    yield "]"


def _dims(shape: Shape, *, batching: bool) -> Iterator[str]:
    known = (None,) if shape is None else shape
    sizes = [-1 if size is None else size for size in known][1 if batching else 0 :]
    yield f"    dims: [ {', '.join(map(str, sizes or [1]))} ]"
    if not sizes:
        yield "    reshape: { shape: [ ] }"


def _parameter(key: str, value: str) -> list[str]:
    return [
        "parameters {",
        f'  key: "{key}"',
        f"  value {{ string_value: {_quoted(value)} }}",
        "}",
    ]


def _quoted(text: str) -> str:
    return f'"{CEscape(text.encode(), as_utf8=False)}"'
