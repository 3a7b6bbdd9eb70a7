"""Many processes edit one model: it has every edit at the end, and readers load no half of one."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import smpatch
from tests.oracle.client import Oracle as TensorFlow
from tests.prove import ledger
from tests.prove.ledger import Count
from tests.prove.writer import ADD, COPY, EDIT, EDITS, READ, STOP, edit
from tests.writer import models

ROOT = Path(__file__).resolve().parents[2]
FILE = "saved_model.pb"
BACKED_UP = {FILE, "fingerprint.pb"}
WRITERS = 16 if ledger.LONG else 8

ADDING = {"linear": ADD, "module": COPY}
"""The kind of request that adds a signature, by the fixture."""

SECONDS = 120.0


@dataclass(frozen=True)
class Process:
    """A process that waits, or does its request.

    Attributes:
        pid: The process id.
        file: The path of its files, without the suffix.
    """

    pid: int
    file: Path

    def go(self) -> None:
        """Continue the process, so that it begins."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        ended = self.file.with_suffix(".ended")
        return int(ended.read_text()) if ended.exists() else None

    @property
    def stops(self) -> int:
        """The number of times that it has stopped."""
        stopped = self.file.with_suffix(".stopped")
        return stopped.stat().st_size if stopped.exists() else 0

    def said(self) -> str:
        """Wait for its end; return its output."""
        _until(lambda: self.code is not None)
        return self.file.with_suffix(".said").read_text()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def _started(place: Path, requests: list[list[str]]) -> Iterator[list[Process]]:
    """Start processes, and wait until all are ready; no process outlives the context."""
    place.mkdir()
    program = [sys.executable, "-B", "-m", "tests.prove.writer", str(place), json.dumps(requests)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT) as starter:
        assert starter.stdout is not None
        processes = [
            Process(int(starter.stdout.readline()), place / str(at)) for at in range(len(requests))
        ]
        try:
            _until(lambda: all(each.stops for each in processes))
            yield processes
        finally:
            for each in processes:
                if each.code is None:
                    with suppress(ProcessLookupError):  # it may have ended
                        os.kill(each.pid, signal.SIGKILL)


@pytest.mark.proof("sixteen writers")
@pytest.mark.parametrize("turn", range(3 if ledger.LONG else 1))
@pytest.mark.parametrize("name", ADDING)
def test_many_writers_and_readers(
    tmp_path: Path, oracle: TensorFlow, count: Count, name: str, turn: int
) -> None:
    """Each writer adds a signature, in one half or both; the model with both has a fingerprint."""
    model = tmp_path / "model"
    shutil.copytree(models.FIXTURES / name, model)
    first, names = models.keys(model), {each.name for each in model.iterdir()}
    wanted = [f"key_{number}" for number in range(WRITERS)]
    backup = ["--backup"] if turn % 2 else []
    requests = [[ADDING[name], str(model), key, *backup] for key in wanted]
    with _started(tmp_path / "done", [[READ, str(model), ""], *requests]) as (reader, *writers):
        for process in (reader, *writers):
            process.go()
        count.add(writers=WRITERS)
        while any(process.code is None for process in writers):
            (told,) = oracle.ask("parse", directory=model)["meta_graphs"]
            keys = {each for each in told["signatures"] if not each.startswith("__")}
            assert first <= keys <= first.union(wanted)
            assert oracle.ask("load", directory=model, tags=["serve"]) == {"v1": "", "v2": ""}
            count.add(reads=3)
        assert [process.said() for process in writers] == [""] * WRITERS
        assert {process.code for process in writers} == {0}
        os.kill(reader.pid, signal.SIGTERM)
        loads = int(reader.said())
        assert reader.code == 0
        count.add(reads=loads)
    assert loads
    assert models.keys(model) == first.union(wanted)
    left = {each.name for each in model.iterdir()}
    assert left - names == ({f"{each}.backup" for each in names & BACKED_UP} if backup else set())
    if backup:
        (undone,) = models.undo(model).changes
        assert undone.key in wanted
    proved = smpatch.Options(validate="full")
    again = smpatch.rename_signature(model, min(first), "last", options=proved)
    assert len(again.loaders) == 2


@pytest.mark.proof("edits at once")
@pytest.mark.parametrize("turn", range(24 if ledger.LONG else 3))
def test_edits_at_once_come_to_what_one_after_the_other_gives(
    tmp_path: Path, count: Count, turn: int
) -> None:
    """The order is not known, but one order gives the same outcomes and the same bytes."""
    chosen = random.Random(turn).sample(sorted(EDITS), 4)  # noqa: S311 - the same each time
    orders: set[tuple[tuple[int, ...], bytes]] = set()
    for number, order in enumerate(itertools.permutations(chosen)):
        model = models.linear(tmp_path / f"order {number}")
        codes = {name: _code(model, name) for name in order}
        orders.add((tuple(codes[name] for name in chosen), (model / FILE).read_bytes()))
    assert len(orders) > 1
    model = models.linear(tmp_path / "model")
    with _started(tmp_path / "done", [[EDIT, str(model), name] for name in chosen]) as writers:
        for process in writers:
            process.go()
        count.add(writers=len(writers))
        for process in writers:
            process.said()
    found = tuple(process.code or 0 for process in writers)
    assert set(found) <= {0, 4}
    assert (found, (model / FILE).read_bytes()) in orders


def _code(model: Path, name: str) -> int:
    try:
        edit(model, name)
    except smpatch.SmpatchError as error:
        return error.exit_code
    return 0


@pytest.mark.proof("the same key")
@pytest.mark.parametrize("turn", range(20 if ledger.LONG else 2))
def test_the_same_key_by_many(tmp_path: Path, turn: int, count: Count) -> None:
    count.add(writers=4)
    model = models.linear(tmp_path / "model")
    key = f"same_{turn}"
    with _started(tmp_path / "done", [[ADD, str(model), key]] * 4) as writers:
        for process in writers:
            process.go()
        said = sorted(process.said() for process in writers)
    assert sorted(process.code or 0 for process in writers) == [0, 4, 4, 4]
    assert said[0] == ""
    for refusal in said[1:]:
        assert f"{key!r}" in refusal
        assert "--overwrite" in refusal
        assert len(refusal.splitlines()) == 1
    assert models.keys(model) == {"scale", key}


@pytest.mark.proof("locks of killed processes")
@pytest.mark.parametrize("call", range(5, 125, 4) if ledger.LONG else (30, 60, 90))
def test_a_lock_that_a_killed_process_held(tmp_path: Path, call: int, count: Count) -> None:
    """The process stops in the middle of its edit, so that its lock is there; then it is killed."""
    model = models.linear(tmp_path / "model")
    count.add(kills=1, writers=2)
    request = [STOP, str(model), str(call), "--backup"]
    with _started(tmp_path / "done", [request]) as (process,):
        process.go()
        _until(lambda: process.stops > 1 or process.code is not None)
        assert process.code is None
        locked = ".smpatch-" in str(list(model.iterdir()))
        if locked:
            with pytest.raises(smpatch.ConflictError):
                models.add(model, "early", lock_timeout=0)
        os.kill(process.pid, signal.SIGKILL)
        process.said()
    models.add(model, "late", lock_timeout=0)
    assert models.keys(model) >= {"scale", "late"}
    assert models.keys(model) <= {"scale", "late", "added"}
    assert not [each.name for each in model.iterdir() if each.name.startswith(".smpatch-")]
