"""Signatures that leave sizes open which the graph fixes.

Such a signature was widened (``edit --shape``) or promises less than the graph. The shapes that the
graph records of other tensors then hold for one size only.

This module changes no graph.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from smpatch.errors import SmpatchError
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, Spec, TensorSpec

__all__ = ["is_wider", "with_open_sizes"]

AnySpec = TypeVar("AnySpec", bound=Spec)


def is_wider(meta_graph: MetaGraph, signature: SignatureDef) -> bool:
    """Return whether a signature leaves sizes open that the graph fixes."""
    resolver = meta_graph.resolver()
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if isinstance(spec, TensorSpec) and spec.shape is not None:
            try:
                own = resolver.resolve(spec.name).spec.shape
            except SmpatchError:  # the edit does not name it
                continue
            pairs = zip(spec.shape, own or (), strict=False)
            if any(size is None and fixed is not None for size, fixed in pairs):
                return True
    return False


def with_open_sizes(spec: AnySpec) -> AnySpec:
    """Return a spec of the same rank whose sizes are all open."""
    if not isinstance(spec, TensorSpec) or spec.shape is None:
        return spec
    return replace(spec, shape=(None,) * len(spec.shape))
