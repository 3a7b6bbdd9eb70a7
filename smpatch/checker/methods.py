"""What becomes of a breach of the method's rules, and what defaults must be.

The rules of the methods themselves are in ``smpatch.methods``.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.shapes import shown
from smpatch.checker.subject import Subject
from smpatch.errors import ModelUnreadableError
from smpatch.methods import breaches
from smpatch.signature import CLASSIFY, PREDICT, REGRESS, SignatureDef, TensorSpec, compatible
from smpatch.values import preview

__all__ = ["check_method"]

_RULES = {CLASSIFY: ("classify-rules", "Classify"), REGRESS: ("regress-rules", "Regress")}
"""The code of a breach of the method's rules, and the request that fails by it."""


def check_method(subject: Subject, key: str) -> Iterator[Finding]:
    """Yield what a signature's method and defaults make of its inputs and outputs.

    Args:
        subject: The MetaGraph that has it.
        key: The signature key.
    """
    signature, where = subject.meta_graph.signatures[key], subject.where(f"signature {key!r}")
    method = signature.method_name
    for breach in breaches(signature):
        code, request = _RULES[method]
        yield fault(code, where, breach.found, f"TF Serving's {request} refuses it")
    if method not in {PREDICT, *_RULES}:
        said = f"its method name is {method!r}" if method else "it has no method name"
        yield note("unknown-method", where, f"{said}, which TF Serving does not know")
    yield from _defaults(subject, key, signature)


def _defaults(subject: Subject, key: str, signature: SignatureDef) -> Iterator[Finding]:
    for alias, value in signature.defaults.items():
        where = subject.where(f"signature {key!r}", f"default {alias!r}")
        spec = signature.inputs.get(alias)
        if spec is None:
            names = ", ".join(map(repr, signature.inputs)) or "there are none"
            yield fault("default-without-input", where, "there is no such input", names)
            continue
        if not isinstance(spec, TensorSpec):
            yield fault("default-type", where, "only a dense input can have a default")
            continue
        try:
            dtype, shape, _ = preview(value)
        except ModelUnreadableError as error:
            yield fault("default-type", where, error.found)
            continue
        if dtype != spec.dtype:
            yield fault("default-type", where, f"it is {dtype}, and the input is {spec.dtype}")
        if not compatible(shape, spec.shape):
            text = f"it has the shape {shown(shape)}, and the input {shown(spec.shape)}"
            yield fault("default-shape", where, text)
