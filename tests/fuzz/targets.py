"""What each hostile model goes through, and what has to hold whatever its bytes are.

No exception but smpatch's own, no hang, no memory beyond what the input's size explains; on
the terminal nothing that a terminal would act on; a refused edit leaves every byte alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import smpatch
from smpatch import Options, SmpatchError
from smpatch.cli import guard
from smpatch.cli.main import app

__all__ = ["Said", "edited", "frugal", "run", "shown"]

SECONDS = 10.0
"""Of CPU time; what one of the small inputs here takes is a hundredth of it."""

MEGABYTES = 400
"""By how much the process may grow over one input: never by what a length only promises."""

READERS = (("show",), ("show", "--json"), ("suggest",), ("suggest", "--json"))


@dataclass(frozen=True)
class Said:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        complaint: What it wrote to stderr.
    """

    code: int
    out: str
    complaint: str


@contextlib.contextmanager
def frugal() -> Iterator[None]:
    """Hold what runs inside to its time and memory."""
    begin, size = time.process_time(), _largest()
    yield
    assert time.process_time() - begin < SECONDS
    assert _largest() - size < MEGABYTES << 20


def _largest() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run(*arguments: str) -> Said:
    """Run a command line in this process; an error that is not smpatch's own is raised."""
    out, complaint = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["smpatch", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(complaint),
    ):
        code = guard.run(app)
    said = Said(code, out.getvalue(), complaint.getvalue())
    for text in (said.out, said.complaint):
        strange = [each for each in text if not each.isprintable() and each != "\n"]
        assert strange == [], f"{arguments} wrote {strange[:3]} to a terminal"
    if "--json" in arguments:
        json.loads(said.out, parse_constant=_not_json)
    return said


def _not_json(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def shown(place: Path) -> bool:
    """Let every command that reads read a model; tell whether ``show`` took it for one."""
    codes = {}
    with frugal():
        for name, *options in READERS:
            said = run(name, str(place), *options)
            assert said.code in {0, 3, 4}, said
            assert said.code or name == "show" or not said.complaint
            if said.code and "--json" not in options:
                assert said.complaint.count("\n") == 1
                assert said.complaint.startswith("smpatch: ")
                assert not said.out
            codes[name, bool(options)] = said.code
    assert codes["show", False] == codes["show", True]
    assert codes["suggest", False] == codes["suggest", True]
    return codes["show", False] == 0


def edited(place: Path, edit: Callable[[Path, Options], object], tags: list[str]) -> bool:
    """Edit a model without TensorFlow; tell whether it was done."""
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    refusal = None
    with frugal():
        try:
            edit(place, Options(tag_set=tags, validate="none"))
        except SmpatchError as error:
            refusal = str(error)
    if refusal is None:
        smpatch.load(place)
        return True
    assert "\n" not in refusal
    assert before == {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    return False
