"""A model in an archive: a zip or a tar file, compressed by gzip or not, that holds one SavedModel.

``unpacked`` writes the model to a temporary directory; an archive is never changed. An archive may
be hostile: names that lead out of the directory, two members with one name, sizes beyond a limit,
and links and devices in the model are refused before anything is written. A member whose content
has another length than the archive records is refused while it is written.

This module does not make archives.

Sources: the formats as Python's ``zipfile`` and ``tarfile`` read them.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from smpatch.errors import ModelUnreadableError, RefusedError, SmpatchError, WriteError
from smpatch.savedmodel.directory import BINARY_NAME, TEXT_NAME

_lzma: Any = getattr(zipfile, "lzma", None)  # a Python may be built without it

_MODEL_FILES = (BINARY_NAME, TEXT_NAME)
"""The files that loaders read; if there are both, the first."""

_DATA = "variables/variables.data-"

_MOST_MEMBERS = 100_000
_MOST_BYTES = 1 << 36
"""The largest sum of the lengths of all members, in bytes."""

_MOST_TIMES, _ALWAYS = 200, 1 << 30
"""The largest ratio of that sum to the size of the archive, and a sum that is always allowed."""

_LARGEST_READ = 1 << 24
"""The largest header: ``tarfile`` reads headers of any length into memory."""

_PIECE = 1 << 20
_SHOWN = 5

_ELSEWHERE = "TMPDIR names another place"
_HOSTILE = "unpack it yourself if you trust it"

_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError),
    *(RuntimeError, ValueError),  # NotImplementedError and UnicodeError are among them
    *([] if _lzma is None else [_lzma.LZMAError]),
)
"""The errors that the standard library raises for damaged archives."""


class _Member(NamedTuple):
    """A member of an archive.

    Attributes:
        name: Its name, in parts.
        kind: ``file``, ``directory``, or words for another kind, such as ``a link``.
        size: Its length, in bytes.
        open: Opens it for reading.
    """

    name: tuple[str, ...]
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


class _Model(NamedTuple):
    """The model of an archive.

    Attributes:
        name: The name of its directory in the archive; empty if that is the top.
        file: The name of the file that loaders read.
        files: Its files, by their names in the model.
        directories: The names of its directories in the model.
    """

    name: str
    file: str
    files: dict[str, _Member]
    directories: list[str]


def refuse_edit(archive: Path) -> None:
    """Refuse an edit in place.

    Raises:
        RefusedError: Always.
    """
    found = "a model in an archive is not edited in its place"
    raise RefusedError(found, where=str(archive), hint="write another with --save-to DIR")


def model_file(archive: Path) -> tuple[str, bytes]:
    """Return the name in the archive of the file that loaders read, and the bytes of the file.

    Raises:
        ModelUnreadableError: The archive does not hold one model, or is damaged or hostile.
    """
    with _reading(archive) as model:
        member = model.files[model.file]
        data = io.BytesIO()
        _write(member, data)
        return str(PurePosixPath(model.name, model.file)), data.getvalue()


@contextlib.contextmanager
def unpacked(archive: Path, *, variables: bool = True) -> Iterator[Path]:
    """Unpack the model of an archive into a temporary directory.

    Args:
        archive: The file.
        variables: Whether to unpack the values of its variables. If not, their files have
            the right names and lengths, and no content.

    Yields:
        The directory. In errors that are raised inside, the archive's name replaces its name.

    Raises:
        ModelUnreadableError: The archive does not hold one model, or is damaged or hostile.
        WriteError: The temporary directory has too little space, or cannot be written.
    """
    with contextlib.ExitStack() as held:
        with _unpacking(archive):
            work = held.enter_context(tempfile.TemporaryDirectory(prefix="smpatch-"))
        directory = Path(work) / "model"
        with _reading(archive) as model, _unpacking(archive):
            wanted = {n: m for n, m in model.files.items() if variables or not n.startswith(_DATA)}
            needed = sum(member.size for member in wanted.values())
            if needed > shutil.disk_usage(work).free:
                found = f"{work} has too little space for {needed:,} bytes"
                raise WriteError(found, where=str(archive), hint=_ELSEWHERE)
            for name in ("", *model.directories):
                (directory / name).mkdir(parents=True, exist_ok=True)
            for name, member in model.files.items():
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    if name in wanted:
                        _write(member, file)
                    else:
                        file.truncate(member.size)
        try:
            yield directory
        except SmpatchError as error:
            error.rename(str(directory), str(archive))
            raise


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[_Model]:
    """Open an archive, and find its model; errors name the archive."""
    try:
        with _undamaged(), contextlib.ExitStack() as held:
            yield _model(_members(archive, held), archive.stat().st_size)
    except SmpatchError as error:
        error.where = error.where or str(archive)
        raise


@contextlib.contextmanager
def _undamaged() -> Iterator[None]:
    """Turn the errors of the standard library into ``ModelUnreadableError``."""
    try:
        yield
    except _DAMAGE as error:
        words = " ".join(str(error).split()) or type(error).__name__
        found = f"the archive cannot be read: {words}"
        raise ModelUnreadableError(found, hint="was it copied whole?") from error


@contextlib.contextmanager
def _unpacking(archive: Path) -> Iterator[None]:
    """Turn the errors of the file system for the unpacked files into ``WriteError``."""
    try:
        yield
    except OSError as error:
        found = f"it cannot be unpacked: {(error.strerror or str(error)).lower()}"
        raise WriteError(found, where=str(archive), hint=_ELSEWHERE) from error


def _members(archive: Path, held: contextlib.ExitStack) -> Iterator[_Member]:
    if archive.suffix.lower() == ".zip":
        zipped = held.enter_context(zipfile.ZipFile(archive))
        for info in zipped.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "directory" if info.is_dir() else "file"
            if mode not in {0, stat.S_IFREG, stat.S_IFDIR}:
                kind = "a link" if mode == stat.S_IFLNK else "a special file"
            # orig_filename: zipfile cuts names at a zero byte and replaces separators.
            name = info.orig_filename
            yield _Member(_parts(name), kind, info.file_size, partial(zipped.open, info))
        return
    plain = archive.suffix.lower() == ".tar"
    opened = held.enter_context(archive.open("rb") if plain else gzip.open(archive))  # noqa: SIM115 - held
    bounded: Any = _Bounded(opened)
    tarred = held.enter_context(tarfile.open(fileobj=bounded, mode="r:"))  # noqa: SIM115 - held
    for entry in tarred:
        kind = "file" if entry.isreg() else "directory" if entry.isdir() else "a special file"
        if entry.issym() or entry.islnk():
            kind = "a link"
        content: Any = partial(tarred.extractfile, entry)  # of a regular file it is not None
        yield _Member(_parts(entry.name), kind, entry.size, content)
    # gzip compares its checksum only at the end of the file.
    if len(opened.read(_LARGEST_READ + 1)) > _LARGEST_READ:
        raise ValueError("bytes follow after the end of the tar file")


class _Bounded:
    """A file that refuses to read a large piece at once."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a file of any kind
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes.

        Raises:
            ValueError: ``size`` is negative, or too large for a header.
        """
        if not 0 <= size <= _LARGEST_READ:
            raise ValueError(f"a header has {size:,} bytes")
        data: bytes = self._file.read(size)
        return data


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name.

    Raises:
        ModelUnreadableError: The name leads out of the directory, or no file can have it.
    """
    parts = tuple(each for each in name.split("/") if each not in {"", "."})
    if name.startswith("/") or ".." in parts or re.search(r"[\\\0]|^[A-Za-z]:", name):
        raise ModelUnreadableError(f"a member has the name {name!r}", hint=_HOSTILE)
    return parts


def _model(members: Iterable[_Member], size: int) -> _Model:
    """Find the model among the members of an archive that has ``size`` bytes.

    Raises:
        ModelUnreadableError: There is no model, or there are several; or the archive is hostile.
    """
    known: dict[tuple[str, ...], _Member] = {}
    total, most = 0, min(_MOST_BYTES, max(_ALWAYS, _MOST_TIMES * size))
    for member in members:
        total += member.size
        if total > most or len(known) >= _MOST_MEMBERS:
            found = f"it holds more than {most:,} bytes or {_MOST_MEMBERS:,} members"
            raise ModelUnreadableError(found, hint=_HOSTILE)
        earlier = known.get(member.name, member)
        if member.name in known and {earlier.kind, member.kind} != {"directory"}:
            found = f"two members have the name {'/'.join(member.name)!r}"
            raise ModelUnreadableError(found, hint=_HOSTILE)
        known[member.name] = member
    place = _place(known)
    inside = {n[len(place) :]: m for n, m in known.items() if n[: len(place)] == place}
    for name, member in inside.items():
        if member.kind not in {"file", "directory"}:
            raise ModelUnreadableError(f"{'/'.join(name)!r} is {member.kind}", hint=_HOSTILE)
        if any(
            inside[name[:end]].kind == "file" for end in range(len(name)) if name[:end] in inside
        ):
            raise ModelUnreadableError(f"{'/'.join(name)!r} is below a file", hint=_HOSTILE)
    files = {"/".join(n): m for n, m in inside.items() if m.kind == "file"}
    directories = ["/".join(n) for n, m in inside.items() if m.kind == "directory"]
    file = next(each for each in _MODEL_FILES if each in files)
    return _Model("/".join(place), file, files, directories)


def _place(known: Mapping[tuple[str, ...], _Member]) -> tuple[str, ...]:
    """Return the directory of the only model; a model inside its directory is a part of it."""
    found: list[tuple[str, ...]] = []
    holds = (
        n[:-1]
        for n, m in known.items()
        if n[-1:] and n[-1] in _MODEL_FILES and m.kind != "directory"
    )
    for place in sorted(set(holds)):
        if not any(place[: len(each)] == each for each in found):
            found.append(place)
    if not found:
        raise ModelUnreadableError(f"it holds no {' and no '.join(_MODEL_FILES)}")
    if len(found) > 1:
        names = ", ".join("/".join(each) for each in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        words = f"it holds {len(found)} models: {names}{more}"
        raise ModelUnreadableError(words, hint="unpack it, and name one of them")
    return found[0]


def _write(member: _Member, file: IO[bytes]) -> None:
    """Write the content of a member, which must have the length that the archive records.

    Raises:
        ModelUnreadableError: It has another length, or is damaged.
    """
    for piece in _pieces(member):
        file.write(piece)


def _pieces(member: _Member) -> Iterator[bytes]:
    """Yield the content of a member; who writes it meets its own errors alone."""
    with _undamaged(), member.open() as source:
        left = member.size
        while piece := source.read(min(_PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            raise ValueError(f"{'/'.join(member.name)} has another length than the archive records")
