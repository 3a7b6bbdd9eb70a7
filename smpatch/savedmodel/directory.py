"""The files of a model directory: the file that loaders read, and its bytes.

This module finds and opens files; it does not read their content.

Sources: ``tensorflow/cc/saved_model/reader.cc`` and ``tensorflow/python/saved_model/
loader_impl.py`` (which file is read: ``.pb`` before ``.pbtxt``).
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import logging
import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from google.protobuf.message import DecodeError

from smpatch import wire
from smpatch.errors import ModelUnreadableError, WriteError

BINARY_NAME, TEXT_NAME, CHUNKED_NAME = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"

_LOG = logging.getLogger(__name__)

_MAPPED_FROM = 1 << 24
"""Files of 16 MiB and more are mapped, smaller ones read.

A process that reads a mapped file dies (SIGBUS) if another process truncates the file; small files
do not gain from mapping.
"""

Form = Literal["binary", "text"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""The beginning of a URL that was made a path; a path keeps one of the two slashes."""

_CHECKPOINT_HINT = (
    "restore it in TensorFlow with the code of the model, and save that as a SavedModel"
)
_KERAS_HINT = "load it in Keras and export it: keras.models.load_model(FILE).export(DIR)"

_HELD = (
    ("checkpoint", f"it holds a checkpoint: {_CHECKPOINT_HINT}"),
    ("*.ckpt*.index", f"it holds a checkpoint: {_CHECKPOINT_HINT}"),
    ("*.keras", f"it holds {{name}}: {_KERAS_HINT}"),
    ("model.weights.h5", "it is an unpacked .keras archive: zip its files, and load that in Keras"),
    ("*.h5", f"it holds {{name}}: {_KERAS_HINT}"),
    ("*.tflite", "it holds {name}, which cannot be converted back into a graph"),
    ("*.onnx", "it holds {name}: onnx2tf makes a SavedModel of it"),
    ("model.json", "it holds a TensorFlow.js model: use the model that it was converted from"),
    ("*.zip", "it holds {name}: unpack it: unzip {file}"),
    ("*.tar.gz", "it holds {name}: unpack it: tar -xf {file}"),
    ("*.tgz", "it holds {name}: unpack it: tar -xf {file}"),
    ("*.pb", "it holds {name}; a frozen graph is given as a file: smpatch wrap {file}"),
)
"""Patterns of names in a directory that is not a SavedModel, and hints; the first match is used."""


class FileIdentity(NamedTuple):
    """The identity of a file at the time when it was read.

    Attributes:
        device: The number of the file system.
        inode: The number of the file in the file system.
        size: The length in bytes.
        modified: The time of the last change of the content, in nanoseconds.
        changed: The time of the last change of the status, in nanoseconds; no program can set it
            back.
        links: How many names the file has.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    links: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Take the identity from a file's status."""
        times = status.st_mtime_ns, status.st_ctime_ns
        return cls(status.st_dev, status.st_ino, status.st_size, *times, status.st_nlink)

    def is_of(self, status: os.stat_result) -> bool:
        """Return whether a file is still this one, by its current status.

        A hard link that is made or removed changes the time of the status, but not the content:
        smpatch and other programs make backups in this way.
        """
        now = FileIdentity.of(status)
        return self[:4] == now[:4] and (self.changed == now.changed or self.links != now.links)


def which_file(root: Path) -> tuple[Path, Form]:
    """Return the file of a model directory that loaders read, and its form.

    Raises:
        ModelUnreadableError: There is no such file.
    """
    try:
        return _which_file(root)
    except OSError as error:
        found = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise ModelUnreadableError(found, where=str(root)) from error


def _which_file(root: Path) -> tuple[Path, Form]:
    scheme = _URL.match(str(root))
    if scheme is not None and not root.exists():
        found = f"this path was made from a URL ({scheme[1]}) and has lost a slash"
        raise ModelUnreadableError(found, where=str(root), hint="give the URL as a text")
    if not root.exists():
        raise _absent(root)
    if not root.is_dir():
        raise _file(root)
    binary_file, text_file = root / BINARY_NAME, root / TEXT_NAME
    if binary_file.exists() or binary_file.is_symlink():
        return binary_file, "binary"
    if text_file.exists() or text_file.is_symlink():
        return text_file, "text"
    if (root / CHUNKED_NAME).exists():
        found = f"it holds only the chunked form, {CHUNKED_NAME}"
        hint = "no open-source TensorFlow reads it; export again without chunking"
        raise ModelUnreadableError(found, where=str(root), hint=hint)
    raise ModelUnreadableError(
        f"no {BINARY_NAME} and no {TEXT_NAME} here", where=str(root), hint=_nearby(root)
    )


def _absent(root: Path) -> ModelUnreadableError:
    """Return the error for a path that does not exist."""
    found, hint = "no such directory", ""
    if root.with_name(root.name + ".index").exists():
        found = "it is the prefix of a checkpoint, which has values and no graph"
        hint = _CHECKPOINT_HINT
    return ModelUnreadableError(found, where=str(root), hint=hint)


def _file(root: Path) -> ModelUnreadableError:
    """Return the error for a path that is a file and not a directory."""
    from smpatch.savedmodel.file_kinds import recognise  # noqa: PLC0415 - for errors alone

    kind = None
    with contextlib.suppress(ModelUnreadableError):
        kind = recognise(open_file(root)[0])
    named = root.name in {BINARY_NAME, TEXT_NAME}
    if kind is None or (named and kind.found.startswith("a SavedModel")):
        hint = f"name the directory, {root.parent}" if named else ""
        return ModelUnreadableError("not a directory", where=str(root), hint=hint)
    found = f"not a directory, but {kind.found}"
    return ModelUnreadableError(found, where=str(root), hint=kind.error(root).hint)


def _held(root: Path) -> str:
    """Return a hint for a directory that holds another kind of model; empty if it holds none."""
    from smpatch.savedmodel.file_kinds import shell_word  # noqa: PLC0415 - for errors alone

    names = sorted(each.name for each in root.iterdir())
    for pattern, hint in _HELD:
        for name in names:
            if fnmatch.fnmatchcase(name, pattern):
                return hint.format(name=name, file=shell_word(root / name))
    return ""


def _nearby(root: Path) -> str:
    """Return a hint for a directory without a model: users often give ``export`` for ``export/1``.

    If several version directories are below it, the hint names the one with the highest number,
    which servers load.
    """
    try:
        inside = [
            file.parent for name in (BINARY_NAME, TEXT_NAME) for file in root.glob(f"*/{name}")
        ]
    except OSError:
        inside = []
    if not inside:
        return _held(root) or "is this a SavedModel directory?"
    newest = max(inside, key=lambda each: (_version(each.name), each.name))
    return f"did you mean {newest}?"


def _version(name: str) -> int:
    return int(name) if name.isascii() and name.isdecimal() else -1


def open_regular(file: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; raise at once if it is not a regular file.

    A plain ``open`` of a FIFO would wait for a writer for ever, with the model locked.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    _LOG.debug("opens %s", os.fspath(file))
    return open(file, "rb", opener=_at_once)


def _at_once(file: str, flags: int) -> int:
    descriptor = os.open(file, flags | os.O_NONBLOCK)
    with contextlib.ExitStack() as held:
        held.callback(os.close, descriptor)
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # for a directory, open itself raises
            raise OSError(errno.EINVAL, "not a regular file", file)
        held.pop_all()
    return descriptor


def open_file(file: Path) -> tuple[wire.Buffer, FileIdentity]:
    """Read a file, or map it if it is large.

    Raises:
        ModelUnreadableError: The file cannot be opened or read, is empty, or is not a regular file.
    """
    try:
        # O_NONBLOCK: otherwise the open of a FIFO would wait for a writer for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ModelUnreadableError(f"cannot be opened: {error.strerror}") from error
    try:
        with contextlib.ExitStack() as held:
            held.callback(os.close, descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ModelUnreadableError("not a regular file")
            if status.st_size == 0:
                hint = "its export or its copy did not finish"
                raise ModelUnreadableError("the file is empty", hint=hint)
            identity = FileIdentity.of(status)
            if status.st_size < _MAPPED_FROM or file.name == TEXT_NAME:
                with os.fdopen(os.dup(descriptor), "rb") as opened:
                    data: wire.Buffer = opened.read()
            else:
                data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            _LOG.info("loaded %s, %d bytes", file, status.st_size)
            return data, identity
    except OSError as error:  # closing may fail too, on a network file system
        raise ModelUnreadableError(f"cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put the name of a file into errors about its content."""
    try:
        yield
    except DecodeError as error:
        # Most parts raise an error of their own; this handles the others.
        found = f"a part of it cannot be decoded: {error}"
        raise ModelUnreadableError(found, where=str(file)) from error
    except ModelUnreadableError as error:
        if error.where.startswith(str(file)):
            raise
        where = f"{file}: {error.where}" if error.where else str(file)
        raise ModelUnreadableError(error.found, where=where, hint=error.hint) from error


@contextlib.contextmanager
def writing(place: Path, verb: str, *, hint: str = "the model is unchanged") -> Iterator[None]:
    """Turn the remaining errors of the file system into ``WriteError``.

    Args:
        place: The path that the error names if the system names none.
        verb: The failed action as a participle, such as ``edited``.
        hint: The hint of the error: the state of the model.
    """
    try:
        yield
    except OSError as error:
        found = f"cannot be {verb}: {(error.strerror or str(error)).lower()}"
        raise WriteError(found, where=str(error.filename or place), hint=hint) from error
