"""Random models made of raw fields, which no exporter writes and every parser reads.

Fields are in any order, and some of them occur twice. Messages are in several pieces, with fields
between them that no schema has. There are several MetaGraphs, keys that occur twice, and lengths
with padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from fixtures.make import raw

__all__ = ["ALIASES", "INIT_OP", "KEYS", "TAGS", "Known", "Model", "models"]

KEYS = ("serving_default", "a", "b/c", "ключ", "A", "a b")
INIT_OP = "__saved_model_init_op"
ALIASES = ("x", "w", "q", "y", "z", "p1")
TAGS = (("serve",), ("serve", "gpu"), ("train",), ())

_FLOAT = 1
_METHODS = (b"tensorflow/serving/predict", b"tensorflow/serving/classify", b"", b"my/own")

_SIMPLE_NOISE = (
    raw.tag(1000, raw.VARINT) + b"\x2a",
    raw.tag(1001, raw.FIXED32) + bytes(4),
    raw.tag(1002, raw.FIXED64) + bytes(8),
    raw.field(raw.HIGHEST_FIELD, b"hello"),
    raw.padded(1003, b"padded"),
)
_NOISE = (
    *_SIMPLE_NOISE,
    raw.tag(1004, raw.GROUP) + raw.field(1, b"in a group") + raw.tag(1004, raw.END_GROUP),
)


Known = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Signature keys to aliases of inputs and of outputs."""


@dataclass(frozen=True)
class Model:
    """A random model.

    Attributes:
        data: The bytes of its ``saved_model.pb``.
        tags: The tags of each MetaGraph, in the order of the MetaGraphs.
        known: For each MetaGraph its keys, with aliases of inputs and of outputs; if a key
            occurs twice, the aliases of the later one that was drawn.
    """

    data: bytes
    tags: tuple[tuple[str, ...], ...]
    known: tuple[Known, ...]


def _mixed(draw: st.DrawFn, parts: Sequence[bytes], noise: Sequence[bytes]) -> bytes:
    """Return the parts of a message in any order, with unknown fields between them."""
    more = draw(st.lists(st.sampled_from(noise), max_size=2))
    return b"".join(draw(st.permutations([*parts, *more])))


def _message(draw: st.DrawFn, number: int, parts: Sequence[bytes]) -> bytes:
    """Return a field that is a message: in one piece or in two, its length padded or not."""
    cut = draw(st.integers(0, len(parts)) | st.just(len(parts)))
    pieces = [parts[:cut], parts[cut:]] if 0 < cut < len(parts) else [parts]
    write = draw(st.sampled_from((raw.field, raw.padded)))
    return b"".join(write(number, _mixed(draw, piece, _SIMPLE_NOISE)) for piece in pieces)


def _shape(sizes: Sequence[int]) -> bytes:
    return b"".join(raw.field(2, raw.tag(1, raw.VARINT) + raw.varint(size)) for size in sizes)


_ROWS = _shape([2**64 - 1, 3])
"""The shape of any number of rows of three."""


def _info(draw: st.DrawFn, tensor: str) -> bytes:
    parts = [
        raw.field(1, tensor.encode()),
        raw.tag(2, raw.VARINT) + raw.varint(_FLOAT),
        raw.field(3, _ROWS),
    ]
    return _mixed(draw, parts, _NOISE)


def _entry(draw: st.DrawFn, number: int, key: bytes, value: bytes) -> bytes:
    """Return an entry of a map, its key and value in any order."""
    parts = [raw.field(1, key), raw.field(2, value)]
    return raw.field(number, b"".join(draw(st.permutations(parts))))


def _signature(draw: st.DrawFn) -> tuple[list[bytes], tuple[list[str], list[str]]]:
    """Return the parts of a ``SignatureDef`` that the graph below can serve, and its aliases."""
    known: tuple[list[str], list[str]] = ([], [])
    parts = [
        raw.field(3, method) for method in draw(st.lists(st.sampled_from(_METHODS), max_size=2))
    ]
    for number, tensors in ((1, ("x:0", "w:0")), (2, ("y:0", "z:0"))):
        used = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=2, unique=True))
        aliases = draw(
            st.lists(st.sampled_from(ALIASES), min_size=len(used), max_size=len(used), unique=True)
        )
        known[number - 1].extend(aliases)
        for alias, tensor in zip(aliases, used, strict=True):
            parts.append(_entry(draw, number, alias.encode(), _info(draw, tensor)))
            if draw(st.integers(0, 5)) == 0:  # the same alias once more
                parts.append(_entry(draw, number, alias.encode(), _info(draw, tensor)))
    return parts, known


def _signatures(draw: st.DrawFn) -> tuple[list[bytes], Known]:
    found = []
    known = {}
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=5)):  # some of them twice
        parts, known[key] = _signature(draw)
        value = _mixed(draw, parts, _NOISE)
        found.append(_entry(draw, 5, key.encode(), value))
    if draw(st.integers(0, 3)) == 0:
        info = raw.field(1, INIT_OP.encode()) + raw.field(2, raw.field(1, b"NoOp"))
        found.append(_entry(draw, 5, INIT_OP.encode(), raw.field(2, info)))
    return found, known


def _attr(key: bytes, value: bytes) -> bytes:
    return raw.field(5, raw.field(1, key) + raw.field(2, value))


def _node(name: bytes, op: bytes, inputs: Sequence[bytes]) -> bytes:
    dtype = raw.tag(6, raw.VARINT) + raw.varint(_FLOAT)
    attrs = _attr(b"T" if inputs else b"dtype", dtype)
    attrs += _attr(b"_output_shapes", raw.field(1, raw.field(7, _ROWS)))
    inside = raw.field(1, name) + raw.field(2, op)
    return raw.field(1, inside + b"".join(raw.field(3, each) for each in inputs) + attrs)


def _graph(draw: st.DrawFn) -> list[bytes]:
    # The placeholders have defaults, so a signature is valid with any inputs.
    nodes = [_node(name, b"PlaceholderWithDefault", (b"c",)) for name in (b"x", b"w")]
    nodes += [
        _node(b"c", b"Const", ()),
        _node(b"y", b"AddV2", (b"x", b"w")),
        _node(b"z", b"Identity", (b"y",)),
    ]
    versions = raw.field(4, raw.tag(1, raw.VARINT) + raw.varint(1500))
    return [*draw(st.permutations(nodes)), versions]


def _op(name: bytes, inputs: int) -> bytes:
    args = b"".join(
        raw.field(2, raw.field(1, b"i%d" % at) + raw.field(4, b"T")) for at in range(inputs)
    )
    out = raw.field(3, raw.field(1, b"o") + raw.field(4, b"T"))
    return raw.field(1, raw.field(1, name) + args + out + raw.field(4, raw.field(1, b"T")))


_OPS = raw.field(2, _op(b"AddV2", 2) + _op(b"Identity", 1) + _op(b"PlaceholderWithDefault", 1))


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Draw a model of one to three MetaGraphs."""
    tags = draw(st.lists(st.sampled_from(TAGS), min_size=1, max_size=3, unique=True))
    meta_graphs = []
    known = []
    for each in tags:
        signatures, there = _signatures(draw)
        known.append(there)
        info = [_OPS, raw.field(5, b"2.99"), *(raw.field(4, tag.encode()) for tag in each)]
        parts = [
            _message(draw, 1, info),
            _message(draw, 2, _graph(draw)),
            *signatures,
            raw.field(4, raw.field(1, b"things") + raw.field(2, raw.field(1, raw.field(1, b"v")))),
        ]
        meta_graphs.append(raw.field(2, _mixed(draw, parts, _SIMPLE_NOISE)))
    version = raw.tag(1, raw.VARINT) + b"\x01"
    rest = draw(
        st.permutations([version, *draw(st.lists(st.sampled_from(_SIMPLE_NOISE), max_size=2))])
    )
    place = draw(st.integers(0, len(rest)))
    data = b"".join([*rest[:place], *meta_graphs, *rest[place:]])
    # The file may have the tags of a MetaGraph in another order, which no edit considers.
    return Model(data, tuple(tags), tuple(known))
