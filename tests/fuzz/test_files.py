"""Files in the place of ``saved_model.pb``: devices, links, pipes, files of 2 GiB.

``tests/writer`` has the tests of links that smpatch follows, of hard links, and of files that
change during an edit.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

import smpatch
from fixtures.make import raw
from smpatch import ModelUnreadableError, Options, RefusedError, SmpatchError
from tests.fuzz import targets

LINEAR = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "linear"
LIMIT = 1 << 31
"""The first size, in bytes, that protobuf's parsers refuse."""


def _refused(place: Path) -> SmpatchError:
    """Read and edit a model; check that both are refused, and return the refusal of the edit."""
    for reader in ("show", "suggest"):
        said = targets.run(reader, str(place))
        assert said.code == 3
        assert said.complaint.count("\n") == 1
    with pytest.raises(SmpatchError) as caught:
        smpatch.add_predict(
            place,
            inputs={"x": "x:0"},
            outputs={"y": "y:0"},
            options=Options(validate="none"),
        )
    return caught.value


@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin"])
def test_link_to_a_device_is_neither_read_nor_replaced(
    tmp_path: Path, name: str, device: str
) -> None:
    """``/dev/zero`` never ends."""
    (tmp_path / name).symlink_to(device)
    error = _refused(tmp_path)
    assert isinstance(error, ModelUnreadableError)
    assert (tmp_path / name).readlink() == Path(device)


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device takes root")
def test_device_in_the_place_of_the_file(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "saved_model.pb", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container makes no devices")
    assert "regular file" in _refused(tmp_path).found
    assert stat.S_ISCHR((tmp_path / "saved_model.pb").stat().st_mode)


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").symlink_to("other")
    (tmp_path / "other").symlink_to("saved_model.pb")
    assert isinstance(_refused(tmp_path), ModelUnreadableError)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "saved_model.pb"]


def test_link_to_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "saved_model.pb").symlink_to("pipe")
    assert "regular file" in _refused(tmp_path).found


def test_link_to_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").symlink_to(".")
    assert "regular file" in _refused(tmp_path).found


def test_file_of_the_kernel_that_says_it_is_empty(tmp_path: Path) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux has such files")
    (tmp_path / "saved_model.pb").symlink_to("/proc/self/maps")
    assert "empty" in _refused(tmp_path).found


@pytest.mark.parametrize("short", [1, 40, 0, -(1 << 20)])
def test_edit_that_reaches_two_gigabytes_is_refused_and_the_file_stays(
    tmp_path: Path, short: int
) -> None:
    """The file is real but sparse: some bytes below the limit, at it, or above it."""
    place = tmp_path / "model"
    shutil.copytree(LINEAR, place)
    file = place / "saved_model.pb"
    sound = file.read_bytes()
    head = raw.tag(1000, raw.BYTES)
    size = LIMIT - short
    # The length takes five bytes in each case.
    length = size - len(sound) - len(head) - 5
    padded = bytes(length >> shift & 127 | 128 for shift in (0, 7, 14, 21)) + bytes([length >> 28])
    file.write_bytes(sound + head + padded)
    os.truncate(file, size)
    before = file.stat()
    with targets.frugal(), pytest.raises(RefusedError, match="2"):
        smpatch.add_predict(
            place,
            inputs={"x": "x:0"},
            outputs={"y": "y:0"},
            options=Options(validate="none"),
        )
    after = file.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        size,
        before.st_mtime_ns,
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "a/../../x", "saved_model.pb"])
@pytest.mark.parametrize("save_to", [False, True])
def test_names_that_are_paths_are_names_of_nothing_on_disk(
    tmp_path: Path,
    name: str,
    save_to: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    """The key and the alias have such a name; the backup has a name of its own."""
    inside = tmp_path / "a" / "b"
    shutil.copytree(LINEAR, inside / "model")
    before = sorted(tmp_path.rglob("*"))
    place = inside / "new" if save_to else inside / "model"
    smpatch.add_predict(
        inside / "model",
        inputs={"x": "x:0"},
        outputs={name: "y:0"},
        signature=name,
        options=Options(validate="none", backup=not save_to, save_to=place if save_to else None),
    )
    assert list(smpatch.load(place).signatures[name].outputs) == [name]
    new = {each for each in tmp_path.rglob("*") if each not in before}
    assert all(each == place or each.parent.is_relative_to(place) for each in new)
    expected = {"saved_model.pb.backup"} if not save_to else {"new", "saved_model.pb", "variables"}
    assert expected <= {each.name for each in new}
    assert {each.name for each in inside.parent.iterdir()} == {"b"}
