"""Processes that write to one model, or read it: ``python -m tests.prove.writer DO MODEL KEY``.

Each says ``ready`` and waits for a line, so that many begin at once.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from pathlib import Path

import smpatch
import smpatch.patcher
from tests.writer import faults, models

__all__ = ["ADD", "READ", "STOP"]

ADD, READ, STOP = "add", "read", "stop"


def _read(model: Path) -> int:
    """Load the model until there is something to read on stdin; return how often."""
    loads, known = 0, 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        keys = len(smpatch.load(model).signatures)
        if keys < known:
            message = f"a signature is gone: {keys} after {known}"
            raise RuntimeError(message)
        known = keys
        loads += 1
    return loads


def _stop(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    """Do what the arguments say; the exit code is that of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=[ADD, READ, STOP])
    parser.add_argument("model", type=Path)
    parser.add_argument("key", help="the signature key; for stop the count of the call to stop at")
    parser.add_argument("--backup", action="store_true")
    given = parser.parse_args()
    print("ready", flush=True)  # noqa: T201 - to the process that asked
    sys.stdin.readline()
    try:
        if given.do == READ:
            print(_read(given.model))  # noqa: T201 - likewise
        elif given.do == STOP:
            with faults.at(int(given.key), _stop):
                models.add(given.model, backup=given.backup)
        else:
            models.add(given.model, given.key, backup=given.backup)
    except smpatch.SmpatchError as error:
        print(error)  # noqa: T201 - likewise
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
