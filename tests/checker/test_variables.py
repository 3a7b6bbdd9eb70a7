"""Missing files of the checkpoint, compared with a session of TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, Feeding, Finding
from smpatch.savedmodel import checkpoint
from smpatch.savedmodel.checkpoint import read_index
from tests.checker.faults import FIXTURES
from tests.contract.models import Case, corpus, found_in
from tests.oracle.client import Oracle, encoded

EXPORTERS = FIXTURES.parent / "exporters"

WITHOUT_VARIABLES = ("cond", "lookup_table", "no_signatures", "string_lookup_asset")

MODELS = [*found_in(FIXTURES), *found_in(EXPORTERS), *corpus()]

INDEXED = [case for case in MODELS if (case.directory / checkpoint.INDEX).exists()]


def _copied(name: str, tmp_path: Path) -> Path:
    home = FIXTURES if (FIXTURES / name).exists() else EXPORTERS
    return Path(shutil.copytree(home / name, tmp_path / "model"))


def _missing(directory: Path, validate: str = "none") -> list[Finding]:
    faults = smpatch.check(directory, options=CheckOptions(validate=validate)).faults  # type: ignore[arg-type]  # one of its words
    return [each for each in faults if each.code == "variables-missing"]


def _requests_fail(directory: Path, oracle: Oracle) -> bool:
    """Return whether a session refuses the model or the first request."""
    signature = smpatch.load(directory).signatures["serving_default"]
    feed = {
        tensor.name: encoded(np.ones([size or 1 for size in tensor.shape or ()], "float32"))
        for spec in signature.inputs.values()
        for tensor in spec.tensors()
    }
    words = {"tags": ["serve"], "key": "serving_default", "feed": feed}
    return "refused" in oracle.ask("run_signature", directory=directory, **words)


@pytest.mark.parametrize("name", ["ref_variables", "resource_variables", "module"])
@pytest.mark.parametrize("lost", ["*", "*.index", "*.data-*"])
def test_what_is_lost_is_named_and_fails_requests(
    name: str, lost: str, tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copied(name, tmp_path)
    assert _missing(directory) == []
    assert not _requests_fail(directory, oracle)
    for each in (directory / "variables").glob(lost):
        each.unlink()
    (fault,) = _missing(directory)
    file = "variables.data-00000-of-00001" if lost == "*.data-*" else "variables.index"
    assert fault.text.startswith(f"variables/{file} is missing; the model restores")
    assert _requests_fail(directory, oracle)


def test_it_is_told_once_and_its_signatures_are_not_run(tmp_path: Path) -> None:
    directory = _copied("ref_variables", tmp_path)
    shutil.rmtree(directory / "variables")
    report = smpatch.check(directory, options=CheckOptions(run=Feeding()))
    assert [each.code for each in report.faults] == ["variables-missing"]
    assert report.faults[0].stops_python
    assert report.loaders == ("C runtime",)
    assert report.ran == ()


@pytest.mark.parametrize("name", ["mutable_table", "dense_table"])
def test_the_lost_content_of_a_table_is_named_although_the_requests_run(
    name: str, tmp_path: Path, oracle: Oracle
) -> None:
    """A lookup in a table without content gives the default, and no error."""
    directory = tmp_path / "model"
    oracle.ask("build_objects", name=name, directory=directory)
    assert _missing(directory) == []
    shutil.rmtree(directory / "variables")
    options = CheckOptions(validate="runtime", run=Feeding("ones"))
    assert [key for key, _ in smpatch.check(directory, options=options).ran] == ["serving_default"]
    (fault,) = _missing(directory)
    assert fault.text.startswith("variables/variables.index is missing")


@pytest.mark.parametrize("name", WITHOUT_VARIABLES)
def test_a_model_without_variables_needs_no_files(name: str, tmp_path: Path) -> None:
    directory = _copied(name, tmp_path)
    shutil.rmtree(directory / "variables", ignore_errors=True)
    assert _missing(directory) == []


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_a_whole_export_misses_nothing(case: Case) -> None:
    assert _missing(case.directory) == []


@pytest.mark.parametrize("shard", [0, 1])
def test_each_of_several_data_files_is_needed(shard: int, tmp_path: Path) -> None:
    directory = _copied("partitioned_variables", tmp_path)
    assert _missing(directory) == []
    file = f"variables/variables.data-0000{shard}-of-00002"
    (directory / file).unlink()
    (fault,) = _missing(directory, "runtime")
    assert fault.text.startswith(f"{file} is missing; ")


def test_a_data_file_that_no_variable_needs_is_not_asked_for(
    tmp_path: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index may name more data than the model restores; a session does not read the rest."""
    directory = _copied("resource_variables", tmp_path)
    index = read_index(directory)
    assert index is not None
    more = {**index.extents, b"another": checkpoint.Extent(shard=1, end=4, sliced=False)}
    grown = checkpoint.Index(index.shards, more)
    monkeypatch.setattr("smpatch.savedmodel.checkpoint.read_index", lambda _: grown)
    assert _missing(directory) == []
    assert not _requests_fail(directory, oracle)


def test_the_checkpoint_of_another_export_is_named_without_reading_it(
    tmp_path: Path, oracle: Oracle
) -> None:
    directory = _copied("resource_variables", tmp_path)
    shutil.rmtree(directory / "variables")
    shutil.copytree(FIXTURES / "module" / "variables", directory / "variables")
    assert _requests_fail(directory, oracle)
    options = CheckOptions(validate="runtime", variables=False)
    (fault,) = smpatch.check(directory, options=options).faults
    assert fault.code == "variables-missing"
    assert fault.text.startswith("variables/variables.index does not name 'layer_1/b', ")
    assert fault.hint.startswith("servers do not load the model")


def test_what_stands_in_its_place_is_named(tmp_path: Path) -> None:
    directory = _copied("linear", tmp_path)
    index = directory / checkpoint.INDEX
    index.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 160\n")
    (fault,) = _missing(directory)
    assert "variables.index is a Git LFS pointer, in place of the file" in fault.text
    assert fault.hint == "git lfs pull fetches the file"


@pytest.mark.parametrize("case", INDEXED, ids=lambda case: case.name)
def test_the_index_has_the_keys_that_tensorflow_reads(case: Case, oracle: Oracle) -> None:
    directory = case.directory
    index = read_index(directory)
    assert index is not None
    named = {key.decode() for key in index.extents if not key.startswith(b"\0")}
    assert named == {*oracle.ask("checkpoint", directory=directory)["keys"]}
    for number in range(index.shards):
        size = (directory / index.file(number)).stat().st_size
        ends = [each.end for each in index.extents.values() if each.shard == number]
        assert max(ends, default=0) == size


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x03\x08abc", b"abc"),
        (b"\x0a\x04ab\x11\x02", b"ab" * 5),
        (b"\x0a\x04ab\x1e\x02\x00", b"ab" * 5),
        (b"\x0a\x04ab\x1f\x02\x00\x00\x00", b"ab" * 5),
        (b"\x40\xf0\x3f" + b"x" * 64, b"x" * 64),
    ],
)
def test_a_block_that_is_compressed(packed: bytes, plain: bytes) -> None:
    assert checkpoint._decompressed(packed) == plain  # noqa: SLF001 - no TensorFlow of today writes it


@pytest.mark.parametrize("cut", [1, 40, 48, 100])
def test_an_index_that_is_damaged_is_left_to_tensorflow(cut: int, tmp_path: Path) -> None:
    directory = _copied("linear", tmp_path)
    index = directory / checkpoint.INDEX
    index.write_bytes(index.read_bytes()[:-cut])
    assert read_index(directory) is None
    assert _missing(directory) == []
    report = smpatch.check(directory, options=CheckOptions(validate="runtime"))
    assert "c-runtime" in {each.code for each in report.faults}


def test_any_byte_of_an_index_may_be_wrong(tmp_path: Path) -> None:
    directory = _copied("keras_functional", tmp_path)
    index = directory / checkpoint.INDEX
    data = index.read_bytes()
    for at in range(len(data)):
        for byte in (0, 0x7F, 0xFF):
            index.write_bytes(data[:at] + bytes((byte,)) + data[at + 1 :])
            read_index(directory)
