"""Servers on loopback, for as long as tests or benchmarks need them.

A server is a program that prints its port. This module uses no store.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["COUNTING", "MOTO", "started"]

_PYTHON = (sys.executable, "-W", "ignore")
MOTO = (*_PYTHON, str(Path(__file__).with_name("moto_server.py")))
"""The command of a server of S3; its argument is the name of a bucket."""

COUNTING = (*_PYTHON, str(Path(__file__).with_name("counting.py")))
"""The command of a port that counts bytes; its argument is the port of the server."""


@contextlib.contextmanager
def started(
    *command: str, said: str = r"^(\d+)$", env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a server; it is killed at the end.

    Args:
        command: The program and its arguments. It must print little beside its port, because
            the rest is not read.
        said: The line of its output that has the port, as a regular expression.
        env: Its environment; that of this process by default.

    Yields:
        The process, with pipes on its input and output, and the port.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            lines = iter(server.stdout.readline, "")
            found = next(filter(None, (re.search(said, line) for line in lines)), None)
            assert found, f"{command[0]} did not start"
            yield server, int(found[1])
        finally:
            server.kill()
