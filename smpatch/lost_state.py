"""State that a graph in a file of its own has lost: values of variables, contents of tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from smpatch.errors import RefusedError
from smpatch.functions.load_time import filling, state_behind, state_of
from smpatch.graph.index import GraphIndex, full
from smpatch.graph.operations import needed
from smpatch.loader import MetaGraph
from smpatch.rules import Note
from smpatch.tensor_refs import TensorRef, named_tensors

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "_VarHandlesOp"})
_TABLES = frozenset({"HashTable", "HashTableV2"})
"""These operations have a state that is not in a graph."""

_MUTABLE = ("MutableHashTable", "MutableDenseHashTable")
"""The beginnings of the names of operations that make mutable tables."""

_WRITES = ("LookupTableInsert", "LookupTableImport")
"""The beginnings of the names of operations that write to mutable tables."""

_MANY = 5
"""The largest number of nodes that one message names."""


def lost_nodes(graph: GraphIndex, ops: Collection[str]) -> set[str]:
    """Return the variables of a graph, and the mutable tables if none of its operations writes."""
    lost = {op for op in ops if op in VARIABLES or (op.startswith(_MUTABLE) and not _write(ops))}
    return {name for name in graph if graph.wiring(name).op in lost} if lost else set()


def _write(ops: Iterable[str]) -> bool:
    return any(op.startswith(_WRITES) for op in ops)


def state_notes(
    meta_graph: MetaGraph,
    used: set[str],
    in_functions: set[str],
    ends: tuple[Iterable[TensorRef], Iterable[TensorRef]],
    init_op: Sequence[str] = (),
) -> tuple[Note, ...]:
    """Return notes on state that a graph alone cannot hold: variables, contents of tables.

    A lookup in a mutable table without content gives the default, and no error. A table that the
    outputs or the init op write to may get its content from there.

    Args:
        meta_graph: The graph.
        used: The operations of the main graph.
        in_functions: The operations of its functions.
        ends: The tensors that are fed, and those that are fetched.
        init_op: The operations that servers run when they load the model.

    Raises:
        RefusedError: An output needs variables or the content of a mutable table, or functions of
            the graph have variables.
    """
    hint = (
        "freeze it where its checkpoint is: tf.compat.v1.graph_util.convert_variables_to_constants"
    )
    if in_functions & VARIABLES:
        found = "the graph is not frozen: its functions have variables, whose values are not in it"
        raise RefusedError(found, hint=hint)
    if not any(op in VARIABLES | _TABLES or op.startswith(_MUTABLE) for op in used):
        return ()
    graph = meta_graph.graph
    filled = state_behind(meta_graph, init_op).keys()
    fed, fetched = ([name for ref in end for name in named_tensors(ref)] for end in ends)
    wanted = needed(graph, fetched, {*map(full, fed)})
    written = _write({*in_functions, *(graph.wiring(name).op for name in wanted)})
    state: dict[str, list[str]] = {"needed": [], "spare": [], "tables": [], "mutable": []}
    for name in graph:
        op = graph.wiring(name).op
        mutable = op.startswith(_MUTABLE)
        if op in VARIABLES:
            state["needed" if name in wanted else "spare"].append(name)
        elif (
            (mutable or op in _TABLES)
            and name in wanted
            and state_of(graph.node(name).message(), name) not in filled
        ):
            state["mutable" if mutable else "tables"].append(name)
    if state["needed"]:
        found = (
            "the graph is not frozen: the outputs need the variables "
            f"{_listed(state['needed'])}, whose values are not in it"
        )
        raise RefusedError(found, hint=hint)
    if state["mutable"] and not written:
        found = (
            f"the outputs need the mutable tables {_listed(state['mutable'])}, whose contents are "
            "not in the graph: each lookup would give its default"
        )
        raise RefusedError(found, hint="export the model with its checkpoint, and edit that export")
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
