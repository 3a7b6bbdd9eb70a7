"""Ctrl-C and other signals to stop: they leave a whole model, no files and no child process."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smpatch.cli.interruption import Interrupted, watching
from tests.cli.conftest import QUICK, XY, content

Copy = Callable[[str], Path]

PATIENCE = 60.0

# Python's TensorFlow takes seconds to start, so a signal arrives before the end on any machine.
SLOW = ("--validate", "full")


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """Let child processes receive signals, also in the background of a shell or under ``nohup``."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hangup)


def _start(*arguments: str | Path, command: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """Start a command line as a shell does: in a process group of its own."""
    return subprocess.Popen(
        [*command, sys.executable, "-m", "smpatch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _staging(place: Path) -> bool:
    return any(place.glob(".smpatch-*/saved_model.pb"))


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the direct children of a process; none if the system does not list them."""
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in file.read_text().split()] if file.exists() else []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "interrupted; the model is unchanged"),
        (signal.SIGTERM, 143, "terminated; the model is unchanged"),
        (signal.SIGHUP, 129, "terminated because the terminal was closed; the model is unchanged"),
    ],
)
def test_a_signal_during_validation(
    number: signal.Signals, code: int, words: str, model: Copy
) -> None:
    place = model("linear")
    before = content(place)
    process = _start("add-predict", place, *XY, *SLOW)
    _wait_for(lambda: _staging(place), process)
    children = _children(process)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert (out, err.decode()) == (b"", f"smpatch: {words}\n")
    assert content(place) == before
    assert not [child for child in children if _alive(child)]


def test_a_second_signal_does_not_disturb_the_cleaning_up(model: Copy) -> None:
    place = model("linear")
    before = content(place)
    process = _start("add-predict", place, *XY, *SLOW)
    _wait_for(lambda: _staging(place), process)
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, b"smpatch: interrupted; the model is unchanged\n")
    assert content(place) == before


def test_signals_that_come_at_once_are_one_and_leave_no_words_of_python(model: Copy) -> None:
    place = model("linear")
    before = content(place)
    process = _start("add-predict", place, *XY, *SLOW)
    _wait_for(lambda: _staging(place), process)
    process.send_signal(signal.SIGSTOP)  # so that all of them arrive together
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in {129, 130, 143}
    assert err.startswith((b"smpatch: interrupted", b"smpatch: terminated"))
    assert err.endswith(b"; the model is unchanged\n")
    assert err.count(b"\n") == 1
    assert content(place) == before


def test_json_tells_of_an_interruption_too(model: Copy) -> None:
    place = model("linear")
    process = _start("add-predict", place, *XY, *SLOW, "--json")
    _wait_for(lambda: _staging(place), process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE)
    error = json.loads(out)["error"]
    assert (process.returncode, error["exit_code"]) == (130, 130)
    assert (error["kind"], error["hint"]) == ("Interrupted", "the model is unchanged")


def test_a_signal_while_another_edit_is_waited_for(model: Copy) -> None:
    place = model("linear")
    before = content(place)
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        process = _start("add-predict", place, *XY, *QUICK)
        _wait_for(lambda: _catches(process, signal.SIGTERM), process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        os.close(descriptor)
    assert (process.returncode, err) == (143, b"smpatch: terminated; the model is unchanged\n")
    assert content(place) == before


def _catches(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Return whether a process already catches a signal."""
    file = Path(f"/proc/{process.pid}/status")
    if not file.exists():
        time.sleep(1)
        return True
    mask = next(line for line in file.read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def test_a_signal_that_the_caller_ignores_is_ignored(model: Copy) -> None:
    place = model("linear")
    process = _start("add-predict", place, *XY, command=("/usr/bin/nohup",))
    _wait_for(lambda: _staging(place), process)
    os.killpg(process.pid, signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.parametrize(("changes", "words"), [(False, "unchanged"), (True, "in place already")])
def test_what_is_said_of_the_model_is_looked_up(
    changes: bool,  # noqa: FBT001 - a parameter of the test
    words: str,
    model: Copy,
) -> None:
    place = model("linear")

    @watching(place, None)
    def edit() -> None:
        if changes:
            (place / "saved_model.pb").write_bytes(b"")
        raise Interrupted(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        edit()
    assert words in str(caught.value)
    assert caught.value.changed is changes
