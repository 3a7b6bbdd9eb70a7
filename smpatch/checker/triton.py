"""Properties of a model that Triton rejects: it serves ``serving_default``, and dense tensors.

Triton derives a model's configuration from the signature. It refuses a tensor of rank 0, and
it makes batches only where the first dimension of every input and output is open. It does not
read defaults of inputs. ``smpatch.triton`` has the rules and their sources.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.signature import DEFAULT_KEY, Spec, TensorSpec, shape_text
from smpatch.triton import objection

__all__ = ["check_triton"]


def check_triton(subject: Subject) -> Iterator[Finding]:
    """Yield what Triton rejects, or serves in another way than the signature says."""
    signature = subject.signatures.get(DEFAULT_KEY)
    if signature is None:
        return
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, spec in specs.items():
            where = subject.where(f"signature {DEFAULT_KEY!r}", f"{kind} {alias!r}")
            yield from _tensor(where, kind, spec)
    for alias in signature.defaults:
        where = subject.where(f"signature {DEFAULT_KEY!r}", f"default {alias!r}")
        text = "Triton does not read defaults: each request has to feed the input"
        yield note("default-not-read", where, text)


def _tensor(where: str, kind: str, spec: Spec) -> Iterator[Finding]:
    refused = objection(kind, spec)
    if refused is not None:
        yield fault(refused.code, where, refused.text, refused.hint)
    if isinstance(spec, TensorSpec) and spec.shape and spec.shape[0] is not None:
        text = f"its shape is {shape_text(spec.shape)}: Triton makes no batches of a model where "
        hint = "Triton serves it with max_batch_size 0"
        yield note("no-batching", where, text + "a first dimension is not open", hint)
