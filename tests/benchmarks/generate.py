"""Make the big SavedModels of the contests, as raw wire bytes.

There are two kinds of model, each with one size that varies:

* ``constants``: the graph has 24 weight matrices; ``y`` is ``x`` multiplied by all
  of them. The size of the file varies; the number of nodes stays the same.
  Each weight is 1/side, so ``y`` is the mean of ``x``, which a test can check.
* ``chain``: a placeholder ``x``, then ``n0``, ``n1``, ... each with the node before as
  its input, then ``y``. The number of nodes varies; a backwards walk from ``y``
  visits all of them, or one of each ``stride`` nodes. A node has about 140 bytes,
  as in an old export with ``_output_shapes`` on every node.

Both are TF1-style: one MetaGraph tagged ``serve``, a correct ``stripped_op_list``,
no variables, no signature. This module does not use TensorFlow, which would need
five times the size of the file in memory. It keeps only one block at a time in
memory: the process that generates also starts the processes that are measured,
and the peak memory of a child is never below that of its parent (see ``measure``).

Sources: https://protobuf.dev/programming-guides/encoding and the ``.proto``
files of ``tensorflow/core/framework`` and ``tensorflow/core/protobuf``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["CONSTANT_COUNT", "chain", "constants"]

CONSTANT_COUNT = 24

_DT_FLOAT = 1
_BLOCK = 1 << 20
# Any TensorFlow from 2.x on reads this version. It is above 21; below 21 the scalar shape of
# a placeholder means "unknown".
_PRODUCER = 1087
_DEVICE = "/job:localhost/task:0/device:CPU:0"


def constants(directory: Path, total_bytes: int) -> Path:
    """Write a SavedModel whose file has about ``total_bytes`` of constants.

    Args:
        directory: The directory of the SavedModel; made if it does not exist.
        total_bytes: The intended size in bytes; the real size differs by the rounding
            of the side of the matrices.

    Returns:
        ``directory``.
    """
    side = max(1, math.isqrt(total_bytes // (4 * CONSTANT_COUNT)))
    small_nodes = [_placeholder([-1, side])]
    weights = []
    last = "x"
    for index in range(CONSTANT_COUNT):
        weights.append(f"w{index}")
        product = _attr("T", _type_value()) + _attr("transpose_a", _varint_field(5, 0))
        product += _attr("transpose_b", _varint_field(5, 0))
        small_nodes.append(_node(f"h{index}", "MatMul", [last, f"w{index}"], product))
        last = f"h{index}"
    small_nodes.append(_node("y", "Identity", [last], _attr("T", _type_value())))

    content = side * side * 4
    heads = [_constant_head(name, side, content) for name in weights]
    tail = b"".join(_field(1, node) for node in small_nodes) + _versions()
    graph_length = sum(len(head) + content for head in heads) + len(tail)
    block = struct.pack("<f", 1 / side) * (_BLOCK // 4)

    def graph() -> Iterator[bytes]:
        for head in heads:
            yield head
            whole, rest = divmod(content, len(block))
            for _ in range(whole):
                yield block
            yield block[:rest]
        yield tail

    op_list = [_op_placeholder(), _op_const(), _op_matmul(), _op_identity()]
    return _write(directory, op_list, graph_length, graph())


def chain(directory: Path, length: int, stride: int = 1) -> Path:
    """Write a SavedModel whose graph has ``length`` nodes between x and y.

    Args:
        directory: The directory of the SavedModel; made if it does not exist.
        length: The number of nodes between ``x`` and ``y``, 1 or more.
        stride: One of each ``stride`` nodes is on the chain from x to y. The nodes between them
            form a side chain that starts at that node and has no consumer.

    Returns:
        ``directory``.
    """
    dims = [-1, -1, -1, 64]
    attrs = _attr("T", _type_value()) + _attr("_output_shapes", _shape_list_value(dims))
    # Two kinds of node alternate, so a program gains nothing if it expects one kind.
    ops = (_field(2, b"Identity"), _field(2, b"Relu"))
    ending = _field(4, _DEVICE.encode()) + attrs
    first = _field(1, _placeholder(dims))
    last_node = _node("y", "Identity", [f"n{(length - 1) // stride * stride}"], attrs)
    last = _field(1, last_node) + _versions()

    def nodes() -> Iterator[bytes]:
        source = on_chain = _field(3, b"x")
        for index in range(length):
            if index % stride == 0:
                source = on_chain
            name = b"n%d" % index
            # A name has far fewer than 128 bytes, so its length is one byte. This loop
            # runs two million times, and _field would take half of its time.
            body = b"\x0a%c%b" % (len(name), name)
            body += ops[index & 1] + source + ending
            yield b"\x0a" + _varint(len(body)) + body
            source = b"\x1a%c%b" % (len(name), name)
            if index % stride == 0:
                on_chain = source

    graph_length = len(first) + sum(map(len, nodes())) + len(last)

    def graph() -> Iterator[bytes]:
        yield first
        yield from nodes()
        yield last

    op_list = [_op_placeholder(), _op_identity(), _op_relu()]
    return _write(directory, op_list, graph_length, graph())


def _write(
    directory: Path, op_list: list[bytes], graph_length: int, graph: Iterable[bytes]
) -> Path:
    """Wrap a streamed GraphDef into a SavedModel file, whole or not at all."""
    meta_info = (
        _field(2, b"".join(_field(1, op) for op in op_list))
        + _field(4, b"serve")
        + _field(5, b"2.16.0")
    )
    head = _field(1, meta_info) + b"\x12" + _varint(graph_length)
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / "saved_model.partial"
    with partial.open("wb", buffering=_BLOCK) as file:
        file.write(_varint_field(1, 1))
        file.write(b"\x12" + _varint(len(head) + graph_length) + head)
        begin = file.tell()
        file.writelines(graph)
        written = file.tell() - begin
    if written != graph_length:
        message = f"the graph came out {written} bytes long, {graph_length} were announced"
        raise AssertionError(message)
    partial.replace(directory / "saved_model.pb")
    return directory


def _varint(value: int) -> bytes:
    """Return ``value`` as a varint; negative numbers as 64-bit two's complement."""
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value >= 1 << 7:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint_field(number: int, value: int) -> bytes:
    """Return a varint field."""
    return _varint(number << 3) + _varint(value)


def _shape(dims: list[int]) -> bytes:
    """Return a TensorShapeProto; -1 is an unknown dimension."""
    return b"".join(_field(2, _varint_field(1, dim)) for dim in dims)


def _type_value() -> bytes:
    """Return the AttrValue of DT_FLOAT."""
    return _varint_field(6, _DT_FLOAT)


def _shape_list_value(dims: list[int]) -> bytes:
    """Return an AttrValue with a list of one shape, as ``_output_shapes`` has it."""
    return _field(1, _field(7, _shape(dims)))


def _attr(key: str, value: bytes) -> bytes:
    """Return one entry of a node's attr map."""
    return _field(5, _field(1, key.encode()) + _field(2, value))


def _node(name: str, op: str, inputs: list[str], attrs: bytes) -> bytes:
    """Return a NodeDef."""
    feeds = b"".join(_field(3, source.encode()) for source in inputs)
    return _field(1, name.encode()) + _field(2, op.encode()) + feeds + attrs


def _placeholder(dims: list[int]) -> bytes:
    """Return the NodeDef of the placeholder ``x``."""
    attrs = _attr("dtype", _type_value()) + _attr("shape", _field(7, _shape(dims)))
    return _node("x", "Placeholder", [], attrs)


def _versions() -> bytes:
    """Return the GraphDef's ``versions`` field."""
    return _field(4, _varint_field(1, _PRODUCER))


def _constant_head(name: str, side: int, content: int) -> bytes:
    """Return the field of a Const node up to the start of its ``content`` bytes of data."""
    opened = _node(name, "Const", [], _attr("dtype", _type_value()))
    # From the inside out: each enclosing message has a prefix and then the inner
    # message, and the data is the end of every message.
    levels = [
        (_varint_field(1, _DT_FLOAT) + _field(2, _shape([side, side])), 4),  # TensorProto
        (b"", 8),  # AttrValue.tensor
        (_field(1, b"value"), 2),  # the map entry
        (opened, 5),  # NodeDef.attr
        (b"", 1),  # GraphDef.node
    ]
    head = b""
    for before, number in levels:
        head = before + _varint(number << 3 | 2) + _varint(len(head) + content) + head
    return head


def _op(name: str, inputs: list[tuple[str, str]], output: tuple[str, str], attrs: bytes) -> bytes:
    """Return an OpDef; an argument is its name and the attr that holds its type."""
    arguments = b"".join(_field(2, _argument(*argument)) for argument in inputs)
    return _field(1, name.encode()) + arguments + _field(3, _argument(*output)) + attrs


def _argument(name: str, type_attr: str) -> bytes:
    """Return an OpDef.ArgDef."""
    return _field(1, name.encode()) + _field(4, type_attr.encode())


def _op_attr(name: str, kind: str, default: bytes | None = None) -> bytes:
    """Return an OpDef's attr field."""
    body = _field(1, name.encode()) + _field(2, kind.encode())
    return _field(4, body if default is None else body + _field(3, default))


def _op_placeholder() -> bytes:
    """Return the OpDef of Placeholder."""
    unknown_rank = _field(7, _varint_field(3, 1))
    attrs = _op_attr("dtype", "type") + _op_attr("shape", "shape", unknown_rank)
    return _op("Placeholder", [], ("output", "dtype"), attrs)


def _op_const() -> bytes:
    """Return the OpDef of Const."""
    attrs = _op_attr("value", "tensor") + _op_attr("dtype", "type")
    return _op("Const", [], ("output", "dtype"), attrs)


def _op_matmul() -> bytes:
    """Return the OpDef of MatMul."""
    no = _varint_field(5, 0)
    flags = ("transpose_a", "transpose_b", "grad_a", "grad_b")
    attrs = b"".join(_op_attr(flag, "bool", no) for flag in flags) + _op_attr("T", "type")
    return _op("MatMul", [("a", "T"), ("b", "T")], ("product", "T"), attrs)


def _op_identity() -> bytes:
    """Return the OpDef of Identity."""
    return _op("Identity", [("input", "T")], ("output", "T"), _op_attr("T", "type"))


def _op_relu() -> bytes:
    """Return the OpDef of Relu."""
    return _op("Relu", [("features", "T")], ("activations", "T"), _op_attr("T", "type"))
