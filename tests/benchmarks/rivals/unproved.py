"""smpatch without its structural proof, to measure the cost of the proof.

python unproved.py ARGUMENT ...
"""

from __future__ import annotations

import sys

from smpatch.cli import main
from smpatch.editing import sequence
from smpatch.editing.edit import Step


def _unproved(_: object, done: Step, *__: object) -> Step:
    return done


if __name__ == "__main__":
    sequence._proved = _unproved  # type: ignore[assignment]  # noqa: SLF001 - what is measured
    sys.exit(main())
