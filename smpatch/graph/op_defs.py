"""Definitions of operations: those that a model has, and those that it lacks.

An exporter leaves the definitions of the operations of the main graph in
``MetaInfoDef.stripped_op_list``; exporters before TensorFlow 2.4 leave out those of functions.
TensorFlow defines the others; this module asks for them when the first one is missing. It defines
the outputs of the few operations that smpatch itself puts into graphs.

This module starts no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from smpatch import schema
from smpatch.graph.index import GraphIndex

MoreOpDefs = Callable[[], Mapping[str, Any]]
"""Returns the operations that TensorFlow registers, by name."""


class OpDefs(Mapping[str, Any]):
    """The definitions (``OpDef``) of operations, by name.

    A lookup finds those of the model and of TensorFlow; iteration yields only the model's.

    Attributes:
        own: The definitions that the model has.
    """

    def __init__(self, own: Mapping[str, Any], more: MoreOpDefs | None = None) -> None:
        """Keep the model's definitions, and the function that returns the others."""
        self.own = own
        self._ask = more

    def __getitem__(self, op: str) -> Any:  # noqa: ANN401 - an OpDef; protobuf makes the class at run time
        """Return a definition."""
        found = self.own.get(op)
        return self._more[op] if found is None else found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the model's definitions."""
        return iter(self.own)

    def __len__(self) -> int:
        """Return how many definitions the model has."""
        return len(self.own)

    @cached_property
    def _more(self) -> Mapping[str, Any]:
        return {} if self._ask is None else self._ask()


def find_op_def(
    op: str, op_defs: Mapping[str, Any], graph: GraphIndex, *, appended: bool = False
) -> Any | None:  # noqa: ANN401 - as above
    """Return the definition of an operation: the model's, a function of that name, or TensorFlow's.

    Args:
        op: The operation.
        op_defs: The definitions.
        graph: The graph whose functions are operations as well.
        appended: Whether to find the operations that smpatch puts into graphs without TensorFlow.
    """
    own = op_defs.own if isinstance(op_defs, OpDefs) else op_defs
    found = own.get(op) or graph.function_signatures.get(op)
    return found or (_appended(op) if appended else None) or op_defs.get(op)


_APPENDED = {
    "BroadcastTo": "T",
    "ConcatV2": "T",
    "Const": "dtype",
    "Shape": "out_type",
    "StridedSlice": "T",
}
"""The operations that ``functions.binding`` appends, each with the attribute that is the type of
its output (``tensorflow/core/ops/array_ops.cc``); none has a state."""

_CALLS = {"PartitionedCall": False, "StatefulPartitionedCall": True}
"""The calls of functions that ``functions.joining`` appends, each with whether it has a state
(``tensorflow/core/ops/functional_ops.cc``)."""


@cache
def _appended(op: str) -> Any | None:  # noqa: ANN401 - as above
    if op in _CALLS:
        found = schema.OpDef(name=op, is_stateful=_CALLS[op])
        found.output_arg.add(name="output", type_list_attr="Tout")
        return found
    if op not in _APPENDED:
        return None
    found = schema.OpDef(name=op)
    found.output_arg.add(name="output", type_attr=_APPENDED[op])
    if op == "Shape":
        found.attr.add(name="out_type", type="type").default_value.type = schema.DataType[
            "DT_INT32"
        ]
    return found
