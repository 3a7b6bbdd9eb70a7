"""Archives with a directory in the place of the model file, and with damaged LZMA data."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

import smpatch
from tests.test_archives import MODELS, QUICK, Maker, _tar, _zip


def _lzma_changed(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as zipped:
        zipped.write(MODELS / "linear" / "saved_model.pb", "export/1/saved_model.pb")
    data = bytearray(archive.read_bytes())
    data[80:140] = bytes(each ^ 0x5A for each in data[80:140])
    archive.write_bytes(data)


def _directory_alone(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("export/1/saved_model.pb/", b"")


CASES: dict[str, tuple[str, Maker, str]] = {
    "zip file, then directory": (
        "zip",
        _zip(("export/1/saved_model.pb/", b"")),
        "two members have the name 'export/1/saved_model.pb'",
    ),
    "zip directory alone": ("zip", _directory_alone, "it holds no saved"),
    "tar file, then directory": (
        "tgz",
        _tar(("export/1/saved_model.pb", {"type": tarfile.DIRTYPE})),
        "two members have the name 'export/1/saved_model.pb'",
    ),
    "zip of lzma changed": ("zip", _lzma_changed, "cannot be read"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused(tmp_path: Path, name: str) -> None:
    kind, make, words = CASES[name]
    archive = tmp_path / f"model.{kind}"
    make(archive)
    with pytest.raises(smpatch.ModelUnreadableError, match=words):
        smpatch.check(archive, options=QUICK)
