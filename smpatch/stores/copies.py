"""A local copy of a model in a store, in a temporary directory, for as long as it is needed."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smpatch import arguments
from smpatch.errors import ModelUnreadableError, SmpatchError, WriteError
from smpatch.stores.access import Fetched, Store, Version
from smpatch.urls import READ_ONLY, ModelUrl

__all__ = [
    "BACKUP_SUFFIX",
    "FINGERPRINT",
    "MODEL_FILES",
    "OWN",
    "UNDO_RECORD_SUFFIX",
    "Copy",
    "at_hand",
    "copied",
    "described",
    "digest_of",
    "is_changed",
    "renamed",
    "seen",
]

MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
"""The files that loaders read; of both the first."""

FINGERPRINT = "fingerprint.pb"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
BACKUP_SUFFIX = ".backup"
UNDO_RECORD_SUFFIX = ".undone"

_HISTORY = frozenset(
    {f"{name}{BACKUP_SUFFIX}" for name in (*MODEL_FILES, FINGERPRINT, WARM_UP)}
    | {f"{name}{UNDO_RECORD_SUFFIX}" for name in MODEL_FILES}
)
"""What edits and undos keep: no part of the model."""

OWN = ".smpatch-"
"""Objects that are no part of a model begin so."""

seen: dict[ModelUrl, Version | None] = {}
"""Models that this process began to edit, and the version that it read; None for a new one."""

_DATA = "variables/variables.data-"

_KNOWN = (
    FINGERPRINT,
    "variables/variables.index",
    WARM_UP,
)
"""What is asked for where there is no listing."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A model of a store, as it was read.

    Attributes:
        url: Where it is in the store.
        directory: The copy.
        file: The name of the model file.
        digests: Name to digest, of the model file and of the warm-up requests.
        versions: Name to version of the files that an edit writes.
        moved: Bytes of variables that were read.
    """

    url: ModelUrl
    directory: Path
    file: str
    digests: Mapping[str, bytes]
    versions: Mapping[str, Version]
    moved: int

    @property
    def is_changed(self) -> bool:
        """Whether the model file of the copy is another one now."""
        return self.has_changed(self.file)

    def has_changed(self, name: str) -> bool:
        """Return whether one of the files in ``digests`` is another one now; not where it is gone.

        Args:
            name: The file.
        """
        file = self.directory / name
        return name in self.digests and file.is_file() and digest_of(file) != self.digests[name]


def digest_of(file: Path) -> bytes:
    """Return a digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def described(url: ModelUrl) -> tuple[str, bytes]:
    """Return the name of a model's file, and its bytes; nothing else is read.

    Raises:
        ModelUnreadableError: There is none, or the store refuses.
        UsageError: obstore is not installed.
    """
    name, fetched = _model_file(Store(url), url)
    return name, fetched.data


def is_changed(url: ModelUrl) -> bool:
    """Return whether a model is another one than when this process read it.

    Args:
        url: The model. One that was not read and not begun to be written is not looked at.
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
    """Make a model readable as a directory; of variables that lie in a store only the index.

    Their data files have the right names and lengths, and no content: whoever reads only those.

    Args:
        place: A directory, which is taken as it is, or a URL.

    Yields:
        The directory.

    Raises:
        SmpatchError: As ``copied``.
    """
    if arguments.is_archive(place):
        from smpatch.archives import unpacked  # noqa: PLC0415 - only where an archive is given

        with unpacked(place, variables=False) as directory:
            yield directory
        return
    if not isinstance(place, ModelUrl):
        yield place
        return
    with copied(place, variables=False) as copy:
        yield copy.directory


@contextlib.contextmanager
def copied(url: ModelUrl, *, variables: bool, backups: bool = False) -> Iterator[Copy]:
    """Copy a model to a temporary directory.

    Args:
        url: Where it is.
        variables: Whether to read the values of its variables. Without them their files have
            the right names and lengths, and no content.
        backups: Whether to read what an edit kept, too.

    Yields:
        The copy. Errors inside that name the directory name the URL instead.

    Raises:
        ModelUnreadableError: There is no model, or the store refuses.
        UsageError: obstore is not installed.
        WriteError: The temporary directory cannot be written.
    """
    store = Store(url)
    with tempfile.TemporaryDirectory(prefix="smpatch-") as work:
        directory = Path(work) / (url.name or "model")
        directory.mkdir()
        with renamed({directory: url}):
            try:
                copy = _copy(store, url, directory, variables=variables, backups=backups)
            except OSError as error:
                found = f"the copy cannot be written: {(error.strerror or str(error)).lower()}"
                raise WriteError(found, where=str(url), hint="TMPDIR names its place") from error
            yield copy


@contextlib.contextmanager
def renamed(names: Mapping[Path, Path]) -> Iterator[None]:
    """Name what the user named in errors that name a temporary path."""
    try:
        yield
    except SmpatchError as error:
        for temporary, known in names.items():
            error.rename(str(temporary), str(known))
        raise


def _copy(store: Store, url: ModelUrl, directory: Path, *, variables: bool, backups: bool) -> Copy:
    name, fetched = _model_file(store, url)
    seen[url] = fetched.version
    file = directory / name
    file.write_bytes(fetched.data)
    versions, moved = {name: fetched.version}, 0
    for path, size in _names(store, url, variables=variables):
        target = directory / path
        if path == name or (path in _HISTORY and not backups):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.startswith(_DATA) and not variables:
            with target.open("xb") as opened:
                opened.truncate(size)
        elif path in {FINGERPRINT, WARM_UP, *_HISTORY}:
            with contextlib.suppress(FileNotFoundError):
                read = store.read((url / path).key)
                target.write_bytes(read.data)
                versions[path] = read.version
        else:
            with contextlib.suppress(FileNotFoundError):
                store.download((url / path).key, target)
                moved += target.stat().st_size if path.startswith(_DATA) else 0
    digests = {
        each: digest_of(directory / each)
        for each in (name, WARM_UP)
        if (directory / each).is_file()
    }
    return Copy(url, directory, name, digests, versions, moved)


def _names(store: Store, url: ModelUrl, *, variables: bool) -> Iterator[tuple[str, int]]:
    """Yield the files of a model below its URL, with their lengths."""
    if url.scheme in READ_ONLY:
        if variables:
            found = f"{url.scheme}:// has no listing, so that not all files of a model can be read"
            hint = "copy the model here, or --validate none"
            raise ModelUnreadableError(found, where=str(url), hint=hint)
        for name in _KNOWN:
            with contextlib.suppress(FileNotFoundError):
                store.version((url / name).key)
                yield name, 0
        return
    prefix = f"{url.key}/" if url.key else ""
    for each in store.listing(prefix):
        path = each.key[len(prefix) :]
        parts = path.split("/")
        # The keys of a store are any text; a directory marker is empty and ends at a slash.
        if path and not {"", ".", ".."} & set(parts) and not parts[0].startswith(OWN):
            yield path, each.size


def _model_file(store: Store, url: ModelUrl) -> tuple[str, Fetched]:
    for name in MODEL_FILES:
        with contextlib.suppress(FileNotFoundError):
            fetched = store.read((url / name).key)
            if not fetched.data:
                found, hint = "the file is empty", "its export or its copy did not finish"
                raise ModelUnreadableError(found, where=store.url((url / name).key), hint=hint)
            return name, fetched
    found = f"no {' and no '.join(MODEL_FILES)} here"
    raise ModelUnreadableError(found, where=str(url), hint=_below(store, url))


def _below(store: Store, url: ModelUrl) -> str:
    """Offer a version below, the usual slip."""
    if url.scheme in READ_ONLY:
        return "is this the URL of a SavedModel directory?"
    prefix = f"{url.key}/" if url.key else ""
    names = [each.key[len(prefix) :].split("/") for each in store.listing(prefix)]
    versions = {one[0] for one in names if len(one) == 2 and one[1] in MODEL_FILES}  # noqa: PLR2004 - version and file
    if not versions:
        return "is this the URL of a SavedModel directory?"
    newest = max(versions, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    return f"did you mean {url / newest}?"
