"""What TensorFlow Serving asks of a signature by its method, and of the values of defaults.

Source: ``is_valid_signature`` in ``tensorflow/python/saved_model/
signature_def_utils_impl.py``; ``classifier.cc`` and ``regressor.cc`` of TensorFlow Serving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smpatch.checker.findings import Finding, fault, note
from smpatch.checker.shapes import shown
from smpatch.checker.subject import Subject
from smpatch.errors import ModelUnreadableError
from smpatch.signature import (
    CLASSES,
    CLASSIFY,
    EXAMPLES,
    PREDICT,
    PREDICTIONS,
    REGRESS,
    SCORES,
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
)
from smpatch.values import preview

__all__ = ["check_method"]


def check_method(subject: Subject, key: str) -> Iterator[Finding]:
    """Yield what a signature's method and defaults make of its inputs and outputs.

    Args:
        subject: The MetaGraph that has it.
        key: The signature key.
    """
    signature, where = subject.meta_graph.signatures[key], subject.where(f"signature {key!r}")
    method = signature.method_name
    if method == CLASSIFY:
        for text in _classify(signature):
            yield fault("classify-rules", where, text, "TF Serving's Classify refuses it")
    elif method == REGRESS:
        for text in _regress(signature):
            yield fault("regress-rules", where, text, "TF Serving's Regress refuses it")
    elif method != PREDICT:
        said = f"its method name is {method!r}" if method else "it has no method name"
        yield note("unknown-method", where, f"{said}, which TF Serving does not know")
    yield from _defaults(subject, key, signature)


def _classify(signature: SignatureDef) -> Iterator[str]:
    yield from _examples(signature.inputs)
    if not signature.outputs or not signature.outputs.keys() <= {CLASSES, SCORES}:
        names = ", ".join(map(repr, signature.outputs)) or "nothing"
        yield f"a classification yields {CLASSES!r}, {SCORES!r} or both, and this one {names}"
    yield from _typed(signature.outputs, {CLASSES: "string", SCORES: "float32"})


def _regress(signature: SignatureDef) -> Iterator[str]:
    yield from _examples(signature.inputs)
    if signature.outputs.keys() != {PREDICTIONS}:
        names = ", ".join(map(repr, signature.outputs)) or "nothing"
        yield f"a regression yields {PREDICTIONS!r}, and this one {names}"
    yield from _typed(signature.outputs, {PREDICTIONS: "float32"})


def _examples(inputs: Mapping[str, Spec]) -> Iterator[str]:
    if inputs.keys() != {EXAMPLES}:
        names = ", ".join(map(repr, inputs)) or "nothing"
        yield f"the method feeds {EXAMPLES!r} alone, and the signature takes {names}"
    yield from _typed(inputs, {EXAMPLES: "string"})


def _typed(specs: Mapping[str, Spec], types: Mapping[str, str]) -> Iterator[str]:
    for alias, wanted in types.items():
        spec = specs.get(alias)
        if spec is not None and not (isinstance(spec, TensorSpec) and spec.dtype == wanted):
            found = spec.dtype if isinstance(spec, TensorSpec) else "no dense tensor"
            yield f"{alias!r} is {found}, where the method has {wanted}"


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
