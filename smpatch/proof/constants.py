"""The fingerprint of a value that takes the place of an input.

This is written without a look at the nodes that an edit makes: a value is a ``Const``; one that
is repeated is broadcast to dimensions that are numbers, or those of what other inputs are fed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smpatch import dtypes, schema
from smpatch.functions.binding import Bound, Follow
from smpatch.graph.fingerprint import Fingerprints
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import GraphIndex
from smpatch.values import tensor_proto

__all__ = ["value_fingerprint"]


def value_fingerprint(
    bound: Bound, library: FunctionLibrary, given: Mapping[str, bytes] | None = None
) -> bytes:
    """Return the fingerprint of the tensor that yields a value.

    Args:
        bound: The value.
        library: Whatever defines operations.
        given: Input to the fingerprint of what it is given; those that it lacks are fed.
    """
    return _Graph(library, given or {}).fingerprint(bound)


class _Graph:
    def __init__(self, library: FunctionLibrary, given: Mapping[str, bytes]) -> None:
        self._library = library
        self._given = given
        self._bound: dict[str, bytes] = {}
        self._graph = schema.GraphDef()
        self._fed: dict[str, str] = {}

    def fingerprint(self, bound: Bound) -> bytes:
        dtype = dtypes.base(bound.spec.dtype)
        found = self._constant(bound.proto)
        if bound.dims is not None:
            sizes = [
                self._followed(each) if isinstance(each, Follow) else self._numbers([each])
                for each in bound.dims
            ]
            if len(sizes) > 1:
                axis = self._constant(tensor_proto(0, "int32")[1])
                sizes = [
                    self._add("ConcatV2", [*sizes, axis], N=len(sizes), T="int32", Tidx="int32")
                ]
            found = self._add("BroadcastTo", [found, *sizes], T=dtype, Tidx="int32")
        data = self._graph.SerializeToString()
        index = GraphIndex(data, [(0, len(data))])
        made = Fingerprints(index, self._library)
        return made.tensors([f"{found}:0"], self._fed, self._bound)[0][0]

    def _followed(self, follow: Follow) -> str:
        name = self._add("Placeholder", [], dtype=follow.dtype)
        if follow.alias in self._given:
            self._bound[f"{name}:0"] = self._given[follow.alias]
        else:
            self._fed[f"{name}:0"] = follow.alias
        shape = self._add("Shape", [name], T=follow.dtype, out_type="int32")
        return self._add(
            "StridedSlice",
            [shape, *(self._numbers([each]) for each in (follow.axis, follow.axis + 1, 1))],
            T="int32",
            Index="int32",
            begin_mask=0,
            ellipsis_mask=0,
            end_mask=0,
            new_axis_mask=0,
            shrink_axis_mask=0,
        )

    def _numbers(self, numbers: list[int]) -> str:
        return self._constant(tensor_proto(numbers, "int32")[1])

    def _constant(self, proto: bytes) -> str:
        tensor = schema.TensorProto.FromString(proto)
        return self._add("Const", [], value=tensor, dtype=dtypes.name(tensor.dtype))

    def _add(self, op: str, inputs: list[str], **attributes: Any) -> str:  # noqa: ANN401 - what an attribute may be
        name = f"n{len(self._graph.node)}"
        node = self._graph.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, str):
                node.attr[key].type = dtypes.number(value)
            elif isinstance(value, int):
                node.attr[key].i = value
            else:
                node.attr[key].tensor.CopyFrom(value)
        return name
