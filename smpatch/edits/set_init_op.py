"""An edit that sets or removes the init op, which a session runs when it loads the model.

The edit writes the same entry of ``signature_def`` as TensorFlow's exporter. An entry names one
operation; for several operations, the edit appends a node that runs them all. An init op is refused
if

* it needs a placeholder: only the names of assets are fed at load time;
* it may assign a variable that the checkpoint restores: it runs after the restore;
* a variable or table that a signature needs would lose the value that the former init op gives;
* two of its operations fill one table: only the operation that runs first has an effect.

Sources: ``tensorflow/python/saved_model/signature_def_utils_impl.py`` (``op_signature_def``),
``tensorflow/python/saved_model/utils_impl.py`` (``build_tensor_info_from_op``),
``tensorflow/cc/saved_model/loader_util.cc`` (``GetInitOp``: the entry counts, then a collection).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from smpatch import arguments, schema
from smpatch.editing.edit import Change, Context, Edit, Expected, NotAppliedError, Repetition, Step
from smpatch.editing.tracking import Tracker
from smpatch.errors import RefusedError, TensorNotFoundError, TensorUnservableError
from smpatch.functions import load_time
from smpatch.functions.calls import untaken
from smpatch.functions.load_time import INIT_OP, InitOp, State, Writer
from smpatch.graph.index import op_of
from smpatch.graph.reach import conditional, in_frame, reach
from smpatch.graph.resolve import nearest
from smpatch.loader import MetaGraph
from smpatch.patch_table import Table
from smpatch.proof.numbers import KeptSignatures
from smpatch.rules import Note
from smpatch.savedmodel.draft import Draft
from smpatch.savedmodel.parts import ASSET_FILE_DEF, Addition
from smpatch.signature import names_of

_GROUP = "init_op"
"""The name of a node that runs several operations; a number is added if the name is taken."""


@dataclass(frozen=True, slots=True)
class SetInitOp(Edit):
    """Set the init op, which servers run when they load the model, for example to fill tables.

    Attributes:
        operations: Names of operations of the main graph, all of which are run; without names, the
            init op is removed.
    """

    verb: ClassVar[str] = "init-op"
    other_verb: ClassVar[str] = "no-init-op"

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        self._take(operations=arguments.texts(self.operations, "the init op"))

    @property
    def subject(self) -> str:
        return ",".join(self.operations) or "(none)"

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return (",".join(self.operations),)

    @classmethod
    def read(cls, table: Table) -> SetInitOp:
        if cls.verb in table.keys:
            return cls(table.names("init-op", needed=True))
        if not table.flag("no-init-op"):
            found = "only the value true requests an edit"
            table.fault(found, at=("no-init-op",), hint="write no-init-op = true")
        return cls(())

    def apply(self, meta_graph: MetaGraph, context: Context) -> Step:
        """Set the init op, or remove it."""
        old = load_time.init_op(meta_graph)
        was = ",".join(old.names) if old is not None else ""
        if _is_set(meta_graph, self.operations):
            if not self.operations:
                found = "there is no init op to remove"
                raise RefusedError(found, where="--no-init-op", hint="smpatch show names it")
            return Step(meta_graph, (Change(was, "unchanged", None, was),))
        for name in self.operations:
            _check(meta_graph, name)
        _check_values(meta_graph, old, self.operations)
        draft = Draft.of(meta_graph.parts)
        draft = draft.without(nodes=_own(meta_graph, self.operations))
        if not self.operations:
            _check_collections(meta_graph)
            changed = meta_graph.with_parts(draft.removed(INIT_OP))
            return Step(changed, (Change(was, "init-op-removed"),))
        name = self.operations[0]
        if len(self.operations) > 1:
            if not meta_graph.parts.can_change_graph:
                found = "a model in text form cannot be given the node that runs several operations"
                raise RefusedError(found, where="--init-op", hint="name one operation")
            name = untaken(_GROUP, meta_graph.graph.__contains__)
            node = schema.NodeDef(
                name=name, op="NoOp", input=[f"^{each}" for each in self.operations]
            )
            draft = draft.appended(Addition(nodes=(node.SerializeToString(deterministic=True),)))
        changed = meta_graph.with_parts(draft.put(INIT_OP, _entry(name)))
        notes: tuple[Note, ...] = ()
        if context.with_object_graph:
            text = (
                "tf.saved_model.load does not run the init op: it fills what the object graph has "
                "by itself; TF Serving, Triton and the C, Java, Go and Rust loaders run it"
            )
            notes = (Note("init-op-for-servers", text),)
        return Step(changed, (Change(name, "init-op-set", None, was),), notes=notes)

    def expected(self, before: MetaGraph) -> Expected:
        """Return no computation: an init op belongs to no signature."""
        return {}

    def follow(self, signatures: KeptSignatures) -> None:
        """Change nothing."""

    def track(self, tracker: Tracker) -> None:
        by = tracker.noted.get(self.verb)
        if by is not None:
            found = f"edit[{by}] sets or removes the init op as well"
            tracker.conflict(found, "name all operations in one edit")
        tracker.noted[self.verb] = tracker.place

    def repeated(self, again: Repetition) -> Edit | None:
        """Return None if the init op is set already, or if a later edit changes it."""
        is_last = not any(isinstance(each, SetInitOp) for each in again.later)
        if is_last and not _is_set(again.present, self.operations):
            raise NotAppliedError("it is another one")
        return None


def _is_set(meta_graph: MetaGraph, operations: Sequence[str]) -> bool:
    """Return whether the init op runs these operations; without any, whether there is none."""
    present = load_time.init_op(meta_graph)
    if present is None or not operations:
        return present is None and not operations
    if present.names == (*operations,):
        return True
    if len(operations) == 1 or len(present.names) != 1:
        return False
    graph, (name,) = meta_graph.graph, present.names
    if name not in graph or graph.wiring(name).op != "NoOp":
        return False
    return {*graph.wiring(name).inputs} == {f"^{each}" for each in operations}


def _check(meta_graph: MetaGraph, name: str) -> None:
    """Refuse an operation that cannot run when a model is loaded."""
    graph, where = meta_graph.graph, f"--init-op {name!r}"
    if name not in graph:
        if op_of(name) in graph:
            hint = f"name the operation: {op_of(name)}"
            raise TensorNotFoundError("it names no operation", where=where, hint=hint)
        hint = nearest(name, graph) or "smpatch check names the operation that fills a table"
        raise TensorNotFoundError("no such node in the graph", where=where, hint=hint)
    tensor = f"{name}:0"
    walk = reach(graph, [tensor], _asset_tensors(meta_graph))
    if walk.unfed:
        found = f"it needs the placeholder {walk.unfed[0][-1]!r}, which nothing feeds at load time"
        hint = "name an operation that needs no input"
        raise TensorUnservableError(found, where=where, hint=hint)
    enter = in_frame(graph, tensor) if walk.loops else None
    switch = conditional(graph, tensor) if walk.branches else None
    if enter or switch:
        found = f"it runs only inside a loop or branch (behind {enter or switch!r})"
        raise TensorUnservableError(found, where=where, hint="name an operation outside of it")


def _asset_tensors(meta_graph: MetaGraph) -> list[str]:
    """Return the tensors that a session feeds with the names of assets when it loads a model."""
    infos = [
        schema.AssetFileDef.FromString(each) for each in meta_graph.parts.pieces(ASSET_FILE_DEF)
    ]
    return [each.tensor_info.name for each in infos if each.tensor_info.name]


def _check_values(meta_graph: MetaGraph, old: InitOp | None, names: Sequence[str]) -> None:
    """Refuse an init op with which signatures would read other values, or none, after loading."""
    did = load_time.writers(meta_graph, old.names if old is not None else ())
    does = load_time.writers(meta_graph, names)
    where = f"--init-op {','.join(names)}" if names else "--no-init-op"
    fresh = load_time.overwriting(meta_graph, names) - did
    if fresh:
        found = (
            f"it may assign {_listed(fresh)} anew, and the checkpoint has the values: the init op "
            "runs after these are restored"
        )
        hint = "name the operation that fills the tables, such as init_all_tables"
        raise RefusedError(found, where=where, hint=hint)
    if old is not None and did - does:
        needed = _needed(meta_graph)
        lost = {each for each in did - does if each.state in needed}
        if lost:
            was = ",".join(old.names)
            hint = f"--init-op {','.join((*names, was))} runs both"
            found = f"the init op {was!r} gives {_listed(lost)} its value, and signatures need that"
            if not names:
                hint = "without a value, or with another, requests get other answers"
            raise RefusedError(found, where=where, hint=hint)
    filled: dict[State, list[Writer]] = {}
    for each in sorted(does):
        if each.state.is_table:
            filled.setdefault(each.state, []).append(each)
    for several in filled.values():
        if len(several) > 1 and not did.issuperset(several):
            nodes = " and ".join(repr(each.node) for each in several[:2])
            found = (
                f"{nodes} both fill {several[0].name!r}, and only the first that runs has an effect"
            )
            raise RefusedError(found, where=where, hint="name an operation that runs one of them")


def _needed(meta_graph: MetaGraph) -> Collection[State]:
    """Return the variables and tables that signatures need."""
    signatures = meta_graph.signatures.values()
    outputs = names_of(spec for each in signatures for spec in each.outputs.values())
    return load_time.state_behind(meta_graph, outputs).keys()


def _check_collections(meta_graph: MetaGraph) -> None:
    """Refuse to remove an init op that a collection names."""
    named = load_time.init_op_of_collections(meta_graph)
    if named is not None:
        found = (
            f"the collection {named.collection!r} names {','.join(named.names)!r} as the init op"
        )
        hint = "smpatch does not change collections; --init-op NAME takes precedence over them"
        raise RefusedError(found, where="--no-init-op", hint=hint)


def _own(meta_graph: MetaGraph, names: Sequence[str]) -> list[str]:
    """Return the node of the former init op, if smpatch appended it and no other node uses it."""
    reserved = meta_graph.reserved.get(INIT_OP)
    old = {each.name for each in reserved.tensors()} if reserved is not None else set()
    found = [each for each in meta_graph.parts.appended_nodes if each in old - {*names}]
    graph = meta_graph.graph
    candidates = [each for each in found if each in graph and graph.wiring(each).op == "NoOp"]
    if not candidates:
        return []
    used = {op_of(source) for name in graph for source in graph.wiring(name).inputs}
    collections = load_time.init_op_of_collections(meta_graph)
    used.update(collections.names if collections is not None else ())
    return [each for each in candidates if each not in used]


def _entry(name: str) -> bytes:
    """Return the ``SignatureDef`` that TensorFlow's exporter writes for an init op."""
    signature = schema.SignatureDef()
    info = signature.outputs[INIT_OP]
    info.name = name
    info.tensor_shape.unknown_rank = True
    return bytes(signature.SerializeToString(deterministic=True))


def _listed(writers: Iterable[Writer]) -> str:
    names = sorted({each.name for each in writers})
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - as many as fit into a line
    return ", ".join(map(repr, names[:3])) + more
