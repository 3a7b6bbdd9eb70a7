"""Import TensorFlow once, and run each requested program in a fork of this process.

A request is a line of JSON: the arguments, a directory that has stdin as a file and gets stdout and
stderr as files, the working directory, and a time limit. The answer is the exit code.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

__all__: list[str] = []


def main() -> None:
    """Answer requests until the input ends."""
    assert tf.__version__  # it is imported
    gc.freeze()  # a collection in a fork would copy all of it
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_child(request["arguments"], Path(request["room"]), request["cwd"]))
        sys.stdout.write(f"{_waited(child, request['limit'])}\n")
        sys.stdout.flush()


def _waited(child: int, limit: float) -> int:
    """Return the exit code of a process; kill the process after ``limit`` seconds."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _child(arguments: Sequence[str], room: Path, cwd: str) -> int:
    for number, name in enumerate(("in", "out", "err")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        opened = os.open(room / name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the old one has read ahead
    code = 0
    try:
        _run(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _run(arguments: Sequence[str]) -> None:
    kind, *rest = arguments
    if kind == "-c":
        program, *further = rest
        sys.argv = ["-c", *further]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - of a test
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        sys.path.insert(0, str(Path(kind).parent))
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main()
