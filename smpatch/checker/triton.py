"""Properties of a model that Triton rejects: it serves ``serving_default``, and dense tensors.

Triton derives a model's configuration from the signature. It refuses a tensor of rank 0, and
it makes batches only where the first dimension of every input and output is open. It does not
read defaults of inputs.

Sources: Triton's TensorFlow backend (``github.com/triton-inference-server/tensorflow_backend``):
``src/tensorflow_utils.cc`` (``ModelSupportsBatch``, ``CompareDims``, ``ConvertDataType``),
``src/tensorflow.cc`` (the rank of a model's tensors), ``src/tensorflow_backend_tf.cc`` (which
fields of a ``SignatureDef`` are read).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch import dtypes
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.signature import DEFAULT_KEY, TensorSpec, shape_text

__all__ = ["check_triton"]

_TYPES = frozenset(
    {"bool", "string", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""The types that Triton has (``TRITONTF_DataType``)."""


def check_triton(subject: Subject) -> Iterator[Finding]:
    """Yield what Triton rejects, or serves in another way than the signature says."""
    signature = subject.signatures.get(DEFAULT_KEY)
    if signature is None:
        return
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            where = subject.where(f"signature {DEFAULT_KEY!r}", f"{kind} {alias!r}")
            if isinstance(spec, TensorSpec):
                yield from _tensor(where, kind, spec)
            else:
                yield fault("not-dense", where, "Triton knows dense tensors only")
    for alias in signature.defaults:
        where = subject.where(f"signature {DEFAULT_KEY!r}", f"default {alias!r}")
        text = "Triton does not read defaults: each request has to feed the input"
        yield note("default-not-read", where, text)


def _tensor(where: str, kind: str, spec: TensorSpec) -> Iterator[Finding]:
    if dtypes.base(spec.dtype) not in _TYPES:
        yield fault("consumer-type", where, f"Triton has no type {spec.dtype}")
    if spec.shape == ():
        text = "its rank is 0, which Triton refuses"
        hint = "feed a row, as [1] or [?]" if kind == "input" else "yield a row, as [1] or [?]"
        yield fault("rank-zero", where, text, f"{hint}; the graph has to do it")
    elif spec.shape is not None and spec.shape[0] is not None:
        text = f"its shape is {shape_text(spec.shape)}: Triton makes no batches of a model where "
        hint = "Triton serves it with max_batch_size 0"
        yield note("no-batching", where, text + "a first dimension is not open", hint)
