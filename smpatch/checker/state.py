"""Variables and tables that nothing fills when a server loads the model.

A session runs the restore operation of the saver, then the init op, and nothing else. A variable
or table that neither of them fills has no value, and every request that reads it fails. This fault
does not appear in ``tf.saved_model.load``, which restores the objects of the object graph itself,
and runs the initializers that the collections of TensorFlow 1 name.

Each variable and table that the two operations reach counts as filled. A variable that a signature
may assign itself is left out. Each reported signature fails with certainty.

Source: ``tensorflow/cc/saved_model/loader.cc`` (``RunRestore``, ``RunInitOp``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from smpatch.checker.findings import Finding, Subject, fault
from smpatch.display import quoted
from smpatch.functions.load_time import (
    FILLS,
    REFERENCES_ON,
    TABLES,
    VARIABLES,
    filling,
    init_op,
    state_behind,
    state_of,
)
from smpatch.functions.restored import missing_variables, restored_variables
from smpatch.graph.index import CALLS, called, full, op_of
from smpatch.loader import MetaGraph
from smpatch.savedmodel.checkpoint import INDEX
from smpatch.signature import SignatureDef

_REFERENCES = frozenset({"Variable", "VariableV2"})
_MARKS = (b"VarHandleOp", b"Variable", b"HashTable")
"""Parts of the names of operations of variables and tables: each name has one of them."""

_READS = frozenset(
    {"ReadVariableOp", "ResourceGather", "ResourceGatherNd"}
    | {"AssignAddVariableOp", "AssignSubVariableOp"}
    | {"LookupTableFind", "LookupTableFindV2", "LookupTableExport", "LookupTableExportV2"}
)
"""The operations that fail if the variable or table has no value."""

_ONLY_ASKS = ("IsVariableInitialized",)
"""The operations that take a reference and need no value."""

_LOOPS = frozenset({"While", "StatelessWhile"})
_BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})

_PASSES = REFERENCES_ON | {"Identity", "Enter"}
"""The operations whose output is their input."""

_MANY = 5
"""The most names that are listed."""


class _Use(NamedTuple):
    """A use of a variable or table."""

    reads: bool
    may_fill: bool


def check_checkpoint(subject: Subject) -> Iterator[Finding]:
    """Yield the missing files of the checkpoint, if there are variables to restore."""
    missing = missing_variables(subject.model.directory, subject.meta_graph)
    if not missing:
        return
    names = restored_variables(subject.meta_graph)
    stops = subject.python_reads_signature_def
    for each in missing:
        text = f"{each}; the model restores {_listed('variable', names)}"
        hint = each.hint or "requests fail; copy the export with all that is in variables/"
        yield fault("variables-missing", subject.where(), text, hint, stops_python=stops)


def without_checkpoint(subject: Subject) -> Iterator[str]:
    """Yield the keys of the signatures that read a variable that the init op does not fill."""
    filled = _filled(subject.meta_graph, restored=False)
    for key, signature in subject.signatures.items():
        if _Empty(subject.meta_graph, signature, filled).names(VARIABLES):
            yield key


def check_state(subject: Subject) -> Iterator[tuple[str, Finding]]:
    """Yield keys and findings of signatures that read a variable or table that nothing fills."""
    meta_graph = subject.meta_graph
    data, pieces = meta_graph.parts.graph
    # A search through the bytes is faster than a walk through a frozen graph of a million nodes.
    if all(data.find(mark, start, end) < 0 for mark in _MARKS for start, end in pieces):
        return
    filled = _filled(meta_graph)
    for key, signature in subject.signatures.items():
        empty = _Empty(meta_graph, signature, filled)
        where = subject.where(f"signature {key!r}")
        variables, tables = empty.names(VARIABLES), empty.names(TABLES)
        if variables:
            text = (
                f"nothing restores {_listed('variable', variables)} when a server loads the model"
            )
            there = (subject.model.directory / INDEX).exists()
            remedy = "the checkpoint has no value for them" if there else f"{INDEX} is missing"
            hint = f"requests fail; {remedy}"
            yield key, fault("variable-not-restored", where, text, hint)
        if tables:
            text = f"nothing fills {_listed('table', tables)} when a server loads the model"
            yield key, fault("table-not-filled", where, text, _remedy(meta_graph, tables))


def _listed(noun: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    plural = "s" if len(names) > 1 else ""
    return f"the {noun}{plural} {', '.join(map(repr, names[:_MANY]))}{more}"


def _remedy(meta_graph: MetaGraph, tables: Collection[str]) -> str:
    """Return advice: the nodes that fill the tables, if the graph has some."""
    names = filling(meta_graph, tables)
    if not names:
        return "requests fail; no operation of the graph fills them"
    listed = " and ".join(map(repr, names))
    fill = "fills" if len(names) == 1 else "fill"
    command = f"smpatch edit --init-op {quoted(','.join(names))}"
    return f"requests fail; {listed} {fill} them, and no init op runs that: {command}"


def _filled(meta_graph: MetaGraph, *, restored: bool = True) -> frozenset[object]:
    """Return identifiers of the variables and tables that the restore op and the init op reach."""
    found = init_op(meta_graph)
    names = [] if found is None else [*found.names]
    if restored:
        names.append(meta_graph.saver.restore_op_name)
    return frozenset(state_behind(meta_graph, names))


class _Empty:
    """The variables and tables that a signature reads and nothing fills."""

    def __init__(
        self, meta_graph: MetaGraph, signature: SignatureDef, filled: Collection[object]
    ) -> None:
        self._graph = meta_graph.graph
        self._library = meta_graph.functions
        self._fed = {each.name for spec in signature.inputs.values() for each in spec.tensors()}
        self._readers: dict[str, list[tuple[str, int]]] = {}
        outputs = [each.name for spec in signature.outputs.values() for each in spec.tensors()]
        needed = self._walk(outputs)
        self._found: list[tuple[str, str]] = []
        for name in needed:
            op = self._graph.wiring(name).op
            if op not in VARIABLES | TABLES:
                continue
            if state_of(self._graph.node(name).message(), name) in filled:
                continue
            uses = list(self._uses(name))
            if any(use.reads for use in uses) and not any(use.may_fill for use in uses):
                self._found.append((op, name))

    def names(self, ops: Collection[str]) -> tuple[str, ...]:
        """Return the nodes with one of these operations, sorted."""
        return tuple(sorted(name for op, name in self._found if op in ops))

    def _walk(self, outputs: Sequence[str]) -> list[str]:
        """Return the nodes that outputs need, and record the readers of each node."""
        waiting = [name for name in outputs if name not in self._fed]
        seen: set[str] = set()
        while waiting:
            name = op_of(waiting.pop())
            if name in seen or name not in self._graph:
                continue
            seen.add(name)
            for place, source in enumerate(self._graph.sources(name)):
                if full(source) not in self._fed:
                    waiting.append(source)
                    self._readers.setdefault(op_of(source), []).append((name, place))
        return list(seen)

    def _uses(self, name: str) -> Iterator[_Use]:
        reference = self._graph.wiring(name).op in _REFERENCES
        passed = {(name, True)}
        waiting = [*passed]
        while waiting:
            name, certain = waiting.pop()
            for reader, place in self._readers.get(name, ()):
                node = self._graph.node(reader).message()
                if node.input[place].startswith("^"):
                    continue
                if node.op in (REFERENCES_ON if reference else _PASSES):
                    # Only one branch of a conditional runs, so that no read in it is certain.
                    onward = (reader, certain and node.op != "RefSwitch")
                    waiting += {onward} - passed
                    passed.add(onward)
                elif reference and not node.op.startswith((*FILLS, *_ONLY_ASKS)):
                    yield _Use(reads=certain, may_fill=False)
                else:
                    yield from self._use(node, place)

    def _use(self, node: Any, place: int) -> Iterator[_Use]:  # noqa: ANN401 - a NodeDef
        """Yield the uses of an input of a node, with those in the functions that it calls."""
        met: set[tuple[str, int, bool]] = set()
        waiting: list[tuple[Any, int, bool]] = [(node, place, True)]
        while waiting:  # not by recursion: a file may have thousands of calls in each other
            node, place, certain = waiting.pop()
            functions = [each for each in called(node) if each in self._library]
            branches = node.op in _BRANCHES
            if node.op in _READS:
                if certain:
                    yield _Use(reads=True, may_fill=False)
            elif node.op.startswith(FILLS):
                yield _Use(reads=False, may_fill=True)
            elif branches or node.op in CALLS or node.op in _LOOPS or node.op in self._library:
                for each in functions:
                    # Only one of the branches runs, so that no read is certain.
                    inside = (each, place - branches, certain and not branches)
                    if inside not in met:
                        met.add(inside)
                        waiting += ((*found, inside[2]) for found in self._readers_in(*inside[:2]))
            elif functions:
                yield _Use(reads=False, may_fill=True)

    def _readers_in(self, name: str, place: int) -> Iterator[tuple[Any, int]]:
        """Yield the nodes of a function that take one of its arguments, each with the place."""
        function = self._library[name]
        if not 0 <= place < len(function.signature.input_arg):
            return
        readers: dict[str, list[tuple[Any, int]]] = {}
        for node in function.node_def:
            for at, source in enumerate(node.input):
                if not source.startswith("^"):
                    readers.setdefault(source.partition(":")[0], []).append((node, at))
        waiting = [function.signature.input_arg[place].name]
        seen = {*waiting}
        while waiting:
            for node, at in readers.get(waiting.pop(), ()):
                if node.op not in _PASSES:
                    yield node, at
                elif node.name not in seen:
                    seen.add(node.name)
                    waiting.append(node.name)
