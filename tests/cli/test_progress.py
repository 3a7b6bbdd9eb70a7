"""A line of progress: shown after a second, erased at the end, and only on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import FIXTURES, QUICK, XY

ERASED = "\r\x1b[K"


@contextmanager
def _locked(directory: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a model for some seconds, at most until the block ends."""
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    timer = threading.Timer(seconds, fcntl.flock, [descriptor, fcntl.LOCK_UN])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        os.close(descriptor)


def _on_terminal(*arguments: str | Path, term: str = "xterm") -> tuple[int, str, str]:
    """Run a command whose stderr is a terminal; return its exit code, stdout and stderr."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "smpatch", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=slave, text=True, env={**os.environ, "TERM": term}
    ) as process:
        os.close(slave)
        seen = b""
        while process.poll() is None or select.select([master], [], [], 0.2)[0]:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    seen += os.read(master, 1 << 16)
                except OSError:  # the other end is closed
                    break
        out = process.stdout.read() if process.stdout is not None else ""
    os.close(master)
    return process.returncode, out, seen.decode()


def test_waiting_for_a_lock_is_shown_after_a_second_and_erased(
    model: Callable[[str], Path],
) -> None:
    place = model("linear")
    with _locked(place, 3.0):
        code, out, err = _on_terminal("add-predict", place, *XY, *QUICK)
    assert code == 0
    assert "serving_default added" in out
    assert "waiting for another edit of the model (" in err
    assert err.endswith(ERASED)
    visible = err.rpartition(ERASED)[2]
    assert visible == ""


def test_an_error_stands_on_a_line_of_its_own(model: Callable[[str], Path]) -> None:
    place = model("linear")
    with _locked(place, 60.0):
        code, _, err = _on_terminal("add-predict", place, *XY, *QUICK, "--lock-timeout", "2")
    assert code == 5
    before, _, line = err.rpartition(ERASED)
    assert "waiting for another edit" in before
    assert line.startswith("smpatch: ")
    assert "another process has been editing this model for 2 s" in line


def test_nothing_is_drawn_where_it_is_not_wanted(tmp_path: Path) -> None:
    """The commands wait at the same time, each for the lock of its own model."""

    def said(options: tuple[str, ...], term: str) -> tuple[int, str]:
        place = shutil.copytree(FIXTURES / "models" / "linear", tmp_path / f"{term}{options}")
        with _locked(place, 2.0):
            code, _, err = _on_terminal("add-predict", place, *XY, *QUICK, *options, term=term)
        return code, err

    cases: list[tuple[tuple[str, ...], str]]
    cases = [(("--quiet",), "xterm"), (("-q",), "xterm"), ((), "dumb")]
    with ThreadPoolExecutor(len(cases)) as pool:
        found = dict(zip(cases, pool.map(said, *zip(*cases, strict=True)), strict=True))
    assert found == dict.fromkeys(cases, (0, ""))


def test_nothing_is_drawn_in_a_pipe(model: Callable[[str], Path]) -> None:
    place = model("linear")
    started = time.monotonic()
    with _locked(place, 2.0):
        done = subprocess.run(
            [sys.executable, "-m", "smpatch", "add-predict", place, *XY, *QUICK],
            check=True,
            capture_output=True,
            text=True,
        )
    assert time.monotonic() - started > 1
    assert done.stderr == ""
