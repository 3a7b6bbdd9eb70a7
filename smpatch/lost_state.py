"""State that a graph in a file of its own has lost: values of variables, contents of tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smpatch.errors import RefusedError
from smpatch.functions.load_time import filling, state_behind, state_of
from smpatch.graph.operations import needed
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.tensor_refs import TensorRef, named_tensors

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "_VarHandlesOp"})
_TABLES = frozenset({"HashTable", "HashTableV2"})
"""Operations whose state is not in a graph."""

_MANY = 5
"""The largest number of nodes that one message names."""


def state_notes(
    meta_graph: MetaGraph,
    used: set[str],
    in_functions: set[str],
    outputs: Iterable[TensorRef],
    init_op: Sequence[str] = (),
) -> tuple[Note, ...]:
    """Return notes on state that a graph alone cannot hold: variables, contents of tables.

    Raises:
        RefusedError: An output needs variables, or functions of the graph have variables.
    """
    hint = (
        "freeze it where its checkpoint is: tf.compat.v1.graph_util.convert_variables_to_constants"
    )
    if in_functions & VARIABLES:
        found = "the graph is not frozen: its functions have variables, whose values are not in it"
        raise RefusedError(found, hint=hint)
    if not used & (VARIABLES | _TABLES):
        return ()
    graph = meta_graph.graph
    filled = state_behind(meta_graph, init_op).keys()
    wanted = needed(graph, [name for ref in outputs for name in named_tensors(ref)])
    state: dict[str, list[str]] = {"needed": [], "spare": [], "tables": []}
    for name in graph:
        op = graph.wiring(name).op
        if op in VARIABLES:
            state["needed" if name in wanted else "spare"].append(name)
        elif (
            op in _TABLES
            and name in wanted
            and state_of(graph.node(name).message(), name) not in filled
        ):
            state["tables"].append(name)
    if state["needed"]:
        found = (
            "the graph is not frozen: the outputs need the variables "
            f"{_listed(state['needed'])}, whose values are not in it"
        )
        raise RefusedError(found, hint=hint)
    notes = []
    if state["spare"]:
        text = f"no output needs the variables {_listed(state['spare'])}, which have no values"
        notes.append(Note("lost-variables", text))
    if state["tables"]:
        names = filling(meta_graph, state["tables"])
        text = (
            f"nothing fills the lookup tables {_listed(state['tables'])} when the model is loaded, "
            "so that requests that need one fail: the graph "
            + (
                f"does not record which operation fills them; --init-op {','.join(names)} sets it"
                if names
                else "has no operation that fills them"
            )
        )
        notes.append(Note("empty-tables", text))
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(repr(name) for name in names[:_MANY]) + more
