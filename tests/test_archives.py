"""A model in an archive is like a model in a directory; a hostile archive writes no file."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import shutil
import signal
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smpatch
from smpatch import CheckOptions, ModelUnreadableError, Options, RefusedError, TensorSpec, archives
from smpatch.edits import Rename
from smpatch.errors import SmpatchError, WriteError
from tests.cli.conftest import Run, call  # noqa: F401 - a fixture
from tests.oracle.client import Oracle, encoded

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
KINDS = ("zip", "tar", "tar.gz", "tgz")
QUICK = CheckOptions(validate="none")


def packed(model: Path, archive: Path, *, below: str = "export/1") -> Path:
    """Make an archive of a model."""
    kind = archive.name.partition(".")[2]
    files = [each for each in sorted(model.rglob("*")) if each.is_file()]
    names = [str(Path(below) / each.relative_to(model)) for each in files]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file, name in zip(files, names, strict=True):
                zipped.write(file, name)
    else:
        with tarfile.open(archive, "w" if kind == "tar" else "w:gz") as tarred:
            for file, name in zip(files, names, strict=True):
                tarred.add(file, name)
    return archive


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check that no temporary directory stays after a call, for any archive."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("below", ["", "1", "export/1"])
@pytest.mark.parametrize("name", ["module", "text_form", "string_lookup_asset"])
def test_what_is_read_is_what_the_directory_holds(
    tmp_path: Path, name: str, kind: str, below: str
) -> None:
    model = MODELS / name
    archive = packed(model, tmp_path / f"model.{kind}", below=below)
    assert smpatch.load(archive).signatures == smpatch.load(model).signatures
    assert smpatch.diff(model, archive).same
    found, expected = (smpatch.check(each, options=QUICK) for each in (archive, model))
    assert [(each.code, each.where) for each in found.findings] == [
        (each.code, each.where) for each in expected.findings
    ]
    assert found.directory == archive
    with archives.unpacked(archive) as directory:
        for file in model.rglob("*"):
            assert file.is_dir() or (
                (directory / file.relative_to(model)).read_bytes() == file.read_bytes()
            )


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_writes_a_directory_that_gives_the_same_numbers(
    tmp_path: Path, kind: str, oracle: Oracle
) -> None:
    archive = packed(MODELS / "module", tmp_path / f"model.{kind}")
    before = archive.read_bytes()
    receipt = smpatch.rename_signature(
        archive, "serving_default", "predict", options=Options(save_to=tmp_path / "out")
    )
    assert receipt.directory == tmp_path / "out"
    assert archive.read_bytes() == before
    ((alias, spec),) = smpatch.load(archive).signatures["serving_default"].inputs.items()
    assert isinstance(spec, TensorSpec)
    fed = {alias: encoded(np.ones([size or 2 for size in spec.shape or ()], np.float32))}
    given = [
        oracle.ask("tour", directory=place, tags=["serve"], feeds={key: fed})["python"][key]
        for place, key in ((MODELS / "module", "serving_default"), (tmp_path / "out", "predict"))
    ]
    assert given[0]["arrays"] == given[1]["arrays"] != {}


def test_an_edit_in_its_place_is_refused_with_what_works(tmp_path: Path) -> None:
    archive = packed(MODELS / "module", tmp_path / "model.zip")
    before = archive.read_bytes()
    with pytest.raises(RefusedError) as caught:
        smpatch.rename_signature(archive, "serving_default", "predict")
    assert str(caught.value) == (
        f"{archive}: a model in an archive is not edited in its place "
        "(write another with --save-to DIR)"
    )
    assert archive.read_bytes() == before
    done = smpatch.rename_signature(
        archive, "serving_default", "predict", options=Options(dry_run=True, validate="runtime")
    )
    assert (done.dry_run, done.directory) == (True, archive)


def test_without_variables_their_files_have_lengths_alone(tmp_path: Path) -> None:
    archive = packed(MODELS / "module", tmp_path / "model.tar.gz")
    with archives.unpacked(archive, variables=False) as directory:
        (data,) = directory.glob("variables/variables.data-*")
        (known,) = MODELS.glob("module/variables/variables.data-*")
        assert data.read_bytes() == bytes(known.stat().st_size)


Maker = Callable[[Path], None]


def _tar(*entries: tuple[str, dict[str, Any]]) -> Maker:
    """Return a function that makes a tar file of a model and more members."""

    def make(archive: Path) -> None:
        packed(MODELS / "linear", archive.with_name("sound.tar"))
        with tarfile.open(archive.with_name("sound.tar")) as sound:
            members = [(each, sound.extractfile(each)) for each in sound.getmembers()]
            with tarfile.open(archive, "w:gz") as tarred:
                for each, content in members:
                    tarred.addfile(each, content)
                for name, attributes in entries:
                    info = tarfile.TarInfo(name)
                    for attribute, value in attributes.items():
                        setattr(info, attribute, value)
                    tarred.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)

    return make


def _zip(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> Maker:
    def make(archive: Path) -> None:
        packed(MODELS / "linear", archive)
        with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in entries:
                zipped.writestr(name, data)

    return make


def _zip_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def _bytes(change: Callable[[bytearray], object]) -> Maker:
    def make(archive: Path) -> None:
        packed(MODELS / "linear", archive)
        data = bytearray(archive.read_bytes())
        change(data)
        archive.write_bytes(data)

    return make


def _encrypted(data: bytearray) -> None:
    """Set the flag of encryption in both headers of each member."""
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(sign)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(sign, at + 4)


def _method(data: bytearray) -> None:
    for sign, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(sign)
        while at >= 0:
            data[at + place : at + place + 2] = struct.pack("<H", 97)
            at = data.find(sign, at + 4)


def _header_of_gigabytes(archive: Path) -> None:
    """Write a PAX header whose recorded size is 4 GB, followed by zeros that compress well."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 4 << 30
    with gzip.open(archive, "wb") as file:
        file.write(info.tobuf())
        for _ in range(64):
            file.write(bytes(1 << 20))


def _two(archive: Path) -> None:
    packed(MODELS / "linear", archive, below="export/1")
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.write(MODELS / "linear" / "saved_model.pb", "export/2/saved_model.pb")


HOSTILE: dict[str, tuple[str, Maker, str]] = {
    "tar out of it": ("tgz", _tar(("../evil", {"size": 3})), "'../evil'"),
    "tar absolute": ("tgz", _tar(("/tmp/evil", {"size": 3})), "'/tmp/evil'"),  # noqa: S108 - no file
    "tar in the middle": ("tgz", _tar(("export/1/../../../evil", {"size": 3})), "evil'"),
    "tar drive": ("tgz", _tar(("C:/evil", {"size": 3})), "'C:/evil'"),
    "tar backslash": ("tgz", _tar(("export\\1\\evil", {"size": 3})), "evil'"),
    "tar link": (
        "tgz",
        _tar(("export/1/assets/a", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
        "'assets/a' is a link",
    ),
    "tar hard link": (
        "tgz",
        _tar(("export/1/a", {"type": tarfile.LNKTYPE, "linkname": "export/1/saved_model.pb"})),
        "'a' is a link",
    ),
    "tar pipe": (
        "tgz",
        _tar(("export/1/assets/a", {"type": tarfile.FIFOTYPE})),
        "'assets/a' is a special file",
    ),
    "tar device": (
        "tgz",
        _tar(("export/1/a", {"type": tarfile.CHRTYPE})),
        "'a' is a special file",
    ),
    "tar twice": (
        "tgz",
        _tar(("export/1/saved_model.pb", {"size": 3})),
        "two members have the name 'export/1/saved_model.pb'",
    ),
    "tar twice otherwise": (
        "tgz",
        _tar(("export//1/./saved_model.pb", {"size": 3})),
        "two members have the name 'export/1/saved_model.pb'",
    ),
    "tar header": ("tgz", _header_of_gigabytes, "a header has 4,294,967,296 bytes"),
    "tar of nothing": ("tar", Path.touch, "cannot be read"),
    "gzip cut": ("tgz", _bytes(lambda data: data.__delitem__(slice(-40, None))), "cannot be read"),
    "gzip changed": (
        "tgz",
        _bytes(lambda data: data.__setitem__(len(data) // 2, data[len(data) // 2] ^ 255)),
        "",
    ),
    "zip out of it": ("zip", _zip(("../evil", b"abc")), "'../evil'"),
    "zip absolute": ("zip", _zip(("/tmp/evil", b"abc")), "'/tmp/evil'"),  # noqa: S108 - no file
    "zip link": (
        "zip",
        _zip((_zip_mode("export/1/assets/a", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        "'assets/a' is a link",
    ),
    "zip pipe": (
        "zip",
        _zip((_zip_mode("export/1/a", stat.S_IFIFO | 0o600), b"")),
        "'a' is a special file",
    ),
    "zip encrypted": ("zip", _bytes(_encrypted), "encrypted"),
    "zip method": ("zip", _bytes(_method), "cannot be read: "),
    "zip cut": ("zip", _bytes(lambda data: data.__delitem__(slice(-40, None))), "cannot be read"),
    "zip changed": (
        "zip",
        _bytes(lambda data: data.__setitem__(200, data[200] ^ 255)),
        "",
    ),
    "zip file and directory": ("zip", _zip(("export/1/saved_model.pb/a", b"")), ""),
    "no model": ("zip", lambda archive: zipfile.ZipFile(archive, "w").close(), "it holds no saved"),
    "two models": ("zip", _two, "it holds 2 models: export/1, export/2"),
    "of nothing": ("zip", Path.touch, "cannot be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nothing(tmp_path: Path, name: str) -> None:
    kind, make, words = HOSTILE[name]
    room = tmp_path / "room"
    room.mkdir()
    archive = room / f"model.{kind}"
    make(archive)
    before = sorted(tmp_path.rglob("*"))
    for read in (
        lambda: smpatch.check(archive, options=QUICK),
        lambda: smpatch.rename_signature(
            archive, "scale", "k", options=Options(save_to=room / "out", validate="none")
        ),
    ):
        with pytest.raises(ModelUnreadableError) as caught:
            read()
        assert words in caught.value.found
        assert caught.value.where == str(archive)
        assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/evil").exists()  # noqa: S108 - it must not be there


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_contents_that_grow_beyond_a_limit_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / f"model.{kind}"
    large = 3 << 20
    if kind == "zip":
        _zip(("export/1/assets/a", bytes(large)))(archive)
    else:
        _tar(("export/1/assets/a", {"size": large}))(archive)
    assert smpatch.load(archive).signatures
    monkeypatch.setattr(archives, "_ALWAYS", 1 << 20)
    for limit in ("_MOST_TIMES", "_MOST_MEMBERS", "_MOST_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(archives, limit, 1)
            with pytest.raises(ModelUnreadableError, match="it holds more than"):
                smpatch.load(archive)


def test_a_length_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    """The directory of the zip records a smaller size than the data have; ``zipfile`` cuts them."""
    archive = packed(MODELS / "linear", tmp_path / "model.zip")
    with zipfile.ZipFile(archive) as zipped:
        info = zipped.getinfo("export/1/saved_model.pb")
    data = bytearray(archive.read_bytes())
    at = data.find(struct.pack("<I", info.file_size), data.find(b"PK\x01\x02"))
    data[at : at + 4] = struct.pack("<I", info.file_size - 1)
    archive.write_bytes(data)
    with pytest.raises(ModelUnreadableError, match="cannot be read"):
        smpatch.load(archive)


def test_a_disk_without_room_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(MODELS / "linear", tmp_path / "model.zip")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(SmpatchError, match="has too little space for") as caught:
        smpatch.check(archive, options=QUICK)
    assert (caught.value.exit_code, caught.value.where) == (5, str(archive))


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_a_disk_that_is_full_is_not_taken_for_a_damaged_archive(tmp_path: Path, kind: str) -> None:
    archive = packed(MODELS / "linear", tmp_path / f"model.{kind}")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(WriteError, match="it cannot be unpacked: file too large") as caught:
            smpatch.check(archive, options=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.where == str(archive)


def test_a_temporary_directory_that_is_gone_is_a_write_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(MODELS / "linear", tmp_path / "model.zip")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(WriteError, match="it cannot be unpacked: no such file"):
        smpatch.check(archive, options=QUICK)


def test_every_reading_command_takes_one(tmp_path: Path, call: Run) -> None:  # noqa: F811 - the fixture
    archive = packed(MODELS / "module", tmp_path / "model.tgz")
    commands: list[tuple[str | Path, ...]] = [
        ("show", archive),
        ("suggest", archive),
        ("suggest", archive, "--signature", "serving_default"),
        ("check", archive, "--validate", "none"),
        ("diff", archive, MODELS / "module"),
        ("describe", archive, "--as", "triton"),
        (
            "rename",
            archive,
            "--from",
            "serving_default",
            "--to",
            "a",
            "--save-to",
            tmp_path / "out",
        ),
    ]
    for command in commands:
        said = call(*command)
        assert said.code == 0, (command, said.err)
        assert str(tmp_path / "temporary") not in said.out + said.err
    refused: list[tuple[str | Path, ...]] = [
        ("undo", archive),
        ("warmup", archive),
        ("rename", archive, "--from", "serving_default", "--to", "a"),
    ]
    for command in refused:
        said = call(*command)
        assert said.code in {2, 3, 4}, command
        assert said.err.count("\n") == 1
    shown = call("show", archive, "--json").document
    assert json.dumps(shown).count(os.fspath(archive)) >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_directory_gets_the_name_of_an_archive(tmp_path: Path, kind: str) -> None:
    with pytest.raises(smpatch.UsageError, match="smpatch cannot write an archive"):
        smpatch.rename_signature(
            MODELS / "module",
            "serving_default",
            "a",
            options=Options(save_to=tmp_path / f"a.{kind}"),
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_names_directories_without_the_ending_of_an_archive(
    tmp_path: Path, kind: str
) -> None:
    archive = packed(MODELS / "module", tmp_path / f"model.{kind}")
    options = Options(save_to=tmp_path / "out", validate="none")
    (found,) = smpatch.apply([archive], Rename("serving_default", "a"), options=options)
    assert found.error is None
    assert set(smpatch.load(tmp_path / "out" / "model").signatures) == {"a"}


def test_a_run_is_not_compared_with_an_archive_and_never_called_another_model(
    tmp_path: Path,
) -> None:
    """TensorFlow got the archive as a directory, and the report was that the models differ."""
    archive = packed(MODELS / "module", tmp_path / "model.zip")
    options = CheckOptions(validate="runtime", same_as=smpatch.SameAs(archive))
    with pytest.raises(smpatch.UsageError, match="with a model in an archive"):
        smpatch.check(MODELS / "module", options=options)


def test_a_model_and_an_archive_are_not_saved_to_one_directory(tmp_path: Path) -> None:
    """One of them was refused, as if another program had made the directory."""
    model = tmp_path / "m"
    shutil.copytree(MODELS / "linear", model)
    archive = packed(model, tmp_path / "m.tgz")
    options = Options(save_to=tmp_path / "out", validate="none")
    with pytest.raises(smpatch.UsageError, match=r"m and .*m\.tgz would be saved to one directory"):
        smpatch.apply([model, archive], Rename("scale", "a"), options=options)
    assert not (tmp_path / "out").exists()
