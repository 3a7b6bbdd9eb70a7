"""What keeps a warm-up request from being answered by the signature that it calls.

This module runs nothing, and reads nothing of the model but the signature.

Source: ``tensorflow_serving/servables/tensorflow/predict_util.cc``, ``classifier.cc`` and
``regressor.cc`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from smpatch import dtypes
from smpatch.errors import ModelUnreadableError
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
from smpatch.warmup.requests import WarmUp

__all__ = ["Misfit", "described", "misfits"]

_METHODS = {"classify": (CLASSIFY,), "regress": (REGRESS,), "multi_inference": (CLASSIFY, REGRESS)}


class Misfit(NamedTuple):
    """One reason why a request fails.

    Attributes:
        code: What kind of reason.
        text: The reason.
        hint: What there is in its place; may be empty.
    """

    code: str
    text: str
    hint: str = ""


def misfits(call: WarmUp, signature: SignatureDef) -> Iterator[Misfit]:
    """Yield what keeps a request from being answered by a signature that is there."""
    key = call.signature
    methods = _METHODS.get(call.kind)
    if methods is not None:
        if signature.method_name not in methods:
            text = f"a {call.kind} request calls {key!r}, whose method is different"
            yield Misfit("warm-up-method", text, signature.method_name)
        if EXAMPLES not in signature.inputs:
            text = f"a {call.kind} request feeds {EXAMPLES!r}, which {key!r} does not take"
            yield Misfit("warm-up-input", text)
        return
    fed, known = set(call.inputs), set(signature.inputs)
    for alias in sorted(fed - known):
        text = f"a request feeds the input {alias!r}, which {key!r} does not have"
        yield Misfit("warm-up-input", text, f"it has {', '.join(sorted(known))}")
    for alias in sorted(known - fed - set(signature.defaults)) if call.kind == "predict" else ():
        yield Misfit("warm-up-input", f"a request to {key!r} leaves the input {alias!r} out")
    for alias, value in zip(call.inputs, call.values, strict=False):
        spec = signature.inputs.get(alias)
        if isinstance(spec, TensorSpec):
            yield from _tensor(f"a request to {key!r} feeds {alias!r}", value, spec)
    for alias in sorted(set(call.outputs) - set(signature.outputs)):
        text = f"a request asks for the output {alias!r}, which {key!r} does not have"
        yield Misfit("warm-up-output", text, f"it has {', '.join(signature.outputs)}")


def _tensor(words: str, value: bytes, spec: TensorSpec) -> Iterator[Misfit]:
    """Compare a tensor of a request with the input that it feeds."""
    found = described(value)
    if found is None:
        yield Misfit("warm-up-type", f"{words} without a tensor that can be read")
        return
    dtype, shape = found
    if dtype != dtypes.base(spec.dtype):
        yield Misfit("warm-up-type", f"{words} as {dtype}, and the input is {spec.dtype}")
    elif not compatible(shape, spec.shape):
        text = f"{words} as {shape_text(shape)}, and the input is {shape_text(spec.shape)}"
        yield Misfit("warm-up-shape", text)


def described(tensor: bytes) -> tuple[str, Shape] | None:
    """Return the type and the shape of a tensor; None where there are none."""
    try:
        dtype, shape, _ = preview(tensor)
    except ModelUnreadableError:
        return None
    return (dtype, shape) if dtype != dtypes.INVALID else None
