"""The main program of every child process.

It is started as ``python -I [-S] child_main.py PROGRAM PARENT_PID`` with pipes on the file
descriptors 0 and 1. It moves the pipes to other descriptors, which TensorFlow does not use, and
makes sure that it ends with its parent. Then it reads one JSON object on each line. The first
request starts PROGRAM (``capi_child``, ``python_child``, ``light_child`` or ``trace_child``, a file
beside this one). The answer to each request is exactly one line. The end of the input ends the
process.

It imports only the standard library, and the package does not import it: this process shares
nothing with smpatch but the lines on the pipes. The programs are loaded as modules, and not run as
scripts, so that their byte code is cached; therefore all of them are started by this file.

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
    """The interface of the object that ``start`` of each program returns."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        ...

    def tidy(self) -> None:
        """Free the objects of the last request, after its reply."""
        ...


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the protocol to private descriptors, and send all other output to stderr.

    TensorFlow, custom ops and their Python code may write to descriptors 1 and 2; this output must
    not be between two replies.

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

    Between two requests, the end of file on the request pipe ends this process. But a load of a
    large model takes minutes, and the pipe is not read during it.

    Args:
        parent: The process number of the parent that started this program.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - takes 5 ms, which other platforms do not need

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    else:
        import _thread  # noqa: PLC0415 - seldom needed

        _thread.start_new_thread(watch_parent, (parent,))
    # The parent may have ended before the call of prctl.
    if os.getppid() != parent:
        os._exit(0)


def watch_parent(parent: int) -> None:
    """Poll for the end of the parent, on systems whose kernel has no signal for it."""
    import time  # noqa: PLC0415 - seldom needed

    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def refuse_core_files() -> None:
    """Turn core files off: a crash is an answer here, and must not write gigabytes to the disk."""
    try:
        import resource  # noqa: PLC0415 - POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass


def load(name: str) -> types.ModuleType:
    """Load a file beside this one, without a change of ``sys.path``.

    The directory must not be on the path: its file names would then hide modules of the standard
    library and of TensorFlow. Instead it becomes a package with another name than in the parent.
    """
    package = types.ModuleType("smpatch_runtime")
    here = os.path.abspath(__file__)
    package.__path__ = [here.rpartition(os.sep)[0]]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.{name}")


def serve(requests: BinaryIO, replies: BinaryIO, name: str) -> None:
    """Answer requests until the parent closes the pipe.

    Args:
        requests: One JSON object on each line; the first starts the program.
        replies: One JSON object for each request, each with the key ``ok``.
        name: ``capi_child``, ``python_child``, ``light_child`` or ``trace_child``.
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
        # After the reply, so that the parent does not wait.
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
    except BaseException:  # noqa: BLE001 - the process ends after it
        # A defect or a lack of memory: the parent reports the last lines of the traceback.
        import traceback  # noqa: PLC0415 - seldom needed

        traceback.print_exc()
        status = 1
    # Not sys.exit: TensorFlow's destructors take time, and some of them crash.
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
