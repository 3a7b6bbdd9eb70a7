"""Edits in forked children, for strace to watch: ``python -m tests.prove.server FD``.

strace can make the n-th call of one kind fail. n is fixed when strace starts, and each child has a
count of its own. So a child first makes calls of that kind that do nothing (``padding``), so many
that the chosen call becomes the n-th. One strace serves all calls of a kind, one interpreter serves
all kinds, and a fork costs milliseconds. The server itself uses a socket, with calls that get no
fault.

Source: prctl(2), ``PR_SET_PTRACER``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import smpatch
from tests.prove.ways import WAYS, no_edit, without_tensorflow

__all__ = ["MARK", "PADDING", "REQUESTS_KEPT"]

MARK = "/smpatch-the-edit-begins"

REQUESTS_KEPT = 60
"""The exit status of an edit that was done, with a note that the warm-up requests stay as they are.

They stay if they cannot be read or replaced (``docs/warmup.md``).
"""

_KEPT_CODES = {"warm-up", "warm-up-unreadable"}
"""The codes of these notes."""

_NO_FILE = 1_000_000
"""A descriptor that is not open."""

_C = ctypes.CDLL(None, use_errno=True)

PADDING: dict[str, Callable[[], object]] = {
    "access": lambda: os.access("", os.R_OK),
    "chmod": lambda: os.chmod("", 0),
    "chown": lambda: os.chown("", -1, -1),
    "close": lambda: os.close(_NO_FILE),
    "copy_file_range": lambda: os.copy_file_range(_NO_FILE, _NO_FILE, 1),
    "dup": lambda: os.dup(_NO_FILE),
    "fadvise64": lambda: os.posix_fadvise(_NO_FILE, 0, 0, 0),
    "fchmod": lambda: os.fchmod(_NO_FILE, 0),
    "fchmodat": lambda: _C.fchmodat(_NO_FILE, b"x", 0, 0),
    "fchown": lambda: os.fchown(_NO_FILE, -1, -1),
    "fcntl": lambda: fcntl.fcntl(_NO_FILE, fcntl.F_GETFD),
    "flock": lambda: fcntl.flock(_NO_FILE, fcntl.LOCK_UN),
    "fstatfs": lambda: os.fstatvfs(_NO_FILE),
    "fsync": lambda: os.fsync(_NO_FILE),
    "getcwd": os.getcwd,
    "getdents64": lambda: _C.getdents64(_NO_FILE, None, 0),
    "lchown": lambda: os.lchown("", -1, -1),
    "link": lambda: os.link("", ""),
    "listxattr": lambda: os.listxattr(""),
    "lseek": lambda: os.lseek(_NO_FILE, 0, os.SEEK_CUR),
    "mkdir": lambda: os.mkdir(""),
    "newfstatat": lambda: os.stat(""),
    "openat": lambda: os.open("", os.O_RDONLY),
    "pread64": lambda: os.pread(_NO_FILE, 1, 0),
    "read": lambda: os.read(_NO_FILE, 1),
    "readlink": lambda: os.readlink(""),
    "rename": lambda: os.rename("", ""),
    "rmdir": lambda: os.rmdir(""),
    "statfs": lambda: os.statvfs(""),
    "symlink": lambda: os.symlink("", ""),
    "unlink": lambda: os.unlink(""),
    "unlinkat": lambda: os.unlink("x", dir_fd=_NO_FILE),
    "utimensat": lambda: os.utime(""),
    "write": lambda: os.write(_NO_FILE, b""),
}
"""For each kind of call, a call that does nothing; most of them fail."""


_PR_SET_PTRACER, _ANY = 0x59616D61, -1
"""If only a parent may trace (Yama), this allows any process of the same user."""


def _pad(name: str, count: int) -> None:
    call = PADDING[name]
    for _ in range(count):
        with contextlib.suppress(OSError):
            call()


def _edit(request: dict[str, Any]) -> int:
    """Do an edit; return the exit status, which also reports notes on warm-up requests."""
    work, way = Path(request["work"]), WAYS[request["way"]]
    if request["next"] and not way.makes_new:
        no_edit(work)
        return 0
    receipt: Any = way.edit(work, "next" if request["next"] else way.result)
    kept = any(each.code in _KEPT_CODES for each in receipt.notes)
    return REQUESTS_KEPT if kept else 0


def _child(request: dict[str, Any]) -> int:
    """Do the request; return the exit status."""
    if request["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
    for name, count in request["padding"].items():
        _pad(name, count)
    if request["mark"]:
        os.access(MARK, os.R_OK)
    try:
        if request["way"]:
            return _edit(request)
    except smpatch.SmpatchError as error:
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001 - any error is printed
        traceback.print_exc()
        return 70
    return 0


def _fork() -> int:
    """Fork as ``os.fork`` does, but do not read ``/proc/self/stat`` as Python 3.12 does.

    The calls for that would be the server's own, and faults would hit them like those of a child.

    Source: ``os_fork_impl`` and ``warn_about_fork_with_threads`` in ``Modules/posixmodule.c``.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    child = int(ctypes.pythonapi.fork())
    if child == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    assert child >= 0
    return child


def main() -> None:
    """Serve until the other end is closed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _C.prctl(_PR_SET_PTRACER, ctypes.c_long(_ANY), 0, 0, 0)
    with without_tensorflow(), socket.socket(fileno=int(sys.argv[1])) as other:
        # The first edits import modules; the imports must not be part of later edits.
        for number, way in enumerate(WAYS.values()):
            rehearsal = Path(sys.argv[2]) / str(number)
            rehearsal.mkdir(parents=True)
            way.prepare(rehearsal)
            way.edit(rehearsal, way.result)
        shutil.rmtree(sys.argv[2])
        other.sendall(b"ready")
        while data := other.recv(1 << 16):
            request = json.loads(data)
            child = _fork()
            if child == 0:
                os._exit(_child(request))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            other.sendall(json.dumps([child, status]).encode())


if __name__ == "__main__":
    main()
