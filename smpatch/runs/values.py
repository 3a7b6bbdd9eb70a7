"""Values to feed: made by a rule, in the type and shape that a signature has.

A dimension of unknown size is the batch if it is the first one, and 1 otherwise. Sparse
and ragged tensors are fed without any value, because their possible values are not known here.
Serialized ``tf.train.Example`` messages are made as the model parses them.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np

from smpatch import arguments, dtypes, wire
from smpatch.errors import UsageError
from smpatch.graph.functions import attributes
from smpatch.graph.index import op_of
from smpatch.loader import MetaGraph
from smpatch.runs.arrays import UnmakeableError, from_numpy, numpy_type
from smpatch.runtime.questions import Array
from smpatch.signature import CompositeTensorSpec, SparseTensorSpec, Spec, TensorSpec, shape_text

Filling = Literal["zeros", "ones", "random"]


@dataclass(frozen=True, slots=True)
class Feeding:
    """The values that signatures are fed.

    Attributes:
        filling: The rule by which values are made up.
        seed: The seed of random values.
        batches: Sizes of the first dimension, if it is unknown; one run for each.
        file: A file with values instead: arrays named like inputs, or ``KEY/INPUT``, in a ``.npz``
            or ``.json`` file; or the records of a TFRecord file.
    """

    filling: Filling = "zeros"
    seed: int = 0
    batches: tuple[int, ...] = (1,)
    file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown rule, and a seed or sizes that are not whole numbers from 0."""
        known: tuple[object, ...] = get_args(Filling)
        if self.filling not in known:
            hint = f"one of {', '.join(map(str, known))}"
            raise UsageError(f"{self.filling!r} is not a rule for values", hint=hint)
        object.__setattr__(self, "seed", arguments.whole(self.seed, "seed", 0))
        object.__setattr__(self, "batches", arguments.wholes(self.batches, "batches", 0))
        if self.file is not None:
            arguments.path(self.file, "file")


@dataclass(frozen=True, slots=True)
class SameAs:
    """A model that another model must equal: same names, same numbers.

    Attributes:
        model: The SavedModel directory.
        feeding: The values that the signatures of both are fed.
        relative: The allowed difference of numbers with a fraction, as a share of the absolute
            value that they have in ``model``.
        absolute: A number that is added to that; if both are 0, all bits must be the same. Whole
            numbers, truth values and strings may never differ.
    """

    model: str | os.PathLike[str]
    feeding: Feeding = Feeding("random")
    relative: float = 0.0
    absolute: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a ``feeding`` of another class, and tolerances that are not numbers."""
        arguments.instance(self.feeding, Feeding, "feeding")
        for name, size in (("relative", self.relative), ("absolute", self.absolute)):
            if not isinstance(size, Real):
                raise UsageError(
                    f"{size!r} is not a tolerance: give a number from 0 on", where=name
                )


_PARSERS = {"ParseExample", "ParseExampleV2", "ParseSingleExample"}
_IN_ALL = b"eExample"

_LISTS = {"string": 1, "float32": 2, "int64": 3}
"""The type of a feature's values to the field of ``Feature`` that holds them."""

Attributes = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """The requirements of a model for a feature.

    Attributes:
        dtype: float32, int64 or string.
        count: The number of its values.
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
    """Return a serialized ``tf.train.Example`` with values that are made up."""
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
    """Yield the features that a node parses, if their names are constants."""

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
        # A dimension of unknown size may have any number of values, so also a single one.
        yield name, Feature(dtypes.name(dtype), math.prod(max(size, 1) for size in shape))


def _strings(value: Any) -> Sequence[bytes]:  # noqa: ANN401 - an AttrValue, or None
    return () if value is None else list(value.tensor.string_val)


def _numbers(name: bytes, count: int, filling: Filling, seed: int) -> Sequence[float]:
    if filling != "random":
        return [float(filling == "ones")] * count
    made: list[float] = np.random.default_rng([seed, zlib.crc32(name)]).random(count).tolist()
    return made


def _values(feature: Feature, numbers: Sequence[float]) -> bytes:
    """Return a ``Feature`` message; whole numbers are 0 or 1, and strings are empty or ``1``."""
    whole = [round(number) for number in numbers]
    if feature.dtype == "float32":
        content = wire.delimited(1, np.array(numbers, "<f4").tobytes())
    elif feature.dtype == "int64":
        content = wire.delimited(1, b"".join(map(wire.varint, whole)))
    else:
        content = b"".join(wire.delimited(1, b"1" if each else b"") for each in whole)
    return wire.delimited(_LISTS[feature.dtype], content)


_MOST = 1 << 28
"""The most elements that are made up: no request has more."""


def made_up(
    inputs: Mapping[str, Spec],
    filling: Filling,
    *,
    batch: int = 1,
    seed: int = 0,
    wanted: Mapping[bytes, Feature] | None = None,
) -> dict[str, tuple[Array, ...]]:
    """Make up values for all inputs of a signature.

    Args:
        inputs: Alias to spec.
        filling: ``zeros`` or ``ones`` (strings are empty or ``1``), or ``random``: numbers from 0
            to 1, and whole numbers 0 or 1, which any table of embeddings has.
        batch: Size of the first dimension, if it is unknown.
        seed: The seed of the random numbers.
        wanted: Features; if there are any, strings are serialized examples that have them.

    Returns:
        Alias to the values of the tensors that the spec names, in the order of its
        ``tensors()``. The random numbers of an alias do not depend on the other inputs.

    Raises:
        UnmakeableError: No values can be made up for a type or shape.
    """
    return {
        alias: _Rule(filling, batch, seed, alias, wanted or {}).made(spec)
        for alias, spec in inputs.items()
    }


def is_open(spec: Spec) -> bool:
    """Return whether a dense tensor has a first dimension of unknown size, or an unknown rank."""
    return isinstance(spec, TensorSpec) and (spec.shape is None or spec.shape[:1] == (None,))


def has_batch(inputs: Mapping[str, Spec]) -> bool:
    """Return whether some input has a first dimension of unknown size, or is not dense."""
    return any(not isinstance(spec, TensorSpec) or is_open(spec) for spec in inputs.values())


@dataclass(frozen=True, slots=True)
class _Rule:
    """The rule by which the values of one input are made up."""

    filling: Filling
    batch: int
    seed: int
    alias: str
    wanted: Mapping[bytes, Feature]

    def made(self, spec: Spec) -> tuple[Array, ...]:
        if isinstance(spec, CompositeTensorSpec):
            return self._ragged(spec)
        if isinstance(spec, SparseTensorSpec):
            shape = (None, None) if spec.shape is None else spec.shape
            sizes = self._sizes(shape)
            return (
                _array(spec.dtype, np.zeros(0)),
                _array("int64", np.zeros((0, len(sizes)))),
                _array("int64", np.array(sizes)),
            )
        return (self._dense(spec),)

    def _ragged(self, spec: CompositeTensorSpec) -> tuple[Array, ...]:
        if spec.type_name != "RaggedTensorSpec" or len(spec.tensors()) == 1:
            raise UnmakeableError(f"no values can be made up for a {spec.type_name}")
        values, *splits = spec.tensors()
        sizes = (0, *(1 if size is None else size for size in (values.shape or (None,))[1:]))
        rows = (self.batch + 1, *(1 for _ in splits[1:]))
        return (
            _array(values.dtype, np.zeros(sizes)),
            *(
                _array(each.dtype, np.zeros(count))
                for each, count in zip(splits, rows, strict=True)
            ),
        )

    def _dense(self, spec: TensorSpec) -> Array:
        # For an unknown rank, a row of numbers is as good as any other shape.
        sizes = self._sizes((None,) if spec.shape is None else spec.shape)
        if math.prod(sizes) > _MOST:
            message = f"{spec.name} of shape {shape_text(sizes)} is too large to be made up"
            raise UnmakeableError(message)
        if self.wanted and dtypes.base(spec.dtype) == "string":
            return self._examples(sizes)
        return _array(spec.dtype, self._numbers(spec.dtype, sizes))

    def _examples(self, sizes: tuple[int, ...]) -> Array:
        made = [example(self.wanted, self.filling, self.seed + n) for n in range(math.prod(sizes))]
        return Array(dtypes.number("string"), sizes, strings=tuple(made))

    def _numbers(self, dtype: str, sizes: tuple[int, ...]) -> Any:  # noqa: ANN401 - an array of any type
        if self.filling != "random":
            return np.full(sizes, float(self.filling == "ones"))
        source = np.random.default_rng([self.seed, zlib.crc32(self.alias.encode())])
        name = dtypes.base(dtype)
        if name.startswith("complex"):
            return source.random(sizes) + 1j * source.random(sizes)
        return source.random(sizes) if "float" in name else source.integers(0, 2, sizes)

    def _sizes(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return tuple(
            (1 if place else self.batch) if size is None else size
            for place, size in enumerate(shape)
        )


def _array(dtype: str, numbers: Any) -> Array:  # noqa: ANN401 - an array of any type
    name = dtypes.base(dtype)
    if name == "string":
        return from_numpy(np.where(numbers != 0, b"1", b""), name)
    wanted = numpy_type(name)
    if wanted is None:
        raise UnmakeableError(f"no values can be made up for the type {name}")
    return from_numpy(numbers.astype(wanted), name)
