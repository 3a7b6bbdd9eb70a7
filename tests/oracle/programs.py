"""Run programs that import TensorFlow, each in a fork of a process that has imported it.

The import takes as long as most programs. The process that is forked runs no operation, so that
every program has TensorFlow as it is after its import. State that a program leaves in its process
(a registered class, eager mode) ends with the process.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]

_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 300.0
"""The seconds that a program may take."""


def run(*arguments: str | os.PathLike[str], stdin: str = "", cwd: Path | None = None) -> str:
    """Run a program, and return its stdout.

    Args:
        arguments: The part of a command line after ``python``: ``-c`` and a program, ``-m`` and a
            module, or a file; and the arguments of the program.
        stdin: The text of its stdin.
        cwd: The directory in which it runs; None for the root of the repository.

    Raises:
        AssertionError: It failed; the message has the end of its stderr.
    """
    with tempfile.TemporaryDirectory(prefix="smpatch-test-") as place:
        room = Path(place)
        (room / "in").write_text(stdin)
        answer = _asked([os.fspath(each) for each in arguments], room, cwd or _ROOT)
        errors = (room / "err").read_text(errors="replace")[-4000:]
        assert answer == 0, f"the program ended with {answer}: {errors}"
        return (room / "out").read_text()


def _asked(arguments: Sequence[str], room: Path, cwd: Path) -> int:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    request = {"arguments": arguments, "room": str(room), "cwd": str(cwd), "limit": _LONGEST}
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    reply = server.stdout.readline()
    assert reply, "the process that is forked has ended"
    return int(reply)


@functools.cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.oracle.forking"],
        cwd=_ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.kill)
    return server
