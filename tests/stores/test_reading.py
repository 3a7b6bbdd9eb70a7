"""A model by its URL gives the same answers as its directory, and no variable is read for it."""

from __future__ import annotations

import functools
import http.server
import logging
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import smpatch
from smpatch.stores.access import Store
from smpatch.stores.copies import expanded
from smpatch.urls import ModelUrl, path_or_url
from tests.cli.conftest import Run
from tests.stores.conftest import Moto, linear, put
from tests.writer import models

UNPROVED = smpatch.CheckOptions(validate="none")


@pytest.fixture
def objects(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that returns the names of the objects read, from the log."""
    caplog.set_level(logging.INFO, "smpatch.stores.access")

    def names() -> list[str]:
        found = [
            re.match(r"read .*/(\S+), \d+ bytes", each.getMessage()) for each in caplog.records
        ]
        return [each[1] for each in found if each]

    return names


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server of files, without a listing that a program can read."""
    shutil.copytree(models.FIXTURES / "linear", tmp_path / "web" / "linear")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/linear"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_show_suggest_and_describe_read_the_model_file_alone(
    bucket: str, objects: Callable[[], list[str]]
) -> None:
    url, local = linear(f"{bucket}/1"), models.FIXTURES / "linear"
    assert smpatch.load(url).signatures == smpatch.load(local).signatures
    assert smpatch.suggest(url) == smpatch.suggest(local)
    theirs = smpatch.describe(local, "rest", name="m")
    assert smpatch.describe(url, "rest", name="m") == theirs
    assert set(objects()) == {"saved_model.pb"}


def test_models_of_a_bucket_share_a_client(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer to make a client than to edit; once each model had connections of its own."""

    def client(name: str) -> object:
        return Store(ModelUrl(f"{s3}/{name}"))._store  # noqa: SLF001 - there is no other way

    first = client("1")
    assert client("2") is first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    second = client("1")
    assert second is not first
    smpatch.set_store_options({"region": "eu-central-1"})
    assert client("1") not in (first, second)


def test_options_that_are_no_mapping_are_refused_and_not_repeated() -> None:
    with pytest.raises(smpatch.UsageError, match="a str is given, not a mapping") as refused:
        smpatch.set_store_options("hidden")  # type: ignore[arg-type] # refused
    assert "hidden" not in str(refused.value)


def test_check_says_what_it_says_of_the_directory(
    bucket: str, objects: Callable[[], list[str]]
) -> None:
    for name in ("linear", "assets_extra_warmup", "wrong_dtype"):
        local = models.FIXTURES / name
        url = put(local, f"{bucket}/{name}")
        ours, theirs = (smpatch.check(each, options=UNPROVED) for each in (url, local))
        hints = [each.hint.replace(str(local), url) for each in theirs.findings]
        assert [each.hint for each in ours.findings] == hints
        assert [replace(each, hint="") for each in ours.findings] == [
            replace(each, hint="") for each in theirs.findings
        ]
        assert str(ours.directory) == url
    # The 8 bytes of variables might be a pointer of Git LFS.
    assert [each for each in objects() if ".data-" in each] == ["variables.data-00000-of-00001"]


def test_check_by_tensorflow_reads_the_variables(s3: str, objects: Callable[[], list[str]]) -> None:
    options = smpatch.CheckOptions(validate="runtime")
    report = smpatch.check(linear(f"{s3}/1"), options=options)
    assert report.loaders == ("C runtime",)
    assert report.findings == smpatch.check(models.FIXTURES / "linear", options=options).findings
    assert [each for each in objects() if ".data-" in each]


def test_diff_compares_with_a_directory_and_reads_no_variables(
    bucket: str, objects: Callable[[], list[str]], tmp_path: Path
) -> None:
    url = linear(f"{bucket}/1")
    same = smpatch.diff(models.FIXTURES / "linear", url)
    assert same.identical
    assert same.files == ()
    assert str(same.after.file) == f"{url}/saved_model.pb"
    other = models.linear(tmp_path / "other")
    (data,) = (other / "variables").glob("variables.data-*")
    data.write_bytes(data.read_bytes() + b"more")
    models.add(other)
    found = smpatch.diff(url, other)
    assert [each.kind for each in found.files] == ["variables_data"]
    assert not found.same
    assert not [each for each in objects() if ".data-" in each]


def test_over_http_the_model_file_is_read(web: str, call: Run) -> None:
    pytest.importorskip("obstore")
    assert list(smpatch.load(web).signatures) == ["scale"]
    assert smpatch.check(web, options=UNPROVED).ok
    said = call("diff", web, models.FIXTURES / "linear")
    assert said.code == 0
    assert "not compared" in said.err
    with pytest.raises(smpatch.RefusedError, match="can be read and not written"):
        smpatch.copy_signature(web, "scale", "other")


def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    model = models.linear(tmp_path / "my model")
    url = f"file://{model}".replace(" ", "%20")
    assert smpatch.load(url).directory == model
    models.add(url)  # type: ignore[arg-type]
    assert models.keys(model) == {"added", "scale"}


def test_the_commands_take_urls(s3: str, call: Run) -> None:
    url = linear(f"{s3}/1")
    for command in (("show", url), ("show", f"{url}/saved_model.pb"), ("suggest", url)):
        said = call(*command)
        assert said.code == 0, said.err
    assert f"smpatch add-predict {url} --inputs x:0" in said.out
    said = call("check", url, "--validate", "none", "--json")
    assert said.code == 0
    assert url in said.out


def test_options_on_the_command_line_reach_the_store(
    s3: str, moto_port: int, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = linear(f"{s3}/1")
    for name in ("AWS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    given = ("endpoint=http://127.0.0.1:{}", "access_key_id=key", "secret_access_key=hidden")
    options = [word for each in given for word in ("--store-option", each.format(moto_port))]
    said = call("show", url, *options, "--verbose")
    assert said.code == 0
    assert "hidden" not in said.out + said.err
    for wrong, words in (
        (("hidden",), "KEY=VALUE"),
        (("no_such_key=hidden",), "no_such_key"),
        (("region=a", "region=hidden"), "twice"),
    ):
        said = call("show", url, *(word for each in wrong for word in ("--store-option", each)))
        assert said.code == 2
        assert words in said.line
        assert "hidden" not in said.out + said.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket/model?X-Amz-Signature=hidden", "a query or a password"),
        ("https://user:hidden@host/model", "a query or a password"),
        ("https://hidden@host/model", "a user name"),
        ("ftp://host/hidden", "not a store that smpatch supports"),
        ("s3:///hidden", "names no bucket"),
        ("s3://bucket/../hidden", "the part '..'"),
        ("s3://bucket//hidden", "an empty part"),
        ("gs://bucket/a//hidden", "an empty part"),
        ("az://bucket/hidden//", "an empty part"),
        ("http://host/./hidden", "the part '.'"),
        ("file://host/hidden", "three slashes"),
    ],
)
def test_a_url_that_is_not_taken_is_not_repeated(url: str, words: str) -> None:
    with pytest.raises(smpatch.UsageError, match=re.escape(words)) as caught:
        smpatch.load(url)
    assert ("hidden" in str(caught.value)) == words.endswith(("part", "'"))
    assert "hidden" not in str(caught.value) or caught.value.where == url


@pytest.mark.parametrize(
    ("url", "key"),
    [
        *(("s3://bucket", ""), ("s3://bucket/", "")),
        *(("gs://bucket/m", "m"), ("https://host/m/", "m"), ("s3://bucket/...", "...")),
    ],
)
def test_a_url_names_the_object_of_its_key_and_no_other(url: str, key: str) -> None:
    found = path_or_url(url)
    assert isinstance(found, ModelUrl)
    assert found.key == key


def test_two_slashes_of_a_local_path_are_one() -> None:
    assert path_or_url("file:///models//export/./1") == Path("/models/export/1")


def test_without_the_library_an_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(smpatch.UsageError, match=re.escape("pip install 'obstore>=0.6'")):
        smpatch.load("s3://bucket/model")


def test_a_url_joins_and_prints_like_a_path() -> None:
    url = ModelUrl("s3://bucket/models/1/")
    assert str(url) == "s3://bucket/models/1"
    assert str(url / "a" / "b") == "s3://bucket/models/1/a/b"
    assert (url.scheme, url.base, url.key, url.name) == ("s3", "s3://bucket", "models/1", "1")
    assert str(url.parent) == "s3://bucket/models"
    assert isinstance(url.parent, ModelUrl)
    assert str(ModelUrl("http://host:80/a")) == "http://host:80/a"


def test_a_slip_is_answered_with_the_version_below(bucket: str) -> None:
    for version in ("2", "10"):
        linear(f"{bucket}/{version}")
    with pytest.raises(smpatch.ModelUnreadableError, match=re.escape(f"did you mean {bucket}/10?")):
        smpatch.load(bucket)


def test_names_in_a_store_lead_nowhere_else(s3: str) -> None:
    url = linear(f"{s3}/1")
    place = ModelUrl(url)
    Store(place).put(f"{place.key}/.smpatch-left/x", b"")
    assert smpatch.check(url, options=UNPROVED).ok


@pytest.mark.usefixtures("s3")
def test_ten_thousand_versions_are_listed_and_all_found(moto: Moto) -> None:
    """A store lists a thousand objects at a time."""
    versions = {f"models/{name}/{number}" for name in "abcd" for number in range(2500)}
    others = ("a/draft", "a/1/2", "a/x1", "a/7/assets.extra", "1")
    bucket = moto.fill(
        [f"{each}/saved_model.pb" for each in (*versions, *(f"models/{each}" for each in others))]
        + [f"models/a/{number}/variables/variables.index" for number in range(2000, 3000)]
    )
    found = [str(each) for each in expanded([ModelUrl(f"{bucket}/models/*/[0-9]*")])]
    assert found == sorted(f"{bucket}/{each}" for each in versions)
    few = expanded([ModelUrl(f"{bucket}/models/b/[0-9]"), ModelUrl(f"{bucket}/models/c/249[89]")])
    assert len(few) == 12
