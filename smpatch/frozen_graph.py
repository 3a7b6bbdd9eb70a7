"""Make a SavedModel of a frozen graph: a head, and after it the bytes of the graph.

A SavedModel without signatures is first written to a staging directory, with the facts that
TensorFlow's builder records. A copy with the signature is made beside it, as by every edit with
``save_to``: built, staged and reloaded. One rename puts the copy in place. The kernel copies the
graph; only a graph in text form is parsed and written in binary form.

This module does not freeze graphs: a graph that needs the values of variables is refused.

Sources: ``tensorflow/python/saved_model/builder_impl.py``, ``tensorflow/python/framework/
meta_graph.py`` (``create_meta_graph_def``, ``ops_used_by_graph_def``).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smpatch import arguments, schema, wire
from smpatch.edits import AddPredict, Compose, Edit, Remove, SetInitOp, TensorRef
from smpatch.errors import (
    ConflictError,
    ModelUnreadableError,
    RefusedError,
    SmpatchError,
    UsageError,
    ValidationError,
    WriteError,
)
from smpatch.fragments import asked_list
from smpatch.graph.operations import needed, operations
from smpatch.loader import MetaGraph
from smpatch.lost_state import VARIABLES, lost_nodes, state_notes
from smpatch.options import Options, check_options
from smpatch.patcher import Receipt, patch
from smpatch.rules import Note
from smpatch.runtime import installation, questions
from smpatch.runtime.process import ChildError, Program
from smpatch.savedmodel import graph_def
from smpatch.savedmodel.directory import (
    BINARY_NAME,
    FileIdentity,
    naming,
    open_file,
    open_regular,
    writing,
)
from smpatch.savedmodel.file_kinds import shell_word
from smpatch.savedmodel.graph_def import FrozenGraph
from smpatch.savedmodel.parts import GRAPH_DEF, META_GRAPHS, META_INFO_DEF
from smpatch.signature import DEFAULT_KEY
from smpatch.suggestions import Suggestions, suggest
from smpatch.tensor_refs import tensor_refs
from smpatch.validator import Validator
from smpatch.validator.lending import validator_for
from smpatch.wire import Kept
from smpatch.writer import commit_new, stage_new
from smpatch.writer.copying import write_pieces
from smpatch.writer.plan import SIZE_LIMIT
from smpatch.writer.rehearsal import shown

_SCHEMA_VERSION = 1
"""The version of ``SavedModel`` (``tensorflow/python/saved_model/constants.py``)."""

_VERSION_FIELD = 1
_OP_LIST, _TAGS, _TENSORFLOW, _GIT = 2, 4, 5, 6
"""Fields of ``MetaInfoDef``."""

_UNWRITTEN = "nothing was written"
_OF_A_MODEL = ("the model is unchanged", "it did not load before either")
"""Words of errors about a model that is edited; a graph had no model before."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph in a file of its own.

    Attributes:
        file: The path of the file.
        parts: The graph as parts of a MetaGraph.
        identity: The identity of the file that was read.
    """

    file: Path
    parts: FrozenGraph
    identity: FileIdentity

    def meta_graph(self, op_defs: Mapping[str, Any]) -> MetaGraph:
        """Return the graph as a MetaGraph without signatures.

        Args:
            op_defs: Definitions (``OpDef``) of operations by name; the file has none.
        """
        return MetaGraph(self.parts, self.file, lambda: op_defs)


def load_graph(file: str | os.PathLike[str]) -> Graph:
    """Read a ``GraphDef`` from a file.

    Raises:
        ModelUnreadableError: The file does not exist, is a directory, or holds no graph.
    """
    path = arguments.path(file, "graph")
    if os.path.isdir(path):  # noqa: PTH112 - Path's raises if a name is too long
        raise _directory(path)
    if not os.path.lexists(path):
        raise ModelUnreadableError("no such file", where=str(path))
    with naming(path):
        data, identity = open_file(path)
        return Graph(path, graph_def.read(data, path), identity)


def suggest_for_graph(
    graph: str | os.PathLike[str], *, options: Options | None = None
) -> tuple[MetaGraph, Suggestions]:
    """Return the tensors of a graph that could become a signature.

    Args:
        graph: The file that holds the ``GraphDef``.
        options: The options with which TensorFlow is asked for the definitions of operations.

    Returns:
        The graph as a MetaGraph, and the suggestions without outputs that need lost values.

    Raises:
        ModelUnreadableError: The file holds no graph.
        RefusedError: All outputs need variables or the content of mutable tables, or functions of
            the graph have variables.
    """
    chosen = check_options(options)
    opened = load_graph(graph)
    with _validator(chosen) as validator, naming(opened.file):
        meta_graph = opened.meta_graph(validator.op_defs())
        found = suggest(meta_graph)
        used, in_functions = operations(meta_graph.graph, meta_graph.functions)
        index = meta_graph.graph
        lost = lost_nodes(index, used | in_functions)
        outputs = tuple(
            each for each in found.outputs if lost.isdisjoint(needed(index, [each.spec.name]))
        )
        if not outputs or in_functions & VARIABLES:
            fetched = [each.spec.name for each in found.outputs]
            state_notes(meta_graph, used, in_functions, ((), fetched))
        return meta_graph, replace(found, outputs=outputs)


def wrap_graph(  # noqa: PLR0913 - source, destination, the parts of the signature, and the options
    graph: str | os.PathLike[str],
    save_to: str | os.PathLike[str],
    *,
    inputs: Mapping[str, TensorRef],
    outputs: Mapping[str, TensorRef],
    signature: str = DEFAULT_KEY,
    before: Sequence[str | Callable[..., object]] | str = (),
    after: Sequence[str | Callable[..., object]] | str = (),
    bind: Mapping[str, object] | None = None,
    tags: Sequence[str] | str = ("serve",),
    init_op: Sequence[str] | str = (),
    options: Options | None = None,
) -> Receipt:
    """Make a SavedModel of a frozen graph, with one predict signature.

    Args:
        graph: The file that holds the ``GraphDef``, binary or text.
        save_to: The directory to make, absent or empty before.
        inputs: Alias to the tensor that is fed, as for ``add_predict``.
        outputs: Alias to the tensor that is fetched, likewise.
        signature: The signature key.
        before: The functions that yield ``inputs``, as for ``compose_signature``.
        after: The functions that take ``outputs``, likewise.
        bind: Input to its value, for the ``inputs`` that become constants, likewise.
        tags: The tags of the MetaGraph.
        init_op: Operations that servers run when they load the model, as for ``set_init_op``.
        options: The options of the edit, without ``save_to``, ``backup`` and ``tag_set``.

    Example:
        >>> inputs, outputs = {"x": "features:0"}, {"y": "head/scores:0"}
        >>> smpatch.wrap_graph("frozen.pb", "export/3", inputs=inputs, outputs=outputs).directory
        PosixPath('export/3')

    Raises:
        UsageError: Nothing is fed or fetched, or an option does not apply.
        ModelUnreadableError: The file holds no graph.
        RefusedError: The graph is not frozen, the signature cannot work, or ``save_to`` is in use.
        SmpatchError: As ``add_predict``; nothing was written.
    """
    inputs, outputs = tensor_refs(inputs, "input"), tensor_refs(outputs, "output")
    for name, given in (("inputs", inputs), ("outputs", outputs)):
        if not given:
            raise UsageError(f"no {name} are given", hint="name at least one tensor")
    chosen = Options() if options is None else options
    tags = arguments.texts(tags, "tags")
    _check(chosen, tags)
    destination = arguments.local_path(save_to, "save_to", "copy the new model there yourself")
    opened = load_graph(graph)
    init_op = arguments.texts(init_op, "init_op")
    edits: list[Edit] = [SetInitOp(init_op)] if init_op else []
    composed = _composed(signature, before, after, bind)
    edits.append(AddPredict(inputs, outputs, signature if composed is None else composed.source))
    with writing(destination, "made", hint=_UNWRITTEN), _validator(chosen) as validator:
        with naming(opened.file):
            ends = inputs.values(), outputs.values()
            head, notes = _prepare(opened, ends, tags, init_op, validator)
        with _workshop(destination, dry_run=chosen.dry_run) as workshop:
            bare = _bare(opened, head, workshop)
            made = destination if chosen.dry_run else workshop / "model"
            plain = workshop / "plain"  # with the signature that is composed with others
            with _renamed({bare: opened.file, plain: opened.file, made: destination}):
                last = replace(chosen, save_to=made)
                if composed is None:
                    receipt = patch(bare, edits, options=last, validator=validator)
                else:
                    first = replace(chosen, save_to=plain, dry_run=False, feed=None)
                    earlier = patch(bare, edits, options=first, validator=validator)
                    notes = (*notes, *shown(earlier.notes, bare, opened.file))
                    both = [composed, Remove((composed.source,))]
                    receipt = patch(plain, both, options=last, validator=validator)
                    receipt = _without(receipt, composed.source)
            late = () if chosen.dry_run else commit_new(made, destination)
    return replace(
        receipt,
        directory=destination,
        size_before=opened.identity.size,
        notes=(
            *notes,
            *shown(receipt.notes, bare if composed is None else plain, opened.file),
            *(Note("after-commit", each) for each in late),
        ),
    )


def _composed(
    signature: str,
    before: Sequence[str | Callable[..., object]] | str,
    after: Sequence[str | Callable[..., object]] | str,
    bind: Mapping[str, object] | None,
) -> Compose | None:
    """Return the edit that composes the graph's signature with functions and constants.

    None if there are no functions and constants.
    """
    if not (before or after or bind):
        return None
    source = "frozen_graph" if signature != "frozen_graph" else "frozen_graph_1"
    constants = arguments.constants(bind or {}, "bind")
    put = asked_list(before, "before"), asked_list(after, "after")
    return Compose(source, signature, constants, before=put[0], after=put[1])


def _without(receipt: Receipt, key: str) -> Receipt:
    """Return a receipt without the changes of a temporary signature."""
    return replace(receipt, changes=tuple(each for each in receipt.changes if each.key != key))


@contextlib.contextmanager
def _workshop(destination: Path, *, dry_run: bool) -> Iterator[Path]:
    """Make a directory to work in: beside the destination, or in a dry run elsewhere.

    In a dry run it has a name that no edit recognises as a staging directory and removes.
    """
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="smpatch-") as directory:
            yield Path(directory)
    else:
        with stage_new(destination) as workshop:
            yield workshop


def _prepare(
    opened: Graph,
    ends: tuple[Iterable[TensorRef], Iterable[TensorRef]],
    tags: Sequence[str],
    init_op: Sequence[str],
    validator: Validator,
) -> tuple[bytes, tuple[Note, ...]]:
    """Return the bytes before the graph, and notes on the graph.

    Args:
        opened: The graph.
        ends: The tensors that are fed, and those that are fetched.
        tags: The tags of the MetaGraph.
        init_op: The operations that servers run when they load the model.
        validator: The validator that asks TensorFlow.

    Raises:
        RefusedError: The graph is not frozen, or too large.
        ValidationError: TensorFlow cannot be asked.
    """
    op_defs = validator.op_defs()
    meta_graph = opened.meta_graph(op_defs)
    used, in_functions = operations(meta_graph.graph, meta_graph.functions)
    notes = state_notes(meta_graph, used, in_functions, ends, init_op)
    try:
        version = validator.ask(Program.CAPI, questions.version)
    except ChildError as error:
        raise ValidationError(f"TensorFlow cannot be asked: {error}", hint=_UNWRITTEN) from error
    ops = [op_defs[op] for op in sorted(used | in_functions) if op in op_defs]
    return _head(opened.parts, _meta_info(ops, tags, version), opened.file), notes


def _check(options: Options, tags: Sequence[str]) -> None:
    check_options(options)
    for name, given in (
        ("save_to", options.save_to is not None),
        ("backup", options.backup),
        ("tag_set", options.tag_set is not None),
    ):
        if given:
            raise UsageError(f"the option {name} does not apply to a graph that is wrapped")
    if not tags:
        raise UsageError("no tags are given", hint="servers look for the tag 'serve'")
    for tag in tags:
        if not tag or "," in tag or not tag.isprintable():
            raise UsageError(f"{tag!r} is not a usable tag", hint="use letters and _")
    if len(set(tags)) < len(tags):
        raise UsageError(f"a tag is given twice: {','.join(tags)}")


def _validator(options: Options) -> Validator:
    libraries = [Path(each).resolve() for each in options.op_libraries]
    return validator_for(options.validate, libraries, options.time_limit)


def _directory(path: Path) -> ModelUnreadableError:
    """Return the error for a directory that is given as a graph."""
    found = "it is a directory, not a file with a graph"
    names = {each.name for each in path.iterdir()} if os.access(path, os.R_OK | os.X_OK) else set()
    held = {"saved_model.pb", "saved_model.pbtxt"} & names
    if held and (hidden := _hidden_graph(path / min(held))):
        hint = f"its {hidden.name} is a frozen graph: smpatch wrap {shell_word(hidden)}"
    elif held:
        hint = "it is a SavedModel already: smpatch add-predict gives it signatures"
    elif "checkpoint" in names or any(name.endswith(".index") for name in names):
        hint = "it holds a checkpoint, which has values and no graph"
    else:
        hint = "name the file, such as graph_def.pb"
    return ModelUnreadableError(found, where=str(path), hint=hint)


def _hidden_graph(file: Path) -> Path | None:
    """Return a file with the name of a model file if it holds a graph; else None."""
    try:
        load_graph(file)
    except ModelUnreadableError:
        return None
    return file


def _meta_info(ops: Sequence[Any], tags: Sequence[str], version: str) -> bytes:
    """Return the ``MetaInfoDef`` that TensorFlow's builder writes for these operations."""
    op_list = schema.OpList(op=ops).SerializeToString(deterministic=True)
    installed = installation.find()
    git = None if installed is None else installed.git_version
    pieces = [
        wire.delimited(_OP_LIST, bytes(op_list)),
        *(wire.delimited(_TAGS, tag.encode()) for tag in tags),
        wire.delimited(_TENSORFLOW, version.encode()),
        b"" if git is None else wire.delimited(_GIT, git.encode()),
    ]
    return b"".join(pieces)


def _head(parts: FrozenGraph, meta_info: bytes, file: Path) -> bytes:
    """Return the bytes before the graph in a SavedModel that holds nothing else.

    Raises:
        RefusedError: The SavedModel would be larger than protobuf reads.
    """
    length = len(parts.data)
    graph = wire.varint(GRAPH_DEF << 3 | wire.BYTES) + wire.varint(length)
    inside = wire.delimited(META_INFO_DEF, meta_info) + graph
    head = wire.varint(_VERSION_FIELD << 3) + wire.varint(_SCHEMA_VERSION)
    head += wire.varint(META_GRAPHS << 3 | wire.BYTES) + wire.varint(len(inside) + length) + inside
    if len(head) + length >= SIZE_LIMIT:
        found = f"the SavedModel would have {len(head) + length} bytes"
        hint = "protobuf reads less than 2^31 bytes; keep the weights in variables"
        raise RefusedError(found, where=str(file), hint=hint)
    return head


def _bare(graph: Graph, head: bytes, workshop: Path) -> Path:
    """Write the SavedModel without signatures; return its directory."""
    directory = workshop / "bare"
    try:
        directory.mkdir()
        _write(graph, head, directory / BINARY_NAME)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        found = f"could not write the SavedModel into the staging directory: {reason}"
        where = str(error.filename or directory)
        raise WriteError(found, where=where, hint=_UNWRITTEN) from error
    return directory


@contextlib.contextmanager
def _renamed(names: Mapping[Path, Path]) -> Iterator[None]:
    """Replace temporary names in errors by names that the user gave.

    Args:
        names: Temporary directory to the path that the user gave.
    """
    try:
        yield
    except SmpatchError as error:
        for temporary, known in names.items():
            error.rename(str(temporary / BINARY_NAME), str(known))
            error.rename(str(temporary), str(known))
        for said in _OF_A_MODEL:
            error.rename(said, _UNWRITTEN)
        raise


def _write(graph: Graph, head: bytes, file: Path) -> None:
    with open_regular(graph.file) as source, file.open("xb") as target:
        body: Kept | bytes = Kept(0, graph.identity.size)
        if graph.parts.form == "text":
            body = bytes(graph.parts.data)
        write_pieces(source.fileno(), target.fileno(), [head, body])
        if not graph.identity.is_of(os.fstat(source.fileno())):
            found = "another program changed the file while it was read"
            raise ConflictError(found, where=str(graph.file), hint="wrap it again")
