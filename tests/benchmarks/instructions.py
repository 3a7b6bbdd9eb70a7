"""The number of instructions that a command executes, which noise does not change.

On a busy machine wall time and processor time are longer. The number of instructions stays the
same, so it shows a few more milliseconds of start-up, for which wall time would need hundreds of
runs. ``valgrind --tool=callgrind`` counts the instructions in user space, of the process that is
started and not of its children. With Python's hashes fixed, the numbers of two runs differ by some
thousandths at most, and most often they are equal. Each command runs without valgrind first, to
write the bytecode.

``perf stat`` is not used: it reads counters of the processor, which most virtual machines hide.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.commands import BARE_IMPORTS, SMPATCH, X_TO_Y
from tests.benchmarks.measure import ProgramError, run
from tests.benchmarks.results import Row, Skipped
from tests.benchmarks.rounds import compared
from tests.benchmarks.workshop import Sizes, Workshop

__all__ = ["NO_COUNTER", "can_count", "counted", "start_up"]

NO_COUNTER = "valgrind is not installed"
_TOTAL = re.compile(r"Collected : (\d+)")


def can_count() -> bool:
    """Return whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def counted(argv: Sequence[str]) -> int:
    """Return the number of instructions that a program executes.

    Args:
        argv: The program and its arguments; children are not counted.

    Returns:
        The number of instructions in user space.

    Raises:
        ProgramError: The program failed, or valgrind counted nothing.
    """
    with tempfile.TemporaryDirectory(prefix="smpatch-count-") as scratch:
        log = Path(scratch) / "log"
        tool = ("--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}")
        run(["env", "PYTHONHASHSEED=0", "valgrind", *tool, *argv])
        found = _TOTAL.search(log.read_text(errors="replace"))
    if found is None:
        raise ProgramError(f"valgrind counted nothing of {' '.join(argv)}")
    return int(found[1])


def start_up(shop: Workshop, _sizes: Sizes) -> Iterator[Row | Skipped]:
    """``show`` and ``add-predict --validate none``, against the imports that they need.

    The model is small, so start-up takes nearly all of the time.
    """
    model = str(shop.small())

    def add_predict() -> list[str]:
        key = ("--signature", shop.new_key())
        return [*SMPATCH, "add-predict", model, *X_TO_Y, *key, "--validate", "none"]

    commands: tuple[tuple[str, Callable[[], list[str]], float], ...] = (
        ("`show`, small model", lambda: [*SMPATCH, "show", model], 1.5),
        ("`add-predict --validate none`, small model", add_predict, 2.8),
    )
    if not can_count():
        for contest, _, _ in commands:
            yield Skipped(f"{contest}, in instructions", NO_COUNTER)
        return
    run(BARE_IMPORTS)
    imports = counted(BARE_IMPORTS) / 1e6
    for contest, argv, bar in commands:
        run(argv())
        labels = (contest, "bare imports, in instructions", "M")
        yield compared(labels, [(counted(argv()) / 1e6, imports)], bar)
