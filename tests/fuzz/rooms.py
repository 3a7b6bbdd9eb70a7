"""The rooms, which read any bytes: the work of each room, and the conditions that must hold.

The bytes are from a fuzzer that chooses them by the code that they reach (``guided``), or from a
file that it has kept. A room raises nothing if all conditions hold; else it raises AssertionError
or the exception of the defect.

This module chooses no bytes but the seeds, with which the fuzzer begins. If a room does one of
several things, the first byte selects it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from google.protobuf import empty_pb2
from google.protobuf.message import DecodeError

from smpatch import (
    ModelUnreadableError,
    Options,
    SmpatchError,
    patcher,
    patchfile,
    tensor_syntax,
    wire,
)
from smpatch.checker.requirement import parse_requirement
from smpatch.errors import UsageError
from tests.fuzz import mutations, targets
from tests.fuzz.mutations import Choices
from tests.fuzz.seeds import BINARY, PATCHES, TEXT, Seed

__all__ = ["ROOMS", "Room"]

_LARGEST = 12_000
"""The largest seed, in bytes; only the mutations that are not guided use larger models."""

_BINARY = [each for each in BINARY if len(each.data) <= _LARGEST]
_SMALLEST = sorted((each.data for each in _BINARY), key=len)[:5]
_EDITS = [(seed, asked) for seed in _BINARY for asked in seed.edits]
_LINEAR = next(each.directory for each in BINARY if each.directory.name == "linear")

_OPTION = "--inputs"
_NOTATIONS: tuple[Callable[[list[str]], object], ...] = (
    lambda texts: tensor_syntax.parse_tensors(texts, option=_OPTION),
    lambda texts: tensor_syntax.parse_names(texts, option=_OPTION),
    lambda texts: tensor_syntax.parse_pairs(texts, option=_OPTION),
    lambda texts: tensor_syntax.parse_list(texts, option=_OPTION),
    lambda texts: tensor_syntax.parse_shapes(texts, option=_OPTION),
    lambda texts: tensor_syntax.parse_defaults(texts, option=_OPTION),
    lambda texts: [tensor_syntax.parse_tensor(text, option=_OPTION) for text in texts],
    lambda texts: [tensor_syntax.parse_tags(text) for text in texts],
    lambda texts: [parse_requirement(text) for text in texts],
)
_WRITTEN = (
    b"a=x:0,y\nids=sparse(values=v:0,indices=i:0,dense_shape=s:0)",
    b"ids=ragged(values=v:0,row_splits=r:0,row_splits=q:0),loop/body@call/x:0",
    b"old=new,x=y",
    b"x,y",
    b"x=-1,224,?\ny=[3]\nz=unknown\ns=",
    b'x=[1.5, null, "a"]\ny=1e400\nz=true',
    b"serving_default: x:float32[?,3] -> y:float32[], 'a b':string",
)


@dataclass(frozen=True)
class Room:
    """A part of smpatch that reads bytes from other people.

    Attributes:
        read: Runs the part on bytes, and raises an exception if a condition does not hold.
        seeds: The first inputs.
        mutate: Changes an input according to its structure.
    """

    read: Callable[[bytes], None]
    seeds: Sequence[bytes] = field(repr=False)
    mutate: Callable[[bytes, Choices, int], bytes]


def _walk(data: bytes) -> None:
    """Walk bytes; if protobuf reads them, the walk reads them, as fields without gaps between."""
    refusal = None
    found: list[wire.Field] = []
    with targets.frugal():
        try:
            found.extend(wire.fields(data))
        except ModelUnreadableError as error:
            refusal = error.found
    for before, after in pairwise(found):
        assert before.end == after.start
    if refusal is None:
        assert found == [] or (found[0].start, found[-1].end) == (0, len(data))
        return
    try:
        empty_pb2.Empty.FromString(data)
    except DecodeError:
        return
    # Python's protobuf accepts these bytes.
    assert "field number 0" in refusal or targets.only_too_long(refusal), refusal


@contextmanager
def _holding(name: str, data: bytes) -> Iterator[Path]:
    """Yield a directory with one file in it."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / name).write_bytes(data)
        yield Path(directory)


def _shown(readers: Sequence[str]) -> Callable[[bytes], None]:
    """Return a function that runs ``show`` on a model, and a further command if there are any."""

    def read(data: bytes) -> None:
        chosen = [readers[data[0] % len(readers)]] if readers and data else []
        with _holding("saved_model.pb", data[1:]) as place:
            targets.shown(place, _LINEAR, chosen)

    return read


def _edit(data: bytes) -> None:
    """Try an edit that the sound model takes."""
    seed, asked = _EDITS[data[0] % len(_EDITS)] if data else _EDITS[0]
    with _holding(seed.file, data[1:]) as place:
        targets.edited(place, asked.do, seed.tags)


def _text(data: bytes) -> None:
    """Show a model in the text form, and try the edits that the sound model takes."""
    seed = TEXT[data[0] % len(TEXT)] if data else TEXT[0]
    with _holding(seed.file, data[1:]) as place:
        readable = targets.shown(place, seed.directory, [])
        for edit in seed.edits:
            assert readable or not targets.edited(place, edit.do, seed.tags)


def _patch(data: bytes) -> None:
    """Read a patch file; rehearse its edits on a model."""
    with _holding("patch.toml", data) as place, targets.frugal():
        try:
            asked = patchfile.load_patch(place / "patch.toml")
            options = Options(tag_set=asked.tag_set, validate="none", dry_run=True)
            patcher.patch(_LINEAR, asked.edits, options=options, once=True)
        except SmpatchError as error:
            _one_line(error)


def _notation(data: bytes) -> None:
    """Parse lines as values of an option."""
    parse = _NOTATIONS[data[0] % len(_NOTATIONS)] if data else _NOTATIONS[0]
    texts = data[1:].decode("utf-8", "surrogateescape").split("\n")
    with targets.frugal():
        try:
            parse(texts)
        except UsageError as error:
            _one_line(error)


def _one_line(error: SmpatchError) -> None:
    said = str(error)
    assert "\n" not in said
    assert "\x1b" not in said


def _after_first(
    mutate: Callable[[bytes, Choices, int], bytes],
) -> Callable[[bytes, Choices, int], bytes]:
    """Return a mutation of all bytes but the first, which selects the work, and sometimes of it."""

    def changed(data: bytes, choices: Choices, times: int) -> bytes:
        first = data[:1] or b"\0"
        if choices.below(8) == 0:
            first = bytes([choices.below(256)])
        return first + mutate(data[1:], choices, times)

    return changed


def _chosen(seeds: Sequence[Seed]) -> list[bytes]:
    return [bytes([at % 256]) + each.data for at, each in enumerate(seeds)]


_IN_WIRE_FORM = _after_first(mutations.broken_wire)
_IN_TEXT = _after_first(mutations.broken_text)

ROOMS = {
    "wire": Room(_walk, [*mutations.HOSTILE_FIELDS, *_SMALLEST], mutations.broken_wire),
    "show": Room(_shown(()), _chosen(_BINARY), _IN_WIRE_FORM),
    "check": Room(_shown(("check",)), _chosen(_BINARY), _IN_WIRE_FORM),
    "read": Room(
        _shown(("suggest", "suggest --signature", "diff")), _chosen(_BINARY), _IN_WIRE_FORM
    ),
    "edit": Room(
        _edit,
        [bytes([at % 256]) + seed.data for at, (seed, _) in enumerate(_EDITS)],
        _IN_WIRE_FORM,
    ),
    "text": Room(_text, _chosen(TEXT), _IN_TEXT),
    "patch": Room(_patch, PATCHES, mutations.broken_text),
    "notation": Room(
        _notation,
        [bytes([at]) + text for at in range(len(_NOTATIONS)) for text in _WRITTEN],
        _IN_TEXT,
    ),
}
"""The rooms by name."""
