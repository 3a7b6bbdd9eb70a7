"""Open a SavedModel directory: its form, its MetaGraphs, their tags, signatures and graph.

Loading walks the top level of the file; the deeper levels are decoded on their first use.
This module does not edit or validate, and does not use TensorFlow.

Source: ``tensorflow/core/protobuf/saved_model.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from smpatch import arguments, schema, wire
from smpatch.archive_paths import is_archive
from smpatch.errors import ModelUnreadableError, TagSetError, TensorNotFoundError
from smpatch.savedmodel import binary
from smpatch.savedmodel.directory import (
    BINARY_NAME,
    TEXT_NAME,
    FileIdentity,
    Form,
    naming,
    open_file,
    which_file,
)
from smpatch.savedmodel.file_kinds import explaining
from smpatch.savedmodel.parts import SAVER_DEF, Entry, MetaGraphParts
from smpatch.signature import SignatureDef, TensorSpec
from smpatch.urls import ModelUrl

if TYPE_CHECKING:  # imported on their first use; `show` uses none of them
    from smpatch.graph.captures import Captures
    from smpatch.graph.fingerprint import Fingerprints
    from smpatch.graph.functions import FunctionLibrary
    from smpatch.graph.index import GraphIndex
    from smpatch.graph.objects import ObjectGraph
    from smpatch.graph.op_defs import MoreOpDefs, OpDefs
    from smpatch.graph.resolve import Resolved, Resolver

_RESERVED = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
"""Entries of ``signature_def`` that are not signatures (``saved_model/constants.py``)."""

_SERVE = "serve"


class MetaGraph:
    """One MetaGraph: tags, signatures, graph."""

    def __init__(
        self,
        parts: MetaGraphParts,
        file: Path,
        more_op_defs: MoreOpDefs | None = None,
        before: MetaGraph | None = None,
        *,
        is_only: bool = True,
    ) -> None:
        """Read lazily from ``parts``; errors name the ``file``.

        Args:
            parts: The parts of the MetaGraph, in a file or a draft.
            file: The path of the model file.
            more_op_defs: A function that returns definitions (name to ``OpDef``) of operations
                that the model may lack; called when the first one is missing.
            before: The MetaGraph before the edit that made this one; unchanged parts are shared.
            is_only: Whether the model has no other MetaGraph. If it has several, Python reads no
                object graph.
        """
        self.parts = parts
        self._file = file
        self._more_op_defs = more_op_defs
        self._before = before
        self.is_only = is_only

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tag-set, in the order of the file."""
        return tuple(self._info.tags)

    @property
    def tensorflow_version(self) -> str:
        """The version of the TensorFlow that wrote the model; empty if it is not recorded."""
        return str(self._info.tensorflow_version)

    @property
    def has_object_graph(self) -> bool:
        """Whether there is an object graph, as TensorFlow 2 exports have."""
        return self.parts.has_object_graph

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The whole ``signature_def`` map; of duplicate keys the last one, as in all readers."""
        with naming(self._file):
            return MappingProxyType({entry.key: entry for entry in self.parts.entries})

    @cached_property
    def signatures(self) -> Mapping[str, SignatureDef]:
        """The signatures by key, sorted, without the reserved entries."""
        return self._decoded(key for key in sorted(self.entries) if key not in _RESERVED)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of the signatures of both halves, sorted."""
        return tuple(sorted({*self.signatures, *self.objects.signatures}))

    @cached_property
    def reserved(self) -> Mapping[str, SignatureDef]:
        """The reserved entries, which name an operation to run at load time."""
        return self._decoded(sorted(_RESERVED & set(self.entries)))

    @cached_property
    def graph(self) -> GraphIndex:
        """The main graph."""
        from smpatch.graph.index import GraphIndex

        if self._before is not None and self._same_graph:
            return self._before.graph
        data, pieces = self.parts.graph
        return GraphIndex(data, pieces)

    @cached_property
    def op_defs(self) -> OpDefs:
        """The definitions (``OpDef``) of the operations, by name."""
        from smpatch.graph.op_defs import OpDefs

        try:
            ops = schema.MetaInfoOps.FromString(self.parts.meta_info).stripped_op_list
        except DecodeError as error:
            found = f"the list of operations cannot be decoded: {error}"
            raise ModelUnreadableError(found, where=str(self._file)) from error
        return OpDefs({op_def.name: op_def for op_def in ops.op}, self._more_op_defs)

    @property
    def is_removed(self) -> bool:
        """Whether an edit removes the whole MetaGraph."""
        changes = getattr(self.parts, "changes", None)
        return changes is not None and changes.removed

    def with_parts(self, parts: MetaGraphParts) -> MetaGraph:
        """Return a MetaGraph of the same file with other parts, such as a draft of them."""
        more = self._more_op_defs
        return MetaGraph(parts, self._file, more, self, is_only=self.is_only)

    @property
    def _same_graph(self) -> bool:
        """Whether the graph is the same object as before the edit."""
        return self._before is not None and self._before.parts.graph is self.parts.graph

    def with_op_defs(self, more: Mapping[str, Any]) -> MetaGraph:
        """Return a copy with definitions (name to ``OpDef``) of operations that the model lacks."""
        return MetaGraph(self.parts, self._file, lambda: more, is_only=self.is_only)

    @cached_property
    def functions(self) -> FunctionLibrary:
        """The functions that the graph calls."""
        from smpatch.graph.functions import FunctionLibrary

        if self._before is not None and self._same_graph:
            return self._before.functions
        return FunctionLibrary(self.graph, self.op_defs)

    @cached_property
    def objects(self) -> ObjectGraph:
        """The object graph; empty if there is none."""
        from smpatch.graph.objects import ObjectGraph

        if self._before is not None and self._before.parts.object_graph is self.parts.object_graph:
            return self._before.objects
        with naming(self._file):
            return ObjectGraph(self.parts.object_graph)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """The structural fingerprints of the graph's tensors."""
        from smpatch.graph.fingerprint import Fingerprints

        if self._before is not None and self._same_graph:
            return self._before.fingerprints
        return Fingerprints(self.graph, self.functions)

    @cached_property
    def captures(self) -> Captures:
        """The mapping between tensors of the main graph and objects."""
        from smpatch.graph.captures import Captures

        return Captures(self.graph, self.functions, self.objects, self.saver.restore_op_name)

    @cached_property
    def saver(self) -> Any:  # noqa: ANN401 - a SaverDef; protobuf makes the class at run time
        """The saver; its names are empty if the model has no saver."""
        try:
            return schema.SaverDef.FromString(b"".join(self.parts.pieces(SAVER_DEF)))
        except DecodeError as error:
            found = f"the saver cannot be decoded: {error}"
            raise ModelUnreadableError(found, where=str(self._file)) from error

    def signature(self, key: str) -> SignatureDef:
        """Return the signature of a key.

        Args:
            key: The signature key.

        Raises:
            TensorNotFoundError: There is no signature with this key.
        """
        found = self.signatures.get(arguments.instance(key, str, "signature"))
        if found is None:
            from smpatch.graph.resolve import nearest

            present = ", ".join(self.signatures) or "none"
            hint = nearest(key, self.signatures) or f"signatures here: {present}"
            raise TensorNotFoundError("no such signature", where=f"signature {key!r}", hint=hint)
        return found

    def resolver(self, more_op_defs: Mapping[str, Any] | None = None) -> Resolver:
        """Return a resolver of names in this graph.

        Args:
            more_op_defs: Definitions (name to ``OpDef``) of operations that the model lacks.
        """
        from smpatch.graph.op_defs import OpDefs
        from smpatch.graph.resolve import Resolver

        if more_op_defs is None:
            return Resolver(self.graph, self.op_defs)
        return Resolver(self.graph, OpDefs(self.op_defs.own, lambda: more_op_defs))

    @cached_property
    def _info(self) -> Any:  # noqa: ANN401 - protobuf's classes are made at run time
        try:
            return schema.MetaInfoDef.FromString(self.parts.meta_info)
        except DecodeError as error:
            found = f"the meta info cannot be decoded: {error}"
            raise ModelUnreadableError(found, where=str(self._file)) from error

    def _decoded(self, keys: Iterable[str]) -> Mapping[str, SignatureDef]:
        """Return the signatures of keys; a signature that edits do not change is decoded once."""
        before = self._before
        while before is not None and "signatures" not in before.__dict__:
            before = before._before  # noqa: SLF001 - an object of this class
        known = {} if before is None else before.signatures
        entries = {} if before is None else before.entries
        decoded: dict[str, SignatureDef] = {}
        with naming(self._file):
            for key in keys:
                value = self.entries[key].value
                same = key in known and entries[key].value is value
                decoded[key] = known[key] if same else SignatureDef.from_bytes(value)
        return MappingProxyType(decoded)


class SavedModel:
    """An exported model on disk, in the state in which it was loaded.

    Attributes:
        directory: The model directory, its URL or its archive, as the caller gave it.
        form: Whether the file is binary or text.
        meta_graphs: The MetaGraphs, in the order of the file.
        data: The content of the file.
        identity: The identity of the file when it was read.
    """

    def __init__(
        self,
        directory: Path,
        form: Form,
        meta_graphs: Sequence[MetaGraph],
        data: wire.Buffer,
        identity: FileIdentity,
    ) -> None:
        """Store the results of ``load``."""
        self.directory = directory
        self.form: Form = form
        self.meta_graphs = tuple(meta_graphs)
        self.data = data
        self.identity = identity

    def __repr__(self) -> str:
        """Return the signatures as ``smpatch show`` prints them."""
        from smpatch.display import columns, printable, signature_rows, size, tag_set

        lines = [f"{printable(str(self.file))}  ({size(self.identity.size)})"]
        for each in self.meta_graphs:
            lines += ["", f"MetaGraph {tag_set(each.tags)}"]
            for key, signature in each.signatures.items():
                method = printable(signature.method_name) or "(no method name)"
                lines.append(f"  {printable(key)}  {method}")
                lines += columns(signature_rows(signature), indent="    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the same as a table, for notebooks."""
        from smpatch.display import html_table, signature_rows, tag_set

        head = ("MetaGraph", "signature", "", "alias", "type", "shape", "tensor")
        rows = [
            (tag_set(each.tags), key, *row)
            for each in self.meta_graphs
            for key, signature in each.signatures.items()
            for row in signature_rows(signature)
        ]
        return html_table(head, rows)

    @property
    def file(self) -> Path:
        """The file that loaders read."""
        return self.directory / (BINARY_NAME if self.form == "binary" else TEXT_NAME)

    @property
    def signatures(self) -> Mapping[str, SignatureDef]:
        """The signatures of the only MetaGraph.

        Raises:
            TagSetError: There are several MetaGraphs; choose one with ``meta_graph``.
        """
        return self.meta_graph().signatures

    def meta_graph(self, tag_set: Sequence[str] | str | None = None) -> MetaGraph:
        """Return the MetaGraph with exactly these tags.

        Args:
            tag_set: The tags, in any order (one text: with commas between them); None for the
                only MetaGraph.

        Raises:
            TagSetError: No MetaGraph has these tags, or there are several and none was chosen.
        """
        if tag_set is None:
            if len(self.meta_graphs) == 1:
                return self.meta_graphs[0]
            found = f"there are {len(self.meta_graphs)} MetaGraphs"
            raise TagSetError(found, where=str(self.directory), hint=self._choices())
        tags = arguments.texts(tag_set, "tag_set")
        wanted = set(tags)
        for each in self.meta_graphs:
            if set(each.tags) == wanted:  # the first wins, as in every loader
                return each
        found = f"no MetaGraph has the tag-set {','.join(tags)!r}"
        raise TagSetError(found, where=str(self.directory), hint=self._choices())

    def tensor(self, name: str) -> TensorSpec:
        """Return a tensor of the only MetaGraph's graph, by ``op:index`` or ``op``.

        The shape is the one in the file; None if only TensorFlow can infer it.

        Raises:
            TensorNotFoundError: There is no such tensor.
            TagSetError: There are several MetaGraphs.
        """
        return self.resolve(name).spec

    def resolve(self, name: str) -> Resolved:
        """Return a tensor as ``tensor`` does, its operation, and whether its shape is known."""
        return self.meta_graph().resolver().resolve(arguments.instance(name, str, "name"))

    def _choices(self) -> str:
        present = sorted({",".join(each.tags) or "(no tags)" for each in self.meta_graphs})
        hint = f"tag-sets present: {' | '.join(present)}; "
        if len(present) == 1 < len(self.meta_graphs):
            return hint + "give one other tags: retag --from INDEX --to TAG,..."
        return hint + "choose one with --tag-set"


def load(directory: str | os.PathLike[str]) -> SavedModel:
    """Open a SavedModel.

    Args:
        directory: The directory that holds ``saved_model.pb`` or ``saved_model.pbtxt``, its URL
            in a store, or an archive that holds it. From a store or an archive, only this file
            is read.

    Returns:
        The model, of which only the top level of each MetaGraph is decoded.

    Example:
        >>> list(smpatch.load("export/1").signatures)
        ['serving_default']

    Raises:
        ModelUnreadableError: There is no such directory or no SavedModel in it, or its
            file is empty, truncated or of another kind.
    """
    root = arguments.path(directory, "directory")
    if isinstance(root, ModelUrl):
        from smpatch.stores.copies import described

        return _load_bytes(root, *described(root))
    if is_archive(root):
        from smpatch.archives import model_file

        return _load_bytes(root, *model_file(root))
    return load_file(root, *which_file(root))


def load_file(
    root: Path, file: Path, form: Form, *, more_op_defs: MoreOpDefs | None = None
) -> SavedModel:
    """Open a SavedModel from a given file, such as a backup, which loaders do not read.

    Raises:
        ModelUnreadableError: The file is empty, truncated or of another kind.
    """
    with naming(file):
        data, identity = open_file(file)
        meta_graphs = _meta_graphs(data, file, form, more_op_defs)
    return SavedModel(root, form, meta_graphs, data, identity)


def _load_bytes(root: Path, name: str, data: wire.Buffer) -> SavedModel:
    """Open a SavedModel from the bytes of its file, which is in a store or in an archive."""
    form: Form = "binary" if name.endswith(BINARY_NAME) else "text"
    with naming(root / name):
        meta_graphs = _meta_graphs(data, root / name, form, None)
    return SavedModel(root, form, meta_graphs, data, FileIdentity(0, 0, len(data), 0, 0, 1))


def _meta_graphs(
    data: wire.Buffer, file: Path, form: Form, more_op_defs: MoreOpDefs | None
) -> list[MetaGraph]:
    with explaining(data, file, form):
        parts = _parts(form, data)
        only = len(parts) == 1
        meta_graphs = [MetaGraph(each, file, more_op_defs, is_only=only) for each in parts]
        for each in meta_graphs:
            _ = each.tags  # raises here if the file is of another kind
        if not meta_graphs:
            raise ModelUnreadableError("it holds no MetaGraph", hint="is this a SavedModel?")
    return meta_graphs


def served(meta_graphs: Sequence[MetaGraph]) -> MetaGraph:
    """Return the MetaGraph that servers load, by the tag ``serve``; the first if none has it."""
    exactly = (each for each in meta_graphs if set(each.tags) == {_SERVE})
    tagged = (each for each in meta_graphs if _SERVE in each.tags)
    return next(exactly, None) or next(tagged, None) or meta_graphs[0]


def _parts(form: Form, data: wire.Buffer) -> Sequence[MetaGraphParts]:
    if form == "binary":
        return binary.read(data)
    from smpatch.savedmodel import text

    return text.read(bytes(data))
