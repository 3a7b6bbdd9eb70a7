"""Operations that use files, the network or Python when a server loads or runs a model.

An operation counts if an output of a signature, the init op or the restore operation needs it; it
may be in the body of a function. The operations that save and restore variables do not count if
the saver alone needs them. A table that the init op fills from an asset does not count either.
Any file name may belong to a remote file system, so that an operation on files may use the network.
The operations that no server runs are one note, because a program may call them. This module has no
custom operations: TensorFlow refuses them (``unregistered-operation``).

Sources: the operations of TensorFlow 2.21 with a file, a directory, an address, a URL or a graph
among their inputs and attributes (``tests/checker/test_access.py`` compares the table with them);
TensorFlow's ``SECURITY.md`` (models are programs), ``_recreate_asset`` of ``load.py`` (an asset
with an absolute path lies outside of the model).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.errors import ModelUnreadableError
from smpatch.functions.load_time import INIT_OP, asset_files, init_op
from smpatch.graph.index import CALLS, called, op_of
from smpatch.graph.reach import Behind, behind, in_body, in_graph
from smpatch.loader import MetaGraph

FILES = frozenset(
    {"ReadFile", "WriteFile", "MatchingFiles", "MatchingFilesDataset"}
    | {"ExperimentalMatchingFilesDataset", "DumpTensor", "CalibrationStatisticsSaver"}
    | {"InitializeTRTResource", "SerializeTRTResource"}
    | {f"{kind}Reader{v}" for kind in ("WholeFile", "TextLine", "TFRecord") for v in ("", "V2")}
    | {f"FixedLengthRecord{kind}{v}" for kind in ("Reader", "Dataset") for v in ("", "V2")}
    | {"LMDBReader", "LMDBDataset", "ExperimentalLMDBDataset"}
    | {"TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2"}
    | {"CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset"}
    | {"SqlDataset", "ExperimentalSqlDataset"}
    | {"LoadDataset", "SaveDataset", "SaveDatasetV2", "CacheDataset", "CacheDatasetV2"}
    | {"DatasetToTFRecord", "ExperimentalDatasetToTFRecord"}
    | {"SnapshotDataset", "SnapshotDatasetV2", "SnapshotDatasetReader"}
    | {"SnapshotNestedDatasetReader", "SnapshotChunkDataset", "ListSnapshotChunksDataset"}
    | {"Restore", "RestoreSlice", "RestoreV2", "DTensorRestoreV2", "LoadAndRemapMatrix"}
    | {"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "GenerateVocabRemapping"}
    | {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
    | {"FixedUnigramCandidateSampler", "Skipgram", "RecordInput", "ImmutableConst"}
    | {"CreateSummaryFileWriter", "CreateSummaryDbWriter", "PrintV2"}
    | {"DebugIdentity", "DebugIdentityV2", "DebugIdentityV3"}
    | {"DebugNanCount", "DebugNumericSummary", "DecodeProtoV2", "EncodeProto"}
    # Its input is a graph as a string, with any operation, and it runs this graph.
    | {"DatasetFromGraph"}
)
"""Operations that read or write files."""

NETWORK = frozenset(
    {"RpcClient", "RpcServer", "RpcCall"}
    | {f"DataServiceDataset{v}" for v in ("", "V2", "V3", "V4")}
    | {"RegisterDataset", "RegisterDatasetV2", "DistributedSave"}
)
"""Operations that connect to an address, or listen on one."""

PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Operations that call a function of the Python process that made the model."""

_MARKS = (
    *(b"File", b"Reader", b"Dataset", b"DumpTensor", b"CalibrationStatisticsSaver", b"Restore"),
    *(b"Save", b"LoadAndRemapMatrix", b"MergeV2Checkpoints", b"GenerateVocabRemapping", b"Debug"),
    *(b"FixedUnigramCandidateSampler", b"Skipgram", b"CreateSummary", b"PrintV2", b"Rpc"),
    *(b"RecordInput", b"PyFunc", b"TRTResource", b"codeProto", b"ImmutableConst"),
)
"""Parts of the names of these operations: each name has one of them."""

_EXPECTED = frozenset(
    {
        f"{kind}{v}"
        for kind in ("InitializeTableFromTextFile", "Restore", "Save")
        for v in ("", "V2")
    }
    | {"RestoreSlice", "SaveSlices", "MergeV2Checkpoints"}
)
"""Operations of the saver and of assets: most exports have some of them that no server runs."""

_RESTORE_OP = "the restore operation"
_CODES = ("file-access", "network-access", "unserved-access")

_STRING = dtypes.number("string")

_DEEPEST = 20
"""The most calls and variables that are followed back to an asset."""

_MANY = 5
"""The most operations that are listed; there are more if there are more kinds of operation."""

_ALL = FILES | NETWORK | PYTHON


def denied(finding: Finding) -> Finding:
    """Return a finding as a fault if it is a note of this module."""
    return replace(finding, severity="fault") if finding.code in _CODES else finding


def check_access(subject: Subject) -> Iterator[Finding]:
    """Yield findings of the operations that use files, the network or Python.

    First those of the signatures, the init op and the restore operation. The last finding is about
    the rest of the graph.
    """
    meta_graph = subject.meta_graph
    if not _has(meta_graph, _MARKS):
        return
    ran: set[tuple[str, str]] = set()
    for key, where, used in _served(meta_graph):
        ran |= {(each.function, each.node.name) for each in used.met}
        if key is None or subject.concerns(key):
            yield from _findings(subject, where, used)
    found = [*_Used(meta_graph, [*_unserved(meta_graph, ran)], _assets(meta_graph)).of(_ALL)]
    if found:
        text = (
            f"operations use files, the network or Python, and no server runs them: {_few(found)}"
        )
        hint = "a program that loads or calls the functions in Python may run them"
        yield note("unserved-access", subject.where(), text, hint)


def _has(meta_graph: MetaGraph, parts: Iterable[bytes]) -> bool:
    """Return whether the bytes of the graph contain one of some parts.

    This search is faster than a walk through a frozen graph of a million nodes.
    """
    data, pieces = meta_graph.parts.graph
    return any(data.find(part, start, end) >= 0 for part in parts for start, end in pieces)


def _served(meta_graph: MetaGraph) -> Iterator[tuple[str | None, str, _Used]]:
    """Yield the parts that a server runs: key of a signature or None, place in words, nodes."""
    graph, library = meta_graph.graph, meta_graph.functions
    for key, signature in meta_graph.signatures.items():
        outputs = [each.name for spec in signature.outputs.values() for each in spec.tensors()]
        fed = {each.name for spec in signature.inputs.values() for each in spec.tensors()}
        met = [*behind(graph, library, outputs, fed)]
        # The names of assets are fed to the init op alone; a request finds the exporter's paths.
        yield key, f"signature {key!r}", _Used(meta_graph, met, ())
    init = init_op(meta_graph)
    met = [*behind(graph, library, init.names if init else ())]
    yield None, INIT_OP, _Used(meta_graph, met, _assets(meta_graph))
    restoring = meta_graph.saver
    met = [*behind(graph, library, [restoring.restore_op_name])]
    checkpoint = [op_of(restoring.filename_tensor_name)]
    yield None, _RESTORE_OP, _Used(meta_graph, met, checkpoint)


def _unserved(meta_graph: MetaGraph, ran: Collection[tuple[str, str]]) -> Iterator[Behind]:
    """Yield the nodes that use files, the network or Python, and that no server runs."""
    graph, library = meta_graph.graph, meta_graph.functions
    # These are the bytes of the field of a node that names its operation.
    if not _has(meta_graph, (b"\x12%c%s" % (len(op), op.encode()) for op in _ALL - _EXPECTED)):
        return
    for name in graph:
        if ("", name) not in ran and graph.wiring(name).op in _ALL - _EXPECTED:
            yield Behind(graph.node(name).message(), "", in_graph(graph))
    for function in library:
        nodes = {node.name: node for node in library[function].node_def}
        for node in nodes.values():
            if (function, node.name) not in ran and node.op in _ALL - _EXPECTED:
                yield Behind(node, function, in_body(nodes))


def _findings(subject: Subject, where: str, used: _Used) -> Iterator[Finding]:
    place = subject.where(where)
    for each in used.of(PYTHON):
        text = f"it calls back into Python at {each}: no server can run that"
        hint = "export it without tf.py_function and tf.numpy_function"
        yield fault("python-function", place, text, hint)
        break
    rights = "they run with the rights of the server"
    for code, ops, verb in (
        ("file-access", FILES, "read or write files"),
        ("network-access", NETWORK, "use the network"),
    ):
        found = [*used.of(ops)]
        if found:
            yield note(code, place, f"operations {verb}: {_few(found)}", rights)


def _few(found: Sequence[Behind]) -> str:
    """Return a list for people: some of the places, with at least one of each operation."""
    first = {each.node.op: place for place, each in reversed([*enumerate(found)])}
    order = sorted(range(len(found)), key=lambda place: place not in first.values())
    shown = [str(found[place]) for place in order[: max(_MANY, len(first))]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _assets(meta_graph: MetaGraph) -> frozenset[str]:
    """Return the nodes into which a server puts the names of the model's own files."""
    names = set()
    for piece in asset_files(meta_graph):
        try:
            asset = schema.AssetFileDef.FromString(piece)
        except DecodeError as error:
            raise ModelUnreadableError(f"an asset cannot be decoded: {error}") from error
        # A file name with .. is outside of the model, and so is an absolute one in Python.
        if ".." not in asset.filename.split("/") and not asset.filename.startswith("/"):
            names.add(op_of(asset.tensor_info.name))
    return frozenset(names)


class _Used:
    """The operations that a signature needs, and that use files, the network or Python.

    Attributes:
        met: All nodes that the signature, the init op or the restore operation needs.
    """

    def __init__(self, meta_graph: MetaGraph, met: Sequence[Behind], assets: Iterable[str]) -> None:
        self._library = meta_graph.functions
        self.met = met
        self._assets = frozenset(assets)
        self._known: dict[tuple[str, str, int], bool] = {}

    def of(self, ops: frozenset[str]) -> Iterator[Behind]:
        """Yield the nodes with one of these operations that use something outside the model."""
        for each in self.met:
            if each.node.op in ops and _USES.get(each.node.op, _always)(self, each):
                yield each

    def from_asset(self, each: Behind, place: int, depth: int = 0) -> bool:
        """Return whether an input of a node is the name of an asset, whichever node calls it.

        Args:
            each: The node.
            place: The place of the input.
            depth: The number of calls and variables that were followed so far.
        """
        asked = (each.function, each.node.name, place)
        if asked not in self._known:
            # Until the answer is found, it is no: a circle has no asset at its start.
            self._known[asked] = False
            self._known[asked] = depth < _DEEPEST and self._traced(each, place, depth)
        return self._known[asked]

    def _traced(self, each: Behind, place: int, depth: int) -> bool:
        passed: set[str] = set()
        while place < len(each.node.input) and each.node.name not in passed:
            passed.add(each.node.name)
            source = each.node.input[place]
            if not each.function and op_of(source) in self._assets:
                return True
            found = each.find(source)
            if found is None:
                return self._argument(each.function, source.partition(":")[0], depth)
            if found.op == "ReadVariableOp":
                return self._assigned(depth)
            if found.op != "Identity":
                return False
            each, place = each._replace(node=found), 0
        return False

    def _assigned(self, depth: int) -> bool:
        """Return whether every string that is assigned to a variable is the name of an asset.

        TensorFlow 2 puts the name of an asset into a variable before it fills the table.
        """
        strings = [
            each
            for each in self.met
            if each.node.op == "AssignVariableOp" and each.node.attr["dtype"].type == _STRING
        ]
        return bool(strings) and all(self.from_asset(each, 1, depth + 1) for each in strings)

    def _argument(self, function: str, name: str, depth: int) -> bool:
        """Return whether all callers of a function give the name of an asset for an argument."""
        if function not in self._library:
            return False
        arguments = [each.name for each in self._library[function].signature.input_arg]
        callers = [each for each in self.met if function in called(each.node)]
        return (
            name in arguments
            and bool(callers)
            and all(
                each.node.op in CALLS | {function}
                and self.from_asset(each, arguments.index(name), depth + 1)
                for each in callers
            )
        )


def _always(_: _Used, __: Behind) -> bool:
    return True


def _attribute(name: str, starts: bytes = b"") -> Callable[[_Used, Behind], bool]:
    """Return a test of a node: does the attribute have a text that begins with ``starts``?

    An empty text is none.
    """

    def uses(_: _Used, each: Behind) -> bool:
        value = each.node.attr[name] if name in each.node.attr else schema.AttrValue()
        given = value.list.s if value.WhichOneof("value") == "list" else [value.s]
        return any(text and text.startswith(starts) for text in given)

    return uses


def _cache(_: _Used, each: Behind) -> bool:
    """Return whether a cache may be in a file: a cache without a file name is in memory."""
    source = each.find(each.node.input[1]) if len(each.node.input) > 1 else None
    if source is None or source.op != "Const":
        return True
    return any(source.attr["value"].tensor.string_val)


def _descriptors(_: _Used, each: Behind) -> bool:
    """Return whether descriptors are in a file: not in the attribute, and not in the program."""
    source = each.node.attr["descriptor_source"].s if "descriptor_source" in each.node.attr else b""
    return source not in {b"", b"local://"} and not source.startswith(b"bytes://")


def _elsewhere(place: int) -> Callable[[_Used, Behind], bool]:
    """Return a test of a node: is the input something other than a file name of the model?"""
    return lambda used, each: not used.from_asset(each, place)


_USES: Mapping[str, Callable[[_Used, Behind], bool]] = {
    **dict.fromkeys(
        ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"), _elsewhere(1)
    ),
    **dict.fromkeys(("Restore", "RestoreSlice", "RestoreV2"), _elsewhere(0)),
    **dict.fromkeys(("DecodeProtoV2", "EncodeProto"), _descriptors),
    "CacheDataset": _cache,
    "CacheDatasetV2": _cache,
    "FixedUnigramCandidateSampler": _attribute("vocab_file"),
    "PrintV2": _attribute("output_stream", b"file://"),
    **dict.fromkeys(
        ("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount"),
        _attribute("debug_urls"),
    ),
    "DebugNumericSummary": _attribute("debug_urls"),
}
"""Tests of the operations that use a file only with some values."""
