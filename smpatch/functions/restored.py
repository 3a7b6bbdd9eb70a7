"""The variables that a model restores from its checkpoint, and the missing files of the checkpoint.

A server runs the restore operation of the saver, and ``tf.saved_model.load`` restores the
variables of the object graph. A model that has neither needs no files below ``variables/``.

Sources: ``tensorflow/cc/saved_model/loader.cc`` (``RunRestore``),
``tensorflow/python/saved_model/load.py`` (``_restore_checkpoint``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpatch.functions.load_time import init_op, state_behind
from smpatch.graph.reach import Behind, behind
from smpatch.loader import MetaGraph
from smpatch.savedmodel.file_kinds import recognise

if TYPE_CHECKING:
    from smpatch.savedmodel.checkpoint import Index

_OLD = frozenset({"Restore", "RestoreSlice"})
"""The operations that restore the checkpoints of the first releases."""

_MANY = 5
"""The most tensors that are named."""

_POINTER_BYTES = 1024
"""The most bytes of a pointer of Git LFS (git-lfs/docs/spec.md)."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A file of the checkpoint that is missing, too short, or a pointer to another file.

    Attributes:
        file: The path of the file, relative to the directory of the model.
        found: The fault, in words.
        hint: A command or a step that helps; empty if there is none.
    """

    file: str
    found: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the file and the fault as a sentence."""
        return f"{self.file} {self.found}"


def restored_variables(meta_graph: MetaGraph) -> tuple[str, ...]:
    """Return the names of the variables that a checkpoint restores, sorted: nodes, or objects."""
    found = {*state_behind(meta_graph, [meta_graph.saver.restore_op_name]).values()}
    if not found and meta_graph.has_object_graph:
        objects = meta_graph.objects
        nodes = (objects.node(number) for number in range(len(objects)))
        found = {node.variable.name for node in nodes if node.WhichOneof("kind") == "variable"}
    return tuple(sorted(found))


def needed_at_load(meta_graph: MetaGraph) -> bool:
    """Return whether the init op, which fills tables too, may read variables."""
    found = init_op(meta_graph)
    states = state_behind(meta_graph, [] if found is None else found.names)
    return any(not each.is_table for each in states)


def missing_variables(directory: Path, meta_graph: MetaGraph) -> tuple[Missing, ...]:
    """Return the files that the restore operation needs and that are missing or too short."""
    if not restored_variables(meta_graph):
        return ()
    from smpatch.savedmodel.checkpoint import INDEX, read_index

    if not (directory / INDEX).exists():
        return (Missing(INDEX, "is missing"),)
    index = read_index(directory)
    if index is None:
        pointer = _pointer(directory / INDEX)
        return () if pointer is None else (Missing(INDEX, *pointer),)
    return tuple(_incomplete(directory, index, _keys(meta_graph)))


def _incomplete(directory: Path, index: Index, keys: frozenset[bytes] | None) -> Iterator[Missing]:
    """Yield the tensors of these keys that are missing, and the data files that are too short."""
    lacking = sorted(set(keys or ()) - index.extents.keys())
    if lacking:
        from smpatch.savedmodel.checkpoint import INDEX

        names = ", ".join(repr(each.decode("utf-8", "replace")) for each in lacking[:_MANY])
        more = f" and {len(lacking) - _MANY} more" if len(lacking) > _MANY else ""
        hint = "servers do not load the model: is this the checkpoint of another export?"
        yield Missing(INDEX, f"does not name {names}{more}", hint)
    named = [each for key, each in index.extents.items() if keys is None or key in keys]
    # A slice has a key of its own, in another form, without the variable's name.
    wanted = index.extents.values() if any(each.sliced for each in named) else named
    ends: dict[int, int] = {}
    for each in wanted:
        ends[each.shard] = max(each.end, ends.get(each.shard, 0))
    for shard, end in sorted(ends.items()):
        file = index.file(shard)
        try:
            size = (directory / file).stat().st_size
        except FileNotFoundError:
            yield Missing(file, "is missing")
            continue
        except OSError:  # for example without permission: the size is unknown
            continue
        pointer = _pointer(directory / file)
        if pointer is not None:
            yield Missing(file, *pointer)
        elif size < end:
            yield Missing(file, f"has {size:,} bytes of {end:,}")


def _pointer(file: Path) -> tuple[str, str] | None:
    """Return words and a hint about a file that is a pointer to another one; else None."""
    try:
        if file.stat().st_size > _POINTER_BYTES:
            return None
        kind = recognise(file.read_bytes())
    except OSError:
        return None
    return None if kind is None or "pointer" not in kind.found else (f"is {kind.found}", kind.hint)


def _keys(meta_graph: MetaGraph) -> frozenset[bytes] | None:
    """Return the keys that the restore operation reads; None if the graph does not show them."""
    found: set[bytes] = set()
    for each in behind(meta_graph.graph, meta_graph.functions, [meta_graph.saver.restore_op_name]):
        if each.node.op in _OLD:
            return None
        if each.node.op == "RestoreV2":
            names = _names(each)
            if names is None or names.op != "Const":
                return None
            found.update(map(bytes, names.attr["value"].tensor.string_val))
    return frozenset(found) or None


def _names(restore: Behind) -> Any:  # noqa: ANN401 - a NodeDef or None
    """Return the node with the names of the tensors that an operation restores."""
    inputs = restore.node.input
    return restore.find(inputs[1]) if len(inputs) > 1 else None
