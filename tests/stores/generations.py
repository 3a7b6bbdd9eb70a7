"""A server with the part of Google Cloud Storage's XML API that smpatch uses.

No emulator of this API with conditions is available. So the tests of ``gs://`` compare smpatch and
obstore with this implementation of the API's documentation, and not with Google.

Source: Cloud Storage, XML API reference: ``x-goog-if-generation-match`` (0: no such object),
``x-goog-generation``, ``x-goog-copy-source``, ``x-goog-meta-``, list-type=2.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["environment", "serving"]

_DATE = "Fri, 27 Nov 2026 09:00:00 GMT"


@dataclass(frozen=True)
class _Object:
    data: bytes
    generation: int
    meta: dict[str, str]


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, bucket: str) -> None:
        """Start on a free port with an empty bucket."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bucket = bucket
        self.objects: dict[str, _Object] = {}
        self.lock = threading.Lock()
        self.generation = 1000


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        with self.server.lock:
            if bucket != self.server.bucket:
                self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            elif not key:
                self._list(parse_qs(parts.query).get("prefix", [""])[0])
            elif self.command == "PUT":
                self._put(key, body)
            else:
                self._look(key)

    do_GET = do_HEAD = do_PUT = do_DELETE = _any  # noqa: N815 - the names of http.server

    def _look(self, key: str) -> None:
        found = self.server.objects.get(key)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif self.command == "DELETE":
            del self.server.objects[key]
            self._answer(204)
        elif wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, last = int(wanted[1]), min(int(wanted[2]), len(found.data) - 1)
            place = {"Content-Range": f"bytes {start}-{last}/{len(found.data)}"}
            self._answer(206, found.data[start : last + 1], {**_headers(found), **place})
        else:
            self._answer(200, found.data, _headers(found))

    def _put(self, key: str, body: bytes) -> None:
        objects = self.server.objects
        there = objects.get(key)
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != (there.generation if there else 0):
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        prefix = "x-goog-meta-"
        names = [name for name in self.headers if name.lower().startswith(prefix)]
        meta = {name.lower().removeprefix(prefix): self.headers[name] for name in names}
        source = self.headers.get("x-goog-copy-source")
        if source is not None:
            copied = objects[unquote(source).lstrip("/").partition("/")[2]]
            body, meta = copied.data, copied.meta
        self.server.generation += 1
        objects[key] = _Object(body, self.server.generation, meta)
        self._answer(200, b"", _headers(objects[key]))

    def _list(self, prefix: str) -> None:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(each.data)}</Size>"
            f"<LastModified>2026-11-27T09:00:00.000Z</LastModified><ETag>{_tag(each)}</ETag>"
            "</Contents>"
            for key, each in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        self._answer(200, f"<ListBucketResult>{rows}</ListBucketResult>".encode())

    def _answer(self, status: int, body: bytes = b"", more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(more or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _tag(found: _Object) -> str:
    return hashlib.sha256(found.data).hexdigest()


def _headers(found: _Object) -> dict[str, str]:
    return {
        "ETag": f'"{_tag(found)}"',
        "Last-Modified": _DATE,
        "x-goog-generation": str(found.generation),
        **{f"x-goog-meta-{name}": value for name, value in found.meta.items()},
    }


def environment(port: int) -> dict[str, str]:
    """Return the variables with which a client finds the server."""
    account = {
        "gcs_base_url": f"http://127.0.0.1:{port}",
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


@contextlib.contextmanager
def serving(bucket: str) -> Iterator[int]:
    """Serve an empty bucket, and yield the port."""
    with _Server(bucket) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()
