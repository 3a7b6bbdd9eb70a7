"""A command in a process that may take only so much memory: ``python -m tests.fuzz.bounded``.

What the command takes with a small, sound model is taken before the limit is set, so that the
limit is for what the model makes of it. The limit is one of addresses: what is only promised
and never touched counts as well.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from smpatch.cli import guard
from smpatch.cli.main import application

__all__ = ["main"]

_LINEAR = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "linear"


def _run(command: str, model: str, options: list[str]) -> int:
    sys.argv = ["smpatch", command, model, *options]
    return guard.run(application(command))


def main() -> int:
    """Run a command, given the kilobytes that it may take, its name, the model, its options."""
    kilobytes, command, model, *options = sys.argv[1:]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        kept, sys.stdout = sys.stdout, nowhere
        _run(command, str(_LINEAR), options)
        sys.stdout = kept
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + (int(kilobytes) << 10)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _run(command, model, options)


if __name__ == "__main__":
    sys.exit(main())
