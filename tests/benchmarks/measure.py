"""Run one program and say how long it took and how much memory it had at its peak.

Time is wall time from just before the start to the end of the process, the
interpreter's own start included: that is what a user waits for.

Memory is ``ru_maxrss`` from ``wait4``. What that number is and is not:

* It covers the process **and** every descendant that it has waited for, but as
  the largest single process, not as a sum (Linux: ``getrusage`` with
  ``RUSAGE_BOTH``). A tool that does its work in a child is measured truly; two
  processes that are big at the same time are not added up. No contest that
  has a bar on memory starts a second big process on either side.
* Pages of a mapped file count while they are resident.
* A new process begins with the peak of the one that started it, for the kernel
  counts the memory from before ``exec``. So the process that measures must be
  smaller than anything measured, which is why this package streams what it
  generates and imports nothing big; ``run`` refuses to work otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Measured", "ProgramError", "run"]

_ROOT = Path(__file__).resolve().parents[2]
_UNIT = 1 if sys.platform == "darwin" else 1024
_OWN_PEAK_LIMIT = 40_000_000
_TIME_LIMIT = 900.0


class ProgramError(Exception):
    """A program under measurement did not do its job, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run cost.

    Attributes:
        seconds: Wall time.
        peak_bytes: Largest resident set of any one process of the run, in bytes.
        processor_seconds: Time on a processor, of all processes of the run together.
        user_seconds: The part of it that was spent outside the kernel.
    """

    seconds: float
    peak_bytes: int
    processor_seconds: float = 0.0
    user_seconds: float = 0.0


def run(argv: Sequence[str], *, self_timed: bool = False) -> Measured:
    """Run ``argv`` to its end, with the checkout as working directory.

    Args:
        argv: The program and its arguments.
        self_timed: Take the numbers from the JSON line that the program prints;
            for a rival of which a part does not count.

    Returns:
        Time and memory.

    Raises:
        ProgramError: The program failed, or this process has grown so big that
            the memory of its children cannot be told.
    """
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    if own_peak > _OWN_PEAK_LIMIT:
        message = f"the harness itself has used {own_peak} bytes, its children would inherit that"
        raise ProgramError(message)
    # Without bytecode files each run would compile smpatch anew.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=_ROOT,
            env=environment,
        )
        alarm = threading.Timer(_TIME_LIMIT, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        alarm.cancel()
        # Popen must not wait for a process that is already reaped.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            last = errors.read()[-2000:].decode(errors="replace").strip()
            message = f"exit code {process.returncode}: {' '.join(argv)}\n{last}"
            raise ProgramError(message)
        if self_timed:
            output.seek(0)
            return Measured(**json.loads(output.read()))
    busy = usage.ru_utime + usage.ru_stime
    return Measured(seconds, usage.ru_maxrss * _UNIT, busy, usage.ru_utime)
