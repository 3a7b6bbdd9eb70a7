"""The program that every child process of this module enters by.

It is started as ``python -I [-S] child_main.py PROGRAM PARENT_PID`` with pipes on
file descriptors 0 and 1, puts those pipes out of TensorFlow's reach, ties its
own life to its parent's, and then serves one JSON object per line: the first
request starts PROGRAM (``capi_child``, ``python_child`` or ``light_child``, a
file beside this one), each further request gets exactly one reply line. End of file ends it.

It imports the standard library alone, and it is never imported by the package:
what runs here shares nothing with smpatch but the lines on the pipes. The
programs are loaded as modules, not run as scripts, so that their byte code is
cached; that is why they share this file and not copies of it.

Sources: prctl(2) for the parent-death signal; PEP 446 (descriptors made by
``os.dup`` are not inherited).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from typing import Any, BinaryIO, Protocol

PR_SET_PDEATHSIG = 1
SIGKILL = 9


class Program(Protocol):
    """The interface of what the ``start`` of each program returns."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        ...

    def tidy(self) -> None:
        """Free what the last reply no longer needs."""
        ...


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the protocol to private descriptors and send all printing to stderr.

    TensorFlow, custom ops and Python code in them write to descriptors 1 and 2
    as they like; none of it can then end up between two replies.

    Returns:
        The stream of requests and the stream of replies.
    """
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def die_with_parent(parent: int) -> None:
    """Make sure that this process does not outlive its parent.

    End of file on the request pipe covers the time between two requests; a
    load of a large model takes minutes, and the pipe is not read meanwhile.

    Args:
        parent: Process number of the parent that started this program.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - costs 5 ms that other platforms need not pay

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    else:
        import _thread  # noqa: PLC0415 - seldom needed

        _thread.start_new_thread(watch_parent, (parent,))
    # The parent may have died before the kernel was asked for the signal.
    if os.getppid() != parent:
        os._exit(0)


def watch_parent(parent: int) -> None:
    """Poll for the parent's death, where the kernel has no signal for it."""
    import time  # noqa: PLC0415 - seldom needed

    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def refuse_core_files() -> None:
    """Keep a crash, which is an answer here, from leaving gigabytes on the disk."""
    try:
        import resource  # noqa: PLC0415 - POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass


def load(name: str) -> types.ModuleType:
    """Load a file that lies beside this one, without touching ``sys.path``.

    The directory must not be on the path: its file names would then hide
    modules of the standard library and of TensorFlow. It becomes a package of
    another name instead, without the package it belongs to in the parent.
    """
    package = types.ModuleType("smpatch_runtime")
    here = os.path.abspath(__file__)
    package.__path__ = [here.rpartition(os.sep)[0]]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.{name}")


def serve(requests: BinaryIO, replies: BinaryIO, name: str) -> None:
    """Answer requests until the parent closes the pipe.

    Args:
        requests: One JSON object per line; the first starts the program.
        replies: One JSON object per request, each with the key ``ok``.
        name: ``capi_child``, ``python_child`` or ``light_child``.
    """

    def send(reply: dict[str, Any]) -> None:
        replies.write(json.dumps(reply).encode("ascii") + b"\n")
        replies.flush()

    first = requests.readline()
    if not first:
        return
    module = load(name)
    try:
        program: Program = module.start(json.loads(first))
    except module.Unfit as error:
        send({"ok": False, "message": str(error)})
        return
    send({"ok": True})
    for line in requests:
        send(program.answer(json.loads(line)))
        # After the reply, so that the parent does not wait for it.
        program.tidy()


def main(arguments: list[str]) -> None:
    """Run the program that the arguments name."""
    name, parent = arguments
    requests, replies = take_pipes()
    die_with_parent(int(parent))
    refuse_core_files()
    status = 0
    try:
        serve(requests, replies, name)
    except BrokenPipeError:
        pass
    except BaseException:  # noqa: BLE001 - the last thing this process does
        # A bug or a lack of memory: the parent reports the last lines of it.
        import traceback  # noqa: PLC0415 - seldom needed

        traceback.print_exc()
        status = 1
    # Not sys.exit: TensorFlow's destructors take time, and some of them crash.
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
