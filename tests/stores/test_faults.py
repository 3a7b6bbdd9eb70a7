"""Faults on the way to a store: the model in it is old or new, and the error is one line."""

from __future__ import annotations

import http.client
import http.server
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

import smpatch
from smpatch.cli.interruption import Interrupted
from smpatch.edits import AddPredict, Copy
from smpatch.stores import access
from smpatch.stores.access import Store
from smpatch.urls import ModelUrl
from tests.cli.conftest import Run
from tests.prove.ledger import LONG, Count
from tests.stores.conftest import BUCKET, keys, linear, tree

SECRET = "secret-of-the-test"  # noqa: S105 - it must not be printed
UNPROVED = smpatch.Options(validate="none")
KEPT = smpatch.Options(validate="none", backup=True)
ADDED = AddPredict({"x": "x:0"}, {"y": "y:0"}, "added")

Fault = Literal[
    "500", "503", "403", "drop before", "drop after", "truncate", "kill before", "kill after"
]


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to a server, and spoils one of them, or all of a method."""

    def __init__(self, port: int) -> None:
        """Start on a free port; the server has another one."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.kill: Callable[[], object] = int
        self.reset()

    def reset(self, fault: Fault | None = None, at: int = -1, *, method: str = "") -> None:
        """Count from 0 again; spoil the request with a number, or all of a method."""
        self.count, self.fault, self.at, self.method = 0, fault, at, method

    def fault_of(self, method: str) -> Fault | None:
        """Return the fault of the next request."""
        number, self.count = self.count, self.count + 1
        return self.fault if number == self.at or method == self.method else None


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault_of(self.command)
        if fault in {"500", "503", "403"}:
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault in {"drop before", "kill before"}:
            self._kill(fault)
            self.close_connection = True
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        named = {name: value for name, value in self.headers.items() if name != "Host"}
        connection.request(self.command, self.path, body, named)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault in {"drop after", "kill after"}:
            self._kill(fault)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault == "truncate" else data)
        if fault == "truncate":
            self.close_connection = True

    def _kill(self, fault: str) -> None:
        if fault.startswith("kill"):
            self.server.kill()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(s3: str, moto_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server of S3; clients repeat no request."""
    del s3
    monkeypatch.setattr(access, "_RETRIES", 0)
    with Proxy(moto_port) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{opened.server_address[1]}")
        yield opened
        opened.shutdown()
        thread.join()


@pytest.mark.proof("requests to a store")
@pytest.mark.parametrize("fault", ["500", "503", "403", "drop before", "drop after", "truncate"])
def test_a_fault_at_any_request_leaves_the_model_old_or_new(
    fault: Fault, s3: str, proxy: Proxy, count: Count
) -> None:
    url = linear(f"{s3}/1")
    old = tree(url)
    proxy.reset()
    smpatch.patch(url, ADDED, options=KEPT)
    requests, new = proxy.count, tree(url)
    assert requests > 8
    outcomes = set()
    for number in range(requests):
        url = linear(f"{s3}/{fault.replace(' ', '-')}-{number}")
        proxy.reset(fault, number)
        told = _told(url)
        count.add(faults=1)
        proxy.reset()
        now = tree(url)["saved_model.pb"]
        assert now in {old["saved_model.pb"], new["saved_model.pb"]}
        assert SECRET not in told
        outcomes.add((told == "", now == new["saved_model.pb"]))
        if not told:
            assert now == new["saved_model.pb"], "it says that the edit is done"
        elif "is unknown whether" not in told:
            assert now == old["saved_model.pb"], told
    assert {(False, False), (True, True)} <= outcomes


@pytest.mark.proof("requests to a store")
@pytest.mark.parametrize("fault", ["kill before", "kill after"])
def test_a_process_that_is_killed_leaves_the_model_old_or_new(
    fault: Fault, s3: str, proxy: Proxy, count: Count
) -> None:
    url = linear(f"{s3}/1")
    old = tree(url)["saved_model.pb"]
    edit = ("copy", url, "--from", "scale", "--to", "again", "--backup", "--validate", "none")
    command = [sys.executable, "-m", "smpatch", *edit]
    proxy.reset()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    requests, new = proxy.count, tree(url)["saved_model.pb"]
    found = set()
    for number in range(0, requests, 1 if LONG else 4):
        linear(url)
        proxy.reset(fault, number)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            proxy.kill = process.kill
        assert process.returncode == -signal.SIGKILL
        count.add(kills=1)
        proxy.reset()
        now = tree(url)["saved_model.pb"]
        assert now in {old, new}
        found.add(now)
        smpatch.patch(url, Copy("scale", "again"), options=KEPT, once=True)
        assert tree(url)["saved_model.pb"] == new
    assert old in found


def _told(url: str) -> str:
    """Edit a model, and return the error; empty if there is none."""
    try:
        smpatch.patch(url, ADDED, options=KEPT)
    except (smpatch.ModelUnreadableError, smpatch.WriteError) as error:
        return str(error)
    return ""


def test_a_commit_whose_answer_was_lost_is_no_conflict(
    s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats the put; its condition is false after its own first put."""
    monkeypatch.setattr(access, "_RETRIES", 3)
    url = linear(f"{s3}/1")
    original = Store.put
    armed: list[bool] = [True]

    def put(self: Store, key: str, *given: object, **named: object) -> object:
        if key.endswith("/saved_model.pb") and armed:
            armed.clear()
            proxy.reset("drop after", 0)
        return original(self, key, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "put", put)
    assert smpatch.patch(url, ADDED, options=UNPROVED).outcome == "added"
    assert proxy.count > 1
    assert keys(url) == {"added", "scale"}


def test_passing_faults_are_tried_again(
    s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_RETRIES", 3)
    url = linear(f"{s3}/1")
    proxy.reset("503", 0)
    assert list(smpatch.load(url).signatures) == ["scale"]
    assert proxy.count == 2


def test_no_permission_to_write_is_one_line_and_changes_nothing(
    s3: str, proxy: Proxy, call: Run
) -> None:
    url = linear(f"{s3}/1")
    before = tree(url)
    proxy.reset("403", method="PUT")
    said = call("copy", url, "--from", "scale", "--to", "b", "--validate", "none")
    assert said.code == 5
    assert "denies permission" in said.line
    assert SECRET not in said.err
    proxy.reset("403", method="GET")
    said = call("show", url)
    assert said.code == 3
    assert "denies permission" in said.line
    proxy.reset()
    assert tree(url) == before


@pytest.mark.parametrize("command", ["show", "copy"])
def test_what_is_not_there_is_one_line(command: str, bucket: str, call: Run) -> None:
    more = ("--from", "scale", "--to", "b", "--validate", "none") if command == "copy" else ()
    base = bucket.partition("://")[0]
    for url, words in (
        (f"{bucket}/none", "no saved_model.pb and no saved_model.pbtxt here"),
        (f"{base}://no-such-bucket/model", "no such bucket"),
    ):
        said = call(command, url, *more)
        assert said.code == 3
        assert words in said.line
        assert url in said.line
        assert SECRET not in said.err


def test_a_store_that_cannot_be_reached(
    s3: str, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_RETRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    said = call("show", f"{s3}/1")
    assert said.code == 3
    assert "cannot be reached" in said.line


@pytest.mark.parametrize(
    ("scheme", "address"), [("s3", "AWS_METADATA_ENDPOINT"), ("az", "AZURE_STORAGE_ACCOUNT_NAME")]
)
def test_missing_credentials_are_one_line(
    scheme: str, address: str, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setattr(access, "_RETRIES", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT", address):
        monkeypatch.delenv(name, raising=False)
    said = call("show", f"{scheme}://{BUCKET}/model")
    assert said.code == 3
    assert re.search("no credentials are found|cannot be reached|denies permission", said.line)


def test_errors_of_the_client_are_told_in_our_words(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's messages contain addresses, and a signed address is a secret."""
    url = ModelUrl(f"{s3}/1")
    store = Store(url)
    errors = store._errors  # noqa: SLF001 - the exceptions of a library that may be missing

    def fail(*_: object, **__: object) -> None:
        raise errors.GenericError(f"GET http://host/x?sig={SECRET} status code: 400: {SECRET}")

    monkeypatch.setattr(store._obstore, "get", fail)  # noqa: SLF001 - as above
    with pytest.raises(smpatch.ModelUnreadableError) as caught:
        store.read(url.key)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("late", [False, True])
def test_an_interruption_says_what_became_of_the_model(
    late: bool,  # noqa: FBT001 - a case
    s3: str,
    call: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = linear(f"{s3}/1")
    original = Store.put

    def put(self: Store, key: str, *given: object, **named: object) -> object:
        if not key.endswith("/saved_model.pb"):
            return original(self, key, *given, **named)  # type: ignore[arg-type]
        if late:
            original(self, key, *given, **named)  # type: ignore[arg-type]
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Store, "put", put)
    edit = ("copy", url, "--from", "scale", "--to", "b", "--validate", "none")
    for more in (("--save-to", f"{s3}/new"), ()):
        said = call(*edit, *more)
        assert said.code == 130
        assert ("in place already" if late else "unchanged") in said.line
    assert keys(url) == ({"b", "scale"} if late else {"scale"})
