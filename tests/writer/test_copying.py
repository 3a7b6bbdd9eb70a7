"""Copies of bytes from file to file are complete, in whichever way the kernel copies or refuses."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import pytest

from smpatch.wire import Kept
from smpatch.writer import copying

MIB = 1 << 20
SIZES = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 17]

CopyFileRange = Callable[..., int]

_true = getattr(os, "copy_file_range", None)


def _refuse(number: int) -> CopyFileRange:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


def _short(source: int, target: int, count: int, *, offset_src: int) -> int:
    """Copy fewer bytes than requested, which the kernel may do."""
    assert _true is not None
    moved: int = _true(source, target, min(count, 70_001), offset_src=offset_src)
    return moved


def _gives_up() -> CopyFileRange:
    """Copy some bytes, then refuse: these bytes must not be copied again."""
    turns = itertools.count()

    def copy(source: int, target: int, count: int, *, offset_src: int) -> int:
        if next(turns) >= 2:
            raise OSError(errno.EXDEV, "enough")
        return _short(source, target, count, offset_src=offset_src)

    return copy


def _nothing(*_: object, **__: object) -> int:
    return 0


_REFUSALS = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)

KERNELS: dict[str, Callable[[], CopyFileRange | None]] = {
    "kernel": lambda: _true,
    "short": lambda: _short,
    "nothing": lambda: _nothing,
    "gives up": _gives_up,
    **{errno.errorcode[each]: partial(_refuse, each) for each in _REFUSALS},
}


@cache
def _pattern(size: int) -> bytes:
    """Return bytes in which parts of the same length at different places differ."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


@contextmanager
def _files(top: Path, data: bytes) -> Iterator[tuple[int, int, Path]]:
    (top / "old").write_bytes(data)
    with (top / "old").open("rb") as old, (top / "new").open("xb") as new:
        yield old.fileno(), new.fileno(), top / "new"


@pytest.fixture(params=KERNELS)
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if _true is None:
        pytest.skip("this system has no copy_file_range")
    monkeypatch.setattr(os, "copy_file_range", KERNELS[request.param]())


@pytest.mark.usefixtures("_kernel")
class TestEveryKernel:
    @pytest.mark.parametrize("size", SIZES)
    def test_whole_file(self, tmp_path: Path, size: int) -> None:
        data = _pattern(size)
        with _files(tmp_path, data) as (old, new, path):
            copying.write_pieces(old, new, [Kept(0, size)])
            assert path.read_bytes() == data

    def test_spans_between_new_bytes(self, tmp_path: Path) -> None:
        data = _pattern(4 * MIB)
        spans = [(0, 10), (10, 10), (10, MIB + 11), (MIB + 20, 3 * MIB), (4 * MIB - 1, 4 * MIB)]
        pieces = [piece for start, end in spans for piece in (Kept(start, end), b"new bytes")]
        with _files(tmp_path, data) as (old, new, path):
            copying.write_pieces(old, new, pieces)
            assert path.read_bytes() == b"".join(
                data[start:end] + b"new bytes" for start, end in spans
            )

    @pytest.mark.parametrize("size", [100, 2 * MIB])
    def test_file_that_became_shorter(self, tmp_path: Path, size: int) -> None:
        with _files(tmp_path, _pattern(size)) as (old, new, _):
            os.truncate(tmp_path / "old", size - 1)
            with pytest.raises(OSError, match="became shorter"):
                copying.write_pieces(old, new, [Kept(0, size)])

    def test_trees(self, tmp_path: Path) -> None:
        (tmp_path / "old" / "deep").mkdir(parents=True)
        for size in SIZES:
            (tmp_path / "old" / "deep" / str(size)).write_bytes(_pattern(size))
        copying.copy_tree_entry(tmp_path / "old", tmp_path / "new")
        for size in SIZES:
            assert (tmp_path / "new" / "deep" / str(size)).read_bytes() == _pattern(size)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_real_error_is_not_taken_for_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "copy_file_range", _refuse(number), raising=False)
    with (
        _files(tmp_path, _pattern(2 * MIB)) as (old, new, _),
        pytest.raises(OSError, match=os.strerror(number)),
    ):
        copying.write_pieces(old, new, [Kept(0, 2 * MIB)])


def test_system_without_copy_file_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    data = _pattern(2 * MIB + 3)
    with _files(tmp_path, data) as (old, new, path):
        copying.write_pieces(old, new, [Kept(0, len(data))])
        assert path.read_bytes() == data


def test_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda target, data: write(target, bytes(data[:1000])))
    data = _pattern(100_000)
    with _files(tmp_path, data) as (old, new, path):
        copying.write_pieces(old, new, [Kept(0, len(data)), data])
        assert path.read_bytes() == data + data
