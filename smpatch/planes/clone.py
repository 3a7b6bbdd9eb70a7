"""A copy of a function that yields more.

The copy keeps everything: its own results first, then those that were asked for. Only the
name, the results and the calls on the way to an inner function are written anew; all other
bytes of the function are spliced over as they are, unknown fields included.

This room does not choose what is yielded.

Source: ``tensorflow/core/framework/function.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smpatch import dtypes, schema, wire
from smpatch.wire import Field, Splice

__all__ = ["Result", "clone", "redirected"]

_SIGNATURE, _NODE_DEF, _RET, _ATTR = 1, 3, 4, 5
_OP_NAME, _OP_OUTPUT_ARG = 1, 3
_STANDS_FOR = ("api_", "_implements")
"""Attributes by which grappler and TFLite put something else in a function's place, something of
the same interface; a copy has another."""


@dataclass(frozen=True, slots=True)
class Result:
    """One more result of a function.

    Attributes:
        name: The name of the output argument.
        tensor: What it is inside the function, ``node:arg:index``.
        dtype: Its type.
    """

    name: str
    tensor: str
    dtype: str


def clone(body: bytes, name: str, results: Sequence[Result], nodes: Mapping[str, Any]) -> bytes:
    """Return a copy of a function under another name, with more results.

    Args:
        body: The function, a serialized ``FunctionDef``.
        name: The copy's name.
        results: What it yields besides.
        nodes: Nodes of the body, by name, that are written anew (``NodeDef`` messages).
    """
    edits: list[tuple[Splice, tuple[Field, ...]]] = []
    signature: Field | None = None
    for field in wire.fields(body):
        if field.wire_type != wire.BYTES:
            continue
        if field.number == _SIGNATURE:
            signature = field
        elif field.number == _NODE_DEF:
            wiring = schema.NodeWiring.FromString(field.bytes(body))
            if wiring.name in nodes:
                new = nodes[wiring.name].SerializeToString(deterministic=True)
                edits.append((Splice(field.value, field.end, new), (field,)))
        elif field.number == _ATTR and _key(field.bytes(body)).startswith(_STANDS_FOR):
            edits.append((Splice(field.start, field.end, b""), ()))
    if signature is not None:
        edits += _renamed(body, signature, name)
        more = b"".join(wire.delimited(_OP_OUTPUT_ARG, _argument(result)) for result in results)
        edits.append((Splice(signature.end, signature.end, more), (signature,)))
    rets = b"".join(
        wire.delimited(
            _RET, wire.delimited(1, each.name.encode()) + wire.delimited(2, each.tensor.encode())
        )
        for each in results
    )
    edits.append((Splice(len(body), len(body), rets), ()))
    return wire.apply(body, wire.enclose(body, edits))


def redirected(node: Any, function: str, results: Sequence[Result]) -> Any:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Return a call node that calls a copy which yields more."""
    call = schema.NodeDef()
    call.CopyFrom(node)
    call.attr["f"].func.name = function
    call.attr["Tout"].list.type.extend(dtypes.number(result.dtype) for result in results)
    # They describe the results that the call had before.
    call.attr.pop("_output_shapes", None)
    return call


def _renamed(body: bytes, signature: Field, name: str) -> list[tuple[Splice, tuple[Field, ...]]]:
    for part in wire.fields(body, signature.value, signature.end):
        if part.number == _OP_NAME and part.wire_type == wire.BYTES:
            return [(Splice(part.value, part.end, name.encode()), (signature, part))]
    field = wire.delimited(_OP_NAME, name.encode())
    return [(Splice(signature.value, signature.value, field), (signature,))]


def _argument(result: Result) -> bytes:
    arg = schema.OpDef.ArgDef(name=result.name, type=dtypes.number(result.dtype))
    return bytes(arg.SerializeToString())


def _key(entry: bytes) -> str:
    return str(schema.AttrEntry.FromString(entry).key)
