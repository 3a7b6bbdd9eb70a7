"""What particular readers of a model are known to reject, beyond what is a fault for all.

Each rule was seen with that reader; what a reader merely documents is not here.

Sources: ``predict_util.cc`` of TensorFlow Serving; ``model_instance.h`` of Triton's TensorFlow
backend; ``tensorflow/lite/python/lite.py``; ``tensorflow/python/saved_model/save.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, get_args

from smpatch import dtypes
from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.subject import Subject
from smpatch.rules import remarks
from smpatch.signature import DEFAULT_KEY, TensorSpec

__all__ = ["CONSUMERS", "Consumer", "check_consumer", "sharpened"]

Consumer = Literal["serving", "triton", "tflite", "python"]

CONSUMERS: tuple[Consumer, ...] = get_args(Consumer)

_SERVE = "serve"

_TRITON = frozenset(
    {"bool", "string", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""The types that Triton has (``TRITONTF_DataType``)."""

_SHARPENED: Mapping[Consumer, frozenset[str]] = {
    "serving": frozenset({"no-inputs", "unknown-method", "no-serve-tag"}),
    "triton": frozenset({"no-serving-default", "no-serve-tag", "no-signatures"}),
    "tflite": frozenset({"no-signatures", "positional-arguments"}),
    "python": frozenset({"positional-arguments"}),
}
"""Notes that are faults for a reader."""


def sharpened(finding: Finding, consumers: tuple[Consumer, ...]) -> Finding:
    """Return a note as a fault where one of the readers rejects what it tells."""
    for consumer in consumers:
        if finding.severity == "note" and finding.code in _SHARPENED[consumer]:
            text = f"{finding.text} (for {consumer})"
            return replace(finding, severity="fault", text=text)
    return finding


def check_consumer(subject: Subject, consumer: Consumer) -> Iterator[Finding]:
    """Yield what of a MetaGraph a reader rejects."""
    yield from _CHECKS[consumer](subject)


def _serving(subject: Subject) -> Iterator[Finding]:
    for key, signature in subject.meta_graph.signatures.items():
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
    signature = subject.meta_graph.signatures.get(DEFAULT_KEY)
    if signature is None:
        return
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            where = subject.where(f"signature {DEFAULT_KEY!r}", f"{kind} {alias!r}")
            if not isinstance(spec, TensorSpec):
                yield fault("not-dense", where, "Triton knows dense tensors only")
            elif dtypes.base(spec.dtype) not in _TRITON:
                yield fault("consumer-type", where, f"Triton has no type {spec.dtype}")


def _tflite(subject: Subject) -> Iterator[Finding]:
    keys = list(subject.meta_graph.signatures)
    if _SERVE in keys and len(keys) > 1 and subject.meta_graph.has_object_graph:
        text = f"beside {_SERVE!r} TFLite's converter takes {DEFAULT_KEY!r} alone"
        hint = f"to convert several, remove --signature {_SERVE}"
        yield note("keras-serve-key", subject.where(f"signature {_SERVE!r}"), text, hint)


def _python(subject: Subject) -> Iterator[Finding]:
    if len(subject.model.meta_graphs) > 1:
        tags = ",".join(subject.meta_graph.tags)
        text = "with several MetaGraphs Python must name the tags, and has no functions but these"
        yield note("needs-tags", subject.where(), text, f"tf.saved_model.load(..., tags={tags!r})")
    for key, signature in subject.meta_graph.signatures.items():
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
