"""The values of a walk that makes structural fingerprints: what is computed, and what a body has.

This module does not walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from smpatch.graph.bodies import Body, FingerprintError, Parts, Source

__all__ = ["Computation", "Inside", "Scope", "Value"]


@dataclass(frozen=True, slots=True)
class Computation:
    """The computation of a set of tensors.

    Attributes:
        outputs: Label of a tensor to its fingerprint.
        effects: Fingerprints of what runs besides, such as assignments in called functions.
    """

    outputs: Mapping[str, bytes]
    effects: frozenset[bytes]


Inside = dict[tuple[tuple[str, ...], str], bytes]
"""Tensors inside functions that are fed: the call nodes that lead to one and its name there
(``node:index``), to the fingerprint of the value."""


class Value(NamedTuple):
    """The outputs of a node.

    Attributes:
        digest: The fingerprint of the node; its outputs differ by their number.
        results: The fingerprints of the outputs, where the node is a call; else None.
        effects: What a control edge from the node waits for.
    """

    digest: bytes
    results: tuple[bytes, ...] | None
    effects: frozenset[bytes]

    def output(self, port: int | str) -> bytes:
        """Return the fingerprint of an output."""
        if self.results is None:
            return self.digest + b":%s" % str(port).encode()
        if not isinstance(port, int) or port >= len(self.results):
            raise FingerprintError(f"a call has no result {port}")
        return self.results[port]


@dataclass(slots=True)
class Scope:
    """One body with what its leaves are.

    Attributes:
        body: The nodes.
        leaves: Name of a leaf to its fingerprint.
        values: The nodes that are done.
        effects: What the calls that were met do besides.
        placed: Tensors that are fed, by node and output, to their fingerprints.
        inside: Call to what is fed inside the function that it calls.
        taken: Call to the places of the arguments that are needed then.
        lost: Nodes that only lead to what is fed; nothing waits for them.
    """

    body: Body
    leaves: Mapping[str, bytes]
    values: dict[str, Value] = field(default_factory=dict)
    effects: set[bytes] = field(default_factory=set)
    placed: dict[tuple[str, int | str], bytes] = field(default_factory=dict)
    inside: dict[str, Inside] = field(default_factory=dict)
    taken: dict[str, frozenset[int]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def controls(self, parts: Parts) -> list[str]:
        """Return the nodes that a node waits for."""
        return [each for each in parts.controls if each not in self.lost]

    def leaf(self, source: Source) -> bytes | None:
        """Return the fingerprint of an input of a node that is a leaf; None of another."""
        found = self.leaves.get(source.leaf) if source.leaf else None
        return self.placed.get(source[:2]) if found is None and self.placed else found

    def inputs(self, name: str, parts: Parts) -> list[Source]:
        """Return the data inputs of a node that are needed."""
        taken = self.taken.get(name)
        return [each for n, each in enumerate(parts.inputs) if taken is None or n in taken]
