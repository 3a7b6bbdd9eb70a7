"""List the models that TensorFlow itself does not load, with the reasons.

    python -m tests.contract.report [DIRECTORY...]

Without an argument: the fixtures and the models of ``SMPATCH_CORPUS``. This is not a test,
because another version of TensorFlow loads other models.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smpatch import SmpatchError, load
from tests.contract.models import Case, cases, found_in
from tests.oracle.client import Oracle, OracleDiedError


def main(arguments: list[str]) -> None:
    """Print one line for each model and loader that refuses it."""
    models = [each for name in arguments for each in found_in(Path(name))] or [
        each for each in cases() if not each.with_object_graph
    ]
    refused = 0
    with Oracle() as oracle:
        for case in models:
            lines = _refusals(case, oracle)
            refused += bool(lines)
            for line in lines:
                sys.stdout.write(f"{case.name}{line}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(models)} models, {refused} of them not loaded by all loaders\n")


def _refusals(case: Case, oracle: Oracle) -> list[str]:
    lines = []
    try:
        tag_sets = [each.tags for each in load(case.directory).meta_graphs]
    except SmpatchError as error:
        return [f" is not read by smpatch: {error}"]
    for tags in tag_sets:
        try:
            told = oracle.ask("load", directory=case.directory, tags=tags)
        except OracleDiedError as error:
            told = {"v1": str(error), "v2": str(error)}
        for loader, name in (("v1", "v1 loader"), ("v2", "tf.saved_model.load")):
            words = told[loader].replace(f"{case.directory}{os.sep}", "")
            if words:
                lines.append(f" [{','.join(tags)}] {name}: {words}")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
