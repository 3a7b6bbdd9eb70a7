"""A large model file is read in ranges, and the commands print the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import smpatch
from smpatch import remote
from smpatch.edits import Copy
from smpatch.stores import access
from tests.benchmarks import generate
from tests.cli.conftest import Run
from tests.prove.ledger import LONG
from tests.stores.conftest import linear, put
from tests.stores.counting import counting
from tests.stores.test_faults import Proxy, proxy
from tests.writer import models

__all__ = ["proxy"]

MODELS = sorted(each.parent for each in models.FIXTURES.glob("*/saved_model.pb"))
CONSTANTS = 64 * 2**20


@pytest.fixture
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_WHOLE", 0)
    monkeypatch.setattr(remote, "_BLOCK", 100)


COMMANDS = (("show",), ("show", "--json"), ("describe", "--as", "rest"))
SUGGEST = (("suggest",), ("suggest", "--json"))


def _said(model: str, commands: Sequence[Sequence[str]], call: Run) -> list[tuple[int, str, str]]:
    found = [call(command, model, *more) for command, *more in commands]
    return [(each.code, each.out, each.err) for each in found]


@pytest.mark.parametrize("directory", MODELS, ids=lambda each: each.name)
def test_commands_say_of_ranges_what_they_say_of_the_whole(
    directory: Path, s3: str, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(directory, f"{s3}/1")
    # ``suggest`` reads the whole file, which takes long.
    commands = (*COMMANDS, *SUGGEST) if LONG or directory.name in {"linear", "module"} else COMMANDS
    whole = _said(url, commands, call)
    monkeypatch.setattr(access, "_WHOLE", 0)
    monkeypatch.setattr(remote, "_BLOCK", 100)
    assert _said(url, commands, call) == whole


def test_show_does_not_fetch_constants(
    s3: str, moto_port: int, tmp_path: Path, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = generate.constants(tmp_path / "constants", CONSTANTS)
    url = put(local, f"{s3}/1")
    with counting(moto_port) as counter:
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{counter.port}")
        said = call("show", url)
    assert said.code == 0
    assert said.out.replace(url, str(local)) == call("show", str(local)).out
    # The first request asks for the whole file; the bytes that are already on the way are lost.
    assert counter.moved < CONSTANTS // 4


@pytest.mark.usefixtures("_all_are_large")
def test_a_model_that_changes_while_it_is_read_is_refused(bucket: str) -> None:
    url = linear(f"{bucket}/1")
    opened = smpatch.load(url)
    smpatch.patch(url, Copy("scale", "again"), options=smpatch.Options(validate="none"))
    with pytest.raises(smpatch.ModelUnreadableError, match="changed it while it was read"):
        opened.tensor("x:0")
    assert set(smpatch.load(url).signatures) == {"again", "scale"}


@pytest.mark.usefixtures("_all_are_large")
def test_a_fault_in_the_middle_is_one_line(s3: str, proxy: Proxy, call: Run) -> None:
    url = linear(f"{s3}/1")
    proxy.reset()
    whole = call("show", url)
    requests = proxy.count
    assert requests > 3
    for number in range(requests):
        proxy.reset("403", number)
        said = call("show", url)
        assert (said.code, said.out) == (3, "")
        assert "denies permission" in said.line
    proxy.reset()
    assert call("show", url).out == whole.out
