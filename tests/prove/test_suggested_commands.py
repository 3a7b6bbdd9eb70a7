"""Every command that ``suggest`` prints works without a change.

Each command is a dry run on a copy of the model, without a reload; if the model does not define its
operations, TensorFlow gives the definitions. The first commands of each model are reloaded as well.
``make test`` takes the first few of each small fixture, ``make prove`` all of every model.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpatch import load
from tests.cli.conftest import Run, call
from tests.contract.models import FIXTURES, Case, cases
from tests.prove.ledger import LONG, Count

__all__ = ["call"]

_FEW, _RELOADED = 4, 3
_BROKEN = {"wrong_tensor_info"}
"""Fixtures with faults that an edit refuses."""

SMALL = ("keras_functional", "module", "several_traces", "linear", "no_op_list", "nested_modules")
MODELS = [
    each
    for each in cases()
    if not each.with_object_graph
    and each.name not in _BROKEN
    and (LONG or (each.directory.parent == FIXTURES and each.name in SMALL))
]


def _commands(document: object) -> Iterator[str]:
    """Yield the commands in a document of ``suggest --json``, except refused ones."""
    if isinstance(document, dict):
        if document.get("command") and not document.get("refusal"):
            yield str(document["command"])
        for value in document.values():
            yield from _commands(value)
    elif isinstance(document, list):
        for value in document:
            yield from _commands(value)


def _suggested(call: Run, directory: Path) -> list[list[str]]:
    """Return the words of all commands, also of those for the signatures' inner tensors."""
    meta_graphs = load(directory).meta_graphs
    found: dict[str, None] = {}
    for meta_graph in meta_graphs:
        tags = ("--tag-set", ",".join(meta_graph.tags)) if len(meta_graphs) > 1 else ()
        keys = meta_graph.signatures
        for signature in ((), *(("--signature", key) for key in keys)):
            said = call("suggest", directory, "--json", *signature, *tags)
            if said.code == 0:
                found.update(dict.fromkeys(_commands(json.loads(said.out))))
    return [shlex.split(each) for each in found]


@pytest.mark.proof("suggested commands")
@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_each_suggested_command_works(case: Case, call: Run, tmp_path: Path, count: Count) -> None:
    directory = tmp_path / "model"
    shutil.copytree(case.directory, directory, symlinks=True, copy_function=shutil.copyfile)
    commands = _suggested(call, directory)
    for number, words in enumerate(commands if LONG else commands[:_FEW]):
        assert words[0] == "smpatch"
        with count.case(shlex.join(words)):
            said = call(*words[1:], "--dry-run", "--validate", "none")
            if "validate with TensorFlow" in said.err or "op-library" in said.err:
                said = call(*words[1:], "--dry-run", "--validate", "runtime")
                # A library of operations is missing, or TensorFlow cannot read the form.
                if "has no operation" in said.err or "did not load before" in said.err:
                    continue
            assert said.code == 0, said.err
            if number < _RELOADED:
                said = call(*words[1:], "--save-to", tmp_path / f"saved_{number}", "--quiet")
                assert said.code == 0 or "did not load before" in said.err, said.err
        count.add(edits=1)
    count.add(models=1)
    count.settle()
