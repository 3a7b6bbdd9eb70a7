"""Processes that write to one model, or read it: ``python -m tests.prove.writer DO MODEL WHAT``.

Each says ``ready`` and waits for a line, so that many begin at once.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import smpatch
from smpatch.edits import AddPredict, Copy, Edit, EditSignature, Remove, Rename
from tests.writer import faults, models

__all__ = ["ADD", "COPY", "EDIT", "EDITS", "READ", "STOP", "edit"]

ADD, COPY, EDIT, READ, STOP = "add", "copy", "edit", "read", "stop"

EDITS: Mapping[str, Edit] = {
    "add a": AddPredict({"x": "x:0"}, {"y": "y:0"}, "a"),
    "add a anew": AddPredict({"x": "x:0"}, {"z": "y:0"}, "a", overwrite=True),
    "rename scale to a": Rename("scale", "a"),
    "rename scale to b": Rename("scale", "b", overwrite=True),
    "rename a to scale": Rename("a", "scale"),
    "copy scale to b": Copy("scale", "b"),
    "copy b to a": Copy("b", "a", overwrite=True),
    "remove scale": Remove(("scale",)),
    "remove a and b": Remove(("[ab]",)),
    "an alias in scale": EditSignature("scale", rename_outputs={"product": "p"}),
    "a method in a": EditSignature("a", method_name="my/own"),
}
"""Edits of ``linear`` that stand in each other's way: the order decides what comes of them."""


def edit(model: Path, name: str) -> smpatch.Receipt:
    """Do one of the edits."""
    return smpatch.patch(model, [EDITS[name]], options=smpatch.Options(validate="none"))


def _read(model: Path) -> int:
    """Load the model until there is something to read on stdin; return how often."""
    loads, known = 0, 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        keys = len(smpatch.load(model).signatures)
        if keys < known:
            message = f"a signature is gone: {keys} after {known}"
            raise RuntimeError(message)
        known = keys
        loads += 1
    return loads


def _stop(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    """Do what the arguments say; the exit code is that of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=[ADD, COPY, EDIT, READ, STOP])
    parser.add_argument("model", type=Path)
    parser.add_argument("what", help="a key; to edit its name, to stop the count of the call")
    parser.add_argument("--backup", action="store_true")
    given = parser.parse_args()
    print("ready", flush=True)  # noqa: T201 - to the process that asked
    sys.stdin.readline()
    try:
        if given.do == READ:
            print(_read(given.model))  # noqa: T201 - likewise
        elif given.do == STOP:
            with faults.at(int(given.what), _stop):
                models.add(given.model, backup=given.backup)
        elif given.do == EDIT:
            edit(given.model, given.what)
        elif given.do == COPY:
            options = smpatch.Options(validate="none", backup=given.backup)
            smpatch.copy_signature(given.model, "serving_default", given.what, options=options)
        else:
            models.add(given.model, given.what, backup=given.backup)
    except smpatch.SmpatchError as error:
        print(error)  # noqa: T201 - likewise
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
