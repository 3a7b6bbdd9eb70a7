"""Azurite, Microsoft's emulator of its blob store, for as long as the tests need it.

Source: the documentation of the Blob service's REST API (Shared Key); Azurite's well-known key.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.stores.servers import started

__all__ = ["environment", "serving"]

_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_VERSION = "2021-12-02"


def environment(port: int) -> dict[str, str]:
    """Return the variables with which a client finds the server."""
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
    }


@contextlib.contextmanager
def serving(program: str, directory: Path, container: str) -> Iterator[int]:
    """Start the server with one container, and yield its port."""
    place = ("--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(directory))
    # Without --silent it prints a line for each request.
    command = (program, *place, "--silent", "--skipApiVersionCheck")
    with started(*command, said=r"listens on http://127\.0\.0\.1:(\d+)") as (_, port):
        _create(port, container)
        yield port


def _create(port: int, container: str) -> None:
    date = email.utils.formatdate(usegmt=True)
    path = f"/{_ACCOUNT}/{container}"
    headers = f"x-ms-date:{date}\nx-ms-version:{_VERSION}\n"
    # Method, eleven standard headers that are empty, our headers, the resource twice as deep.
    text = "PUT" + "\n" * 12 + f"{headers}/{_ACCOUNT}{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": _VERSION,
            "Authorization": f"SharedKey {_ACCOUNT}:{signature}",
            "Content-Length": "0",
        },
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        assert answer.status == 201
