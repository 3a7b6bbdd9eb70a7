"""One bucket, container or host: read, list, put, copy, delete.

Errors do not repeat the text of the client library, which may have addresses with signatures.

Sources: the documentation of obstore; RFC 9110 (conditional requests).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from smpatch.errors import ConflictError, ModelUnreadableError, UsageError, WriteError
from smpatch.remote import RemoteBytes
from smpatch.urls import READ_ONLY, ModelUrl

_LOG = logging.getLogger(__name__)

_OPTIONS: dict[str, str] = {}
"""The user's options for all stores of this process."""

_CLIENT_OPTIONS = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "timeout"}
)
"""The options of the connection; all other options are of the store."""

_clients: dict[object, Any] = {}
"""The clients of obstore, by the base, options and environment of each; they keep connections."""

_making = threading.Lock()

_WHOLE = 1 << 23
"""A model file of at most this size in bytes is read in one request."""

_RETRIES = 4
_RETRY_SECONDS = 60
_CONNECT_SECONDS, _REQUEST_SECONDS = "10s", "600s"

ABSENT: Literal["absent"] = "absent"
"""The condition that the object does not exist yet."""

_CODE = re.compile(r"status(?: code)?:? (\d{3})", re.IGNORECASE)
_NO_CREDENTIALS = re.compile(r"//169\.254\.|//metadata\.google|Account must be specified")
_UNREACHABLE = re.compile(r"error sending request|timed out", re.IGNORECASE)


def set_store_options(options: Mapping[str, str]) -> None:
    """Set options of object stores for this process, besides the environment of their own tools.

    Args:
        options: The options by the configuration keys of obstore, such as ``endpoint``,
            ``region``, ``skip_signature``, ``allow_http``. They replace all earlier options.

    Raises:
        UsageError: It is not a mapping; the error does not show the value, which may be secret.

    Example:
        >>> smpatch.set_store_options({"region": "eu-central-1"})
    """
    if not isinstance(options, Mapping):
        found = f"a {type(options).__name__} is given, not a mapping"
        hint = 'such as {"region": "eu-central-1"}'
        raise UsageError(found, where="the options of stores", hint=hint)
    given = {str(key): str(value) for key, value in options.items()}
    _OPTIONS.clear()
    _OPTIONS.update(given)


@dataclass(frozen=True, slots=True)
class Version:
    """The version of an object, which a put can have as its condition."""

    e_tag: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of a listing.

    Attributes:
        key: The name of the object in the bucket.
        size: The length in bytes.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object that was read."""

    data: bytes = field(repr=False)
    version: Version

    def __len__(self) -> int:
        """Return the length in bytes."""
        return len(self.data)


class Store:
    """The store of a URL.

    The first request makes the client, and raises a ``UsageError`` if an option is wrong.
    """

    def __init__(self, url: ModelUrl) -> None:
        """Make the object, and send no request yet.

        Raises:
            UsageError: obstore is not installed.
        """
        self.base = url.base
        self.scheme = url.scheme
        self._obstore = _obstore(url)

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return f"{self.base}/{key}"

    def read(self, key: str) -> Fetched:
        """Read an object.

        Raises:
            FileNotFoundError: There is no such object.
            ModelUnreadableError: The store refuses.
        """
        self._begins("fetch", key)
        with self._reading(key):
            found = self._obstore.get(self._store, key)
            meta = found.meta
            data = bytes(found.bytes())
        _LOG.info("read %s, %d bytes", self.url(key), len(data))
        return Fetched(data, _version(meta))

    def opened(self, key: str) -> bytes | RemoteBytes:
        """Return the bytes of an object; the ranges of a large one are fetched when they are read.

        Raises:
            FileNotFoundError: There is no such object.
            ModelUnreadableError: The store refuses. A later read of the bytes may raise it too,
                also if the object has changed.
        """
        self._begins("fetch", key)
        with self._reading(key):
            found = self._obstore.get(self._store, key)
            size, version = found.meta["size"], _version(found.meta)
            # A web server may not support requests for ranges.
            if size <= _WHOLE or self.scheme in READ_ONLY or version == Version(None, None):
                data = bytes(found.bytes())
                _LOG.info("read %s, %d bytes", self.url(key), len(data))
                return data
        return RemoteBytes(size, partial(self._range, key, version))

    def _range(self, key: str, version: Version, start: int, end: int) -> bytes:
        """Read a part of an object, and refuse it if the object has changed."""
        try:
            with self._reading(key):
                found = self._obstore.get(self._store, key, options={"range": (start, end)})
                same, data = _version(found.meta) == version, bytes(found.bytes())
        except FileNotFoundError:
            same, data = False, b""
        if not same or len(data) != end - start:
            words = "another program changed it while it was read"
            raise ModelUnreadableError(words, where=self.url(key), hint="run the command again")
        _LOG.info("read %s, bytes %d to %d", self.url(key), start, end)
        return data

    def version(self, key: str) -> Version:
        """Return the version of an object; raises as ``read``."""
        with self._reading(key):
            return _version(self._obstore.head(self._store, key))

    def download(self, key: str, file: Path) -> None:
        """Write an object to a file; raises as ``read``."""
        self._begins("fetch", key)
        with self._reading(key), file.open("xb") as opened:
            for piece in self._obstore.get(self._store, key).stream(min_chunk_size=1 << 23):
                opened.write(piece)
        _LOG.info("read %s, %d bytes", self.url(key), file.stat().st_size)

    def listing(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects below a prefix, which ends with a slash or is empty.

        Raises:
            ModelUnreadableError: The store refuses, or its kind has no listing.
        """
        with self._reading(prefix):
            for chunk in self._obstore.list(self._store, prefix or None):
                for each in chunk:
                    yield Entry(each["path"], each["size"])

    def put(
        self, key: str, data: bytes | Path, condition: Version | Literal["absent"] | None = None
    ) -> Version:
        """Write an object, also from a file, on the condition of a version; return the new version.

        With the condition None, any version may be there before.

        Raises:
            ConflictError: The condition is not true.
            WriteError: The store refuses.
        """
        named: dict[str, Any] = {}
        if condition is not None:
            named["use_multipart"] = False
            named["mode"] = "create" if condition == ABSENT else _given(condition)
        self._begins("put", key)
        with self._writing(key):
            made = _version(self._obstore.put(self._store, key, data, **named))
        _LOG.info("put %s", self.url(key))
        return made

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the store; raises as ``put``."""
        with self._writing(target):
            self._obstore.copy(self._store, source, target)
        _LOG.info("copied %s to %s", self.url(source), self.url(target))

    def delete(self, key: str) -> None:
        """Remove an object; raises as ``put``."""
        with self._writing(key):
            self._obstore.delete(self._store, key)

    def _begins(self, step: str, key: str) -> None:
        _LOG.info("%s of %s begins", step, self.url(key), extra={"step": step})

    @cached_property
    def _store(self) -> Any:  # noqa: ANN401 - obstore is not imported for its types
        given = dict(_OPTIONS)
        client = {name: given.pop(name) for name in [*given] if name in _CLIENT_OPTIONS}
        endpoints = [
            value for name, value in {**os.environ, **given}.items() if "ENDPOINT" in name.upper()
        ]
        if self.scheme == "http" or any(each.startswith("http://") for each in endpoints):
            client.setdefault("allow_http", "true")
        client.setdefault("connect_timeout", _CONNECT_SECONDS)
        client.setdefault("timeout", _REQUEST_SECONDS)
        retries = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
        further = {} if self.scheme in READ_ONLY else {"config": given}
        # To make a client takes longer than an edit, and each client has its own connections.
        parts = (client, retries, given, os.environ)
        key = (self.base, *(frozenset(each.items()) for each in parts))
        try:
            with _making:
                if key not in _clients:
                    _clients[key] = self._obstore.store.from_url(
                        self.base, client_options=client, retry_config=retries, **further
                    )
                return _clients[key]
        except self._errors.UnknownConfigurationKeyError:
            names = ", ".join(sorted(_OPTIONS))
            found = f"{self.scheme}:// does not have one of these options: {names}"
            raise UsageError(found, where="--store-option") from None
        except (self._errors.BaseError, TypeError, ValueError) as error:
            if _NO_CREDENTIALS.search(str(error)):
                found, hint = _explained(error)
                raise ModelUnreadableError(found, where=self.base, hint=hint) from None
            found = "the store cannot be opened with these options"
            hint = "look at --store-option and at the environment of the store's own tools"
            raise UsageError(found, where=self.base, hint=hint) from None

    @property
    def _errors(self) -> Any:  # noqa: ANN401 - as above
        return self._obstore.exceptions

    @contextlib.contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except (self._errors.NotFoundError, FileNotFoundError) as error:
            if _words(error) != "no such bucket":
                raise FileNotFoundError(self.url(key)) from None
            raise ModelUnreadableError("no such bucket", where=self.url(key)) from None
        except self._errors.BaseError as error:
            found, hint = _explained(error)
            raise ModelUnreadableError(found, where=self.url(key), hint=hint) from None

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        errors = self._errors
        try:
            yield
        except (errors.PreconditionError, errors.AlreadyExistsError):
            found = "another program changed it in the meantime; its change stays"
            raise ConflictError(found, where=self.url(key), hint="run the edit again") from None
        except (errors.NotFoundError, FileNotFoundError) as error:
            found = _words(error) or "it is not there"
            raise WriteError(found, where=self.url(key)) from None
        except (errors.BaseError, OSError) as error:
            found, hint = _explained(error)
            raise WriteError(found, where=self.url(key), hint=hint) from None


def _obstore(url: ModelUrl) -> Any:  # noqa: ANN401 - it may not be installed
    try:
        import obstore  # noqa: PLC0415 - only where a URL is given
        import obstore.exceptions  # noqa: PLC0415
        import obstore.store  # noqa: PLC0415
    except ImportError as error:
        found = f"{url.scheme}:// URLs need the library obstore"
        raise UsageError(found, where=str(url), hint="pip install 'obstore>=0.6'") from error
    return obstore


def _given(version: Version) -> dict[str, str]:
    parts = {"e_tag": version.e_tag, "version": version.version}
    return {name: value for name, value in parts.items() if value is not None}


def _version(meta: Mapping[str, Any]) -> Version:
    return Version(meta.get("e_tag"), meta.get("version"))


def _words(error: Exception) -> str:
    """Return words for a missing bucket; empty for a missing object."""
    lost = re.search(r"NoSuchBucket|ContainerNotFound|bucket does not exist", str(error))
    return "no such bucket" if lost else ""


def _explained(error: Exception) -> tuple[str, str]:
    """Return the failure and a hint, in words without secrets."""
    # The text after this mark is for debugging the client, and has headers in it.
    text = str(error).partition("\n\nDebug source")[0]
    kind = type(error).__name__
    code = _CODE.search(text)
    number = code[1] if code else ""
    options = "set the environment variables of the store's own tools, or --store-option"
    for applies, found, hint in (
        (_words(error), "no such bucket", ""),
        (kind == "NotSupportedError", "the store does not support this request", ""),
        (_NO_CREDENTIALS.search(text), "no credentials are found", options),
        (
            kind == "UnauthenticatedError" or number == "401",
            "the store does not accept the credentials",
            options,
        ),
        (
            kind == "PermissionDeniedError" or number == "403",
            "the store denies permission",
            "do the credentials have this right?",
        ),
        (code, f"the store answers {number}", "is its region or endpoint another one?"),
        (_UNREACHABLE.search(text), "the store cannot be reached", "is its address right?"),
    ):
        if applies:
            return found, hint
    return f"the store's client fails ({kind})", ""
