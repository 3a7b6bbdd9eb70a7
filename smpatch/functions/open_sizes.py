"""Signatures that have an open size where the graph has a fixed one.

Such a signature was widened (``edit --shape``), or its specs are less exact than the graph. Then
the shapes that the graph records for other tensors are valid for one size only.

This module changes no graph.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from smpatch.errors import SmpatchError
from smpatch.loader import MetaGraph
from smpatch.signature import SignatureDef, Spec, TensorSpec

AnySpec = TypeVar("AnySpec", bound=Spec)


def is_wider(meta_graph: MetaGraph, signature: SignatureDef) -> bool:
    """Return whether a signature has an open size where the graph has a fixed one."""
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
