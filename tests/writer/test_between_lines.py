"""Ctrl-C between two lines of a commit, as well as inside a call, loses no file that must be kept.

``test_faults`` has the calls that fail. Python handles a signal between any two steps, and the
record of the commit must be true at each of them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import smpatch.writer
from smpatch.validator import Validator
from smpatch.warmup import PLACE
from tests.prove.ledger import Count
from tests.writer import models

FILE = "saved_model.pb"

# A run that never ends is a failure.
MOST_LINES = 600

_MODULES = {
    str(Path(smpatch.writer.__file__).with_name(name)) for name in ("commit.py", "finish.py")
}


class Interruption:
    """Raises the exception of Ctrl-C before the n-th line of the commit.

    Attributes:
        line: The line before which it was raised; empty if the commit has fewer lines.
    """

    def __init__(self, count: int) -> None:
        """Prepare for a line, counted from 1."""
        self.line = ""
        self._left = count

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - as sys.settrace has it
        if frame.f_code.co_filename not in _MODULES:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.line = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                raise KeyboardInterrupt
        return self.trace


@contextmanager
def _traced(interruption: Interruption) -> Iterator[None]:
    sys.settrace(interruption.trace)
    try:
        yield
    finally:
        sys.settrace(None)


def _edit(model: Path) -> None:
    models.add(model, backup=True)


WAYS: dict[str, Callable[[Path], object]] = {"backup": _edit, "undo": models.undo}


# A file stays open if the exception is raised while it is opened.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.proof("lines of a commit")
@pytest.mark.parametrize("way", WAYS)
def test_the_previous_file_is_never_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, count: Count
) -> None:
    """Before each line of the commit the backup is there, or the file that becomes it."""
    monkeypatch.setattr(Validator, "fingerprint", models.fake_fingerprint)
    original = models.linear(tmp_path / "original", fingerprint=True, requests=True)
    models.add(original, "older", backup=True)
    old, requests = (original / FILE).read_bytes(), (original / PLACE).read_bytes()
    lines: dict[bool, list[str]] = {True: [], False: []}
    for number in range(1, MOST_LINES):
        model = tmp_path / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(tmp_path / "original", model)
        interruption = Interruption(number)
        try:
            with _traced(interruption):
                WAYS[way](model)
        except KeyboardInterrupt:
            pass
        if not interruption.line:
            break
        count.add(interruptions=1)
        done = (model / FILE).read_bytes() != old
        lines[done].append(interruption.line)
        kept = {file: data for file, data in models.tree(model).items() if not done or file != FILE}
        assert old in kept.values(), interruption.line
        others = {file: data for file, data in models.tree(model).items() if file != str(PLACE)}
        assert not done or requests in others.values(), interruption.line
    else:
        pytest.fail(f"the commit has more than {MOST_LINES} lines")
    # Both sides of the commit were hit.
    assert len(lines[False]) > 20
    assert len(lines[True]) > 20
