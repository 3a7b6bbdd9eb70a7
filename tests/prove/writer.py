"""Processes that write to one model, or read it: ``python -m tests.prove.writer DIRECTORY JSON``.

Each request is a list of words in the JSON. It has a fork of this process, which has imported
smpatch. The program prints the process id of the fork. The fork stops itself and begins when it is
continued, so that many begin at once. For the first request the directory gets ``0.said``, its
output; ``0.stopped``, a byte for each time that it stopped; and ``0.ended``, its exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

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
"""Edits of ``linear`` that conflict with one another: the order decides their results."""


def edit(model: Path, name: str) -> smpatch.Receipt:
    """Do one of the edits."""
    return smpatch.patch(model, [EDITS[name]], options=smpatch.Options(validate="none"))


def _read(model: Path) -> int:
    """Load the model until SIGTERM arrives; return the number of loads."""
    enough: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: enough.append(number))
    loads, known = 0, 0
    while not enough:
        keys = len(smpatch.load(model).signatures)
        if keys < known:
            message = f"a signature is gone: {keys} after {known}"
            raise RuntimeError(message)
        known = keys
        loads += 1
    return loads


def _stop(_name: str = "") -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _do(request: Sequence[str]) -> int:
    """Do a request; return the exit code of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=[ADD, COPY, EDIT, READ, STOP])
    parser.add_argument("model", type=Path)
    parser.add_argument("what", help="a key; to edit its name, to stop the count of the call")
    parser.add_argument("--backup", action="store_true")
    given = parser.parse_args(request)
    try:
        if given.do == READ:
            print(_read(given.model))  # noqa: T201 - to the test that asked
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


def _begin(said: Path, request: Sequence[str]) -> NoReturn:
    """Do a request in this process when it is continued, and end it."""
    output = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    code = 1
    try:
        _stop()
        code = _do(request)
    except BaseException:  # noqa: BLE001 - the process ends here, and the test gets the exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """Fork for each request, and record the stops and ends of the forks until all have ended."""
    directory = Path(sys.argv[1])
    numbers: dict[int, int] = {}
    for number, request in enumerate(json.loads(sys.argv[2])):
        pid = os.fork()
        if not pid:
            _begin(directory / f"{number}.said", request)
        numbers[pid] = number
        print(pid, flush=True)  # noqa: T201 - to the test that asked
    while numbers:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            with (directory / f"{numbers[pid]}.stopped").open("a") as file:
                file.write(".")
        else:
            (directory / "code").write_text(str(os.waitstatus_to_exitcode(status)))
            (directory / "code").rename(directory / f"{numbers.pop(pid)}.ended")


if __name__ == "__main__":
    main()
