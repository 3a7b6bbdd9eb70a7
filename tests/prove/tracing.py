"""Edits under strace: the system calls that they make, and faults at one of these calls.

Nothing here checks the results of edits.

Source: strace(1), ``inject``: a call that gets an error is not made; a SIGKILL arrives before
the call.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.prove.server import MARK, PADDING

__all__ = ["CannotTraceError", "Request", "Server", "Survey", "Tracer", "survey"]

_ROOT = Path(__file__).resolve().parents[2]

_MARGIN = 32
"""The calls that an edit may make in addition if it also removes the files of a killed edit."""

# They take a file, but an edit uses them for memory or to query a terminal.
_NOT_FILES = frozenset({"mmap", "ioctl", "execve"})

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")


@dataclass(frozen=True)
class Request:
    """One edit in a child.

    Attributes:
        way: The name of the way; empty for no edit.
        work: The directory in which the way was prepared.
        next: Whether to do the edit that comes after it: one that is refused or, if the way makes
            a new directory, one that makes a second.
        file_size: The largest size of a file, in bytes; None for no limit.
        padding: Kind of call to the number of calls that do nothing, which are made first.
        mark: Whether to make the call that marks the start of the edit.
    """

    way: str = ""
    work: str = ""
    next: bool = False
    file_size: int | None = None
    padding: dict[str, int] = field(default_factory=dict)
    mark: bool = False


class CannotTraceError(Exception):
    """strace is missing, or may not trace."""


class Server:
    """A server in a process of its own; the context manager ends it."""

    def __init__(self, work: Path) -> None:
        """Start the server.

        Args:
            work: The directory for its files.
        """
        self._errors = (work / "errors.log").open("w+b")
        self._here, there = socket.socketpair()
        program = (sys.executable, "-B", "-m", "tests.prove.server", str(there.fileno()))
        with there:
            self._process = subprocess.Popen(
                [*program, str(work / "rehearsal")],
                cwd=_ROOT,
                pass_fds=[there.fileno()],
                stderr=self._errors,
            )
        self._receive()

    def __enter__(self) -> Server:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the server."""
        self._here.close()
        self._process.wait(timeout=60)
        self._errors.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def run(self, request: Request) -> tuple[int, int]:
        """Do one edit; return the child's process id and its exit status, -9 for killed."""
        self._here.sendall(json.dumps(request.__dict__).encode())
        child, status = json.loads(self._receive())
        assert status != 70, self._said()
        return child, status

    def _receive(self) -> bytes:
        self._here.settimeout(120)
        data = self._here.recv(1 << 16)
        assert data, self._said()
        return data

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


class Tracer:
    """strace, attached to a server and all its children; the context manager detaches it."""

    def __init__(self, server: Server, log: Path, *arguments: str) -> None:
        """Attach strace.

        Args:
            server: The server.
            log: The file to write to.
            arguments: The arguments of strace.

        Raises:
            CannotTraceError: strace cannot be attached here.
        """
        program = shutil.which("strace")
        if program is None:
            message = "strace is not installed (Debian: apt-get install strace)"
            raise CannotTraceError(message)
        said = log.with_suffix(".said")
        with said.open("wb") as errors:
            self._process = subprocess.Popen(
                [program, "-f", "-o", str(log), *arguments, "-p", str(server.pid)], stderr=errors
            )
        while "attached" not in said.read_text():
            if self._process.poll() is not None:
                message = f"strace cannot trace here: {said.read_text().strip()}"
                raise CannotTraceError(message)
            time.sleep(0.005)

    def __enter__(self) -> Tracer:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Detach strace; then its log is complete."""
        self._process.terminate()
        self._process.wait(timeout=60)


@dataclass(frozen=True)
class Survey:
    """The system calls of edits.

    Attributes:
        edits: Name of a call to its number, for each edit in the order of the requests.
    """

    edits: list[Counter[str]]

    def at(self, name: str) -> int:
        """Return the number of the call that gets the fault, which no edit reaches by itself."""
        return 2 * max(each[name] for each in self.edits) + _MARGIN


def survey(server: Server, log: Path, requests: list[tuple[Request, Path]]) -> Survey:
    """Do edits without faults, and count their calls.

    Args:
        server: The server that does them.
        log: The file for the output of strace.
        requests: The edits, each with the directory from which its model is copied before.

    Raises:
        CannotTraceError: strace is missing, or may not trace.
    """
    children = []
    with Tracer(server, log, "-e", "trace=%file,%desc"):
        for request, original in requests:
            renew(Path(request.work), original)
            child, status = server.run(Request(**{**request.__dict__, "mark": True}))
            assert status == 0
            children.append(child)
        padded = {name: server.run(Request(padding={name: 1}, mark=True))[0] for name in PADDING}
    calls: dict[int, list[str]] = {}
    for line in log.read_text(errors="replace").splitlines():
        if found := _CALL.match(line):
            is_mark = found[2] == "access" and MARK in found[3]
            calls.setdefault(int(found[1]), []).append("mark" if is_mark else found[2])
    assert server.pid not in calls  # a fault would hit the server itself
    edits = []
    for child in children:
        assert calls[child][0] == "mark"  # a fork makes no call of its own
        edits.append(Counter(name for name in calls[child][1:] if name not in _NOT_FILES))
    made = {name for edit in edits for name in edit}
    unknown = made - PADDING.keys()
    assert not unknown, f"there is no padding for {unknown}"
    for name in made:
        assert calls[padded[name]] == [name, "mark"], f"{name} is padded by {calls[padded[name]]}"
    return Survey(edits)


def renew(work: Path, original: Path) -> None:
    """Replace a directory by a fresh copy of another."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(original, work, symlinks=True)
