"""All operations of TensorFlow that use files or the network, in models that TensorFlow exports."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Finding
from smpatch.checker.access import _MARKS, FILES, NETWORK, PYTHON
from tests.checker.faults import FIXTURES
from tests.oracle import programs
from tests.oracle.client import Oracle, encoded

QUICK = CheckOptions(validate="none")

SUSPICIOUS = re.compile(
    r"file|path|pattern|prefix|dir|addr|url|uri|host|service|endpoint|target|server|vocab|ckpt"
    r"|checkpoint|data_source|graph_def|memory_region|descriptor"
)
"""Parts of names of inputs and attributes that may name something outside the model."""

OF_ITS_NAME = re.compile(r"File|Reader|Record|Rpc|Snapshot|PyFunc|Debug")
"""Parts of names of operations that may use something outside the model."""

NEITHER = {
    "a shape, a number or another thing inside": r".*CSR.*|Cudnn.*|.*RNN.*|CTC.*|InTopK.*|NegTrain"
    r"|ApproxTopK|RiscSort|Collective.*|.*SparseCore.*|GetMinibatch.*|_.*|TensorSliceDataset"
    r"|TPUReplicateMetadata|.*SetStatsAggregatorDataset|XlaCustomCall.*|ConfigureAndInitialize.*"
    r"|BoostedTrees.*|TRTEngineOp|DebugNumericSummaryV2|DebugGradient.*|Snapshot",
    "a regular expression": r".*Regex.*",
    "a name of a file, and not the file": r"Sharded.*",
    "readers that other operations make": r"Reader.*|IdentityReader.*",
    "a client or server that other operations make": r"Rpc(ServerStart|ServerRegister|CheckStatus"
    r"|GetValue)|DeleteRpcFutureResource",
    "settings of a file system": r"FileSystemSetConfiguration",
    "a device of the server": r"RemoteCall",
}
"""Patterns of operations that match the above and are not in the table, by the reason."""


@dataclass(frozen=True)
class Exported:
    """The models, and TensorFlow's operations with the names of their inputs and attributes."""

    room: Path
    operations: Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    room = tmp_path_factory.mktemp("access")
    said = programs.run("-m", "tests.checker.exporting_access", room)
    return Exported(room, json.loads(said.splitlines()[-1]))


def _found(directory: Path, options: CheckOptions = QUICK) -> list[Finding]:
    found = smpatch.check(directory, options=options).findings
    return [each for each in found if each.code.endswith("-access")]


NOT_IN_ALL = {"CalibrationStatisticsSaver", "InitializeTRTResource", "SerializeTRTResource"}
"""Operations that the oldest or the newest TensorFlow does not have."""


def test_the_table_has_every_operation_of_tensorflow_that_names_something_outside(
    exported: Exported,
) -> None:
    known = FILES | NETWORK | PYTHON
    assert known - exported.operations.keys() <= NOT_IN_ALL
    suspects = {
        name
        for name, parts in exported.operations.items()
        if OF_ITS_NAME.search(name) or any(map(SUSPICIOUS.search, parts))
    }
    harmless = {
        name
        for name in exported.operations
        if any(re.fullmatch(pattern, name) for pattern in NEITHER.values())
    }
    assert sorted(suspects - known - harmless) == []
    assert known & harmless == set()


def test_every_operation_of_the_table_is_looked_for_in_the_bytes() -> None:
    assert [
        name
        for name in FILES | NETWORK | PYTHON
        if not any(mark in name.encode() for mark in _MARKS)
    ] == []


@pytest.mark.parametrize(
    ("model", "code", "op"),
    [
        ("reading", "file-access", "ReadFile"),
        ("writing", "file-access", "WriteFile"),
        ("branching", "file-access", "ReadFile"),
        ("records", "file-access", "TFRecordDataset"),
        ("mapped", "file-access", "ReadFile"),
        ("cached_in_file", "file-access", "CacheDatasetV2"),
        ("printing", "file-access", "PrintV2"),
        ("matching", "file-access", "MatchingFiles"),
        ("saving", "file-access", "SaveV2"),
        ("restoring", "file-access", "RestoreV2"),
        ("mapping", "file-access", "ImmutableConst"),
        ("describing", "file-access", "DecodeProtoV2"),
        ("serving", "network-access", "RpcServer"),
    ],
)
def test_an_operation_in_a_function_is_a_note_and_a_fault_where_it_is_denied(
    model: str, code: str, op: str, exported: Exported
) -> None:
    (found,) = _found(exported.room / model)
    assert (found.code, found.severity) == (code, "note")
    assert found.where == "signature 'serving_default'"
    assert f"({op}) in the function " in found.text
    denying = CheckOptions(validate="none", deny_file_access=True)
    report = smpatch.check(exported.room / model, options=denying)
    assert [each.code for each in report.faults] == [code]
    ignoring = CheckOptions(validate="none", deny_file_access=True, ignore=[code])
    assert smpatch.check(exported.room / model, options=ignoring).ok


@pytest.mark.parametrize(
    "model",
    ["plain", "cached", "printing_to_stderr", "table_of_asset", "describing_in_the_attribute"],
)
def test_saver_memory_terminal_and_assets_do_not_count(model: str, exported: Exported) -> None:
    assert _found(exported.room / model) == []


@pytest.mark.parametrize("model", ["lookup_table", "string_lookup_asset"])
def test_the_assets_of_both_kinds_of_export_do_not_count(model: str) -> None:
    assert _found(FIXTURES / model) == []


def test_a_table_that_is_filled_from_another_file_counts(exported: Exported) -> None:
    (found,) = _found(exported.room / "table_of_file")
    assert found.where == "__saved_model_init_op"
    assert "InitializeTableFromTextFileV2" in found.text


def test_a_table_that_each_request_fills_from_the_path_of_the_exporter_counts(
    exported: Exported, oracle: Oracle, tmp_path: Path
) -> None:
    """Servers feed the names of assets to the init op alone, so that the constant counts."""
    model = Path(shutil.copytree(exported.room / "table_of_asset_in_request", tmp_path / "model"))
    (found,) = _found(model)
    assert found.where == "signature 'serving_default'"
    assert "InitializeTableFromTextFileV2" in found.text
    (exported.room / "words.txt").rename(tmp_path / "words.txt")
    try:
        about = {"directory": model, "tags": ["serve"], "key": "serving_default"}
        said = oracle.ask(
            "run_signature", **about, feed={"keys:0": encoded(np.array([b"a"], object))}
        )
    finally:
        (tmp_path / "words.txt").rename(exported.room / "words.txt")
    assert (model / "assets" / "words.txt").exists()
    assert "words.txt; No such file" in said["refused"]


@pytest.mark.parametrize("name", ["../../w.x", "/etc/w.xy"])
def test_an_asset_that_leads_out_of_the_model_counts(
    name: str, exported: Exported, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(exported.room / "table_of_asset", tmp_path / "model"))
    file = model / "saved_model.pb"
    data = file.read_bytes()
    # One field has the name of the asset file.
    assert data.count(b"\x12\x09words.txt") == 1
    file.write_bytes(data.replace(b"\x12\x09words.txt", b"\x12\x09%s" % name.encode()))
    (found,) = _found(model)
    assert found.where == "__saved_model_init_op"


def test_what_a_request_feeds_is_not_read(exported: Exported) -> None:
    (found,) = _found(exported.room / "fed_behind_read_file")
    assert found.where == "signature 'name'"


def test_a_call_into_python_that_a_request_feeds_is_not_made(exported: Exported) -> None:
    report = smpatch.check(exported.room / "fed_behind_calling_python", options=QUICK)
    assert [(each.code, each.where) for each in report.faults] == [
        ("python-function", "signature 'name'")
    ]


def test_a_write_behind_many_reads_is_listed(exported: Exported) -> None:
    (found,) = _found(exported.room / "reading_before_writing")
    assert (found.text.count("(ReadFile)"), found.text.count("(WriteFile)")) == (4, 1)
    assert found.text.endswith(" and 3 more")


def test_a_signature_that_is_not_checked_is_not_reported(exported: Exported) -> None:
    options = CheckOptions(validate="none", signatures=["content"])
    assert _found(exported.room / "fed_behind_read_file", options) == []


def test_a_model_in_text_form_is_looked_at_too(
    exported: Exported, oracle: Oracle, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(exported.room / "reading", tmp_path / "model"))
    before = [(each.code, each.where) for each in _found(model)]
    oracle.ask("change", directory=model, what="nothing", spelling="text")
    assert not (model / "saved_model.pb").exists()
    assert [(each.code, each.where) for each in _found(model)] == before != []
