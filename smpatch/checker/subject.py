"""One MetaGraph under check, and what TensorFlow said of its tensors, if it was asked.

A tensor is what the file says of it; where the file says too little, what TensorFlow's C
runtime inferred when it loaded the model. This room judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from smpatch import dtypes
from smpatch.checker.findings import place
from smpatch.errors import TensorNotFoundError
from smpatch.graph.resolve import OpDefMissingError, Resolver
from smpatch.loader import MetaGraph, SavedModel
from smpatch.runtime.answers import TensorFact
from smpatch.signature import TensorSpec

__all__ = ["Subject", "Tensors"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked.

    Attributes:
        model: The model.
        meta_graph: One of its MetaGraphs.
        facts: What the C runtime knows of tensors, by name; empty where it was not asked.
        op_defs: Definitions (``OpDef``) of operations that the model does not define.
    """

    model: SavedModel
    meta_graph: MetaGraph
    facts: Mapping[str, TensorFact | None] = field(default_factory=dict)
    op_defs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python_reads_signature_def(self) -> bool:
        """Whether ``tf.saved_model.load`` makes its signatures of ``signature_def``.

        Of a model with an object graph it does so only where there are several MetaGraphs
        (``load.py``).
        """
        return not self.meta_graph.has_object_graph or len(self.model.meta_graphs) > 1

    def where(self, *parts: str) -> str:
        """Name a place in the MetaGraph, which itself is named where there are several."""
        several = len(self.model.meta_graphs) > 1
        tags = f"MetaGraph {','.join(self.meta_graph.tags)!r}" if several else ""
        return place((tags, *parts))


class Tensors:
    """Looks tensors up by the names that signatures give."""

    def __init__(self, subject: Subject) -> None:
        """Look into the subject's graph."""
        self._facts = subject.facts
        self._graph = subject.meta_graph.graph
        self._resolver: Resolver = subject.meta_graph.resolver(subject.op_defs)

    def names_operation(self, name: str) -> bool:
        """Tell whether a name is that of a node, without the index of an output."""
        return name in self._graph

    def find(self, name: str) -> TensorSpec | None:
        """Return a tensor as the graph has it; None where nobody can tell what it is.

        Args:
            name: Its full name.

        Raises:
            TensorNotFoundError: There is no such tensor.
        """
        fact = self._facts.get(name)
        try:
            resolved = self._resolver.resolve(name)
        except OpDefMissingError:
            if name in self._facts and fact is None:
                raise TensorNotFoundError("no such output", where=name) from None
            return None if fact is None else TensorSpec(name, dtypes.name(fact.dtype), fact.shape)
        if resolved.shape_known or fact is None:
            return resolved.spec
        return replace(resolved.spec, shape=fact.shape)
