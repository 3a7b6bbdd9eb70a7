"""The commands and edits that run on each hostile model, and the conditions that must hold.

No exception but smpatch's own; no hang; no more memory than the size of the input explains; no
control characters on the terminal; a refused edit changes no byte.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from unittest import mock

import google.protobuf

import smpatch
from smpatch import Options, SmpatchError
from smpatch.cli import guard
from smpatch.cli.main import application

__all__ = ["READERS", "Said", "edited", "frugal", "only_too_long", "run", "shown"]

SECONDS = 10.0
"""The limit of CPU time; the small inputs here take about a hundredth of it."""

MEGABYTES = 400
"""The limit by which the process may grow for one input, whatever lengths the input has."""


@dataclass(frozen=True)
class Said:
    """The result of a command.

    Attributes:
        code: Its exit code.
        out: Its stdout.
        complaint: Its stderr.
    """

    code: int
    out: str
    complaint: str


@contextlib.contextmanager
def frugal() -> Iterator[None]:
    """Check the limits of time and memory for the body of the ``with`` statement."""
    begin, size = time.process_time(), _largest()
    yield
    assert time.process_time() - begin < SECONDS
    assert _largest() - size < MEGABYTES << 20


def _largest() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run(*arguments: str) -> Said:
    """Run a command line in this process; raise any error that is not smpatch's own."""
    out, complaint = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["smpatch", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(complaint),
    ):
        code = guard.run(application(*arguments[:1]))
    said = Said(code, out.getvalue(), complaint.getvalue())
    for text in (said.out, said.complaint):
        strange = [each for each in text if not each.isprintable() and each != "\n"]
        assert strange == [], f"{arguments} wrote {strange[:3]} to a terminal"
    if "--json" in arguments:
        json.loads(said.out, parse_constant=_not_json)
    return said


def _not_json(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def only_too_long(complaint: str) -> bool:
    """Return whether a refusal is of bytes that Python's parser of protobuf 4 accepts.

    That parser takes lengths of more than five bytes. The parser in TensorFlow never takes them,
    and newer ones of Python do not either.
    """
    four = google.protobuf.__version__.startswith("4.")
    return four and "a tag or a length has more than 5 bytes" in complaint


READERS = ("suggest", "suggest --signature", "check", "diff")
"""The commands that read more of a model than ``show`` does."""


def shown(place: Path, sound: Path, readers: Sequence[str] = READERS) -> bool:
    """Run commands that read a model; return whether ``show`` could read it.

    Args:
        place: The model.
        sound: Another model, for a comparison.
        readers: The commands beside ``show``.
    """
    shows = _told(place, "show")
    for reader in readers:
        options = {"check": ("--validate", "none"), "diff": (str(sound),)}.get(reader, ())
        if reader == "suggest --signature":
            options = _first_signature(place) if shows else ()
        # If ``show`` can read a model, deeper parts may still be damaged. If it cannot, no other
        # command can, except that ``check`` reports the damage as a finding.
        answered = _told(place, reader.partition(" ")[0], *options)
        assert shows or not answered or reader == "check"
    return shows


def _first_signature(place: Path) -> tuple[str, ...]:
    meta_graph = smpatch.load(place).meta_graphs[0]
    tags = f"--tag-set={','.join(meta_graph.tags)}"
    return (tags, *(f"--signature={key}" for key in islice(meta_graph.signatures, 1)))


def _told(place: Path, name: str, *options: str) -> bool:
    """Run a command with and without ``--json``; return whether it had an answer."""
    codes = []
    with frugal():
        for form in ((), ("--json",)):
            said = run(name, str(place), *options, *form)
            assert said.code in {0, 1, 3, 4}, said
            if said.code > 1:
                assert said.complaint.count("\n") == 1
                assert said.complaint.startswith("smpatch: ")
                assert bool(said.out) == bool(form)
            codes.append(said.code)
    assert codes[0] == codes[1]
    return codes[0] <= 1


def edited(place: Path, edit: Callable[[Path, Options], object], tags: list[str]) -> bool:
    """Edit a model without TensorFlow; return whether the edit was done."""
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
