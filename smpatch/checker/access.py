"""Operations that use files or the network when a server loads a model or answers a request.

An operation counts if an output of a signature needs it, or the init op, in the bodies of
functions too. The operations that save and restore variables do not count where the saver alone
has them, and a table that is filled from an asset of the model does not count either. Python
functions are ``python-function``. Any file name may be one of a remote file system, so that
an operation on files may use the network.

Sources: the operations of TensorFlow 2.21 with a file, a directory, an address or a URL among
their inputs and attributes (``tests/checker/test_access.py`` compares the table with them);
TensorFlow's ``SECURITY.md`` (models are programs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError

from smpatch import dtypes, schema
from smpatch.checker.findings import Finding, Subject, note
from smpatch.errors import ModelUnreadableError
from smpatch.functions.load_time import asset_files, init_op
from smpatch.graph.functions import CALLS, called
from smpatch.graph.index import op_of
from smpatch.graph.reach import Behind, behind
from smpatch.loader import MetaGraph

__all__ = ["FILES", "NETWORK", "check_access", "denied"]

FILES = frozenset(
    {"ReadFile", "WriteFile", "MatchingFiles", "MatchingFilesDataset"}
    | {"ExperimentalMatchingFilesDataset", "DumpTensor", "CalibrationStatisticsSaver"}
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
    | {"FixedUnigramCandidateSampler", "Skipgram", "RecordInput"}
    | {"CreateSummaryFileWriter", "CreateSummaryDbWriter", "PrintV2"}
    | {"DebugIdentity", "DebugIdentityV2", "DebugIdentityV3"}
    | {"DebugNanCount", "DebugNumericSummary"}
)
"""Operations that read or write files."""

NETWORK = frozenset(
    {"RpcClient", "RpcServer", "RpcCall"}
    | {f"DataServiceDataset{v}" for v in ("", "V2", "V3", "V4")}
    | {"RegisterDataset", "RegisterDatasetV2", "DistributedSave"}
)
"""Operations that connect to an address, or listen on one."""

_MARKS = (
    *(b"File", b"Reader", b"Dataset", b"DumpTensor", b"CalibrationStatisticsSaver", b"Restore"),
    *(b"Save", b"LoadAndRemapMatrix", b"MergeV2Checkpoints", b"GenerateVocabRemapping", b"Debug"),
    *(b"FixedUnigramCandidateSampler", b"Skipgram", b"CreateSummary", b"PrintV2", b"Rpc"),
    b"RecordInput",
)
"""Parts of their names: each name has one."""

_INIT_OP = "__saved_model_init_op"
_CODES = ("file-access", "network-access")

_STRING = dtypes.number("string")

_DEEPEST = 20
"""So many calls in each other are followed back to an asset."""

_MANY = 5
"""So many operations are listed."""


def denied(finding: Finding) -> Finding:
    """Return a finding as a fault if it is about files or the network."""
    return replace(finding, severity="fault") if finding.code in _CODES else finding


def check_access(subject: Subject) -> Iterator[Finding]:
    """Yield signatures, and the init op, that use files or the network."""
    meta_graph = subject.meta_graph
    data, pieces = meta_graph.parts.graph
    # One search through the bytes, for a frozen graph of a million nodes would be walked in vain.
    if all(data.find(mark, start, end) < 0 for mark in _MARKS for start, end in pieces):
        return
    assets = _assets(meta_graph)
    for key, signature in subject.signatures.items():
        outputs = [each.name for spec in signature.outputs.values() for each in spec.tensors()]
        fed = {each.name for spec in signature.inputs.values() for each in spec.tensors()}
        met = [*behind(meta_graph.graph, meta_graph.functions, outputs, fed)]
        yield from _findings(subject, f"signature {key!r}", _Used(meta_graph, met, assets))
    init = init_op(meta_graph)
    met = [*behind(meta_graph.graph, meta_graph.functions, init.names if init else ())]
    yield from _findings(subject, _INIT_OP, _Used(meta_graph, met, assets))


def _findings(subject: Subject, where: str, used: _Used) -> Iterator[Finding]:
    rights = "they run with the rights of the server"
    for code, ops, verb in zip(
        _CODES, (FILES, NETWORK), ("read or write files", "use the network"), strict=True
    ):
        places = [*map(str, used.of(ops))]
        if places:
            more = f" and {len(places) - _MANY} more" if len(places) > _MANY else ""
            text = f"operations {verb}: {', '.join(places[:_MANY])}{more}"
            yield note(code, subject.where(where), text, rights)


def _assets(meta_graph: MetaGraph) -> frozenset[str]:
    """Return the nodes into which a server puts the names of the model's own files."""
    names = set()
    for piece in asset_files(meta_graph):
        try:
            asset = schema.AssetFileDef.FromString(piece)
        except DecodeError as error:
            found = f"an asset cannot be decoded: {error}"
            raise ModelUnreadableError(found) from error
        # A name with .. leads out of the model.
        if ".." not in asset.filename.split("/"):
            names.add(op_of(asset.tensor_info.name))
    return frozenset(names)


class _Used:
    """The operations behind a signature that use something outside."""

    def __init__(self, meta_graph: MetaGraph, met: Sequence[Behind], assets: Iterable[str]) -> None:
        self._library = meta_graph.functions
        self._met = met
        self._assets = frozenset(assets)
        self._known: dict[tuple[str, str, int], bool] = {}

    def of(self, ops: frozenset[str]) -> Iterator[Behind]:
        """Yield the nodes with one of these operations that use what is outside the model."""
        for each in self._met:
            if each.node.op in ops and _USES.get(each.node.op, _always)(self, each):
                yield each

    def from_asset(self, each: Behind, place: int, depth: int = 0) -> bool:
        """Return whether an input of a node is the name of an asset, wherever it is called from.

        Args:
            each: The node.
            place: The place of the input.
            depth: How many calls and variables have been followed.
        """
        asked = (each.function, each.node.name, place)
        if asked not in self._known:
            # Until it is known, the answer is no: a circle leads to no asset.
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
            for each in self._met
            if each.node.op == "AssignVariableOp" and each.node.attr["dtype"].type == _STRING
        ]
        return bool(strings) and all(self.from_asset(each, 1, depth + 1) for each in strings)

    def _argument(self, function: str, name: str, depth: int) -> bool:
        """Return whether all callers give a function an asset for an argument."""
        if function not in self._library:
            return False
        arguments = [each.name for each in self._library[function].signature.input_arg]
        callers = [each for each in self._met if function in called(each.node)]
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
    """Return whether an attribute has a text that starts in a way; an empty text is none."""

    def uses(_: _Used, each: Behind) -> bool:
        value = each.node.attr[name] if name in each.node.attr else schema.AttrValue()
        given = value.list.s if value.WhichOneof("value") == "list" else [value.s]
        return any(text and text.startswith(starts) for text in given)

    return uses


def _cache(_: _Used, each: Behind) -> bool:
    """Return whether a cache may be in a file: without a name it is in the memory."""
    source = each.find(each.node.input[1]) if len(each.node.input) > 1 else None
    if source is None or source.op != "Const":
        return True
    return any(source.attr["value"].tensor.string_val)


def _table(used: _Used, each: Behind) -> bool:
    return not used.from_asset(each, 1)


_USES: Mapping[str, Callable[[_Used, Behind], bool]] = {
    "InitializeTableFromTextFile": _table,
    "InitializeTableFromTextFileV2": _table,
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
"""Operations that use a file only with some values."""
