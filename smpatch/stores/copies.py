"""Models of a store: the models that match a pattern, and a temporary local copy of one."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from smpatch.archive_paths import is_archive
from smpatch.errors import ModelUnreadableError, SmpatchError, UsageError, WriteError
from smpatch.remote import RemoteBytes
from smpatch.runtime import absent
from smpatch.stores.access import Store, Version
from smpatch.urls import OTHER_PLACES, READ_ONLY, ModelUrl

_Read = TypeVar("_Read", bound=Sized)

MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
"""The files that loaders read; if both exist, the first one."""

FINGERPRINT = "fingerprint.pb"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
BACKUP_SUFFIX = ".backup"
UNDO_RECORD_SUFFIX = ".undone"

_HISTORY = frozenset(
    {f"{name}{BACKUP_SUFFIX}" for name in (*MODEL_FILES, FINGERPRINT, WARM_UP)}
    | {f"{name}{UNDO_RECORD_SUFFIX}" for name in MODEL_FILES}
)
"""The files that edits and undos keep, and that do not belong to the model."""

OWN = ".smpatch-"
"""The prefix of the names of objects that do not belong to a model."""

seen: dict[ModelUrl, Version | None] = {}
"""The models that this process copied or began to upload, each with the version of the model file
that it read; None for an uploaded model."""

_DATA = "variables/variables.data-"

_SPECIAL = frozenset("*[")
"""The characters by which a pattern is recognised."""

_POINTER_BYTES = 1024
"""The greatest size in bytes of a pointer of Git LFS (git-lfs/docs/spec.md)."""

_KNOWN = (FINGERPRINT, "variables/variables.index", WARM_UP)
"""The files that are requested by name if the store has no listing."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The local copy of a model of a store.

    Attributes:
        url: The URL of the model in the store.
        directory: The directory of the copy.
        file: The name of the model file.
        digests: Name to digest, for the model file and the warm-up requests.
        versions: Name to version, for the files that an edit may write.
        lengths: The length in bytes of each data file of variables that was read so far.
    """

    url: ModelUrl
    directory: Path
    file: str
    digests: Mapping[str, bytes]
    versions: Mapping[str, Version]
    lengths: list[int]

    @property
    def moved(self) -> int:
        """The number of bytes of variables that were read."""
        return sum(self.lengths)

    @property
    def is_changed(self) -> bool:
        """Whether the model file of the copy has other content now."""
        return self.has_changed(self.file)

    def has_changed(self, name: str) -> bool:
        """Return whether a file of ``digests`` has other content now; False if it is gone."""
        file = self.directory / name
        return name in self.digests and file.is_file() and digest_of(file) != self.digests[name]


def digest_of(file: Path) -> bytes:
    """Return the SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def described(url: ModelUrl) -> tuple[str, bytes | RemoteBytes]:
    """Return the name of a model's file, and its bytes; no other file is read.

    The bytes of a large file are fetched when they are read.

    Raises:
        ModelUnreadableError: There is no model file, or the store refuses.
        UsageError: obstore is not installed.
    """
    store = Store(url)
    return _model_file(store, url, store.opened)


def is_changed(url: ModelUrl) -> bool:
    """Return whether the model file has changed since this process read it.

    Args:
        url: The URL of the model. If this process has neither copied the model nor begun to upload
            it, the result is False, without a request.
    """
    if url not in seen:
        return False
    store = Store(url)
    for name in MODEL_FILES:
        with contextlib.suppress(FileNotFoundError, SmpatchError):
            return store.version((url / name).key) != seen[url]
    return False


@contextlib.contextmanager
def at_hand(place: Path) -> Iterator[Path]:
    """Make a model readable as a directory, for callers that do not use TensorFlow.

    A directory is used directly; an archive or the model of a URL is copied.

    Raises:
        SmpatchError: As ``copied``.
    """
    if is_archive(place):
        from smpatch.archives import unpacked  # noqa: PLC0415 - only where an archive is given

        with unpacked(place, variables=False) as directory:
            yield directory
        return
    if not isinstance(place, ModelUrl):
        yield place
        return
    with copied(place) as copy:
        yield copy.directory


@contextlib.contextmanager
def copied(
    url: ModelUrl,
    *,
    looks: bool = False,
    loads: bool = False,
    variables: bool = False,
    backups: bool = False,
) -> Iterator[Copy]:
    """Copy a model to a temporary directory.

    The index of the variables is read. The data files of the copy have the right names and lengths,
    but no content. The content is read when TensorFlow loads the directory with its variables.

    Args:
        url: The URL of the model.
        looks: Whether the caller checks that the variables are complete: data files that are small
            enough to be pointers of Git LFS are then read.
        loads: Whether TensorFlow may load the copy, so that no file may be missing.
        variables: Whether to read all data files at once.
        backups: Whether to read the files that an edit or an undo kept, too.

    Yields:
        The copy. If an error inside the context names the directory, the URL replaces it.

    Raises:
        ModelUnreadableError: There is no model, or the store refuses.
        UsageError: obstore is not installed.
        WriteError: The temporary directory cannot be written.
    """
    store = Store(url)
    lengths: list[int] = []
    with tempfile.TemporaryDirectory(prefix="smpatch-") as work:
        directory = Path(work) / (url.name or "model")
        directory.mkdir()
        with renamed({directory: url}):
            try:
                with _written(url):
                    versions = _copy(store, url, directory, lengths, loads=loads, backups=backups)
                if looks or variables:
                    absent.provide(directory, None if variables else _POINTER_BYTES)
                name = next(iter(versions))
                digests = {
                    each: digest_of(directory / each)
                    for each in (name, WARM_UP)
                    if (directory / each).is_file()
                }
                yield Copy(url, directory, name, digests, versions, lengths)
            finally:
                absent.forget(lengths)


@contextlib.contextmanager
def _written(url: ModelUrl) -> Iterator[None]:
    """Turn errors of the file system into the error that the copy cannot be written."""
    try:
        yield
    except OSError as error:
        found = f"the copy cannot be written: {(error.strerror or str(error)).lower()}"
        raise WriteError(found, where=str(url), hint="TMPDIR names its place") from error


@contextlib.contextmanager
def renamed(names: Mapping[Path, Path]) -> Iterator[None]:
    """Replace temporary paths in errors by the names that the user gave.

    ``names`` has the path or URL of the user for each temporary path.
    """
    try:
        yield
    except SmpatchError as error:
        for temporary, known in names.items():
            error.rename(str(temporary), str(known))
        raise


def _copy(  # noqa: PLR0913 - from where to where, and how much
    store: Store, url: ModelUrl, directory: Path, lengths: list[int], *, loads: bool, backups: bool
) -> dict[str, Version]:
    """Read all files but data files; return the versions of the files that an edit may write."""

    def read(place: ModelUrl, file: Path) -> None:
        with _written(url), contextlib.suppress(FileNotFoundError):
            store.download(place.key, file)
            lengths.append(file.stat().st_size)

    name, fetched = _model_file(store, url, store.read)
    seen[url] = fetched.version
    (directory / name).write_bytes(fetched.data)
    versions = {name: fetched.version}
    for path, size in _names(store, url, loads=loads):
        target = directory / path
        if path == name or (path in _HISTORY and not backups):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.startswith(_DATA):
            absent.stand_in(target, size, partial(read, url / path), owner=lengths)
        elif path in {FINGERPRINT, WARM_UP, *_HISTORY}:
            with contextlib.suppress(FileNotFoundError):
                found = store.read((url / path).key)
                target.write_bytes(found.data)
                versions[path] = found.version
        else:
            with contextlib.suppress(FileNotFoundError):
                store.download((url / path).key, target)
    return versions


def _names(store: Store, url: ModelUrl, *, loads: bool) -> Iterator[tuple[str, int]]:
    """Yield the files of a model below its URL, with their lengths."""
    if url.scheme in READ_ONLY:
        if loads:
            found = f"{url.scheme}:// has no listing, so that not all files of a model can be read"
            hint = "copy the model here, or --validate none"
            raise ModelUnreadableError(found, where=str(url), hint=hint)
        for name in _KNOWN:
            with contextlib.suppress(FileNotFoundError):
                store.version((url / name).key)
                yield name, 0
        return
    for path, size in below(store, url):
        parts = path.split("/")
        # A key may be any text; the key of a directory marker, an empty object, ends with a slash.
        if path and not {"", ".", ".."} & set(parts) and not parts[0].startswith(OWN):
            yield path, size


def below(store: Store, url: ModelUrl) -> Iterator[tuple[str, int]]:
    """Yield the names of the objects below a URL, without the URL, and their lengths."""
    prefix = f"{url.key}/" if url.key else ""
    return ((each.key[len(prefix) :], each.size) for each in store.listing(prefix))


def _model_file(store: Store, url: ModelUrl, read: Callable[[str], _Read]) -> tuple[str, _Read]:
    for name in MODEL_FILES:
        with contextlib.suppress(FileNotFoundError):
            found = read((url / name).key)
            if not found:
                words, hint = "the file is empty", "its export or its copy did not finish"
                raise ModelUnreadableError(words, where=store.url((url / name).key), hint=hint)
            return name, found
    words = f"no {' and no '.join(MODEL_FILES)} here"
    raise ModelUnreadableError(words, where=str(url), hint=_nearby(store, url))


def _nearby(store: Store, url: ModelUrl) -> str:
    """Return a hint for a URL without a model; it names a version below, which users often omit."""
    if url.scheme in READ_ONLY:
        return "is this the URL of a SavedModel directory?"
    names = [name.split("/") for name, _ in below(store, url)]
    versions = {one[0] for one in names if len(one) == 2 and one[1] in MODEL_FILES}  # noqa: PLR2004 - version and file
    if not versions:
        return "is this the URL of a SavedModel directory?"
    newest = max(versions, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    return f"did you mean {url / newest}?"


def expanded(models: Sequence[Path]) -> list[Path]:
    """Return the models, in which the matching models replace each URL with a pattern.

    Args:
        models: Directories, which a shell has expanded, and URLs such as
            ``gs://bucket/models/*/[0-9]*``. ``*`` and ``[...]`` match text between two slashes.

    Raises:
        ModelUnreadableError: No model matches, or the store refuses.
        UsageError: The store has no listing.
    """
    found: list[Path] = []
    for each in models:
        if isinstance(each, ModelUrl) and _SPECIAL & set(each.key):
            found += _matching(each)
        else:
            found.append(each)
    return found


def _matching(pattern: ModelUrl) -> list[ModelUrl]:
    if pattern.scheme in READ_ONLY:
        found = f"{pattern.scheme}:// has no listing"
        raise UsageError(found, where=str(pattern), hint="name each model")
    wanted = pattern.key.split("/")
    fixed = next(place for place, part in enumerate(wanted) if _SPECIAL & set(part))
    keys = set()
    for each in Store(pattern).listing("".join(f"{part}/" for part in wanted[:fixed])):
        *model, name = each.key.split("/")
        if (
            name in MODEL_FILES
            and len(model) == len(wanted)
            and not OTHER_PLACES & {*model}
            and all(fnmatch.fnmatchcase(*pair) for pair in zip(model, wanted, strict=True))
        ):
            keys.add("/".join(model))
    if not keys:
        raise ModelUnreadableError("no model matches", where=str(pattern))
    return [pattern.__class__(f"{pattern.base}/{key}") for key in sorted(keys)]
