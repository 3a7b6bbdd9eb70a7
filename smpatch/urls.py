"""URLs of models: a path whose text is a URL.

This module opens no files and no stores.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

from smpatch.errors import UsageError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = ("gs", "s3", "s3a", "az", "abfs", "abfss", "http", "https")
"""Schemes of stores; ``file`` is a local path."""

READ_ONLY = frozenset({"http", "https"})
"""Schemes that can be read and not written, and have no listing."""

OTHER_PLACES = frozenset({"", ".", ".."})
"""Parts of the name of an object that a path does not keep."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_ONE_SLASH = re.compile(r"^([a-z][a-z0-9]+:)/+")


class ModelUrl(PosixPath):
    """The URL of a model, or of a file in it.

    It can be joined, compared and printed like a path, but it names no file of the file system.
    ``path_or_url`` makes one.
    """

    def __str__(self) -> str:
        """Return the URL, with the two slashes of which a path keeps only one."""
        return _ONE_SLASH.sub(r"\1//", super().__str__())

    @property
    def scheme(self) -> str:
        """The scheme, such as ``s3``."""
        return self.parts[0].removesuffix(":")

    @property
    def base(self) -> str:
        """The URL of the bucket, container or host."""
        return f"{self.scheme}://{self.parts[1]}"

    @property
    def key(self) -> str:
        """The part after the bucket, without slashes around it."""
        return "/".join(self.parts[2:])


def path_or_url(text: str) -> Path:
    """Return a path, or a URL that behaves like a path.

    Raises:
        UsageError: It is a URL that smpatch does not take. The error does not repeat parts of the
            URL that may hold a password or a signature.
    """
    found = _URL.match(text)
    if found is None:
        return Path(text)
    from urllib.parse import unquote  # noqa: PLC0415 - only for URLs

    scheme = found[1].lower()
    parts = _split(text, scheme)
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path:
            raise UsageError("a file URL has three slashes: file:///models/export", where="file")
        return Path(unquote(parts.path))
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in ("gs", "s3", "az", "abfs", "http", "file"))
        raise UsageError(
            f"{scheme}:// is not a store that smpatch supports", hint=f"it supports {known}"
        )
    host = parts.netloc.rpartition("@")[2]
    if parts.query or parts.fragment or parts.password is not None:
        found_words = "the URL has a query or a password"
        hint = "give credentials in the environment of the store's own tools, or --store-option"
        raise UsageError(found_words, where=f"{scheme}://{host}", hint=hint)
    if not parts.netloc:
        raise UsageError("the URL names no bucket", where=f"{scheme}://")
    if "@" in parts.netloc and not scheme.startswith("abfs"):
        raise UsageError("the URL has a user name", where=f"{scheme}://{host}")
    # A path drops such parts, and the store may have another object without them.
    for part in parts.path.removesuffix("/").split("/")[1:]:
        if part in OTHER_PLACES:
            words = f"the URL has the part {part!r}" if part else "the URL has an empty part"
            where, hint = f"{scheme}://{host}{parts.path}", "name the object without such parts"
            raise UsageError(words, where=where, hint=hint)
    return ModelUrl(f"{scheme}{text[len(found[1]) :]}")


def _split(text: str, scheme: str) -> SplitResult:
    from urllib.parse import urlsplit  # noqa: PLC0415 - only for URLs

    try:
        return urlsplit(text)
    except ValueError:  # such as an open bracket
        raise UsageError("the URL has no valid host", where=f"{scheme}://") from None


def nameable(text: str, where: str) -> str:
    """Return the text of a path; refuse one that no file can have."""
    try:
        possible = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate
        possible = False
    if not possible:
        raise UsageError(f"{text!a} is given, and no file has such a name", where=where)
    return text
