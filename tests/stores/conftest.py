"""Servers of S3, of Azure's blobs and of Google's API on loopback, each with an empty bucket."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import smpatch
from smpatch.stores import access, putting
from smpatch.stores.access import Store
from smpatch.urls import ModelUrl
from tests.cli.conftest import call
from tests.stores import azurite, generations
from tests.stores.servers import MOTO, started
from tests.writer import models

__all__ = ["Moto", "call", "keys", "linear", "put", "tree"]

BUCKET = "models"


def _missing(*libraries: str) -> str:
    absent = [each for each in libraries if importlib.util.find_spec(each) is None]
    return f"not installed: {', '.join(absent)} (dependency group stores)" if absent else ""


def _program(name: str, variable: str, package: str) -> str:
    """Return a server's program, from a variable or from PATH; skip the test if there is none."""
    program = os.environ.get(variable) or shutil.which(name)
    reason = _missing("obstore") or ("" if program else f"not installed: {package} (npm)")
    if reason or program is None:
        pytest.skip(reason)
    return program


@dataclass(frozen=True)
class Moto:
    """A server of S3.

    Attributes:
        port: Its port.
        process: Its process.
    """

    port: int
    process: subprocess.Popen[str]

    def fill(self, names: Sequence[str]) -> str:
        """Make a bucket with an empty object under each of many keys; return its URL."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps([*names])}\n")
        self.process.stdin.flush()
        assert int(self.process.stdout.readline()) == len(names)
        return "s3://filled"


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """A server of S3."""
    reason = _missing("obstore", "moto", "boto3")
    if reason:
        pytest.skip(reason)
    with started(*MOTO, BUCKET) as (server, port):
        yield Moto(port, server)


@pytest.fixture(scope="session")
def moto_port(moto: Moto) -> int:
    """The port of a server of S3."""
    return moto.port


@pytest.fixture(scope="session")
def azurite_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of Azurite, Microsoft's emulator of its blob store."""
    program = _program("azurite-blob", "SMPATCH_AZURITE", "azurite")
    with azurite.serving(program, tmp_path_factory.mktemp("azurite"), BUCKET) as port:
        yield port


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the state of stores in this process to that at its start."""
    monkeypatch.setattr(access, "_OPTIONS", {})
    monkeypatch.setattr(access, "_clients", {})
    monkeypatch.setattr(putting, "_probed", {})


@pytest.fixture
def s3(moto_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket of S3."""
    return _place_of_s3(moto_port, monkeypatch)


@pytest.fixture(scope="session")
def s3rver_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of s3rver, a server of S3 that accepts every put and ignores its condition."""
    program = _program("s3rver", "SMPATCH_S3RVER", "s3rver")
    place = ("--directory", str(tmp_path_factory.mktemp("s3rver")), "--configure-bucket", BUCKET)
    options = ("--address", "127.0.0.1", "--port", "0", "--silent", "--allow-mismatched-signatures")
    with started(program, *place, *options, said=r"listening on 127\.0\.0\.1:(\d+)") as (_, port):
        yield port


@pytest.fixture
def s3rver(s3rver_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket of a store that ignores conditions."""
    place = _place_of_s3(s3rver_port, monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "S3RVER")
    return place


@pytest.fixture
def radosgw(monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket of Ceph's gateway 16, which refuses conditions that hold, too."""
    port = os.environ.get("SMPATCH_RADOSGW")
    if port is None:
        pytest.skip("SMPATCH_RADOSGW does not name the port of a radosgw")
    if reason := _missing("obstore"):
        pytest.skip(reason)
    return _place_of_s3(int(port), monkeypatch)


def _place_of_s3(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [*os.environ]:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def azure(azurite_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a container of Azure's."""
    for name, value in azurite.environment(azurite_port).items():
        monkeypatch.setenv(name, value)
    return f"az://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def generations_port() -> Iterator[int]:
    """The port of a server of Google Cloud Storage's API."""
    if reason := _missing("obstore"):
        pytest.skip(reason)
    with generations.serving(BUCKET) as port:
        yield port


@pytest.fixture
def google(generations_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket of Google's API."""
    for name, value in generations.environment(generations_port).items():
        monkeypatch.setenv(name, value)
    access.set_store_options({"allow_http": "true"})
    return f"gs://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["s3", "azure", "google"])
def bucket(request: pytest.FixtureRequest) -> str:
    """An empty place in a store of each kind."""
    place: str = request.getfixturevalue(request.param)
    return place


def put(directory: Path, url: str) -> str:
    """Copy a directory into a store; return its URL there."""
    place = ModelUrl(url)
    store = Store(place)
    for file in directory.rglob("*"):
        if file.is_file():
            store.put((place / file.relative_to(directory)).key, file)
    return url


def linear(url: str, *, fingerprint: bool = False) -> str:
    """Put the fixture ``linear`` into a store."""
    put(models.FIXTURES / "linear", url)
    if fingerprint:
        Store(ModelUrl(url)).put(ModelUrl(f"{url}/fingerprint.pb").key, models.OLD_FINGERPRINT)
    return url


def tree(url: str) -> dict[str, bytes]:
    """Return the objects below a URL, by their names there."""
    place = ModelUrl(url)
    store = Store(place)
    prefix = f"{place.key}/"
    return {each.key[len(prefix) :]: store.read(each.key).data for each in [*store.listing(prefix)]}


def keys(url: str) -> set[str]:
    """Return the signature keys of a model in a store."""
    return set(smpatch.load(url).signatures)
