"""A command in processes whose memory is limited: ``python -m tests.fuzz.bounded``.

The program first runs the command on a small, sound model, and then sets the limit. So the limit
is for the memory that each further model adds. It is a limit of addresses: memory that is reserved
and never used counts as well. The command runs on each model in a fork of this process, and its
output is written beside the directory of the model. The exit codes are printed as JSON, in the
order of the models.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from smpatch.cli import guard
from smpatch.cli.main import application

__all__ = ["ended", "main"]

_ROOT = Path(__file__).resolve().parents[2]
_LINEAR = _ROOT / "fixtures" / "models" / "linear"


def ended(
    kilobytes: int, command: str, models: Iterable[Path], options: Sequence[str]
) -> list[tuple[int, str, str]]:
    """Run this program; return for each model the exit code, the output and the error output."""
    places = [*map(str, models)]
    argv = [sys.executable, "-m", "tests.fuzz.bounded", str(kilobytes), json.dumps(options)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves addresses
    done = subprocess.run(
        [*argv, command, *places],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return [
        (end, *(Path(f"{place}.{name}").read_text(encoding="utf-8") for name in ("out", "err")))
        for end, place in zip(json.loads(done.stdout), places, strict=True)
    ]


def _run(command: str, model: str, options: list[str]) -> int:
    sys.argv = ["smpatch", command, model, *options]
    return guard.run(application(command))


def main() -> int:
    """Run a command on models.

    The arguments are the kilobytes by which each process may grow, the options as JSON, the name
    of the command, and the directories of the models.
    """
    kilobytes, given, command, *models = sys.argv[1:]
    options = json.loads(given)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        kept, sys.stdout = sys.stdout, nowhere
        _run(command, str(_LINEAR), options)
        sys.stdout = kept
    ends = []
    for model in models:
        child = os.fork()
        if not child:
            _bounded(int(kilobytes), command, model, options)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    json.dump(ends, sys.stdout)
    return 0


def _bounded(kilobytes: int, command: str, model: str, options: list[str]) -> NoReturn:
    """Run the command on one model in this process, and end it."""
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(f"{model}.{name}"), os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + (kilobytes << 10)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    code = 1
    try:
        code = _run(command, model, options)
    except BaseException:  # noqa: BLE001 - the process ends here, and the parent reports its exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
