"""Serialized ``tf.train.Example`` messages, made up as a model parses them.

Which features a model wants, of which types and shapes, stands in the nodes that parse: the
names are constants or attributes. A feature that may be missing is given one value.

Sources: ``tensorflow/core/example/example.proto`` and ``feature.proto``;
``tensorflow/core/ops/parsing_ops.cc`` for inputs and attributes of the operations.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smpatch import dtypes, wire
from smpatch.graph.functions import attributes
from smpatch.graph.index import op_of
from smpatch.loader import MetaGraph
from smpatch.runs.feeding import Filling

__all__ = ["Feature", "example", "features"]

_PARSERS = {"ParseExample", "ParseExampleV2", "ParseSingleExample"}
_IN_ALL = b"eExample"

_LISTS = {"string": 1, "float32": 2, "int64": 3}
"""The type of a feature's values to the field of ``Feature`` that holds them."""

Attributes = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """What a model wants of a feature.

    Attributes:
        dtype: float32, int64 or string.
        count: How many values it has.
    """

    dtype: str
    count: int = 1


def features(meta_graph: MetaGraph) -> Mapping[bytes, Feature]:
    """Return the features that the nodes of a graph and of its functions parse, by name."""
    found: dict[bytes, Feature] = {}
    graph, library = meta_graph.graph, meta_graph.functions
    data, pieces = meta_graph.parts.graph
    if all(data.find(_IN_ALL, start, end) < 0 for start, end in pieces):
        return found

    def in_graph(source: str) -> Sequence[bytes]:
        name = op_of(source)
        return _strings(graph.node(name).attr("value")) if name in graph else ()

    for name in graph:
        wiring = graph.wiring(name)
        if wiring.op in _PARSERS:
            found |= _wanted(wiring.op, wiring.inputs, graph.node(name).attr, in_graph)
    for function in library:
        if _IN_ALL not in library.body(function):
            continue
        nodes = {node.name: node for node in library[function].node_def}

        def inside(source: str, nodes: Mapping[str, Any] = nodes) -> Sequence[bytes]:
            node = nodes.get(source.partition(":")[0])
            return () if node is None else _strings(node.attr.get("value"))

        for node in nodes.values():
            if node.op in _PARSERS:
                found |= _wanted(node.op, node.input, attributes(node), inside)
    return found


def example(wanted: Mapping[bytes, Feature], filling: Filling, seed: int) -> bytes:
    """Return a serialized ``tf.train.Example``.

    Args:
        wanted: Its features.
        filling: How their values are made up, as in ``values``.
        seed: Of random values.
    """
    entries = (
        wire.delimited(1, wire.delimited(1, name) + wire.delimited(2, _values(each, source)))
        for name, each in sorted(wanted.items())
        for source in (_numbers(name, each.count, filling, seed),)
    )
    return wire.delimited(1, b"".join(entries))


def _wanted(
    op: str,
    inputs: Sequence[str],
    attribute: Attributes,
    constant: Callable[[str], Sequence[bytes]],
) -> Iterator[tuple[bytes, Feature]]:
    """Yield the features that one node parses; none whose names are no constants."""

    def listed(name: str, kind: str) -> list[Any]:
        value = attribute(name)
        return [] if value is None else list(getattr(value.list, kind))

    dense, sparse = listed("Tdense", "type"), listed("sparse_types", "type")
    ragged = listed("ragged_value_types", "type")
    if op == "ParseSingleExample":
        names = [*listed("dense_keys", "s"), *listed("sparse_keys", "s")]
    elif op == "ParseExampleV2":
        sparse_keys, dense_keys, ragged_keys = map(constant, inputs[2:5])
        names = [*dense_keys, *sparse_keys, *ragged_keys]
    else:
        keys = [
            name for source in inputs[2 : 2 + len(sparse) + len(dense)] for name in constant(source)
        ]
        names = [*keys[len(sparse) :], *keys[: len(sparse)]]
    types = [*dense, *sparse, *ragged]
    shapes = [[dim.size for dim in shape.dim] for shape in listed("dense_shapes", "shape")]
    if len(names) != len(types):
        return
    for place, (name, dtype) in enumerate(zip(names, types, strict=True)):
        shape = shapes[place] if place < len(shapes) else []
        # Of an unknown size there may be any number of values, one of them too.
        yield name, Feature(dtypes.name(dtype), math.prod(max(size, 1) for size in shape))


def _strings(value: Any) -> Sequence[bytes]:  # noqa: ANN401 - an AttrValue, or None
    return () if value is None else list(value.tensor.string_val)


def _numbers(name: bytes, count: int, filling: Filling, seed: int) -> Sequence[float]:
    if filling != "random":
        return [float(filling == "ones")] * count
    made: list[float] = np.random.default_rng([seed, zlib.crc32(name)]).random(count).tolist()
    return made


def _values(feature: Feature, numbers: Sequence[float]) -> bytes:
    """Return a ``Feature`` message: whole numbers and strings are 0 and 1, as in ``values``."""
    whole = [round(number) for number in numbers]
    if feature.dtype == "float32":
        content = wire.delimited(1, np.array(numbers, "<f4").tobytes())
    elif feature.dtype == "int64":
        content = wire.delimited(1, b"".join(map(wire.varint, whole)))
    else:
        content = b"".join(wire.delimited(1, b"1" if each else b"") for each in whole)
    return wire.delimited(_LISTS[feature.dtype], content)
