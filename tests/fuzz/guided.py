"""Hostile bytes, chosen by the code that they reach: ``python -m tests.fuzz.guided [ROOM...]``.

libFuzzer, which atheris wraps, keeps inputs for which smpatch runs code that it has not run before,
and mutates these further. Each room has a process of its own for ``SMPATCH_FUZZ_SECONDS``. An input
that fails, hangs or takes too much memory is kept in ``build/fuzz/guided`` and named on stderr. To
read it again without atheris:

    python -m tests.fuzz.guided ROOM --look FILE

If atheris (the dependency group ``fuzz``) is not installed, the program tries nothing and prints a
line about this: atheris has no wheels for some of the Pythons and systems that smpatch runs on.

Source: https://llvm.org/docs/LibFuzzer.html
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pkgutil
import random
import re
import subprocess
import sys
from pathlib import Path

from tests.prove.ledger import record

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[2]
_KEPT = _ROOT / "build" / "fuzz" / "guided"

NAMES = ("wire", "show", "check", "read", "edit", "text", "patch", "notation")
"""The names of the rooms, here because ``rooms`` imports smpatch, and atheris must come first."""

SECONDS = int(os.environ.get("SMPATCH_FUZZ_SECONDS") or 30)
"""The seconds for each room."""

_HANGS = 20
"""The seconds after which an input counts as one that hangs."""

_MEGABYTES = 2048
"""The limit for a process that has read many thousands of inputs; ``targets`` limits one input."""

_LONGEST = 1 << 16
"""The largest input, in bytes."""

_HALF = 2

_PROOF = "fuzz: guided by what is reached"


def main() -> int:
    """Try rooms one after the other, or read a file that was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--look", type=Path, help="let the room read this file, and no other")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    rooms = given.rooms or list(NAMES)
    if unknown := set(rooms).difference(NAMES):
        parser.error(f"there is no room {', '.join(sorted(unknown))}")
    if given.look is not None:
        return _look(rooms[0], given.look)
    if importlib.util.find_spec("atheris") is None:
        missing = "atheris is not installed (pip install --group fuzz)"
        record(_PROOF, skipped=missing)
        _say(f"guided fuzzing skipped: {missing}")
        return 0
    if given.inside:
        _fuzz(rooms[0], given.seconds)
    return max(_watched(room, given.seconds) for room in rooms)


def _look(room: str, file: Path) -> int:
    from tests.fuzz.rooms import ROOMS  # noqa: PLC0415 - only this option needs it

    ROOMS[room].read(file.read_bytes())
    _say(f"{room}: nothing wrong with {file.name}")
    return 0


def _watched(room: str, seconds: int) -> int:
    """Try a room in a process of its own, and count the inputs."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", room, f"--seconds={seconds}", "--inside"]
    done = subprocess.run(
        command,
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    told = re.findall(r"^stat::number_of_executed_units: +(\d+)", done.stdout, re.MULTILINE)
    reached = re.findall(r"\bcov: (\d+) ft: (\d+)", done.stdout)
    if done.returncode or not told:
        record(_PROOF, losses=1)
        _say(f"guided: {room}: something was found (exit code {done.returncode})\n{done.stdout}")
        return 1
    edges, features = reached[-1]
    _say(f"guided: {room}: {int(told[0]):,} inputs, {edges} edges, {features} features")
    record(_PROOF, executions=int(told[0]))
    return 0


def _fuzz(room: str, seconds: int) -> None:
    """Try a room in this process; the process ends with it."""
    import atheris  # noqa: PLC0415 - it may not be installed

    with atheris.instrument_imports(include=["smpatch"]):
        _import_all()
        from tests.fuzz.mutations import Choices  # noqa: PLC0415 - imports smpatch
        from tests.fuzz.rooms import ROOMS  # noqa: PLC0415 - likewise

    tried = ROOMS[room]

    def mutated(data: bytes, largest: int, seed: int) -> bytes:
        """Return an input that a mutation of the room or, at random, of libFuzzer has changed."""
        chance = random.Random(seed)  # noqa: S311 - any numbers will do
        if chance.randrange(_HALF):
            choices = Choices([chance.randrange(1 << 16) for _ in range(80)])
            new = tried.mutate(data, choices, chance.randrange(1, 4))
            if len(new) <= largest:
                return new
        return bytes(atheris.Mutate(data, largest))

    corpus = _KEPT / room
    corpus.mkdir(exist_ok=True)
    for at, seed in enumerate(tried.seeds):
        (corpus / f"seed-{at}").write_bytes(seed)
    options = {
        "max_total_time": seconds,
        "timeout": _HANGS,
        "rss_limit_mb": _MEGABYTES,
        "max_len": _LONGEST,
        "artifact_prefix": f"{_KEPT}/{room}-",
        "print_final_stats": 1,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], tried.read, custom_mutator=mutated)
    atheris.Fuzz()


def _import_all() -> None:
    """Import all modules of smpatch, so that atheris instruments also the late ones."""
    whole = importlib.import_module("smpatch")
    for each in pkgutil.walk_packages(whole.__path__, "smpatch."):
        if not each.name.startswith(("smpatch.runtime.", "smpatch.__main__")):
            importlib.import_module(each.name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it


if __name__ == "__main__":
    sys.exit(main())
