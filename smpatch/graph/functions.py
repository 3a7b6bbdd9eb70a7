"""The function library: the functions that a TensorFlow 2 export calls.

Inside a function a tensor has the name ``node:arg:index`` (the output argument's name comes
from the operation's definition), and an argument has its own name. This module translates between
these names and ``node:index``, the form that people and tools use. It changes nothing.

Source: ``tensorflow/core/framework/function.proto``, ``tensorflow/core/framework/
function.cc`` (``FunctionDefHelper``, name resolution in ``FunctionInstantiationHelper``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from google.protobuf.message import DecodeError

from smpatch import schema
from smpatch.errors import ModelUnreadableError
from smpatch.graph.index import CALLS, GraphIndex, called
from smpatch.graph.op_defs import find_op_def
from smpatch.graph.resolve import Attributes, Output, outputs

_NUMBERED = re.compile(r"_0*([0-9]{1,19})$")
"""A number without thousands of digits, which neither TensorFlow nor Python reads."""

READS = frozenset(
    {"ReadVariableOp", "VarIsInitializedOp", "IsVariableInitialized", "VariableShape"}
    | {"ResourceGather", "ResourceGatherNd"}
    | {f"LookupTable{each}{v}" for each in ("Find", "Size", "Export") for v in ("", "V2")}
)
"""The operations with a state that only read variables and tables."""

_LIMIT = 2**63
"""The first number that TensorFlow cannot read."""

_ROOM = 2**20
"""More numbers than a list of edits needs."""


class FunctionLibrary:
    """The functions of one graph, decoded on demand."""

    def __init__(self, graph: GraphIndex, op_defs: Mapping[str, Any]) -> None:
        """Read the library of ``graph``; ``op_defs`` defines the operations (name to ``OpDef``)."""
        self._graph = graph
        self._op_defs = op_defs
        self._decoded: dict[str, Any] = {}
        self._calls: dict[str, tuple[str, ...]] = {}
        self._have_effects: dict[str, bool] = {"Assert": False, **dict.fromkeys(READS, False)}

    def __contains__(self, name: object) -> bool:
        """Return whether there is a function of that name."""
        return name in self._graph.function_bodies

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in the order of the library."""
        return iter(self._graph.function_bodies)

    def body(self, name: str) -> bytes:
        """Return the serialized ``FunctionDef``, with its unknown fields."""
        return self._graph.function_bodies[name]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
        """Return a function as a ``FunctionDef`` message, for reading.

        Raises:
            KeyError: There is no such function.
            ModelUnreadableError: It cannot be decoded.
        """
        if name not in self._decoded:
            try:
                self._decoded[name] = schema.FunctionDef.FromString(self.body(name))
            except DecodeError as error:
                found = f"the function {name!r} cannot be decoded: {error}"
                raise ModelUnreadableError(found) from error
        return self._decoded[name]

    def calls(self, name: str) -> tuple[str, ...]:
        """Return the names that ``called`` returns for the nodes of a function, each once.

        Raises:
            KeyError: There is no such function.
            ModelUnreadableError: It cannot be decoded.
        """
        if name not in self._calls:
            found = (each for node in self[name].node_def for each in called(node))
            self._calls[name] = tuple(dict.fromkeys(found))
        return self._calls[name]

    def reached(self, names: Iterable[str]) -> Iterator[str]:
        """Yield functions and those that they call, each once; skip other names."""
        waiting, seen = [*names], set[str]()
        while waiting:
            name = waiting.pop()
            if name in self and name not in seen:
                seen.add(name)
                yield name
                waiting += self.calls(name)

    def check_calls(self, names: Iterable[str]) -> None:
        """Check that nodes of the main graph call functions that are there and fit the call.

        Raises:
            ModelUnreadableError: A function that they reach is missing, or has other arguments or
                results.
        """
        places = {name: self._graph.node(name).message() for name in names}
        calls = [(f"node {name!r}", node) for name, node in places.items()]
        for function in self.reached(node.attr["f"].func.name for node in places.values()):
            nodes = (node for node in self[function].node_def if node.op in CALLS)
            calls += ((f"node {node.name!r} in the function {function!r}", node) for node in nodes)
        for place, node in calls:
            name = node.attr["f"].func.name
            if name not in self:
                raise _damaged(
                    f"{place} calls the function {name!r}, which the graph does not have"
                )
            signature = self._graph.function_signatures[name]
            given = sum(not each.startswith("^") for each in node.input)
            for kind, count, wanted in (
                ("arguments", given, signature.input_arg),
                ("results", len(node.attr["Tout"].list.type), signature.output_arg),
            ):
                lists = any(each.number_attr or each.type_list_attr for each in wanted)
                if count != len(wanted) and not lists:
                    has = f"the function {name!r} has {len(wanted)} {kind}"
                    raise _damaged(f"{has}, and {place}, which calls it, has {count}")

    def called_by(self, name: str) -> str:
        """Return the function that a node of the main graph calls; empty if it calls none."""
        function = self._graph.node(name).attr("f")
        return "" if function is None else str(function.func.name)

    def op_def(self, op: str) -> Any | None:  # noqa: ANN401 - as above
        """Return the definition of an operation, as ``find_op_def`` finds it, or None."""
        return find_op_def(op, self._op_defs, self._graph, appended=True)

    def outputs(self, node: Any) -> list[Output] | None:  # noqa: ANN401 - a NodeDef
        """Return the outputs of a node of a function; None if its operation is not defined."""
        op_def = self.op_def(node.op)
        return None if op_def is None else outputs(op_def, attributes(node))

    def has_effects(self, op: str) -> bool:
        """Return whether two nodes of an operation with the same inputs are not one.

        They are two if each run changes a state or yields another result, as ``RandomUniform``
        does, or if the operation is not defined.
        """
        if op not in self._have_effects:
            op_def = self.op_def(op)
            self._have_effects[op] = (
                op_def is None or op_def.is_stateful or any(arg.is_ref for arg in op_def.input_arg)
            )
        return self._have_effects[op]

    @cached_property
    def complete(self) -> bool:
        """Whether the operations of all nodes in functions are defined.

        Exporters before TensorFlow 2.4 define only the operations of the main graph.
        """
        return all(
            self.op_def(node.op) is not None for name in self for node in self[name].node_def
        )

    @cached_property
    def last_number(self) -> int:
        """The largest integer at the end of a function's name after which many numbers are free.

        TensorFlow gives each function a higher number, and its fingerprint needs a name that ends
        in a number of its own, of 64 bits (``fingerprinting.cc``, ``regularize_util``).
        """
        found = (_NUMBERED.search(name) for name in self)
        numbers = {0, _LIMIT, *(min(int(each[1]), _LIMIT) for each in found if each)}
        return max(a for a, b in pairwise(sorted(numbers)) if b - a > _ROOM)


def _damaged(found: str) -> ModelUnreadableError:
    return ModelUnreadableError(found, hint="the graph is damaged")


def attributes(node: Any) -> Attributes:  # noqa: ANN401 - a NodeDef
    """Return a function that returns an attribute of a decoded ``NodeDef`` by its name."""
    lookup: Attributes = node.attr.get
    return lookup
