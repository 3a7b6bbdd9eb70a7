"""Edits under strace: which system calls they make, and one of those failing or killed at.

Nothing here knows what an edit should leave behind.

Source: strace(1), ``inject``: an error given to a call keeps the call from being made; a
SIGKILL comes before it is.
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
"""Calls that an edit may make more where it also removes what another has left."""

# They take a file, but in an edit they ask for memory or for what a terminal is.
_NOT_FILES = frozenset({"mmap", "ioctl", "execve"})

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")


@dataclass(frozen=True)
class Request:
    """One edit in a child.

    Attributes:
        way: Its name among the ways; empty for none.
        work: The directory that the way was prepared in.
        next: Whether another edit is done that comes after it: one that is refused or, where a
            new directory is made, one that makes a second.
        file_size: Most bytes that a file may have.
        padding: Calls that do nothing to make before.
        mark: Whether to make the call that tells where the edit begins.
    """

    way: str = ""
    work: str = ""
    next: bool = False
    file_size: int | None = None
    padding: dict[str, int] = field(default_factory=dict)
    mark: bool = False


class CannotTraceError(Exception):
    """There is no strace, or it may not trace."""


class Server:
    """A server; a context manager, which ends it."""

    def __init__(self, work: Path) -> None:
        """Start it.

        Args:
            work: A directory that it writes to.
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
    """strace at a server and all its children; a context manager, which detaches it."""

    def __init__(self, server: Server, log: Path, *arguments: str) -> None:
        """Attach it.

        Args:
            server: The server.
            log: The file to write to.
            arguments: What strace is told to do.

        Raises:
            CannotTraceError: That cannot be done here.
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
        """Detach it; then its log is whole."""
        self._process.terminate()
        self._process.wait(timeout=60)


@dataclass(frozen=True)
class Survey:
    """Which calls are made.

    Attributes:
        edits: How often each edit makes each, in the order of the requests.
    """

    edits: list[Counter[str]]

    def at(self, name: str) -> int:
        """The count of a call at which a fault is put: beyond what any edit makes by itself."""
        return 2 * max(each[name] for each in self.edits) + _MARGIN


def survey(server: Server, log: Path, requests: list[tuple[Request, Path]]) -> Survey:
    """Do edits without faults, and count their calls.

    Args:
        server: Who does them.
        log: The file to let strace write to.
        requests: The edits, each with the place from which its model is copied before.

    Raises:
        CannotTraceError: There is no strace, or it may not trace.
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
    assert server.pid not in calls  # it would be hit itself
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
    """Put a fresh copy of a directory in the place of another."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(original, work, symlinks=True)
