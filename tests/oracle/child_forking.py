"""Load a program of ``smpatch.runtime`` once, and fork this process for each child process.

The command is ``python -I child_forking.py CHILD_MAIN PROGRAM REQUEST DESCRIPTOR``, in the
environment of a child. The descriptor is a socket. A message with a program's name and three
descriptors makes a fork, which answers as ``child_main.py`` does. A message with the number of a
process asks for its exit code. The process that is forked runs no operation of TensorFlow.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import socket
import sys
from types import ModuleType
from typing import Any

__all__: list[str] = []

_MOST_BYTES = 4096


def main(path: str, name: str, request: str, descriptor: str) -> None:
    """Answer until the other end is closed."""
    spec = importlib.util.spec_from_file_location("child_main", path)
    assert spec is not None
    assert spec.loader is not None
    child_main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child_main)
    program = child_main.load(name)
    started = program.start(json.loads(request))

    def start(request: dict[str, Any]) -> object:
        sys.path[:] = request.get("path", sys.path)
        return started

    program.start = start
    gc.freeze()  # a collection in a fork would copy all of it
    with socket.socket(fileno=int(descriptor)) as channel:
        channel.send(b"true")
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, _MOST_BYTES, 3)
            if not message:
                break
            asked = json.loads(message)
            answer = _forked(child_main, asked, descriptors) if descriptors else _end(asked)
            channel.send(json.dumps(answer).encode())


def _forked(child_main: ModuleType, name: str, descriptors: list[int]) -> int:
    parent = os.getpid()
    process = os.fork()
    if process == 0:
        os.setsid()
        for number, each in enumerate(descriptors):
            os.dup2(each, number)
        os.closerange(3, max(descriptors) + 1)
        child_main.main([name, str(parent)])  # ends this process
    for each in descriptors:
        os.close(each)
    return process


def _end(process: int) -> int | None:
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    main(*sys.argv[1:])
