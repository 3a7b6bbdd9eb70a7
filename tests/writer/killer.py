"""Kill an edit at one of its calls: ``python -m tests.writer.killer``.

This is a process of its own. It reads a line of JSON with a way and a directory, answers with a
line, and forks one child for each edit: a fork costs a few milliseconds, and a new interpreter a
fifth of a second. A process that runs tests has threads, so it should not fork itself. A child gets
SIGKILL, so that it cannot clean up.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import smpatch
from smpatch import writer
from smpatch.validator import Validator
from smpatch.writer.stage import PREFIX
from tests.prove import ledger
from tests.writer import faults, models

MOST_CALLS = 600


@dataclass(frozen=True)
class Killed:
    """The result of one kill.

    Attributes:
        model: The state of the model file: ``old`` or ``new``, else ``torn``.
        copy: The same of the new directory; ``absent`` if there is none.
        left: The paths that are new; of hidden directories without their contents.
        next: The fault after the next edit of the same kind; empty if there is none.
    """

    model: str
    copy: str
    left: list[str]
    next: str


def _die(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def forked(model: Path, count: int, on: dict[str, int], options: dict[str, Any]) -> int:
    """Edit a model in a forked child that may be killed; return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with faults.at(count, _die) as layer:
                layer.on.update(on)
                if options.get("undo"):
                    models.undo(model)
                else:
                    models.add(model, "killed", **options)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def cut_between_the_renames(model: Path) -> None:
    """Kill an edit of a model with a fingerprint after its first rename."""
    assert _asked("cut", model) == -signal.SIGKILL


def everywhere(work: Path, way: str) -> list[Killed]:
    """Kill an edit at every one of its calls, and return the results."""
    return [Killed(**each) for each in _asked(way, work)]


def _asked(way: str, place: Path) -> Any:  # noqa: ANN401 - JSON
    program = _program()
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(json.dumps([way, str(place)]) + "\n")
    program.stdin.flush()
    reply = program.stdout.readline()
    assert reply, "the process has ended"
    return json.loads(reply)


@functools.cache
def _program() -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-B", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    atexit.register(started.kill)
    return started


def _state(directory: Path, known: dict[bytes, str]) -> str:
    if not directory.exists():
        return "absent"
    return known.get((directory / "saved_model.pb").read_bytes(), "torn")


def _kept(model: Path) -> list[bytes]:
    """Return the model file and its backup after an edit that only repairs."""
    writer.recover(smpatch.load(model))
    files = [model / "saved_model.pb", model / "saved_model.pb.backup"]
    return [file.read_bytes() for file in files if file.exists()]


def _next_edit(work: Path, model: Path, options: dict[str, Any]) -> str:
    """Do another edit of the same kind, and return a fault after it; empty if there is none."""
    if "save_to" in options:
        options = {"save_to": work / "next"}
    if options.pop("undo", False):
        # Only both models are left of the killed undo; without the backup this is an ordinary edit.
        (model / "saved_model.pb.backup").unlink()
    models.add(model, "next", **options)
    result = work / "next" if "save_to" in options else model
    left = [str(each) for each in work.rglob(f"{PREFIX}*")]
    if left:
        return f"left: {left}"
    if (result / "fingerprint.pb").read_bytes() != models.fingerprint_of(result):
        return "the fingerprint is of something else"
    if not models.requests_fit(result):
        return "the warm-up requests are of something else"
    return "" if "next" in models.keys(result) else "the signature is not there"


def _kill_everywhere(work: Path, way: str) -> list[Killed]:
    told: list[Killed] = []
    known: dict[bytes, str] = {}
    for count in (0, *range(1, MOST_CALLS, 1 if ledger.LONG else 5)):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        model = models.linear(work / "model", fingerprint=True, requests=True)
        options: dict[str, Any] = {"backup": way == "backup"}
        if way == "undo":
            models.add(model, "killed", backup=True)
            options = {"undo": True}
        if way == "save-to":
            options["save_to"] = work / "out"
        result = options.get("save_to", model)
        previous = (model / "saved_model.pb").read_bytes()
        known[previous] = "old"
        before = set(work.rglob("*"))
        status = forked(model, count, {}, options)
        if count and status == 0:
            return told
        if count == 0:  # no kill: the result of a whole edit
            assert status == 0
            known[(result / "saved_model.pb").read_bytes()] = "new"
            continue
        assert status == -signal.SIGKILL
        left = {
            str(each.relative_to(work))
            for each in set(work.rglob("*")) - before
            if not each.parent.name.startswith(PREFIX) and PREFIX not in str(each.parent.parent)
        }
        states = _state(model, known), _state(work / "out", known)
        lost = way in {"backup", "undo"} and previous not in _kept(model)
        wrong = "the previous model is lost" if lost else _next_edit(work, model, options)
        told.append(Killed(*states, sorted(left), wrong))
    message = "the edit never completes"
    raise RuntimeError(message)


def main() -> None:
    """Answer each line."""
    setattr(Validator, "fingerprint", models.fake_fingerprint)  # noqa: B010 - a stand-in of another type
    for line in sys.stdin:
        way, place = json.loads(line)
        if way == "cut":
            said: object = forked(Path(place), 0, {"replace": 2}, {})
        else:
            said = [asdict(each) for each in _kill_everywhere(Path(place), way)]
        print(json.dumps(said), flush=True)  # noqa: T201 - to the parent process


if __name__ == "__main__":
    main()
