"""Run one program, and measure its time and its peak of memory.

Time is wall time from just before the start to the end of the process, with the
start of the interpreter: a user waits for all of this.

Memory is ``ru_maxrss`` from ``wait4``. The meaning of that number:

* It covers the process **and** every descendant that it has waited for, but as
  the largest single process, not as a sum (Linux: ``getrusage`` with
  ``RUSAGE_BOTH``). The number is right for a tool that does its work in a child.
  It is not the sum of two processes that are big at the same time. Of the contests
  with a bar on memory only ``variables`` starts two big processes, on both sides.
* Pages of a mapped file count while they are resident.
* A new process begins with the peak of the process that started it, because the
  kernel counts the memory from before ``exec``. So the process that measures must
  be smaller than every measured process. Therefore this package streams the models
  that it generates and imports nothing big; ``run`` refuses to work otherwise.
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
    """A measured program failed, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The cost of one run.

    Attributes:
        seconds: Wall time.
        peak_bytes: Largest resident set of any one process of the run, in bytes.
        processor_seconds: Time on a processor, of all processes of the run together.
        user_seconds: The part of ``processor_seconds`` that was spent outside the kernel.
    """

    seconds: float
    peak_bytes: int
    processor_seconds: float = 0.0
    user_seconds: float = 0.0


def run(argv: Sequence[str], *, self_timed: bool = False) -> Measured:
    """Run ``argv`` to its end, with the checkout as working directory.

    Args:
        argv: The program and its arguments.
        self_timed: Whether to take the numbers from the JSON line that the program prints;
            for a rival with a part that does not count.

    Returns:
        Time and memory.

    Raises:
        ProgramError: The program failed, or this process has grown so big that
            the memory of its children cannot be measured.
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
