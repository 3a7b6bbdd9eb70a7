"""Child processes of smpatch that are forks of a process which has loaded TensorFlow.

A child takes five seconds of a processor to load TensorFlow. A fork has TensorFlow as it is after
its start, and no fork changes the state of another. ``make prove`` and the tests of the start and
the end of a child start each child as users' programs do.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from smpatch.runtime import process
from smpatch.runtime.installation import Wheel
from smpatch.runtime.process import Child, Program

__all__ = ["ForkedChild"]

_STEP = 0.005
"""The seconds between two checks whether a process has ended."""


class ForkedChild(Child):
    """A child that is a fork if possible; else a new process."""

    @classmethod
    def start(cls, program: Program, wheel: Wheel) -> Child:
        """Start a child; see ``Child.start``."""
        # A tracer is the Python child under another name.
        kind = Program.PYTHON if program is Program.TRACER else program
        request = process._first_request(program, wheel)  # noqa: SLF001 - the request that start sends
        environment = process._environment(program)  # noqa: SLF001 - likewise
        server = _server(kind, request, environment)
        if server is None:
            return super().start(program, wheel)
        errors = process._nameless_file()  # noqa: SLF001 - likewise
        child = cls(program, cast("subprocess.Popen[bytes]", server.fork(program, errors)), errors)
        try:
            child._post(request)
        except BaseException:
            child.close()
            raise
        return child


class _Fork:
    """A forked process, with the part of ``subprocess.Popen`` that ``Child`` uses."""

    def __init__(self, server: _Server, pid: int, requests: int, replies: int) -> None:
        self._server = server
        self.pid = pid
        # Not ``os.fdopen``, in which tests of the writer plant faults.
        self.stdin = io.FileIO(requests, "wb")
        self.stdout = io.FileIO(replies, "rb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        started = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() > started + timeout:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(_STEP)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 9)


class _Server:
    """The process that is forked; it ends with this process, and its forks end with it."""

    def __init__(
        self, program: Program, request: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self.about = _about(request, environment)
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        main = Path(process.__file__).with_name("child_main.py")
        here = Path(__file__).with_name("child_forking.py")
        with other:
            options = ["-I", "-B", *(["-S"] if program is Program.CAPI else [])]
            arguments = main, program.value, json.dumps(request), str(other.fileno())
            self._process = subprocess.Popen(
                [sys.executable, *options, here, *arguments],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        self._turn = threading.Lock()
        self.ready = bool(self._channel.recv(1 << 10))

    def ask(self, about: Any, *descriptors: int) -> Any:  # noqa: ANN401 - JSON
        with self._turn:
            socket.send_fds(self._channel, [json.dumps(about).encode()], descriptors)
            return json.loads(self._channel.recv(1 << 10))

    def fork(self, program: Program, errors: int) -> _Fork:
        (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
        try:
            pid = self.ask(program.value, requests, replies, errors)
        finally:
            os.close(requests)
            os.close(replies)
        return _Fork(self, pid, to_child, from_child)


_OWNER = os.getpid()
_SERVERS: dict[Program, _Server] = {}
_FIRST = threading.Lock()
"""Two threads that start their first children need one server."""


def _server(
    program: Program, request: Mapping[str, Any], environment: Mapping[str, str]
) -> _Server | None:
    """Return the process to fork; None if a test has changed the environment of a child."""
    if os.getpid() != _OWNER:  # two processes cannot share one socket
        return None
    with _FIRST:
        if program not in _SERVERS:
            _SERVERS[program] = _Server(program, request, environment)
    server = _SERVERS[program]
    return server if server.ready and server.about == _about(request, environment) else None


def _about(request: Mapping[str, Any], environment: Mapping[str, str]) -> object:
    """Return what must be the same for a fork; a fork takes the path of its own request."""
    return {name: each for name, each in request.items() if name != "path"}, environment
