"""The operations that a session runs when it loads a model, and the state that they fill.

A session runs the restore operation of the saver and then the init op, and nothing else. An entry
of ``signature_def`` names the init op; if there is none, a collection of TensorFlow 1 names it.

Sources: ``tensorflow/cc/saved_model/loader.cc`` (``RunRestore``, ``RunInitOp``),
``tensorflow/cc/saved_model/loader_util.cc`` (``GetInitOp``),
``tensorflow/python/saved_model/loader_impl.py`` (``get_init_op``),
``tensorflow/core/ops/control_flow_ops.cc`` and ``state_ops.cc`` (``Ref`` outputs).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from smpatch import wire
from smpatch.graph.functions import READS
from smpatch.graph.index import called, op_of
from smpatch.graph.reach import Behind, behind
from smpatch.loader import MetaGraph
from smpatch.savedmodel.parts import ASSET_FILE_DEF, COLLECTION_DEF

INIT_OP = "__saved_model_init_op"
"""The key in ``signature_def`` of the entry that names the init op, and the key of its output."""

VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})
TABLES = frozenset({"HashTable", "HashTableV2"})

FILLS = ("Assign", "InitializeTable", "LookupTableImport")
"""The beginnings of the names of operations that give a variable or table a value."""

_STATE = VARIABLES | {
    f"{kind}{version}"
    for kind in (
        "HashTable",
        "MutableHashTable",
        "MutableHashTableOfTensors",
        "MutableDenseHashTable",
    )
    for version in ("", "V2")
}
"""The operations whose value lasts from one run of a session to the next."""

_REFERENCES = frozenset({"Variable", "VariableV2"})

_ONLY_READ = READS | {"NoOp", "Identity", "Gather", "GatherV2"}
"""The operations that do not change the variables and tables among their inputs."""

_PASSES = frozenset({"Identity", "Enter"})
"""The operations whose output is the value of their input: a handle, no reference."""

REFERENCES_ON = frozenset(
    {"RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSelect", "RefSwitch"}
)
"""The operations whose outputs are the references among their inputs."""

_WRITES_ON = ("Apply", "Assign", "Scatter", "SparseApply", "StridedSliceAssign")
"""The beginnings of the names of operations that write to a reference and have it as an output."""

_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS = "saved_model_assets"


class InitOp(NamedTuple):
    """The init op of a MetaGraph.

    Attributes:
        names: The nodes; a session loads the model only if there is one node.
        collection: The collection that names it; empty if ``signature_def`` names it.
    """

    names: tuple[str, ...]
    collection: str = ""


class State(NamedTuple):
    """The identity of a variable or table; two nodes with one identity are the same one.

    Attributes:
        is_table: Whether it is a table.
        container: The container.
        shared_name: The name in the container.
    """

    is_table: bool
    container: bytes
    shared_name: bytes


class Writer(NamedTuple):
    """A node that may give a variable or table a value.

    Attributes:
        function: The function in whose body it is; empty for the main graph.
        node: Its name.
        state: The variable or table that it gives a value.
        name: The node of this variable or table.
    """

    function: str
    node: str
    state: State
    name: str


def init_op(meta_graph: MetaGraph) -> InitOp | None:
    """Return the init op that servers find; None if there is none."""
    reserved = meta_graph.reserved.get(INIT_OP)
    if reserved is not None:
        return InitOp(tuple(each.name for each in reserved.tensors()))
    return init_op_of_collections(meta_graph)


def init_op_of_collections(meta_graph: MetaGraph) -> InitOp | None:
    """Return the init op that the collections name; None if they name none."""
    found = _collections(meta_graph)
    for name in _COLLECTIONS:
        if name in found:
            return InitOp(tuple(found[name]), name)
    return None


def asset_files(meta_graph: MetaGraph) -> Iterator[bytes]:
    """Yield each serialized ``AssetFileDef`` that servers find.

    In a model in text form those that only a collection has are not found.

    Source: ``GetAssetFileDefs`` in ``tensorflow/cc/saved_model/loader_util.cc``: the field of
    the MetaGraph, or else ``any_list`` of a collection.
    """
    own = meta_graph.parts.pieces(ASSET_FILE_DEF)
    yield from own
    for key, value in () if own else _each_collection(meta_graph):
        if key == _ASSETS:
            for packed in (each for listed in _parts(value, 5) for each in _parts(listed, 1)):
                yield from _parts(packed, 2)


def state_behind(meta_graph: MetaGraph, names: Iterable[str]) -> dict[State, str]:
    """Return the nodes of the variables and tables that operations reach, by their identity."""
    whole = [name for name in names if name]
    return {
        state_of(each.node, each.node.name): each.node.name
        for each in behind(meta_graph.graph, meta_graph.functions, whole)
        if each.node.op in _STATE
    }


def state_of(node: Any, name: str) -> State:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    """Return the identity of a variable or table, which two nodes may share."""
    shared, container = (
        node.attr[key].s if key in node.attr else b"" for key in ("shared_name", "container")
    )
    return State(node.op not in VARIABLES, container, shared or name.encode())


def writers(meta_graph: MetaGraph, names: Iterable[str]) -> frozenset[Writer]:
    """Return the nodes that may give variables and tables a value when operations run.

    A node with a variable or table as an input may give it a value, unless it is in ``_ONLY_READ``,
    passes it on, or takes only the value of a variable of TensorFlow 1.

    ``names`` are those of operations.
    """
    found: set[Writer] = set()
    for each in behind(meta_graph.graph, meta_graph.functions, names):
        if each.node.op in _ONLY_READ or each.node.op in REFERENCES_ON:
            continue
        defined = meta_graph.functions.op_def(each.node.op)
        by_value = defined is not None and not any(arg.is_ref for arg in defined.input_arg)
        for source in each.node.input:
            for node in _handles(each, source):
                if not (by_value and node.op in _REFERENCES):
                    state = state_of(node, node.name)
                    found.add(Writer(each.function, each.node.name, state, node.name))
    return frozenset(found)


def overwriting(meta_graph: MetaGraph, names: Iterable[str]) -> frozenset[Writer]:
    """Return the writers that may give a value to variables that the saver restores."""
    restored = state_behind(meta_graph, [meta_graph.saver.restore_op_name])
    return frozenset(each for each in writers(meta_graph, names) if each.state in restored)


def _handles(behind_it: Behind, source: str) -> Iterator[Any]:
    """Yield the variables and tables that an input of a node may be; none if it is only a value."""
    waiting, seen = [(source, True)], set()
    while waiting:
        name, is_reference = waiting.pop()
        node = None if name.startswith("^") else behind_it.find(name)
        if node is None or (node.name, is_reference) in seen:
            continue
        seen.add((node.name, is_reference))
        if node.op in REFERENCES_ON:
            waiting += ((each, is_reference) for each in node.input)
        elif node.op in _PASSES:
            # It passes on only the value of a variable of TensorFlow 1.
            waiting += ((each, False) for each in node.input[:1])
        elif node.op.startswith(_WRITES_ON):
            waiting += ((each, is_reference) for each in node.input[:1])
        elif node.op in _STATE and (is_reference or node.op not in _REFERENCES):
            yield node


def filling(meta_graph: MetaGraph, tables: Collection[str]) -> tuple[str, ...]:
    """Return the operations that fill tables, or a ``NoOp`` that groups them.

    A ``NoOp`` counts only if it gives no value to a variable that the saver restores.

    ``tables`` has the names of the nodes of the tables.
    """
    graph = meta_graph.graph
    wirings = [graph.wiring(name) for name in graph]
    taking = [each for each in wirings if {*tables} & {*map(op_of, each.inputs)}]
    found = sorted(each.name for each in taking if _fills(meta_graph, each.name, tables))
    wanted = {f"^{name}" for name in found}
    groups = [each.name for each in wirings if each.op == "NoOp" and wanted <= {*each.inputs}]
    for name in groups if found else ():
        if not overwriting(meta_graph, [name]):
            return (name,)
    return tuple(found)


def _fills(meta_graph: MetaGraph, name: str, tables: Collection[str]) -> bool:
    """Return whether a node, or a function to which it leads, fills one of these tables."""
    library = meta_graph.functions
    node = meta_graph.graph.node(name).message()
    sources = enumerate(node.input)
    waiting = [
        (node, place) for place, each in sources if each[:1] != "^" and op_of(each) in tables
    ]
    seen: set[tuple[str, int]] = set()
    while waiting:
        node, place = waiting.pop()
        if node.op.startswith(FILLS):
            return True
        given = sum(each[:1] != "^" for each in node.input)
        for function in filter(library.__contains__, called(node)):
            arguments = library[function].signature.input_arg
            # A branch has a condition before the arguments of its functions.
            number = place - given + len(arguments)
            if 0 <= number < len(arguments) and (function, number) not in seen:
                seen.add((function, number))
                waiting += _readers(library[function], arguments[number].name)
    return False


def _readers(function: Any, name: str) -> Iterator[tuple[Any, int]]:  # noqa: ANN401 - a FunctionDef
    """Yield the nodes that read an argument of a function, with the place of the input."""
    reading: dict[str, list[tuple[Any, int]]] = {}
    for node in function.node_def:
        for place, source in enumerate(node.input):
            reading.setdefault(source.partition(":")[0], []).append((node, place))
    waiting = [name]
    while waiting:
        for node, place in reading.pop(waiting.pop(), ()):
            if node.op in _PASSES:
                waiting.append(node.name)
            else:
                yield node, place


def _collections(meta_graph: MetaGraph) -> Mapping[str, Sequence[str]]:
    """Return the collections that name nodes: ``CollectionDef.node_list.value`` by key."""
    found: dict[str, Sequence[str]] = {}
    for key, value in _each_collection(meta_graph):
        nodes = [each for listed in _parts(value, 1) for each in _parts(listed, 1)]
        found[key] = [each.decode("utf-8", "replace") for each in nodes]
    return found


def _each_collection(meta_graph: MetaGraph) -> Iterator[tuple[str, bytes]]:
    """Yield the key and the ``CollectionDef`` of each collection."""
    for entry in meta_graph.parts.pieces(COLLECTION_DEF):
        key, value = (b"".join(_parts(entry, number)) for number in (1, 2))
        yield key.decode("utf-8", "replace"), value


def _parts(data: bytes, number: int) -> list[bytes]:
    return [
        field.bytes(data)
        for field in wire.fields(data)
        if field.number == number and field.wire_type == wire.BYTES
    ]
