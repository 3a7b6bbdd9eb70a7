"""The rooms that ``guided`` tries, here without atheris: each works on its seeds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import smpatch
from smpatch import patchfile, wire
from tests.fuzz import guided, rooms
from tests.fuzz.mutations import Choices
from tests.fuzz.seeds import PATCHES
from tests.prove import ledger

ROOT = Path(__file__).resolve().parents[2]
LINEAR = ROOT / "fixtures" / "models" / "linear"


def test_each_room_can_be_named() -> None:
    assert tuple(rooms.ROOMS) == guided.NAMES


@pytest.mark.parametrize("name", guided.NAMES)
def test_room_reads_what_it_begins_with_and_what_becomes_of_it(name: str) -> None:
    room = rooms.ROOMS[name]
    chance = random.Random(name)  # noqa: S311 - any numbers will do, if they are the same each time
    for data in (b"", *room.seeds):
        room.read(data)
        choices = Choices([chance.randrange(1 << 16) for _ in range(80)])
        room.read(room.mutate(data, choices, 3))


@pytest.mark.parametrize("patch", PATCHES)
def test_patch_files_to_begin_with_can_be_meant(patch: bytes) -> None:
    assert patchfile.parse_patch(patch.decode()).edits


def test_patch_file_to_begin_with_can_be_carried_out() -> None:
    edits = patchfile.parse_patch(PATCHES[0].decode()).edits
    smpatch.patch(LINEAR, edits, options=smpatch.Options(validate="none", dry_run=True))


def test_file_that_was_kept_is_looked_into_without_atheris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyError("a defect")

    (tmp_path / "found").write_bytes(b"\x0a\x00")
    monkeypatch.setattr(sys, "argv", ["guided", "wire", "--look", str(tmp_path / "found")])
    assert guided.main() == 0
    monkeypatch.setattr(wire, "fields", crash)
    with pytest.raises(KeyError, match="a defect"):
        guided.main()


def test_without_atheris_a_line_says_what_is_left_out() -> None:
    program = (
        "import sys, runpy; sys.modules['atheris'] = None;"
        "import importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name, *more: None if name == 'atheris' else find(name, *more);"
        "sys.argv[1:] = ['wire']; runpy.run_module('tests.fuzz.guided', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        # Atheris may be installed; the table of the proofs must not record that it is missing.
        env={name: value for name, value in os.environ.items() if name != ledger.DIRECTORY},
    )
    assert done.returncode == 0
    assert done.stderr.startswith("guided fuzzing skipped: atheris is not installed")
