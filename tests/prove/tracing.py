"""Edits under strace: which system calls they make, and one of those failing or killed at.

Nothing here knows what an edit should leave behind.

Source: strace(1), ``inject``: an error given to a call keeps the call from being made; a
SIGKILL comes before it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.prove.server import MARK, PADDING

__all__ = ["Request", "Survey", "Traced", "survey", "why_not"]

_ROOT = Path(__file__).resolve().parents[2]

_MARGIN = 64
"""Calls that a server may make more in one run than in another."""

# They take a file, but in an edit they ask for memory or for what a terminal is.
_NOT_FILES = frozenset({"mmap", "ioctl", "execve"})

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")


@dataclass(frozen=True)
class Request:
    """One edit in a child.

    Attributes:
        model: The model; empty for none.
        undo: Whether an edit is taken back, instead of one done.
        key: The key of the signature that is added.
        options: How.
        file_size: Most bytes that a file may have.
        padding: Calls that do nothing to make before.
        mark: Whether to make the call that tells where the edit begins.
    """

    model: str = ""
    undo: bool = False
    key: str = "added"
    options: dict[str, Any] = field(default_factory=dict)
    file_size: int | None = None
    padding: dict[str, int] = field(default_factory=dict)
    mark: bool = False


@cache
def why_not() -> str:
    """Return why nothing can be traced here; empty where it can."""
    program = shutil.which("strace")
    if program is None:
        return "strace is not installed (Debian: apt-get install strace)"
    tried = subprocess.run(
        [program, "-f", "--seccomp-bpf", "-qq", "-e", "inject=fsync:error=EIO", "true"],
        check=False,
        capture_output=True,
        text=True,
    )
    return f"strace cannot trace here: {tried.stderr.strip()}" if tried.returncode else ""


class Traced:
    """A server, under strace if it is told something; a context manager, which ends it."""

    def __init__(self, work: Path, *arguments: str) -> None:
        """Start it.

        Args:
            work: A directory for its log and what it writes to.
            arguments: What strace is told to do.
        """
        self.log = work / "strace.log"
        self._errors = (work / "errors.log").open("w+b")
        self._here, there = socket.socketpair()
        # It spares stops at all other calls, but where it stops no signal can be given.
        quick = () if any("signal=" in each for each in arguments) else ("--seccomp-bpf",)
        tracer = ("strace", "-f", *quick, "-qq", "-o", str(self.log), *arguments)
        tracer = tracer if arguments else ()
        server = (sys.executable, "-B", "-m", "tests.prove.server", str(there.fileno()))
        with there:
            self._process = subprocess.Popen(
                [*tracer, *server, str(work / "rehearsal")],
                cwd=_ROOT,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                pass_fds=[there.fileno()],
                stderr=self._errors,
            )
        self._receive()

    def __enter__(self) -> Traced:
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


@dataclass(frozen=True)
class Survey:
    """Which calls are made.

    Attributes:
        startup: How often the server makes each before it is ready.
        edits: How often each edit makes each, in the order of the requests.
    """

    startup: Counter[str]
    edits: list[Counter[str]]

    def at(self, name: str) -> int:
        """The count of a call at which a fault is put: beyond what is made by chance."""
        return self.startup[name] + max(each[name] for each in self.edits) + _MARGIN


def survey(work: Path, requests: list[tuple[Request, Path]]) -> Survey:
    """Do edits without faults, and count their calls.

    Args:
        work: A directory to work in.
        requests: The edits, each with the place from which its model is copied before.
    """
    with Traced(work, "-e", "trace=%file,%desc") as traced:
        server = 0
        children = []
        for request, original in requests:
            renew(Path(request.model).parent, original)
            child, status = traced.run(Request(**{**request.__dict__, "mark": True}))
            assert status == 0
            children.append(child)
        padded = {name: traced.run(Request(padding={name: 1}, mark=True))[0] for name in PADDING}
    calls: dict[int, list[str]] = {}
    for line in traced.log.read_text(errors="replace").splitlines():
        if found := _CALL.match(line):
            is_mark = found[2] == "access" and MARK in found[3]
            calls.setdefault(int(found[1]), []).append("mark" if is_mark else found[2])
            server = server or int(found[1])
    edits = []
    for child in children:
        assert calls[child][0] == "mark"  # a fork makes no call of its own
        edits.append(Counter(name for name in calls[child][1:] if name not in _NOT_FILES))
    unknown = {name for edit in edits for name in edit} - PADDING.keys()
    assert not unknown, f"there is no padding for {unknown}"
    for name in {name for edit in edits for name in edit}:
        assert calls[padded[name]] == [name, "mark"], f"{name} is padded by {calls[padded[name]]}"
    return Survey(Counter(calls[server]), edits)


def renew(work: Path, original: Path) -> None:
    """Put a fresh copy of a directory in the place of another."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(original, work)
